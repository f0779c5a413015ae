//! Which samples a run trusts, as it was asked to.

use crate::data::SampleId;
use crate::evidence::{Ranking, TrustScore};
use std::fmt;
use std::str::FromStr;

/// Which samples are trusted.
#[derive(Clone, Debug)]
pub enum TrustedChoice {
    /// Those of lowest loss, or of another score.
    Lowest {
        /// How many.
        count: TrustedCount,
        /// By what.
        score: TrustScore,
        /// Per class or over all.
        ranking: Ranking,
    },
    /// These.
    Given(Vec<SampleId>),
}

/// How many samples are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedCount {
    /// So many.
    Count(usize),
    /// All that can be used.
    All,
    /// As many as have been worth their time.
    Auto,
}

impl fmt::Display for TrustedCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => f.pad(&count.to_string()),
            Self::All => f.pad("all"),
            Self::Auto => f.pad("auto"),
        }
    }
}

impl FromStr for TrustedCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            _ if text == "all" => Ok(Self::All),
            _ if text == "auto" => Ok(Self::Auto),
            Ok(count) if count > 0 => Ok(Self::Count(count)),
            _ => Err("give a whole number of at least 1, all or auto".to_owned()),
        }
    }
}

impl TrustedChoice {
    /// What samples are ranked by: where they are given, it ranks those that are to be forgotten.
    pub fn score(&self) -> TrustScore {
        match self {
            Self::Lowest { score, .. } => *score,
            Self::Given(_) => TrustScore::Loss,
        }
    }
}

impl fmt::Display for TrustedChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lowest { ranking, .. } => ranking.fmt(f),
            Self::Given(_) => f.write_str("given"),
        }
    }
}
