//! The report and the provenance of a run, from what the run holds.

use super::job::{Job, Settled};
use super::prepared::Prepared;
use super::summary::ScoreSummary;
use crate::data::{Quarantined, Route};
use crate::engine::{EngineInfo, Passes};
use crate::error::Error;
use crate::evidence::Trusted;
use crate::layers::{Entry, Layer, Ledger};
use crate::methods::LayerFacts;
use crate::model::{Model, PROVENANCE_PREFIX, WeightPatch};
use crate::refine::Recipe;
use crate::report::figures::Figures;
use crate::report::{
    CandidateReport, Chosen, DataReport, EngineReport, ForgottenReport, Held, LayerReport, LayerStatus, ModelReport,
    OutputReport, Report, RoundReport, SCHEMA_VERSION, TrustedReport, UnlabeledReport, peak_resident_bytes,
};
use crate::search::{Advantage, Search, Verdict};
use crate::verify::Verification;
use rayon::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

/// What is known before a candidate is chosen.
pub(super) struct Record<'a> {
    pub(super) job: &'a Job,
    pub(super) model: &'a Model,
    pub(super) data: &'a Prepared,
    pub(super) settled: Settled<'a>,
    pub(super) engine: &'a EngineInfo,
    pub(super) scores: &'a ScoreSummary,
    pub(super) trusted: &'a Trusted,
}

/// What is known at the end.
pub(super) struct Findings {
    pub(super) layers: Vec<LayerReport>,
    pub(super) before: Held,
    pub(super) after: Held,
    pub(super) held_out_quarantined: BTreeMap<String, Vec<Quarantined>>,
    pub(super) verify: Option<Verification>,
    pub(super) output: Option<OutputReport>,
    pub(super) seconds: BTreeMap<&'static str, f64>,
    pub(super) moments_passes: usize,
    pub(super) passes: Passes,
    /// Each of them, where there was more than one.
    pub(super) rounds: Vec<RoundReport>,
    pub(super) unlabeled: Option<UnlabeledReport>,
    pub(super) forgotten: Option<ForgottenReport>,
    /// Of the chosen candidate over the original.
    pub(super) advantage: Advantage,
    pub(super) nodes_on_cpu: Option<BTreeMap<String, usize>>,
    pub(super) figures: Option<Figures>,
}

