//! Which validation labels a model predicts, so that two models are compared sample by sample: what both get right or wrong
//! says nothing about which is better, and adds no noise.

use crate::evidence::{Prediction, Scores};
use serde::Serialize;

/// Whether each validation label was predicted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
    /// By sample, in ascending order.
    right: Vec<(usize, bool)>,
}

/// By how much one model predicts more validation labels than another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Advantage {
    /// The difference of the accuracies, over the samples that both were judged on.
    pub accuracy: f64,
    /// Its standard error: of the samples on which they differ, each was equally likely to fall either way (McNemar 1947).
    pub standard_error: f64,
}

impl Outcomes {
    /// Of the scores of validation samples.
    pub fn of(scores: &Scores) -> Self {
        let right = |prediction: &Prediction| prediction.label == prediction.predicted;
        let mut right: Vec<(usize, bool)> =
            scores.samples.iter().copied().zip(scores.predictions.iter().map(right)).collect();
        right.sort_unstable();
        Self { right }
    }

    /// By how much these are better than others.
    pub fn advantage(&self, other: &Self) -> Advantage {
        let (mut both, mut only_ours, mut only_theirs) = (0_usize, 0_usize, 0_usize);
        let mut theirs = other.right.iter().peekable();
        for &(sample, ours) in &self.right {
            while theirs.next_if(|(other, _)| *other < sample).is_some() {}
            let Some(&(_, theirs)) = theirs.next_if(|(other, _)| *other == sample) else { continue };
            both += 1;
            only_ours += usize::from(ours && !theirs);
            only_theirs += usize::from(theirs && !ours);
        }
        let samples = both.max(1) as f64;
        let standard_error = ((only_ours + only_theirs) as f64).sqrt() / samples;
        Advantage { accuracy: (only_ours as f64 - only_theirs as f64) / samples, standard_error }
    }
}

impl Advantage {
    /// Whether it is larger than its standard error.
    pub fn is_clear(&self) -> bool {
        self.accuracy > self.standard_error
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::search) fn outcomes(right: &[bool]) -> Outcomes {
        Outcomes { right: right.iter().copied().enumerate().collect() }
    }

    #[test]
    fn only_samples_on_which_two_models_differ_count() {
        let (ours, theirs) = (outcomes(&[true, true, true, false, true]), outcomes(&[true, false, false, true, true]));
        let advantage = ours.advantage(&theirs);
        assert!((advantage.accuracy - 0.2).abs() < 1e-15);
        assert!((advantage.standard_error - 3_f64.sqrt() / 5.0).abs() < 1e-15);
        assert!(!advantage.is_clear());
        assert!((theirs.advantage(&ours).accuracy + 0.2).abs() < 1e-15);
    }

    #[test]
    fn samples_that_one_of_them_was_not_judged_on_are_left_out() {
        let ours = Outcomes { right: vec![(0, true), (2, true), (5, false)] };
        let theirs = Outcomes { right: vec![(1, false), (2, false), (5, false), (7, true)] };
        let advantage = ours.advantage(&theirs);
        assert_eq!((advantage.accuracy, advantage.standard_error), (0.5, 0.5));
    }

    #[test]
    fn a_model_has_no_advantage_over_itself() {
        let ours = outcomes(&[true, false]);
        assert!(!ours.advantage(&ours).is_clear());
    }
}
