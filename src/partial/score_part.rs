//! The scores of a shard, or of a whole set, as a Parquet file that says what they depend on.

use super::merge::{Part, in_order};
use super::{Identity, PartialError};
use crate::data::{DataDigest, DataSet, Quarantined};
use crate::evidence::{Meaning, Prediction, Scores, Shard};
use crate::model::hexadecimal;
use crate::report::scores::Row;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Borrow;

/// The version of this format.
const VERSION: u32 = 1;

/// What a file says of itself, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreHeader {
    version: u32,
    /// What the scores depend on.
    pub identity: Identity,
    /// Which part of the set.
    pub shard: Shard,
    /// The number of samples of the whole set, with those that cannot be used.
    pub samples: usize,
    /// What the scores mean; nothing where no sample was scored.
    pub meaning: Option<Meaning>,
    /// What was fed.
    pub digest: DataDigest,
    /// What could not be scored.
    pub quarantined: Vec<Quarantined>,
    /// SHA-256 over the rows.
    sha256: String,
}

/// What stands in a header besides what follows from the rows.
pub struct ScoreFacts {
    /// What the scores depend on.
    pub identity: Identity,
    /// Which part of the set.
    pub shard: Shard,
    /// The number of samples of the whole set, with those that cannot be used.
    pub samples: usize,
    /// What the scores mean.
    pub meaning: Option<Meaning>,
    /// What was fed.
    pub digest: DataDigest,
    /// What could not be scored.
    pub quarantined: Vec<Quarantined>,
}

/// The scores of a shard.
#[derive(Clone, Debug, PartialEq)]
pub struct ScorePart {
    path: String,
    /// What the file says of itself.
    pub header: ScoreHeader,
    /// One row for each sample that was scored, in the set's order.
    pub rows: Vec<Row>,
}

impl ScoreHeader {
    /// The header of a file with these rows.
    pub fn new(facts: ScoreFacts, rows: impl IntoIterator<Item = Row>) -> Self {
        let ScoreFacts { identity, shard, samples, meaning, digest, quarantined } = facts;
        let sha256 = digest_rows(rows);
        Self { version: VERSION, identity, shard, samples, meaning, digest, quarantined, sha256 }
    }

    /// As it stands in the file.
    ///
    /// # Errors
    /// [`PartialError::Encode`].
    pub fn encode(&self) -> Result<String, PartialError> {
        serde_json::to_string(self).map_err(|error| PartialError::Encode { reason: error.to_string() })
    }
}

fn digest_rows<R: Borrow<Row>>(rows: impl IntoIterator<Item = R>) -> String {
    let mut digest = Sha256::new();
    for row in rows {
        let Row { id, label, predicted, confidence, loss } = row.borrow();
        digest.update(format!("{id}\0{label}\0{predicted}\0{:x}\0{:x}\0", confidence.to_bits(), loss.to_bits()));
    }
    hexadecimal(&digest.finalize())
}

impl ScorePart {
    /// Reads a file, which messages call `path`.
    ///
    /// # Errors
    /// [`PartialError::Damaged`]; [`PartialError::Unknown`] where the file does not say what it is.
    #[cfg(feature = "parquet")]
    pub fn decode(path: &str, bytes: Vec<u8>) -> Result<Self, PartialError> {
        let damaged = |reason: String| PartialError::Damaged { path: path.to_owned(), reason };
        let (about, rows) = crate::report::scores::decode(bytes).map_err(|error| damaged(error.to_string()))?;
        let about = about.ok_or_else(|| PartialError::Unknown { path: path.to_owned() })?;
        let header: ScoreHeader = serde_json::from_str(&about).map_err(|error| damaged(error.to_string()))?;
        if header.version != VERSION {
            return Err(damaged(format!("its version is {}, and this program reads {VERSION}", header.version)));
        }
        if digest_rows(&rows) != header.sha256 {
            return Err(damaged("its rows are not those that its header tells of".to_owned()));
        }
        Ok(Self { path: path.to_owned(), header, rows })
    }

    /// Reads a file, which this build cannot.
    ///
    /// # Errors
    /// [`PartialError::Damaged`].
    #[cfg(not(feature = "parquet"))]
    pub fn decode(path: &str, _bytes: Vec<u8>) -> Result<Self, PartialError> {
        let reason = "this build reads no Parquet; build it with the feature `parquet`".to_owned();
        Err(PartialError::Damaged { path: path.to_owned(), reason })
    }

    /// What messages call the file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// As scores of the set, which has the samples of this file and those that it quarantines.
    ///
    /// # Errors
    /// [`PartialError::Damaged`] where it has not.
    pub fn into_scores(self, set: &dyn DataSet) -> Result<Scores, PartialError> {
        let ScoreHeader { meaning, digest, quarantined, .. } = self.header;
        let mut scores = Scores { meaning, digest, quarantined, ..Scores::default() };
        let mut indices = 0..set.len();
        for Row { id, label, predicted, confidence, loss } in self.rows {
            let Some(index) = indices.find(|&index| set.id(index).0 == id) else {
                let reason = format!("its sample {id} is not in the set, or not where it was");
                return Err(PartialError::Damaged { path: self.path, reason });
            };
            scores.samples.push(index);
            scores.predictions.push(Prediction { label, predicted, confidence, loss });
        }
        Ok(scores)
    }

    /// The scores of a whole set, from those of all of its shards.
    ///
    /// # Errors
    /// Shards that are missing, doubled, or of other runs.
    pub fn merge(parts: Vec<Self>) -> Result<Self, PartialError> {
        let mut parts = in_order(parts)?.into_iter();
        let Some(first) = parts.next() else { return Err(super::merge::nothing()) };
        let mut whole = first;
        for part in parts {
            let ScoreHeader { meaning, digest, quarantined, .. } = part.header;
            match (whole.header.meaning, meaning) {
                (Some(ours), Some(theirs)) if ours != theirs => {
                    let show = |meaning: Meaning| format!("{:?} over {} classes", meaning.link, meaning.classes);
                    return Err(PartialError::Foreign {
                        path: part.path,
                        aspect: "meaning of scores".to_owned(),
                        theirs: show(theirs),
                        ours: show(ours),
                        advice: "say with --logits which value holds them, and score again",
                    });
                }
                (ours, theirs) => whole.header.meaning = ours.or(theirs),
            }
            whole.header.digest.add(&digest);
            whole.header.quarantined.extend(quarantined);
            whole.rows.extend(part.rows);
        }
        whole.header.shard = Shard::WHOLE;
        whole.header.sha256 = digest_rows(&whole.rows);
        Ok(whole)
    }
}

impl Part for ScorePart {
    fn path(&self) -> &str {
        &self.path
    }

    fn shard(&self) -> Shard {
        self.header.shard
    }

    fn identity(&self) -> &Identity {
        &self.header.identity
    }
}
