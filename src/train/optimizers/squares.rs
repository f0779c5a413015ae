//! Sums of squared gradients, in a training that changes nothing.

use super::{Optimizer, Step, Updated};
use crate::autodiff::Emit;

/// Leaves the parameters as they are, and keeps the sum over the steps of the squares of each gradient's entries: as many times the
/// diagonal of the empirical Fisher matrix as there were steps, of one sample each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Squares;

impl Optimizer for Squares {
    fn kept(&self) -> usize {
        1
    }

    fn update(&self, step: &Step<'_>, emit: &mut Emit<'_>) -> Updated {
        let square = emit.mul(&step.gradient, &step.gradient);
        let kept = step.kept.iter().map(|sum| emit.add(sum, &square)).collect();
        Updated { parameter: emit.unary("Identity", &step.parameter.value), kept }
    }
}
