//! What a run is to forget, and what it forgot.

use super::remember::Forgotten;
use crate::data::{DataSet, SampleId};
use crate::detect::{Detection, Opinion};
use crate::error::Error;
use crate::evidence::{FeatureRows, Prediction};
use crate::model::Link;
use crate::refine::{Head, LinearHead, Update};
use crate::report::ForgottenReport;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Dampings that are tried, from the gentlest on, in multiples of the Hessian's mean eigenvalue: on the reference models less
/// than a tenth destroys what was learnt, and more than ten changes nothing.
const DAMPINGS: [f64; 5] = [10.0, 3.0, 1.0, 0.3, 0.1];

/// Shares that are tried where losses do not tell how many labels are wrong, as a model that has memorised them believes them.
const SHARES: [f64; 4] = [0.05, 0.1, 0.2, 0.3];

/// What is taken where nothing tells which is best: it never made a reference model worse.
const USUAL_DAMPING: f64 = 3.0;

/// What a run is to forget, and how.
#[derive(Clone, Debug)]
pub struct Forgetting {
    /// Which samples.
    pub which: Forget,
    /// How.
    pub update: Update,
    /// The damping; nothing where validation data choose it.
    pub damping: Option<f64>,
    /// Whether the bias takes part.
    pub with_bias: bool,
}

/// Which samples are forgotten.
#[derive(Clone, Debug)]
pub enum Forget {
    /// As many of the highest losses as labels are likely wrong, by these losses.
    Estimated,
    /// This share of the highest losses.
    Fraction(f64),
    /// These samples.
    Ids(Vec<SampleId>),
}

impl Forgetting {
    /// The last layers that are tried. `judged`: whether anything tells them apart.
    pub(super) fn heads(&self, judged: bool) -> Vec<Head> {
        let update = self.update;
        let dampings = match self.damping {
            Some(damping) => vec![damping],
            None if judged => DAMPINGS.to_vec(),
            None => vec![USUAL_DAMPING],
        };
        let mut shares = vec![None];
        if judged && self.damping.is_none() && matches!(self.which, Forget::Estimated) {
            shares.extend(SHARES.map(Some));
        }
        let of_share = |share| dampings.iter().map(move |&damping| Head::Unlearned { update, share, damping });
        shares.into_iter().flat_map(of_share).collect()
    }

    /// Whether nothing about it is left to choose. `judged`: whether anything tells candidates apart.
    pub(super) fn is_given(&self, judged: bool) -> bool {
        self.damping.is_some() || (!judged && !matches!(self.which, Forget::Estimated))
    }

    /// As the report shows the options.
    pub(super) fn params(&self) -> [(&'static str, Value); 4] {
        let which = match &self.which {
            Forget::Estimated => json!("estimated"),
            Forget::Fraction(share) => json!(share),
            Forget::Ids(ids) => json!(ids.len()),
        };
        [
            ("forget", which),
            ("update", json!(self.update)),
            ("damping", self.damping.map_or_else(|| json!("auto"), |damping| json!(damping))),
            ("with_bias", json!(self.with_bias)),
        ]
    }

    /// Which of the samples are forgotten, of which `head` gives the scores: as was asked for, or this share of the highest
    /// losses. Nothing where a share is no question, since the losses tell how many, or where they do not tell.
    ///
    /// # Errors
    /// An id that is none of them.
    pub(super) fn marks(
        &self,
        share: Option<f64>,
        set: &dyn DataSet,
        rows: &FeatureRows,
        head: &LinearHead,
    ) -> Result<Option<Vec<bool>>, Error> {
        if let Forget::Ids(ids) = &self.which {
            return by_id(ids, set, rows).map(Some);
        }
        let scores = head.logits(&rows.features);
        let opinion = |(row, &label): (ndarray::ArrayView1<'_, f64>, &usize)| {
            Opinion::of(&Prediction::of(&row, Link::Softmax, label), &row, Link::Softmax)
        };
        let opinions: Vec<Opinion> = scores.rows().into_iter().zip(&rows.labels).map(opinion).collect();
        let found = Detection::of(&opinions, scores.ncols());
        let share = match (&self.which, share) {
            (Forget::Fraction(given), _) => Some(*given),
            (_, None) => (found.separation.separates || self.damping.is_some()).then(|| found.noise_rate()),
            (_, Some(share)) => Some(share).filter(|_| !found.separation.separates),
        };
        let Some(share) = share else { return Ok(None) };
        let count = (share * opinions.len() as f64).round() as usize;
        let mut marks = vec![false; opinions.len()];
        for at in Detection::worst_first(&opinions).into_iter().take(count) {
            marks[at] = true;
        }
        Ok(Some(marks))
    }

    /// What was forgotten, for the report.
    pub(super) fn report(&self, head: Head, set: &dyn DataSet, forgotten: &Forgotten) -> ForgottenReport {
        let by = match (&self.which, head) {
            (Forget::Estimated, Head::Unlearned { share: Some(_), .. }) => "validation",
            (Forget::Estimated, _) => "losses",
            (Forget::Fraction(_) | Forget::Ids(_), _) => "given",
        };
        let ids = forgotten.samples.iter().map(|&sample| set.id(sample)).collect();
        ForgottenReport { count: forgotten.samples.len(), of: forgotten.of, by, ids }
    }
}

fn by_id(ids: &[SampleId], set: &dyn DataSet, rows: &FeatureRows) -> Result<Vec<bool>, Error> {
    let mut wanted: BTreeSet<&SampleId> = ids.iter().collect();
    let known: Vec<SampleId> = rows.samples.iter().map(|&sample| set.id(sample)).collect();
    let marks = known.iter().map(|id| wanted.remove(id)).collect();
    match wanted.first() {
        None => Ok(marks),
        Some(id) => Err(Error::Usage(format!(
            "--forget-ids names {id}, which is no sample that can be used; give ids as `onnx-sap score` prints them"
        ))),
    }
}
