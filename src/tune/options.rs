//! What a user may say of a tuning; what is left open, its method fills in.

use super::{LearnFrom, NamedNeuron};
use crate::data::SampleId;
use crate::train::NamedCriterion;
use std::sync::Arc;

/// Options of all tunings.
#[derive(Clone, Debug, Default)]
pub struct TuneOptions {
    /// What is made small.
    pub criterion: Option<&'static NamedCriterion>,
    /// What is learnt from.
    pub from: Option<LearnFrom>,
    /// The learning rate.
    pub rate: Option<f64>,
    /// How often every sample is seen at most.
    pub epochs: Option<usize>,
    /// The weight decay.
    pub weight_decay: Option<f64>,
    /// The most that the norm of a step's gradients may be.
    pub clip: Option<f64>,
    /// The share of the average of the parameters that stays in a step.
    pub averaging: Option<f64>,
    /// Both parameters of the distribution that the shares of mixed samples are drawn from.
    pub mixup: Option<f64>,
    /// Whether images are shifted.
    pub shifted: Option<bool>,
    /// The quality of samples.
    pub quality: Option<Arc<[(SampleId, f64)]>>,
    /// The neurons that are pruned first.
    pub neurons: Option<Arc<[NamedNeuron]>>,
    /// The share of neurons that is pruned.
    pub prune: Option<f64>,
    /// α of dampening.
    pub selection: Option<f64>,
    /// λ of dampening.
    pub dampening: Option<f64>,
    /// Epochs that move away from what is forgotten.
    pub away: Option<usize>,
    /// Samples of a step.
    pub batch: Option<usize>,
}

/// What is tried: what was given alone, or else the usual.
pub(crate) fn given_or(given: Option<f64>, usual: &[f64]) -> Vec<f64> {
    given.map_or_else(|| usual.to_vec(), |given| vec![given])
}
