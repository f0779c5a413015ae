//! Adam with decoupled weight decay, as torch's `AdamW` has it.

use super::{Optimizer, Step, Updated};
use crate::autodiff::Emit;

/// `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`, `w ← w (1 − rate · d) − rate · m̂ / (√v̂ + ε)`, with `m̂ = m / (1 − β₁ᵗ)` and
/// `v̂ = v / (1 − β₂ᵗ)` in step t (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// β₁ and β₂.
    pub betas: [f64; 2],
    /// ε.
    pub epsilon: f64,
    /// d.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0.01 }
    }
}

impl Optimizer for AdamW {
    fn kept(&self) -> usize {
        2
    }

    fn update(&self, step: &Step<'_>, emit: &mut Emit<'_>) -> Updated {
        let (weight, gradient) = (&step.parameter.value, &step.gradient);
        let square = emit.mul(gradient, gradient);
        let mut kept = Vec::with_capacity(2);
        for ((mean, beta), new) in step.kept.iter().zip(self.betas).zip([gradient, &square]) {
            let old = emit.scaled(mean, beta);
            let new = emit.scaled(new, 1.0 - beta);
            kept.push(emit.add(&old, &new));
        }
        let mut corrected = Vec::with_capacity(2);
        for (mean, beta) in kept.iter().zip(self.betas) {
            let beta = emit.number(beta, weight.element);
            let one = emit.number(1.0, weight.element);
            let power = emit.node("Pow", &[&beta, &step.count], vec![]);
            let share = emit.sub(&one, &power);
            corrected.push(emit.div(mean, &share));
        }
        let size = emit.unary("Sqrt", &corrected[1]);
        let size = emit.shifted(&size, self.epsilon);
        let direction = emit.div(&corrected[0], &size);
        let decay = emit.scaled(weight, self.weight_decay);
        let direction = emit.add(&direction, &decay);
        let by = emit.mul(&direction, &step.rate);
        Updated { parameter: emit.sub(weight, &by), kept }
    }
}
