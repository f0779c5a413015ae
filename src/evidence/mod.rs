//! What the data says about the model: the loss of every sample, which samples to trust, and the second moments of
//! every layer's inputs over those.

mod error;
mod feed;
mod forward;
mod instrument;
mod link;
mod moments;
mod prediction;
mod quarantine;
mod scores;
mod shard;
mod sums;
mod symmetric_sum;
mod trusted;

pub use error::EvidenceError;
pub use forward::{ClassScores, Forward};
pub use instrument::{Instrumented, Measured, Source};
pub use moments::{Pass, RowLimit, collect};
pub use prediction::Prediction;
pub use quarantine::BadLimit;
pub(crate) use quarantine::Quarantine;
pub use scores::{Journal, Meaning, NoJournal, Quality, ScoredBatch, Scores, Scoring, predict, score};
pub use shard::Shard;
pub use sums::{MomentSums, Moments, NoKeeper, SumsKeeper};
pub use symmetric_sum::SymmetricSum;
pub use trusted::{Ranking, Trusted};
