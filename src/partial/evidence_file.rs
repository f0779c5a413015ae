//! Evidence: moments over the trusted samples, or a shard of them, with all that a correction needs besides the model and
//! held-out data.

use super::merge::{Part, in_order, nothing};
use super::moments_file::MomentsFile;
use super::{Identity, PartialError};
use crate::data::SampleId;
use crate::evidence::Shard;
use crate::pipeline::ScoreSummary;
use serde::{Deserialize, Serialize};

/// What a file of evidence says besides its moments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceFacts {
    /// Which part of the trusted samples.
    pub shard: Shard,
    /// The trusted samples, all of them, in the order used.
    pub trusted: Vec<SampleId>,
    /// `balanced`, `global` or `given`.
    pub selection: String,
    /// What the scores were.
    pub scores: ScoreSummary,
}

/// Evidence, and the file that it comes from.
#[derive(Debug)]
pub struct EvidenceFile {
    path: String,
    /// Moments, what they depend on, and the facts.
    pub content: MomentsFile<EvidenceFacts>,
}

impl EvidenceFile {
    /// Reads a file, which messages call `path`.
    ///
    /// # Errors
    /// [`PartialError::Damaged`].
    pub fn decode(path: &str, bytes: &[u8]) -> Result<Self, PartialError> {
        Ok(Self { path: path.to_owned(), content: MomentsFile::decode(path, bytes)? })
    }

    /// What messages call the file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// [`PartialError::Encode`].
    pub fn encode(self) -> Result<Vec<u8>, PartialError> {
        let MomentsFile { identity, sums, more } = self.content;
        MomentsFile::encode(&identity, &sums, more)
    }

    /// Evidence over all trusted samples, from that of all shards.
    ///
    /// # Errors
    /// Shards that are missing, doubled, or of other runs.
    pub fn merge(parts: Vec<Self>) -> Result<Self, PartialError> {
        let mut parts = in_order(parts)?.into_iter();
        let Some(mut whole) = parts.next() else { return Err(nothing()) };
        for part in parts {
            if !whole.content.sums.is_like(&part.content.sums) {
                let reason = "its moments are of other layers".to_owned();
                return Err(PartialError::Damaged { path: part.path, reason });
            }
            whole.content.sums.add(&part.content.sums);
        }
        whole.content.more.shard = Shard::WHOLE;
        Ok(whole)
    }
}

impl Part for EvidenceFile {
    fn path(&self) -> &str {
        &self.path
    }

    fn shard(&self) -> Shard {
        self.content.more.shard
    }

    fn identity(&self) -> &Identity {
        &self.content.identity
    }
}
