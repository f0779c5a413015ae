//! Corrections that look at gradients over the data: a model and its training data in, new parameters out.
//!
//! A [`Tuning`] works on a [`Ground`]: the model that it begins with, the training samples, what a corrected model says of them, and
//! a judge that holds parameters against validation data. What it finds is compared with what it began with by `search/`.

mod attribution;
mod competing;
mod dampen;
mod finetune;
mod ground;
mod inspection;
mod neurons;
mod opinions;
mod options;
mod prune;
mod scrub;
mod training;
mod work;

pub use attribution::{Partition, Quality};
pub use competing::Competing;
pub use dampen::Dampen;
pub use finetune::{FineTune, LearnFrom};
pub use ground::{Ground, Judge};
pub use inspection::{HiddenLayer, Inspection};
pub use neurons::{NamedNeuron, Neuron};
pub use opinions::Opinions;
pub use options::TuneOptions;
pub(crate) use options::given_or;
pub use prune::Prune;
pub use scrub::Scrub;
pub use work::TuningWork;

use crate::error::Error;
use crate::evidence::Scores;
use crate::tensor::NamedTensor;
use serde_json::Value;
use std::fmt;

/// The momentum of every training.
const MOMENTUM: f64 = 0.9;

/// Epochs without a better validation after which a training ends.
const PATIENCE: usize = 4;

/// A way to go on from a model with gradients.
pub trait Tuning: fmt::Debug + Send + Sync {
    /// Tries what it has to try.
    ///
    /// # Errors
    /// What cannot be differentiated; those of data and engine; an interruption.
    fn tune(&self, ground: &mut Ground<'_>) -> Result<Vec<Tuned>, Error>;

    /// Whether it makes most models better, so that the labels of validation data, by which only differences of about a point can be seen
    /// clearly, need not show it clearly.
    fn helps_as_a_rule(&self) -> bool {
        false
    }

    /// Its options as the report shows them.
    fn params(&self) -> Vec<(&'static str, Value)>;
}

/// Parameters that were found.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// The method that has found them, by the name of it alone.
    pub by: &'static str,
    /// What they were found with.
    pub settings: Settings,
    /// The stored tensors that changed.
    pub parameters: Vec<NamedTensor>,
    /// How the model does with them on validation data.
    pub scores: Scores,
}

/// Names of settings and their values, in the order in which they are told.
pub type Settings = Vec<(&'static str, f64)>;
