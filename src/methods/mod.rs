//! Corrections: evidence in, weight patches out. Pure: no file, no engine, no clock; what of the evidence lies in files,
//! [`Moments`] reads.
//!
//! A [`Method`] corrects layers, or lets the last one forget samples, or both. What corrects layers turns evidence into a
//! [`Family`] of corrections with one strength, which `search/` chooses on validation data; what is forgotten is solved for in
//! `refine/unlearn`. A new method is one file here and one line in [`METHODS`].

mod chain;
mod finetune;
mod influence;
mod projections;
mod prune;
mod sap;
mod schedule;
mod scrub;
mod ssd;
mod strengths;
mod unchanged;

pub use projections::{PROJECTIONS, Projection, Space, Spaces, projection};
pub use schedule::costliest_first;
pub use strengths::Strengths;
pub use unchanged::Unchanged;

use crate::evidence::{EvidenceError, Moments};
use crate::layers::Layer;
use crate::linalg::{Alpha, LinalgError, Scaling, Solver};
use crate::model::{Model, ModelError, WeightPatch};
use crate::progress::Observer;
use crate::tune::{TuneOptions, Tuning};
use thiserror::Error;

/// The methods, the default first.
pub const METHODS: &[&dyn Method] = &[
    &sap::Sap,
    &influence::Influence,
    &finetune::FINETUNE,
    &finetune::ELR,
    &prune::Pruning,
    &scrub::Scrubbing,
    &ssd::Dampening,
    &influence::AFTER_SAP,
    &finetune::FINETUNE_AFTER_SAP,
    &finetune::ELR_AFTER_SAP,
    &finetune::LEARN_AFTER_SAP,
    &prune::AFTER_SAP,
    &scrub::AFTER_SAP,
    &ssd::AFTER_SAP,
];

/// What a method may look at.
pub struct Evidence<'a> {
    /// The model, for its present weights.
    pub model: &'a Model,
    /// The weights to rewrite.
    pub layers: &'a [Layer],
    /// The second moments of those layers' inputs over the trusted samples.
    pub moments: Moments<'a>,
    /// How projections are computed.
    pub solver: &'a dyn Solver,
    /// Which share of a direction they keep.
    pub scaling: &'static dyn Scaling,
    /// What weights are projected onto.
    pub projection: &'static dyn Projection,
    /// The samples to forget, where they have a part in that.
    pub unwanted: Option<Unwanted<'a>>,
    /// How many layers may be worked on at the same time: each takes memory for its matrices.
    pub at_once: usize,
    /// Hears how far the work is.
    pub observer: &'a dyn Observer,
    /// Whether the energies of inputs are asked for: a method needs none, and they take as long as many solves.
    pub energies: bool,
}

/// What the inputs of layers are like over samples to forget.
pub struct Unwanted<'a> {
    /// Their second moments.
    pub moments: Moments<'a>,
    /// How strongly they count; nothing where their strength is the one that is chosen.
    pub alpha: Option<Alpha>,
}

/// A way to correct a model.
pub trait Method: Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;
    /// One line for `--help`.
    fn summary(&self) -> &'static str;
    /// What `--method list` says of it.
    fn about(&self) -> About;
    /// How it corrects layers by the moments of their inputs; nothing where it needs no moments.
    fn of_layers(&self) -> Option<&'static dyn LayerMethod> {
        None
    }
    /// Whether the last layer then forgets the samples that are likely labelled wrongly.
    fn forgets(&self) -> bool {
        false
    }
    /// Whether it asks which samples are to be forgotten.
    fn takes_forget_set(&self) -> bool {
        self.forgets()
    }
    /// What then goes on with gradients from what was made so far, with the options that a user has given.
    fn tuning(&self, _options: &TuneOptions) -> Option<Box<dyn Tuning>> {
        None
    }
    /// The options that what goes on with gradients makes use of, as the command line has them.
    fn tune_options(&self) -> &'static [&'static str] {
        &[]
    }
}

/// What there is to know before a method is chosen.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// What it needs besides a model and its training data.
    pub needs: &'static str,
    /// What takes its time.
    pub costs: &'static str,
    /// What of the model it changes.
    pub changes: &'static str,
    /// Where it was published.
    pub source: &'static str,
}

/// A way to correct layers by the moments of their inputs.
pub trait LayerMethod: Sync {
    /// Prepares the corrections of every strength.
    ///
    /// # Errors
    /// [`MethodError`], naming the weight.
    fn prepare<'a>(&self, evidence: Evidence<'a>) -> Result<Box<dyn Family + 'a>, MethodError>;
}

/// Corrections of one model that differ in strength.
pub trait Family: Send + Sync {
    /// The correction of those strengths: a patch for each layer, in the order of the evidence's layers.
    ///
    /// # Errors
    /// [`MethodError`], naming the weight.
    fn correction(&self, strengths: &Strengths) -> Result<Vec<WeightPatch>, MethodError>;
    /// What was learnt about each layer, in the order of the evidence's layers.
    fn facts(&self) -> &[LayerFacts];
}

/// What a method learns about a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerFacts {
    /// The participation ratio of the inputs' energies, the mean over groups; nothing where all inputs are zero.
    pub effective_rank: Option<f64>,
    /// Groups whose inputs are all zero, so that their part of the weight stays.
    pub idle_groups: usize,
    /// What the entries of its moment have lost to float32, as a share of `√(C_ii C_jj)`; nothing where none was measured.
    pub moment_loss: Option<f64>,
    /// The energies of the inputs of each group that sees any, the largest first, where they were asked for and the method has
    /// such a thing.
    pub energies: Option<Vec<Vec<f64>>>,
}

/// Failures of a method.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MethodError {
    /// A weight could not be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A moment could not be read.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The linear algebra failed for a weight.
    #[error("weight {weight}: {source}")]
    Linalg {
        /// The weight.
        weight: String,
        /// Why.
        source: LinalgError,
    },
}

/// The method of that name.
pub fn method(name: &str) -> Option<&'static dyn Method> {
    METHODS.iter().copied().find(|method| method.name() == name)
}
