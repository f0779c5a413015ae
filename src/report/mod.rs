//! The run as data: one structure, written as JSON and as a page, and shown by the command line.

mod attribution;
mod check;
mod comparison;
mod detection;
mod difference;
pub mod figures;
pub mod findings;
pub mod html;
pub mod issues;
mod memory;
pub mod scores;
pub mod stages;
mod statistic;
pub mod table;

pub use attribution::{AttributedTo, AttributionReport};
pub use check::{CheckReport, GoldenReport};
pub use comparison::{
    Accuracies, ComparisonReport, ForgetBy, ForgetSetReport, MeanReport, MethodReport, RanReport, RunReport, RunResult,
    SetReport,
};
pub use detection::{ClassReport, DetectionReport, LabelReport};
pub use difference::{DifferenceReport, PredictionReport};
pub use memory::peak_resident_bytes;
pub use statistic::Statistic;

use crate::compact::CutChannels;
use crate::data::{Quarantined, SampleId, Transform};
use crate::engine::{EngineInfo, Passes};
use crate::evidence::Quality;
use crate::layers::Entry;
use crate::model::{Model, Port};
use crate::refine::Recipe;
use crate::search::{Advantage, Candidate, RunnerUp, Verdict};
use crate::verify::{Agreement, Verification};
use figures::Figures;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The version of this structure; it changes where a script that reads the report would have to.
pub const SCHEMA_VERSION: u32 = 1;

/// A run of the main command.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Of this program and the libraries that computed.
    pub versions: BTreeMap<&'static str, String>,
    /// What ran the model.
    pub engine: EngineReport,
    /// The input model.
    pub model: ModelReport,
    /// The training data.
    pub data: DataReport,
    /// Every resolved option.
    pub params: BTreeMap<&'static str, serde_json::Value>,
    /// How well the original fits the training labels.
    pub scores: Quality,
    /// The trusted samples.
    pub trusted: TrustedReport,
    /// What was measured in the place of trusted samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlabeled: Option<UnlabeledReport>,
    /// What the chosen candidate's last layer has forgotten, where it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<ForgottenReport>,
    /// Every weight: rewritten or skipped.
    pub layers: Vec<LayerReport>,
    /// What was tried.
    pub candidates: Vec<CandidateReport>,
    /// What was chosen.
    pub chosen: Chosen,
    /// The original on held-out data.
    pub before: Held,
    /// The rewritten model on the same data.
    pub after: Held,
    /// Held-out samples that could not be used, and why, by the specification of their set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub held_out_quarantined: BTreeMap<String, Vec<Quarantined>>,
    /// What was verified; nothing where no candidate was to be written.
    pub verify: Option<Verification>,
    /// The written file; nothing where none was.
    pub output: Option<OutputReport>,
    /// How long each phase took, in seconds.
    pub seconds: BTreeMap<&'static str, f64>,
    /// In how many passes the moments were measured: more than one only with `--max-memory`, none where evidence was given.
    pub moments_passes: usize,
    /// The samples that went through the network, of all sets together; not those that the second engine verifies.
    pub passes: Passes,
    /// Every round, where there was more than one: what stands elsewhere of trusted samples and layers is of the first one, what was
    /// tried and chosen of the last one that made the model better.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<RoundReport>,
    /// The largest resident set of the process, where the system tells.
    pub peak_rss_bytes: Option<u64>,
    /// What a page shows besides, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// What ran the model.
#[derive(Clone, Debug, Serialize)]
pub struct EngineReport {
    /// The engine and its device.
    #[serde(flatten)]
    pub info: EngineInfo,
    /// How many nodes of each operator were left to the CPU, where another device was to run them and the engine tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_on_cpu: Option<BTreeMap<String, usize>>,
}

/// The input model.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// The file.
    pub path: PathBuf,
    /// Its digest.
    pub sha256: String,
    /// The version of ONNX's operator set.
    pub opset: i64,
    /// The version of each operator set that is imported; ONNX's own is `ai.onnx`.
    pub opsets: BTreeMap<String, i64>,
    /// The version of the file format.
    pub ir_version: i64,
    /// The size of the model file in bytes.
    pub bytes: usize,
    /// The files of external data, and their sizes in bytes.
    pub external: BTreeMap<String, u64>,
    /// What must be fed.
    pub inputs: Vec<Port>,
    /// What is computed.
    pub outputs: Vec<Port>,
}

impl ModelReport {
    /// Of a model.
    pub fn of(model: &Model) -> Self {
        Self {
            path: model.path().to_path_buf(),
            sha256: model.sha256().to_owned(),
            opset: model.opset(),
            opsets: model.opsets(),
            bytes: model.bytes().len(),
            external: model.external_sizes(),
            ir_version: model.header().ir_version,
            inputs: model.inputs(),
            outputs: model.outputs(),
        }
    }
}

/// The training data.
#[derive(Clone, Debug, Serialize)]
pub struct DataReport {
    /// As it was named.
    pub spec: String,
    /// The number of samples.
    pub samples: usize,
    /// The number of classes that the model knows.
    pub classes: usize,
    /// The names of the classes, where the data carries them.
    pub class_names: Option<Vec<String>>,
    /// SHA-256 over ids, labels and prepared inputs.
    pub sha256: String,
    /// How samples become inputs: the model's only one, or the first of those that data feeds.
    pub preprocessing: Transform,
    /// The same for the others, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub further_inputs: BTreeMap<String, Transform>,
    /// Samples that could not be used, and why.
    pub quarantined: Vec<Quarantined>,
}

