//! A resolved configuration of the main command: every option with its value, nothing left to parse.

use super::forget::{Forget, Forgetting};
use super::memory::MemoryLimit;
pub use super::trusted_choice::{TrustedChoice, TrustedCount};
use super::variant::Variant;
use crate::data::{Preprocessing, Spec};
use crate::engine::{Device, EngineName};
use crate::evidence::{BadLimit, Precision, RowLimit};
use crate::layers::Selection;
use crate::linalg::{Solver, cheapest};
use crate::methods::Method;
use crate::model::{Head, Interface};
use crate::refine::{FITS, Start};
use crate::search::AlphaChoice;
use crate::store::Location;
use crate::tune::Tuning;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// What a run of the main command does.
#[derive(Clone)]
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
    /// What is measured in the place of trusted samples.
    pub unlabeled: Option<Spec>,
    /// The user's preprocessing; the presets of the data sets fill what it leaves open.
    pub preprocessing: Preprocessing,
    /// What the options that are not given follow from.
    pub preset: &'static str,
    /// The correction.
    pub method: &'static dyn Method,
    /// Which of its variants, where it corrects layers.
    pub variant: Variant,
    /// Its strengths.
    pub alpha: AlphaChoice,
    /// Whether layers may differ in strength.
    pub alpha_per_layer: bool,
    /// Whether layers get back the mean and the deviation of their outputs.
    pub recalibrate: Recalibrate,
    /// What the last layer becomes.
    pub head: HeadOption,
    /// What the last layer forgets, where the method lets it forget.
    pub forgetting: Option<Forgetting>,
    /// Which samples are trusted.
    pub trusted: TrustedChoice,
    /// Evidence that was gathered before; then the trusted samples and the rows are those that it was gathered for.
    pub evidence: Option<Location>,
    /// How many rows enter the moments.
    pub rows: RowLimit,
    /// In which arithmetic products of rows are taken.
    pub arithmetic: Arithmetic,
    /// How projections are computed; the cheapest way where it is not given.
    pub solver: Option<&'static dyn Solver>,
    /// Which samples that is to forget, where it does.
    pub forget: Forget,
    /// What goes on from the correction with gradients, where the method does.
    pub tuning: Option<TuningChoice>,
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
    /// The report as a page, where it is asked for.
    pub page: Option<Page>,
    /// Where the model goes without channels that are always 0, where that is asked for.
    pub compact: Option<PathBuf>,
    /// Do everything but write the model.
    pub dry_run: bool,
    /// Write even where nothing beats the original; replace an existing output.
    pub force: bool,
}

/// What goes on from a correction with gradients.
#[derive(Clone, Debug)]
pub struct TuningChoice {
    /// How.
    pub tuning: Arc<dyn Tuning>,
    /// With which weights it begins.
    pub start: Start,
    /// Whether a model that cannot be tuned, or for which nothing tells whether that helps, is left as it was corrected.
    pub optional: bool,
}

/// The report as a page for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where it goes.
    pub path: PathBuf,
    /// The command that makes it, for those who want to make it again.
    pub command: String,
}

/// In which arithmetic the products of the moments are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// float64: the moments serve any α.
    Float64,
    /// float32, summed in float64, where what it loses does not show at the largest α that may be tried; float64 elsewhere.
    Float32,
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Float64 => "float64",
            Self::Float32 => "float32",
        })
    }
}

impl FromStr for Arithmetic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Float64, Self::Float32];
        let found = all.into_iter().find(|arithmetic| arithmetic.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is neither float64 nor float32"))
    }
}

/// Whether layers get back the mean and the deviation of their outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalibrate {
    /// Where validation says that it helps.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl fmt::Display for Recalibrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

impl FromStr for Recalibrate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = [Self::Auto, Self::On, Self::Off].into_iter().find(|choice| choice.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is neither auto nor on nor off"))
    }
}

/// What the last layer becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadOption {
    /// What validation says.
    Auto,
    /// It stays as it is.
    Keep,
    /// It is corrected as the other layers.
    Project,
    /// It is computed anew, in the closed form of that name.
    Refit(&'static str),
}

impl HeadOption {
    /// Every choice.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Auto, Self::Keep, Self::Project].into_iter().chain(FITS.iter().map(|fit| Self::Refit(fit.name())))
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Keep => "keep",
            Self::Project => "project",
            Self::Refit(name) => name,
        }
    }
}

impl fmt::Display for HeadOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
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
    /// The set's own validation split; else as [`Validation::Perturb`] where samples are images; else there is none, and one
    /// correction is applied as it is.
    Own,
    /// This data.
    Given(Spec),
    /// Training images, flipped and shifted so that memorised labels do not help.
    Perturb,
}

