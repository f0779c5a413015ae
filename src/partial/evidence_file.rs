//! Evidence: moments over the trusted samples, or a shard of them, with all that a correction needs besides the model and
//! held-out data.

use super::merge::{ONE_RUN, Part, in_order, nothing};
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
}

/// Shards that become evidence over all trusted samples, one after the other: no more than two are in memory.
#[derive(Debug, Default)]
pub struct EvidenceMerge {
    whole: Option<EvidenceFile>,
    parts: Vec<Seen>,
}

/// A shard that was added.
#[derive(Debug)]
struct Seen {
    path: String,
    shard: Shard,
    identity: Identity,
}

impl EvidenceMerge {
    /// Adds a shard.
    ///
    /// # Errors
    /// One of another run.
    pub fn add(&mut self, part: EvidenceFile) -> Result<(), PartialError> {
        let EvidenceFile { path, content } = part;
        let seen = Seen { path: path.clone(), shard: content.more.shard, identity: content.identity.clone() };
        self.parts.push(seen);
        match &mut self.whole {
            None => self.whole = Some(EvidenceFile { path, content }),
            Some(whole) => {
                whole.content.identity.check(&path, &content.identity, ONE_RUN)?;
                if !whole.content.sums.is_like(&content.sums) {
                    let reason = "its moments are of other layers".to_owned();
                    return Err(PartialError::Damaged { path, reason });
                }
                whole.content.sums.add(content.sums);
            }
        }
        Ok(())
    }

    /// What messages call the first shard, if any was added.
    pub fn first(&self) -> Option<&str> {
        self.whole.as_ref().map(EvidenceFile::path)
    }

    /// The number of shards, and all of them together.
    ///
    /// # Errors
    /// Shards that are missing or doubled.
    pub fn finish(self) -> Result<(usize, EvidenceFile), PartialError> {
        let count = in_order(self.parts)?.len();
        let mut whole = self.whole.ok_or_else(nothing)?;
        whole.content.more.shard = Shard::WHOLE;
        Ok((count, whole))
    }
}

impl Part for Seen {
    fn path(&self) -> &str {
        &self.path
    }

    fn shard(&self) -> Shard {
        self.shard
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }
}
