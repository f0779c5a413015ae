//! What a session hands from one run to the next without giving it out.

use crate::tensor::{ElementType, Tensor};
use ndarray::{ArrayD, IxDyn};

/// A tensor that stays where the engine computes: an input of the model that is fed what an output gave in the run before.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried {
    /// The input.
    pub input: String,
    /// The output.
    pub output: String,
    /// What is fed in the first run.
    pub first: First,
}

/// What a carried input is fed before there was a run.
#[derive(Clone, Debug, PartialEq)]
pub enum First {
    /// Zeros of that type, in that shape.
    Zeros(ElementType, Vec<usize>),
    /// These values.
    Values(Tensor),
}

impl First {
    /// The tensor.
    pub(super) fn tensor(&self) -> Tensor {
        match self {
            Self::Zeros(element, shape) => Tensor::from_f64(&ArrayD::zeros(IxDyn(shape)), *element),
            Self::Values(tensor) => tensor.clone(),
        }
    }
}
