//! What can go wrong where partial results lie.

use super::Location;
use std::fmt::Display;
use thiserror::Error;

/// Failures to read or to write partial results.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Something cannot be read.
    #[error("cannot read {place}: {reason}; check that it is there, and that you may read it")]
    Read {
        /// Where.
        place: String,
        /// Why not.
        reason: String,
    },
    /// Something cannot be written.
    #[error("cannot write {place}: {reason}; nothing was left there, and the same command tries again")]
    Write {
        /// Where.
        place: String,
        /// Why not.
        reason: String,
    },
}

impl StoreError {
    pub(super) fn read(place: &Location, reason: impl Display) -> Self {
        Self::Read { place: place.to_string(), reason: reason.to_string() }
    }

    pub(super) fn write(place: &Location, reason: impl Display) -> Self {
        Self::Write { place: place.to_string(), reason: reason.to_string() }
    }
}