/// What a run made of the options that were left open.
pub(super) struct Settled<'a> {
    /// How projections are computed.
    pub(super) solver: &'a dyn Solver,
    /// Where the class scores are.
    pub(super) head: &'a Head,
    /// The specification of the validation data, or `perturb`, where there is any.
    pub(super) validation: Option<String>,
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
    /// Whether the run goes on where there is nothing to compare candidates on: unless such data or a choice was asked for.
    pub(super) fn needs_no_validation(&self) -> bool {
        let chooses = matches!(self.alpha, AlphaChoice::Grid(_)) || self.alpha_per_layer;
        matches!(self.validation, Validation::Own) && !chooses
    }

    /// Whether there is anything to choose between.
    pub(super) fn chooses(&self) -> bool {
        match (self.method.of_layers(), &self.forgetting) {
            _ if self.tuning.is_some() => true,
            (None, Some(Forgetting { damping: Some(_), .. })) => false,
            (None, _) => true,
            (Some(_), _) => self.alpha.chooses(),
        }
    }

    /// How projections are computed.
    pub(super) fn solver(&self) -> &'static dyn Solver {
        // Layer by layer, there are more strengths than a factorisation costs.
        let alphas = if self.alpha_per_layer { usize::MAX } else { self.alpha.expected() };
        self.solver.unwrap_or_else(|| cheapest(alphas, self.variant.scaling))
    }

    /// How precise moments must be. Evidence that is there already is float64.
    pub(super) fn precision(&self) -> Precision {
        match self.arithmetic {
            Arithmetic::Float32 if self.evidence.is_none() && self.solver().bounds_rounding() => {
                let anywhere = AlphaChoice::Auto { budget: 1.0 };
                let alpha = if self.alpha_per_layer { &anywhere } else { &self.alpha };
                let of_unwanted = self.variant.unwanted.as_ref().and_then(|unwanted| unwanted.alpha);
                let larger = |a, b| if a < b { b } else { a };
                Precision::SufficientFor(of_unwanted.into_iter().fold(alpha.largest(), larger))
            }
            _ => Precision::Float64,
        }
    }

    /// Every option as the report shows it: what was left open as it was settled.
    pub(super) fn params(&self, settled: &Settled<'_>) -> BTreeMap<&'static str, Value> {
        let text = |spec: &Spec| spec.to_string();
        let patterns = |list: &[regex::Regex]| list.iter().map(|regex| regex.as_str().to_owned()).collect::<Vec<_>>();
        let alpha = match &self.alpha {
            AlphaChoice::Auto { .. } => json!("auto"),
            AlphaChoice::One(alpha) => json!(alpha),
            AlphaChoice::Grid(grid) => json!(grid),
        };
        let budget = match self.alpha {
            AlphaChoice::Auto { budget } => Some(budget),
            AlphaChoice::One(_) | AlphaChoice::Grid(_) => None,
        };
        let trusted = match &self.trusted {
            _ if self.evidence.is_some() => settled.trusted,
            TrustedChoice::Lowest { count: TrustedCount::Count(count), .. } => *count,
            TrustedChoice::Lowest { .. } => settled.trusted,
            TrustedChoice::Given(ids) => ids.len(),
        };
        let rows = match self.rows {
            RowLimit::All => json!("all"),
            RowLimit::AtMost(rows) => json!(rows),
        };
        let forgetting = self.forgetting.iter().flat_map(Forgetting::params);
        // What says how layers are corrected is idle where they are not.
        let of_layers = [
            ("alpha", alpha),
            ("alpha_per_layer", json!(self.alpha_per_layer)),
            ("budget", json!(budget)),
            ("recalibrate", json!(self.recalibrate.to_string())),
            ("head", json!(self.head.to_string())),
            ("max_rows", rows),
            ("moments", json!(self.arithmetic.to_string())),
            ("solver", json!(settled.solver.name())),
        ];
        let of_layers = self.method.of_layers().map(|_| of_layers.into_iter().chain(self.variant.params()));
        let of_layers = of_layers.into_iter().flatten();
        let params = BTreeMap::from([
            ("preset", json!(self.preset)),
            ("method", json!(self.method.name())),
            ("logits", json!(settled.head.value)),
            ("link", json!(settled.head.link)),
            ("input", json!(self.interface.constants.iter().map(ToString::to_string).collect::<Vec<_>>())),
            ("val", json!(settled.validation)),
            ("test", json!(self.test.as_ref().map(text))),
            ("unlabeled", json!(self.unlabeled.as_ref().map(text))),
            ("trusted", json!(trusted)),
            ("selection", json!(settled.selection)),
            ("score", json!(self.trusted.score().name())),
            ("evidence", json!(self.evidence.as_ref().map(ToString::to_string))),
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
        ]);
        let tuning = self.tuning.iter().flat_map(|choice| choice.tuning.params());
        let forgets = self.tuning.is_some() && self.method.takes_forget_set() && !self.method.forgets();
        let forget = forgets.then(|| ("forget", self.forget.param()));
        let start = self.tuning.iter().map(|choice| ("start", json!(choice.start.to_string())));
        params.into_iter().chain(of_layers).chain(forgetting).chain(tuning).chain(forget).chain(start).collect()
    }
}
