//! By what samples are ranked: the lower, the likelier their labels are right.

use super::{Prediction, Scores};
use std::fmt;

/// What the samples are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustScore {
    /// The loss of their labels.
    Loss,
    /// The curvature of that loss in their inputs.
    Curvature {
        /// Draws the directions.
        seed: u64,
    },
}

impl TrustScore {
    /// Their names on the command line, the default first.
    pub const NAMES: [&'static str; 2] = ["loss", "curvature"];

    /// That of a name.
    pub fn named(name: &str, seed: u64) -> Option<Self> {
        [Self::Loss, Self::Curvature { seed }].into_iter().find(|score| score.name() == name)
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => Self::NAMES[0],
            Self::Curvature { .. } => Self::NAMES[1],
        }
    }
}

impl fmt::Display for TrustScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Samples with what they are ranked by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranked {
    /// Their indices.
    pub samples: Vec<usize>,
    /// Their (possibly wrong) labels.
    pub labels: Vec<usize>,
    /// Their scores, the lowest the likeliest right.
    pub values: Vec<f64>,
}

impl Ranked {
    /// By their losses.
    pub fn by_loss(scores: &Scores) -> Self {
        Self::by(scores, scores.predictions.iter().map(|prediction| prediction.loss).collect())
    }

    /// By a value for each of them.
    pub fn by(scores: &Scores, values: Vec<f64>) -> Self {
        let label = |prediction: &Prediction| prediction.label;
        Self { samples: scores.samples.clone(), labels: scores.predictions.iter().map(label).collect(), values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_names_its_score() {
        for name in TrustScore::NAMES {
            assert_eq!(TrustScore::named(name, 7).map(TrustScore::name), Some(name));
        }
        assert_eq!(TrustScore::named("gain", 7), None);
    }
}
