//! Early-learning regularisation (Liu et al., "Early-Learning Regularization Prevents Memorization of Noisy Labels", `NeurIPS` 2020).

use crate::autodiff::{Criterion, Emit, Judged, Scored, normalized};

/// `CE + λ log(1 − ⟨p, t⟩)`, with `t ← β t + (1 − β) p / Σp` remembered of each sample and taken for a constant. As in its authors'
/// code, t moves before it is used, and probabilities are kept 1e-4 away from 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyLearning {
    /// β.
    pub momentum: f64,
    /// λ.
    pub strength: f64,
}

/// How far probabilities stay away from 0 and 1.
const MARGIN: f64 = 1e-4;

impl EarlyLearning {
    /// β 0.7 and λ 3, as published for CIFAR-10.
    pub const PUBLISHED: Self = Self { momentum: 0.7, strength: 3.0 };

    /// The same, with what is remembered as it is given.
    pub const HELD: Self = Self { momentum: 1.0, ..Self::PUBLISHED };
}

impl Criterion for EarlyLearning {
    fn remembers(&self) -> bool {
        true
    }

    fn judge(&self, scored: &Scored, emit: &mut Emit<'_>) -> Judged {
        let cross_entropy = scored.cross_entropy(emit);
        let Some(before) = &scored.memory else { return Judged { losses: cross_entropy, memory: None } };
        let element = cross_entropy.element;
        let probabilities = scored.probabilities(emit);
        let [least, most] = [MARGIN, 1.0 - MARGIN].map(|bound| emit.number(bound, element));
        let probabilities = emit.node("Clip", &[&probabilities, &least, &most], vec![]);
        let kept = emit.scaled(before, self.momentum);
        let now = normalized(&probabilities, emit);
        let now = emit.scaled(&now, 1.0 - self.momentum);
        let memory = emit.add(&kept, &now);
        let products = emit.mul(&probabilities, &memory);
        let agreement = emit.sum(&products, &[1], false);
        let one = emit.number(1.0, element);
        let rest = emit.sub(&one, &agreement);
        let regularizer = emit.unary("Log", &rest);
        let regularizer = emit.scaled(&regularizer, self.strength);
        Judged { losses: emit.add(&cross_entropy, &regularizer), memory: Some(memory) }
    }
}
