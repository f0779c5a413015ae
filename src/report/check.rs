//! What `onnx-sap check` finds, as data.

use super::ModelReport;
use crate::check::{CheckJob, Finding, Gathered, Policy, Verdict};
use crate::golden::Environment;
use serde::Serialize;
use std::path::PathBuf;

/// Whether a candidate may take the place of a golden model.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// The version of this program.
    pub version: &'static str,
    /// What all findings come to.
    pub verdict: Verdict,
    /// The model that was judged.
    pub candidate: ModelReport,
    /// What it was judged by.
    pub golden: GoldenReport,
    /// The data, as it was named.
    pub data: Option<String>,
    /// On what the models ran, engine by engine.
    pub environments: Vec<Environment>,
    /// What was asked.
    pub policy: Policy,
    /// What was found, rule by rule.
    pub findings: Vec<Finding>,
}

/// What a candidate is judged by.
#[derive(Clone, Debug, Serialize)]
pub struct GoldenReport {
    /// The file, or the folder of a record.
    pub path: PathBuf,
    /// The golden model, where it is there.
    pub model: Option<ModelReport>,
    /// How many test sets were recorded.
    pub recorded_sets: Option<usize>,
    /// How many samples are in them, where the record says.
    pub recorded_samples: Option<usize>,
    /// Where they were recorded, where the record says.
    pub recorded_on: Option<Environment>,
}

impl CheckReport {
    /// Of what was gathered and found.
    pub fn of(job: &CheckJob, gathered: &Gathered, findings: Vec<Finding>) -> Self {
        let record = gathered.record.as_ref();
        let manifest = record.and_then(|record| record.manifest.as_ref());
        let runs = gathered.evidence.runs.iter();
        Self {
            schema_version: super::SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION"),
            verdict: Verdict::of(&findings),
            candidate: ModelReport::of(&gathered.candidate),
            golden: GoldenReport {
                path: job.golden.clone(),
                model: gathered.golden.as_ref().map(ModelReport::of),
                recorded_sets: record.map(|record| record.sets.len()),
                recorded_samples: manifest.map(|manifest| manifest.sets.iter().map(Vec::len).sum()),
                recorded_on: gathered.evidence.recorded.clone(),
            },
            data: job.data.as_ref().map(ToString::to_string),
            environments: runs.filter_map(|(_, run)| Some(run.as_ref().ok()?.environment.clone())).collect(),
            policy: job.policy.clone(),
            findings,
        }
    }
}
