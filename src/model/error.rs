//! What can be wrong with a model file.

use super::wire::Malformed;
use std::path::PathBuf;
use thiserror::Error;

/// Failures to read, patch or write a model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}; check that the file is there and readable", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {source}; name a place where a file can be written", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not an ONNX model.
    #[error("{path} is not an ONNX model: {reason}; export or fetch it again", path = path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// The bytes of a model could not be edited.
    #[error("the model's bytes cannot be edited in place")]
    Malformed(#[from] Malformed),
    /// A tensor contradicts itself.
    #[error("tensor {tensor}: {reason}; the model is damaged, export it again")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What does not fit.
        reason: String,
    },
    /// External data cannot be used.
    #[error("tensor {tensor}: external data {location:?} {reason}")]
    External {
        /// The tensor.
        tensor: String,
        /// As the model names the file.
        location: String,
        /// Why not.
        reason: String,
    },
    /// The graph is one that this version cannot work with.
    #[error("{0}")]
    Graph(String),
    /// The output file exists.
    #[error("{path} exists; pass --force to replace it", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Input and output are the same file.
    #[error("{path} is both input and output; name another output file, the input is never changed", path = path.display())]
    SameFile {
        /// The file.
        path: PathBuf,
    },
}
