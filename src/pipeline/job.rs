//! A resolved configuration of the main command: every option with its value, nothing left to parse.

use super::memory::MemoryLimit;
use crate::data::{Preprocessing, SampleId, Spec};
use crate::engine::{Device, EngineName};
use crate::evidence::{BadLimit, Ranking, RowLimit};
use crate::layers::Selection;
use crate::linalg::Solver;
use crate::methods::Method;
use crate::model::{Head, Interface};
use crate::search::AlphaChoice;
use crate::store::Location;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What a run of the main command does.
pub struct Job {
    /// The model to correct.
    pub input: PathBuf,
    /// Where the corrected model goes.
    pub output: PathBuf,
    /// What the user says of the model's inputs and outputs.
    pub interface: Interface,
    /// The noisy training data.
    pub data: Spec,
    /// On what candidates are compared.
    pub validation: Validation,
    /// On what before and after are only reported.
    pub test: Option<Spec>,
    /// The user's preprocessing; the presets of the data sets fill what it leaves open.
    pub preprocessing: Preprocessing,
    /// The correction.
    pub method: &'static dyn Method,
    /// Its strengths.
    pub alpha: AlphaChoice,
    /// Which samples are trusted.
    pub trusted: TrustedChoice,
    /// Evidence that was gathered before; then the trusted samples and the rows are those that it was gathered for.
    pub evidence: Option<Location>,
    /// How many rows enter the moments.
    pub rows: RowLimit,
    /// How projections are computed; the cheapest way where it is not given.
    pub solver: Option<&'static dyn Solver>,
    /// Which layers are rewritten.
    pub selection: Selection,
    /// What runs the model, and where.
    pub runner: Runner,
    /// How many samples of a set may be unusable.
    pub limit: BadLimit,
    /// Where what is done is kept, so that the run can be gone on with.
    pub work: Option<PathBuf>,
    /// What the run may take of the memory, by estimate.
    pub max_memory: Option<MemoryLimit>,
    /// Draws rows and perturbations.
    pub seed: u64,
    /// Where the report goes.
    pub report: PathBuf,
    /// Do everything but write the model.
    pub dry_run: bool,
    /// Write even where nothing beats the original; replace an existing output.
    pub force: bool,
}

/// What runs a model.
#[derive(Clone, Copy, Debug)]
pub struct Runner {
    /// The engine.
    pub engine: EngineName,
    /// The device.
    pub device: Device,
    /// The batch size, where the user chose one.
    pub batch: Option<usize>,
    /// The number of threads, where the user chose one.
    pub threads: Option<usize>,
}

/// On what candidates are compared.
#[derive(Clone, Debug)]
pub enum Validation {
    /// The set's own validation split; else as [`Validation::Perturb`].
    Own,
    /// This data.
    Given(Spec),
    /// Training images, flipped and shifted so that memorised labels do not help.
    Perturb,
}

/// Which samples are trusted.
#[derive(Clone, Debug)]
pub enum TrustedChoice {
    /// Those of lowest loss.
    Lowest {
        /// How many.
        count: usize,
        /// Per class or over all.
        ranking: Ranking,
    },
    /// These.
    Given(Vec<SampleId>),
}

impl fmt::Display for TrustedChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lowest { ranking, .. } => ranking.fmt(f),
            Self::Given(_) => f.write_str("given"),
        }
    }
}

/// What a run made of the options that were left open.
pub(super) struct Settled<'a> {
    /// How projections are computed.
    pub(super) solver: &'a dyn Solver,
    /// Where the class scores are.
    pub(super) head: &'a Head,
    /// The specification of the validation data, or `perturb`.
    pub(super) validation: String,
    /// Samples that are scored at once.
    pub(super) batch: usize,
    /// Threads that compute.
    pub(super) threads: usize,
    /// The number of trusted samples.
    pub(super) trusted: usize,
    /// How they were chosen.
    pub(super) selection: &'a str,
}

impl Job {
    /// Every option as the report shows it: what was left open as it was settled.
    pub(super) fn params(&self, settled: &Settled<'_>) -> BTreeMap<&'static str, Value> {
        let text = |spec: &Spec| spec.to_string();
        let patterns = |list: &[regex::Regex]| list.iter().map(|regex| regex.as_str().to_owned()).collect::<Vec<_>>();
        let alpha = match &self.alpha {
            AlphaChoice::Auto => json!("auto"),
            AlphaChoice::One(alpha) => json!(alpha),
            AlphaChoice::Grid(grid) => json!(grid),
        };
        let trusted = match &self.trusted {
            _ if self.evidence.is_some() => settled.trusted,
            TrustedChoice::Lowest { count, .. } => *count,
            TrustedChoice::Given(ids) => ids.len(),
        };
        let rows = match self.rows {
            RowLimit::All => json!("all"),
            RowLimit::AtMost(rows) => json!(rows),
        };
        BTreeMap::from([
            ("method", json!(self.method.name())),
            ("alpha", alpha),
            ("logits", json!(settled.head.value)),
            ("link", json!(settled.head.link)),
            ("input", json!(self.interface.constants.iter().map(ToString::to_string).collect::<Vec<_>>())),
            ("val", json!(settled.validation)),
            ("test", json!(self.test.as_ref().map(text))),
            ("trusted", json!(trusted)),
            ("selection", json!(settled.selection)),
            ("evidence", json!(self.evidence.as_ref().map(ToString::to_string))),
            ("max_rows", rows),
            ("solver", json!(settled.solver.name())),
            ("include", json!(patterns(&self.selection.include))),
            ("exclude", json!(patterns(&self.selection.exclude))),
            ("skip_first", json!(self.selection.skip_first)),
            ("skip_head", json!(self.selection.skip_head)),
            ("on_shared", json!(self.selection.on_shared.to_string())),
            ("requantize", json!(self.selection.requantize)),
            ("engine", json!(self.runner.engine.to_string())),
            ("device", json!(self.runner.device.to_string())),
            ("batch", json!(settled.batch)),
            ("threads", json!(settled.threads)),
            ("max_memory", json!(self.max_memory.map(MemoryLimit::bytes))),
            ("max_bad", json!(self.limit.to_string())),
            ("seed", json!(self.seed)),
            ("dry_run", json!(self.dry_run)),
            ("force", json!(self.force)),
        ])
    }
}
