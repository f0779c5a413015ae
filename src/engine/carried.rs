//! What a session hands from one run to the next without giving it out.

use crate::tensor::Tensor;
use ndarray::{ArrayD, IxDyn};

/// A float64 tensor that stays where the engine computes: an input of the model that is fed what an output gave in the run
/// before, and zeros in the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The input.
    pub input: String,
    /// The output.
    pub output: String,
    /// The extents of both.
    pub shape: Vec<usize>,
}

impl Carried {
    /// What is fed in the first run.
    pub(super) fn zeros(&self) -> Tensor {
        Tensor::Float64(ArrayD::zeros(IxDyn(&self.shape)))
    }
}
