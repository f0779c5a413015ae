//! Samples that cannot be used: set aside with their reason, as long as they are few.

use super::EvidenceError;
use crate::data::{DataSet, Quarantined};
use std::fmt;
use std::str::FromStr;

/// How many samples of a set may be unusable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BadLimit {
    /// So many in a hundred.
    Percent(f64),
    /// So many.
    Count(usize),
}

impl BadLimit {
    /// The largest number of `total` samples that may be unusable.
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Percent(percent) => (total as f64 * percent / 100.0) as usize,
            Self::Count(count) => count,
        }
    }
}

impl Default for BadLimit {
    fn default() -> Self {
        Self::Percent(1.0)
    }
}

impl fmt::Display for BadLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl FromStr for BadLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = |text: &str| text.trim_end().parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
        match text.strip_suffix('%') {
            Some(number) => percent(number).map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        }
        .ok_or_else(|| format!("{text:?} is neither a share such as 1% nor a number of samples"))
    }
}

/// How many examples an error shows.
const EXAMPLES: usize = 3;

/// The unusable samples of a set, of which there may be only so many.
pub(crate) struct Quarantine {
    samples: usize,
    limit: BadLimit,
    bad: Vec<Quarantined>,
}

impl Quarantine {
    /// With what the set itself cannot deliver.
    ///
    /// # Errors
    /// [`EvidenceError::TooManyBad`].
    pub(crate) fn open(set: &dyn DataSet, limit: BadLimit) -> Result<Self, EvidenceError> {
        let own = set.quarantined();
        let mut quarantine = Self { samples: set.len() + own.len(), limit, bad: Vec::new() };
        quarantine.extend(own.iter().cloned())?;
        Ok(quarantine)
    }

    /// Makes sure that so many of a set's `samples` samples may be bad.
    ///
    /// # Errors
    /// [`EvidenceError::TooManyBad`].
    pub(crate) fn check(samples: usize, limit: BadLimit, bad: &[Quarantined]) -> Result<(), EvidenceError> {
        Self { samples, limit, bad: Vec::new() }.extend(bad.iter().cloned())
    }

    /// Sets more samples aside.
    ///
    /// # Errors
    /// [`EvidenceError::TooManyBad`] with examples.
    pub(crate) fn extend(&mut self, bad: impl IntoIterator<Item = Quarantined>) -> Result<(), EvidenceError> {
        self.bad.extend(bad);
        if self.bad.len() <= self.limit.of(self.samples) {
            return Ok(());
        }
        let example = |bad: &Quarantined| format!("sample {}: {}", bad.id, bad.reason);
        Err(EvidenceError::TooManyBad {
            bad: self.bad.len(),
            samples: self.samples,
            limit: self.limit,
            examples: self.bad.iter().take(EXAMPLES).map(example).collect::<Vec<_>>().join("; "),
        })
    }

    pub(crate) fn into_bad(self) -> Vec<Quarantined> {
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_shares_or_numbers() {
        for (text, of_10_000) in [("1%", 100), ("0.05 %", 5), ("0%", 0), ("100%", 10_000), ("7", 7), ("0", 0)] {
            assert_eq!(text.parse::<BadLimit>().unwrap().of(10_000), of_10_000, "{text}");
        }
        assert_eq!("0.5%".parse::<BadLimit>().unwrap().to_string(), "0.5%");
        assert_eq!(BadLimit::default().of(99), 0, "a share never allows more than itself");
        for text in ["", "%", "-1", "101%", "NaN%", "0.01", "one"] {
            assert!(text.parse::<BadLimit>().is_err(), "{text}");
        }
    }
}
