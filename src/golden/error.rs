//! What can be wrong with a golden record.

use crate::model::ModelError;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A record that cannot be written or read. Each message names the file, and the way out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// A file or folder that the system refuses.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Io {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that was not written.
    #[error(transparent)]
    Output(#[from] ModelError),
    /// A file that holds something else.
    #[error("{path} {reason}; {advice}", path = path.display())]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// The way out.
        advice: &'static str,
    },
}

impl GoldenError {
    pub(super) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Io { doing: "read", path: path.to_owned(), source }
    }

    pub(super) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Io { doing: "write", path: path.to_owned(), source }
    }

    pub(super) fn content(path: &Path, reason: impl Into<String>, advice: &'static str) -> Self {
        Self::Content { path: path.to_owned(), reason: reason.into(), advice }
    }
}
