//! What a run is to forget, and what it forgot.

use super::remember::Forgotten;
use crate::data::{DataSet, SampleId};
use crate::detect::{Detection, Opinion};
use crate::error::Error;
use crate::evidence::{FeatureRows, Prediction};
use crate::model::Link;
use crate::refine::{Head, LinearHead, Update};
use crate::report::ForgottenReport;
use crate::tune::Opinions;
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

impl Forget {
    /// As the report shows it.
    pub(super) fn param(&self) -> Value {
        match self {
            Self::Estimated => json!("estimated"),
            Self::Fraction(share) => json!(share),
            Self::Ids(ids) => json!(ids.len()),
        }
    }

    /// The samples that are to be forgotten by what a model says of all that can be used.
    ///
    /// # Errors
    /// An id that is none of them.
    pub(super) fn samples(&self, found: &Opinions, set: &dyn DataSet) -> Result<Vec<usize>, Error> {
        let share = match self {
            Self::Ids(ids) => return Ok(samples_with(ids, set, &found.samples)?.into_iter().collect()),
            Self::Fraction(share) => *share,
            Self::Estimated => found.detection()?.noise_rate(),
        };
        let worst = Detection::highest_losses(&found.opinions, share).into_iter();
        let mut samples: Vec<usize> = worst.map(|at| found.samples[at]).collect();
        samples.sort_unstable();
        Ok(samples)
    }

    /// Whether the user said which, or the losses did.
    pub(super) fn settled_by(&self) -> &'static str {
        match self {
            Self::Estimated => "losses",
            Self::Fraction(_) | Self::Ids(_) => "given",
        }
    }
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
        [
            ("forget", self.which.param()),
            ("update", json!(self.update)),
            ("damping", self.damping.map_or_else(|| json!("auto"), |damping| json!(damping))),
            ("with_bias", json!(self.with_bias)),
        ]
    }

    /// Which of the samples are forgotten, of which `head` gives the scores, with their link: as was asked for, or this share of the highest
    /// losses. Nothing where a share is no question, since the losses tell how many, or where they do not tell.
    ///
    /// # Errors
    /// An id that is none of them.
    pub(super) fn marks(
        &self,
        share: Option<f64>,
        set: &dyn DataSet,
        rows: &FeatureRows,
        (head, link): (&LinearHead, Link),
    ) -> Result<Option<Vec<bool>>, Error> {
        if let Forget::Ids(ids) = &self.which {
            let wanted = samples_with(ids, set, &rows.samples)?;
            return Ok(Some(rows.samples.iter().map(|sample| wanted.contains(sample)).collect()));
        }
        let scores = head.logits(&rows.features);
        let opinion = |(row, &label): (ndarray::ArrayView1<'_, f64>, &usize)| {
            Opinion::of(&Prediction::of(&row, link, label), &row, link)
        };
        let opinions: Vec<Opinion> = scores.rows().into_iter().zip(&rows.labels).map(opinion).collect();
        let found = Detection::of(&opinions, link.classes(scores.ncols()));
        let share = match (&self.which, share) {
            (Forget::Fraction(given), _) => Some(*given),
            (_, None) => (found.separation.separates || self.damping.is_some()).then(|| found.noise_rate()),
            (_, Some(share)) => Some(share).filter(|_| !found.separation.separates),
        };
        let Some(share) = share else { return Ok(None) };
        let mut marks = vec![false; opinions.len()];
        for at in Detection::highest_losses(&opinions, share) {
            marks[at] = true;
        }
        Ok(Some(marks))
    }

    /// What was forgotten, for the report.
    pub(super) fn report(&self, head: Head, set: &dyn DataSet, forgotten: &Forgotten) -> ForgottenReport {
        let by = match (&self.which, head) {
            (Forget::Estimated, Head::Unlearned { share: Some(_), .. }) => "validation",
            (which, _) => which.settled_by(),
        };
        let ids = forgotten.samples.iter().map(|&sample| set.id(sample)).collect();
        ForgottenReport { count: forgotten.samples.len(), of: forgotten.of, by, ids }
    }
}

