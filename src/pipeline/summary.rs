//! What remains of the scores of a whole set once the trusted samples are chosen.

use crate::data::Quarantined;
use crate::error::Error;
use crate::evidence::{EvidenceError, Meaning, Quality, Scores};
use crate::model::Classifier;
use serde::{Deserialize, Serialize};

/// A summary of scores, as the report has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreSummary {
    /// How well the model fits the (noisy) labels.
    pub quality: Quality,
    /// What the scores mean.
    pub meaning: Meaning,
    /// SHA-256 of what the model was judged on.
    pub data_sha256: String,
    /// What could not be scored.
    pub quarantined: Vec<Quarantined>,
}

impl ScoreSummary {
    /// Of the scores of a whole set.
    ///
    /// # Errors
    /// [`EvidenceError::NoneUsable`].
    pub fn of(scores: &Scores, classifier: &Classifier) -> Result<Self, Error> {
        let Some(meaning) = scores.meaning.filter(|_| !scores.samples.is_empty()) else {
            return Err(EvidenceError::NoneUsable.into());
        };
        let constants = classifier.constants.iter().map(|constant| constant.assignment().to_string());
        Ok(Self {
            quality: scores.quality(),
            meaning,
            data_sha256: scores.digest.finish(constants),
            quarantined: scores.quarantined.clone(),
        })
    }
}