/// The trusted samples.
#[derive(Clone, Debug, Serialize)]
pub struct TrustedReport {
    /// How many.
    pub count: usize,
    /// `balanced`, `global` or `given`.
    pub selection: String,
    /// Their ids, in the order used.
    pub ids: Vec<SampleId>,
    /// How many of each class.
    pub per_class: Vec<usize>,
    /// Those, trusted or not, whose losses are as good as equal to that of the last chosen one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near_cut: Vec<SampleId>,
}

/// Samples whose labels were not looked at.
#[derive(Clone, Debug, Serialize)]
pub struct UnlabeledReport {
    /// As the data was named.
    pub spec: String,
    /// How many of its samples were measured.
    pub samples: usize,
    /// SHA-256 over their ids, each with a line feed, in order.
    pub ids_sha256: String,
}

/// Samples that were forgotten.
#[derive(Clone, Debug, Serialize)]
pub struct ForgottenReport {
    /// How many.
    pub count: usize,
    /// Of how many samples.
    pub of: usize,
    /// What settled how many: `losses`, `validation`, how many are `trusted`, or it was `given`.
    pub by: &'static str,
    /// Their ids, in the order of the set.
    pub ids: Vec<SampleId>,
}

/// What became of a weight: its line in the ledger, and what was measured.
#[derive(Clone, Debug, Serialize)]
pub struct LayerReport {
    /// What it is, and why it stays or what to know about how it was rewritten.
    #[serde(flatten)]
    pub entry: Entry,
    /// What became of it.
    pub status: LayerStatus,
    /// Rows that entered the second moment (of each group).
    pub rows: Option<usize>,
    /// The participation ratio of its inputs' energies, `1 / Σσ²`.
    pub effective_rank: Option<f64>,
    /// What the entries of its second moment S have lost to float32, as a share of `√(S_ii S_jj)` (root mean square): 0 where
    /// all products were taken in float64.
    pub moment_loss: Option<f64>,
    /// `‖Ŵ − W‖ / ‖W‖` (Frobenius) for the chosen candidate.
    pub relative_change: Option<f64>,
}

/// What became of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerStatus {
    /// It has new values.
    Rewritten,
    /// It stays.
    Skipped,
}

/// A correction that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct CandidateReport {
    /// What it is made of.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// The share of validation labels that it predicts.
    pub val_accuracy: Option<f64>,
    /// Its mean cross-entropy on validation data, in nats.
    pub val_loss: Option<f64>,
    /// On how many validation samples it was judged.
    pub val_samples: usize,
    /// Whether these are all; otherwise they showed that it is hopeless.
    pub complete: bool,
}

impl From<&Candidate> for CandidateReport {
    fn from(candidate: &Candidate) -> Self {
        let judged = candidate.validation.judged();
        Self {
            recipe: candidate.recipe.clone(),
            val_accuracy: judged.map(|quality| quality.accuracy),
            val_loss: judged.map(|quality| quality.mean_loss),
            val_samples: candidate.validation.samples,
            complete: candidate.complete,
        }
    }
}

/// What a round chose.
#[derive(Clone, Debug, Serialize)]
pub struct RoundReport {
    /// What the correction is made of.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Whether it does better than the model of the round before.
    pub verdict: Verdict,
    /// The share of validation labels that it predicts.
    pub val_accuracy: Option<f64>,
    /// The same of the test data, where there is any.
    pub test_accuracy: Option<f64>,
    /// The ids of the samples that the round trusted, in the order used.
    pub trusted: Vec<SampleId>,
}

/// The chosen correction.
#[derive(Clone, Debug, Serialize)]
pub struct Chosen {
    /// What it is made of.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Whether it does better than the original on validation data.
    pub verdict: Verdict,
    /// By how much.
    pub advantage: Advantage,
    /// The next best, where there were several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner_up: Option<RunnerUp>,
}

/// A model on held-out data.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Held {
    /// On the data on which candidates are compared; nothing where there is none.
    pub validation: Option<Quality>,
    /// On the data that is only reported.
    pub test: Option<Quality>,
}

/// The written file.
#[derive(Clone, Debug, Serialize)]
pub struct OutputReport {
    /// Where.
    pub path: PathBuf,
    /// Its digest.
    pub sha256: String,
    /// The same model without channels that are always 0, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compact: Option<CompactReport>,
}

/// A model without channels that are always 0.
#[derive(Clone, Debug, Serialize)]
pub struct CompactReport {
    /// Where.
    pub path: PathBuf,
    /// Its digest.
    pub sha256: String,
    /// The size of the file in bytes.
    pub bytes: usize,
    /// What became of each weight that makes such channels.
    pub channels: Vec<CutChannels>,
    /// How it compares with the model that it was made of, on the same engine.
    pub engine: Agreement,
    /// How tract, on it, compares with the engine on that one.
    pub tract: Agreement,
}
