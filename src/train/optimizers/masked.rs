//! Entries of parameters that stay 0.

use super::{Optimizer, Step, Updated};
use crate::autodiff::Emit;
use crate::tensor::Tensor;
use ndarray::ArrayD;
use std::collections::BTreeMap;

/// Another optimiser, after each step of which parameters are multiplied by masks of 0 and 1.
#[derive(Clone, Copy)]
pub struct Masked<'a> {
    /// What moves the parameters.
    pub of: &'a dyn Optimizer,
    /// The masks by the names of the parameters, in their shapes; those that have none move freely.
    pub masks: &'a BTreeMap<String, ArrayD<f64>>,
}

impl Optimizer for Masked<'_> {
    fn kept(&self) -> usize {
        self.of.kept()
    }

    fn lag(&self) -> Option<usize> {
        self.of.lag()
    }

    fn update(&self, step: &Step<'_>, emit: &mut Emit<'_>) -> Updated {
        let updated = self.of.update(step, emit);
        let Some(mask) = self.masks.get(&step.parameter.value.name) else { return updated };
        let mask = emit.constant(&Tensor::from_f64(mask, step.parameter.value.element));
        Updated { parameter: emit.mul(&updated.parameter, &mask), ..updated }
    }
}
