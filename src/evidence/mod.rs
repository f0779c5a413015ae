//! What the data says about the model: the loss of every sample, which samples to trust, and the second moments of
//! every layer's inputs over those.

mod activations;
mod at_hand;
mod beliefs;
mod channels;
mod class_moments;
mod curvature;
mod error;
mod feature_rows;
mod feed;
pub(crate) use feed::Feed;
mod forward;
mod link;
mod moments;
mod prediction;
mod quarantine;
mod ranked;
mod scores;
mod shard;
mod trusted;

pub use activations::activations;
pub use at_hand::{fed, predict_inputs};
pub use beliefs::Beliefs;
pub use channels::{Channels, LEAST_DEVIATION, Observation, Observed, Target};
pub use class_moments::{ClassMoments, Folds, class_moments, for_each_features};
pub use curvature::Curvature;
pub use error::EvidenceError;
pub use feature_rows::{FeatureRows, feature_rows};
pub use forward::{ClassScores, Forward};
pub use moments::{
    Inputs, MomentSums, Moments, Needs, NoKeeper, Pass, Precision, RowLimit, Shelf, SumsKeeper, SymmetricSum,
    check_unchanged, collect, needs,
};
pub use prediction::{Prediction, probabilities};
pub use quarantine::BadLimit;
pub(crate) use quarantine::Quarantine;
pub use ranked::{Ranked, TrustScore};
pub use scores::{
    Journal, Meaning, NoJournal, Quality, ScoredBatch, Scores, Scoring, SeesScores, predict, predict_showing, score,
};
pub use shard::Shard;
pub use trusted::{Ranking, TIED, Trusted};
