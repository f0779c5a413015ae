//! Symmetric cross-entropy (Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy Labels", ICCV 2019).

use crate::autodiff::{Criterion, Emit, Judged, Scored, negative_sum};

/// `α CE − β Σ p log y`, where log 0 counts as the logarithm of 1e-4, and probabilities are at least 1e-7, as in its authors' code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Symmetric {
    /// α.
    pub forward: f64,
    /// β.
    pub reverse: f64,
}

impl Symmetric {
    /// α 0.1 and β 1, as published for CIFAR-10.
    pub const PUBLISHED: Self = Self { forward: 0.1, reverse: 1.0 };
}

impl Criterion for Symmetric {
    fn judge(&self, scored: &Scored, emit: &mut Emit<'_>) -> Judged {
        let forward = scored.cross_entropy(emit);
        let element = forward.element;
        let targets = scored.class_targets(emit);
        let [least, most] = [1e-4, 1.0].map(|bound| emit.number(bound, element));
        let targets = emit.node("Clip", &[&targets, &least, &most], vec![]);
        let logarithms = emit.unary("Log", &targets);
        let probabilities = scored.probabilities(emit);
        let least = emit.number(1e-7, element);
        let probabilities = emit.node("Clip", &[&probabilities, &least, &most], vec![]);
        let reverse = negative_sum(&probabilities, &logarithms, emit);
        let [forward, reverse] =
            [(&forward, self.forward), (&reverse, self.reverse)].map(|(loss, share)| emit.scaled(loss, share));
        Judged { losses: emit.add(&forward, &reverse), memory: None }
    }
}
