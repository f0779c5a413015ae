//! Stochastic gradient descent with momentum and weight decay, as torch's `SGD` has it.

use super::{Optimizer, Step, Updated};
use crate::autodiff::Emit;

/// `v ← μ v + g + d w`, `w ← w − rate · v`, or with Nesterov's momentum `w ← w − rate · (g + d w + μ v)` (Sutskever et al., "On the
/// importance of initialization and momentum in deep learning", 2013).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// μ, from 0 to 1.
    pub momentum: f64,
    /// d.
    pub weight_decay: f64,
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool,
}

impl Optimizer for Sgd {
    fn kept(&self) -> usize {
        usize::from(self.momentum != 0.0)
    }

    fn update(&self, step: &Step<'_>, emit: &mut Emit<'_>) -> Updated {
        let weight = &step.parameter.value;
        let mut slope = step.gradient.clone();
        if self.weight_decay != 0.0 {
            let decay = emit.scaled(weight, self.weight_decay);
            slope = emit.add(&slope, &decay);
        }
        let mut kept = Vec::new();
        let mut direction = slope.clone();
        if let Some(velocity) = step.kept.first() {
            let slowed = emit.scaled(velocity, self.momentum);
            let velocity = emit.add(&slowed, &slope);
            direction = if self.nesterov {
                let ahead = emit.scaled(&velocity, self.momentum);
                emit.add(&slope, &ahead)
            } else {
                velocity.clone()
            };
            kept.push(velocity);
        }
        let by = emit.mul(&direction, &step.rate);
        Updated { parameter: emit.sub(weight, &by), kept }
    }
}
