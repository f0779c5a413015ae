//! An average of the parameters over the steps beside those that are trained.

use super::{Optimizer, Step, Updated};
use crate::autodiff::Emit;

/// Another optimiser, with an exponential average of the parameters that begins at their first values: `a ← γ a + (1 − γ) w` after
/// every step (Tarvainen and Valpola, "Mean teachers are better role models", 2017). Kept is how far it lags behind, `a − w`, which
/// is 0 at first.
#[derive(Clone, Copy)]
pub struct Averaged<'a> {
    /// What moves the parameters.
    pub of: &'a dyn Optimizer,
    /// γ.
    pub decay: f64,
}

impl Optimizer for Averaged<'_> {
    fn kept(&self) -> usize {
        self.of.kept() + 1
    }

    fn lag(&self) -> Option<usize> {
        Some(self.of.kept())
    }

    fn update(&self, step: &Step<'_>, emit: &mut Emit<'_>) -> Updated {
        let (lag, kept) = match step.kept.split_last() {
            Some((lag, kept)) => (lag.clone(), kept.to_vec()),
            None => return self.of.update(step, emit),
        };
        let inner = Step {
            parameter: step.parameter,
            gradient: step.gradient.clone(),
            kept,
            rate: step.rate.clone(),
            count: step.count.clone(),
        };
        let mut updated = self.of.update(&inner, emit);
        let moved = emit.sub(&step.parameter.value, &updated.parameter);
        let behind = emit.add(&lag, &moved);
        updated.kept.push(emit.scaled(&behind, self.decay));
        updated
    }
}
