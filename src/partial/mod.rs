//! Partial results: what an interrupted run leaves behind in its work folder, what a shard hands over, and how shards are
//! put together. All of them say what they depend on, and are refused where that is not the same.

mod error;
mod evidence_file;
mod identity;
mod merge;
mod moments_checkpoint;
mod moments_file;
mod moments_shelf;
mod score_log;
mod score_part;
mod work;

pub use error::PartialError;
pub use evidence_file::{EvidenceFacts, EvidenceFile, EvidenceMerge};
pub use identity::Identity;
pub use moments_checkpoint::{INPUTS, MomentsCheckpoint};
pub use moments_file::MomentsFile;
pub use moments_shelf::{MomentsShelf, PutAside};
pub use score_log::ScoreLog;
pub use score_part::{ScoreFacts, ScoreHeader, ScorePart};
pub use work::WorkFolder;
