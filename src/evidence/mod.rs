//! What the data says about the model: the loss of every sample, which samples to trust, and the second moments of
//! every layer's inputs over those.

mod error;
mod feed;
mod forward;
mod instrument;
mod link;
mod moments;
mod prediction;
mod scores;
mod trusted;

pub use error::EvidenceError;
pub use forward::{ClassScores, Forward};
pub use instrument::{Instrumented, Measured, Source};
pub use moments::{Moments, Pass, RowLimit, collect};
pub use prediction::Prediction;
pub use scores::{Quality, Scores, predict, score};
pub use trusted::{Ranking, Trusted};
