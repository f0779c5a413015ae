//! Generalised cross-entropy (Zhang and Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
//! `NeurIPS` 2018).

use crate::autodiff::{Criterion, Emit, Judged, Scored};

/// `(1 − p^q) / q`, with p the probability of the target: the cross-entropy where q goes to 0, the absolute error where it is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Generalized {
    /// q, above 0.
    pub power: f64,
}

impl Generalized {
    /// q 0.7, as published.
    pub const PUBLISHED: Self = Self { power: 0.7 };
}

impl Criterion for Generalized {
    fn judge(&self, scored: &Scored, emit: &mut Emit<'_>) -> Judged {
        // From the logarithm, whose gradient stays finite where the probability is rounded to 0.
        let logarithm = scored.log_likelihood(emit);
        let logarithm = emit.scaled(&logarithm, self.power);
        let power = emit.unary("Exp", &logarithm);
        let one = emit.number(1.0, power.element);
        let rest = emit.sub(&one, &power);
        Judged { losses: emit.scaled(&rest, 1.0 / self.power), memory: None }
    }
}
