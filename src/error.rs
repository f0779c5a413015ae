//! Everything that can stop a run before it has an answer.

use crate::data::DataError;
use crate::engine::EngineError;
use crate::evidence::EvidenceError;
use crate::methods::MethodError;
use crate::model::ModelError;
use std::path::PathBuf;
use thiserror::Error;

/// A run that could not be carried out (exit code 2). Each message names the file, node, tensor or sample.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The model file.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Scoring, choosing or measuring.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The correction.
    #[error(transparent)]
    Method(#[from] MethodError),
    /// What was asked for makes no sense here.
    #[error("{0}")]
    Usage(String),
    /// A file beside the model could not be read.
    #[error("cannot read {path}: {source}; check that the file is there and readable", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}