impl Record<'_> {
    /// Who made the model, of what: it stands in the model's metadata. No time and no path, so that the same run gives
    /// the same bytes.
    pub(super) fn provenance(&self, recipe: &Recipe) -> Vec<(String, String)> {
        let strength = recipe.strength.as_ref();
        let own = strength.map(|strength| &strength.of_weights).filter(|own| !own.is_empty());
        let of_strength = [
            recipe.tuning.as_ref().map(|tuning| ("tuning", tuning.to_string())),
            recipe.alpha().map(|alpha| ("alpha", alpha.get().to_string())),
            own.map(|own| ("alpha_of", json!(own).to_string())),
        ];
        let entries = [
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("method", self.job.method.name().to_owned()),
            ("recalibrated", recipe.recalibrated.to_string()),
            ("head", recipe.head.to_string()),
            ("source_sha256", self.model.sha256().to_owned()),
            ("trusted_sha256", self.trusted.sha256(self.data.set.as_ref())),
            ("data_sha256", self.scores.data_sha256.clone()),
        ];
        entries
            .into_iter()
            .chain(of_strength.into_iter().flatten())
            .chain(self.job.variant.provenance())
            .map(|(key, value)| (format!("{PROVENANCE_PREFIX}{key}"), value))
            .collect()
    }

    /// Every weight and what became of it, had `patches` been applied.
    pub(super) fn layers(
        &self,
        ledger: &Ledger,
        rows: &[Option<usize>],
        facts: &[LayerFacts],
        patches: &[WeightPatch],
    ) -> Result<Vec<LayerReport>, Error> {
        let changes: Result<Vec<f64>, Error> =
            ledger.layers.par_iter().zip(patches).map(|(layer, patch)| self.relative_change(layer, patch)).collect();
        let mut layers = Vec::new();
        for (((layer, facts), &rows), change) in ledger.layers.iter().zip(facts).zip(rows).zip(changes?) {
            let idle = (facts.idle_groups > 0).then(|| {
                let (idle, groups) = (facts.idle_groups, layer.matrix.groups.extent());
                format!("the inputs of {idle} of {groups} groups are all zero; their weights stay")
            });
            layers.push(LayerReport {
                entry: Entry { reason: idle, ..layer.entry() },
                status: LayerStatus::Rewritten,
                rows,
                effective_rank: facts.effective_rank,
                moment_loss: facts.moment_loss,
                relative_change: Some(change),
            });
        }
        layers.extend(ledger.skipped.iter().cloned().map(|entry| LayerReport {
            entry,
            status: LayerStatus::Skipped,
            rows: None,
            effective_rank: None,
            moment_loss: None,
            relative_change: None,
        }));
        Ok(layers)
    }

    fn relative_change(&self, layer: &Layer, patch: &WeightPatch) -> Result<f64, Error> {
        let old = self.model.values(&layer.weight)?;
        let (old, new) = (old.as_standard_layout(), patch.values.as_standard_layout());
        let pairs = old.as_slice().unwrap_or_default().iter().zip(new.as_slice().unwrap_or_default());
        let squares = pairs.fold((0.0, 0.0), |(size, change): (f64, f64), (old, new)| {
            (size + old * old, change + (new - old) * (new - old))
        });
        let (size, change) = (squares.0.sqrt(), squares.1.sqrt());
        Ok(if size > 0.0 { change / size } else { 0.0 })
    }

    /// The whole run.
    pub(super) fn report(&self, found: &Search, verdict: Verdict, result: Findings) -> Report {
        let set = self.data.set.as_ref();
        let of_input = |route: &Route| (route.input.clone(), route.transform.clone());
        Report {
            schema_version: SCHEMA_VERSION,
            versions: BTreeMap::from([
                ("onnx-sap", env!("CARGO_PKG_VERSION").to_owned()),
                (self.engine.name, self.engine.version.clone()),
            ]),
            engine: EngineReport { info: self.engine.clone(), nodes_on_cpu: result.nodes_on_cpu },
            model: ModelReport::of(self.model),
            data: DataReport {
                spec: self.data.spec.to_string(),
                samples: set.len(),
                classes: self.scores.meaning.classes,
                class_names: set.class_names().map(<[String]>::to_vec),
                sha256: self.scores.data_sha256.clone(),
                preprocessing: self.data.routes[0].transform.clone(),
                further_inputs: self.data.routes[1..].iter().map(of_input).collect(),
                quarantined: self.scores.quarantined.clone(),
            },
            params: self.job.params(&self.settled),
            scores: self.scores.quality,
            trusted: TrustedReport {
                count: self.trusted.samples.len(),
                selection: self.settled.selection.to_owned(),
                ids: self.trusted.samples.iter().map(|&sample| set.id(sample)).collect(),
                near_cut: self.trusted.near_cut.iter().map(|&sample| set.id(sample)).collect(),
                per_class: self.trusted.per_class(set, self.scores.meaning.classes),
            },
            unlabeled: result.unlabeled,
            forgotten: result.forgotten,
            layers: result.layers,
            candidates: found.candidates.iter().map(CandidateReport::from).collect(),
            chosen: Chosen {
                recipe: found.chosen().recipe.clone(),
                verdict,
                advantage: result.advantage,
                runner_up: found.runner_up(),
            },
            before: result.before,
            after: result.after,
            held_out_quarantined: result.held_out_quarantined,
            verify: result.verify,
            output: result.output,
            seconds: result.seconds,
            rounds: result.rounds,
            moments_passes: result.moments_passes,
            passes: result.passes,
            peak_rss_bytes: peak_resident_bytes(),
            figures: result.figures,
        }
    }
}
