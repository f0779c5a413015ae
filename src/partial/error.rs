//! What can go wrong with partial results.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Partial results that cannot be kept, do not belong to this run, or do not make up a whole.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PartialError {
    /// A file of the work folder cannot be written.
    #[error(
        "cannot keep what is done in {path}: {source}; make room there and give the same command again, it goes on from here", path = .path.display()
    )]
    Keep {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Moments cannot be put aside.
    #[error(
        "cannot put moments aside in {path}: {source}; make room there, put them elsewhere with --work DIR, or give more --max-memory", path = .path.display()
    )]
    PutAside {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; check that it is there and readable")]
    Read {
        /// The file.
        path: String,
        /// The reason.
        source: io::Error,
    },
    /// Results cannot be brought into their format: a defect of this program.
    #[error("partial results cannot be encoded: {reason}")]
    Encode {
        /// The library's reason.
        reason: String,
    },
    /// Another process works in the same folder.
    #[error("another run works in {path}; wait for it, or name another folder with --work", path = .path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not what it should be.
    #[error(
        "{path} is damaged, or something else: {reason}; name another file, or remove it where it lies in the --work folder"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A file belongs to another run.
    #[error("{path} belongs to another run: its {aspect} is {theirs}, and here it is {ours}; {advice}")]
    Foreign {
        /// The file.
        path: String,
        /// What differs.
        aspect: String,
        /// What the file says of it.
        theirs: String,
        /// What this run says of it.
        ours: String,
        /// The way out.
        advice: &'static str,
    },
    /// A file was made without what it takes to put it together with others.
    #[error("{path} says nothing of the run that made it; give a .parquet file that `onnx-sap score` has written")]
    Unknown {
        /// The file.
        path: String,
    },
    /// Shards do not make up a whole.
    #[error("{reason}; {advice}")]
    Shards {
        /// What is wrong.
        reason: String,
        /// The way out.
        advice: String,
    },
}