/// The samples with these ids, of those that can be used.
///
/// # Errors
/// An id that is none of them.
pub(crate) fn samples_with(ids: &[SampleId], set: &dyn DataSet, usable: &[usize]) -> Result<BTreeSet<usize>, Error> {
    let mut wanted: BTreeSet<&SampleId> = ids.iter().collect();
    let found = usable.iter().copied().filter(|&sample| wanted.remove(&set.id(sample))).collect();
    match wanted.first() {
        None => Ok(found),
        Some(id) => Err(Error::Usage(format!(
            "--forget-ids names {id}, which is no sample that can be used; give ids as `onnx-sap score` prints them"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::READERS;
    use ndarray::{Array1, Array2, array};

    /// Samples of a set, whose last layer is so sure of their labels.
    fn rows(sure: &[f64]) -> (Box<dyn DataSet>, FeatureRows, LinearHead) {
        let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/weights-everywhere/data.npz");
        let npz = READERS.iter().find(|reader| reader.name() == "npz").unwrap();
        let set = npz.open(&fixtures, None).unwrap();
        let features = Array2::from_shape_vec((sure.len(), 1), sure.to_vec()).unwrap();
        let samples = (0..sure.len()).collect();
        let head = LinearHead { weight: array![[1.0], [-1.0]], bias: Array1::zeros(2) };
        (set, FeatureRows { samples, labels: vec![0; sure.len()], features }, head)
    }

    fn forgetting(which: Forget, damping: Option<f64>) -> Forgetting {
        Forgetting { which, update: Update::Influence, damping, with_bias: false }
    }

    fn marked(marks: Option<Vec<bool>>) -> Vec<usize> {
        marks.unwrap().iter().enumerate().filter(|(_, mark)| **mark).map(|(at, _)| at).collect()
    }

    #[test]
    fn a_share_is_that_of_the_highest_losses_and_ids_are_taken_as_they_are() {
        let (set, rows, head) = rows(&[3.0, -1.0, 2.0, -2.0, 1.0, 4.0, 5.0, 6.0]);
        let fraction = forgetting(Forget::Fraction(0.25), None);
        assert_eq!(marked(fraction.marks(None, set.as_ref(), &rows, (&head, Link::Softmax)).unwrap()), [1, 3]);
        let ids = |ids: &[&str]| Forget::Ids(ids.iter().map(|id| SampleId((*id).to_owned())).collect());
        let given = forgetting(ids(&["5", "0"]), None);
        assert_eq!(marked(given.marks(None, set.as_ref(), &rows, (&head, Link::Softmax)).unwrap()), [0, 5]);
        let error =
            forgetting(ids(&["5", "nine"]), None).marks(None, set.as_ref(), &rows, (&head, Link::Softmax)).unwrap_err();
        assert!(error.to_string().contains("--forget-ids names nine"), "{error}");
    }

    #[test]
    fn shares_are_tried_only_where_losses_do_not_tell_how_many() {
        let apart: Vec<f64> = (0..40).map(|at| if at % 4 == 0 { -3.0 } else { 3.0 } + f64::from(at) / 100.0).collect();
        let alike: Vec<f64> = (0..40).map(|at| 3.0 + f64::from(at) / 100.0).collect();
        for (sure, separates) in [(apart, true), (alike, false)] {
            let (set, rows, head) = rows(&sure);
            let marks = |share| {
                forgetting(Forget::Estimated, None).marks(share, set.as_ref(), &rows, (&head, Link::Softmax)).unwrap()
            };
            assert_eq!((marks(None).is_some(), marks(Some(0.1)).is_some()), (separates, !separates));
            if separates {
                assert_eq!(marked(marks(None)), (0..40).step_by(4).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_is_given_leaves_nothing_to_try() {
        let count = |which, damping, judged| forgetting(which, damping).heads(judged).len();
        assert_eq!(count(Forget::Estimated, None, true), DAMPINGS.len() * (1 + SHARES.len()));
        assert_eq!(count(Forget::Fraction(0.1), None, true), DAMPINGS.len());
        assert_eq!(count(Forget::Estimated, Some(0.0), true), 1);
        assert_eq!(count(Forget::Estimated, None, false), 1);
    }
}
