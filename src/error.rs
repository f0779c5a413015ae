//! Everything that can stop a run before it has an answer.

use crate::autodiff::AutodiffError;
use crate::data::DataError;
use crate::engine::EngineError;
use crate::evidence::EvidenceError;
use crate::golden::GoldenError;
use crate::methods::MethodError;
use crate::model::ModelError;
use crate::partial::PartialError;
use crate::progress::Signal;
use crate::refine::HeadError;
use crate::store::StoreError;
use std::path::{Path, PathBuf};
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
    /// Partial results: of a run that was interrupted, or of shards.
    #[error(transparent)]
    Partial(#[from] PartialError),
    /// Where partial results lie.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The correction.
    #[error(transparent)]
    Method(#[from] MethodError),
    /// A new head.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// Gradients.
    #[error(transparent)]
    Autodiff(#[from] AutodiffError),
    /// A golden record.
    #[error(transparent)]
    Golden(#[from] GoldenError),
    /// The user or the system ended the run.
    #[error("stopped by {signal}; {}", hint(work.as_deref()))]
    Stopped {
        /// How.
        signal: Signal,
        /// Where what was done is kept.
        work: Option<PathBuf>,
    },
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

impl Error {
    /// The same, and where the run has kept what was done, in case it was stopped.
    #[must_use]
    pub fn kept_in(self, work: Option<&Path>) -> Self {
        match self {
            Self::Evidence(EvidenceError::Stopped(signal)) => {
                Self::Stopped { signal, work: work.map(Path::to_path_buf) }
            }
            other => other,
        }
    }

    /// What stopped the run, if it was stopped.
    pub fn signal(&self) -> Option<Signal> {
        match self {
            Self::Evidence(EvidenceError::Stopped(signal)) | Self::Stopped { signal, .. } => Some(*signal),
            _ => None,
        }
    }
}

/// An error and its causes on one line.
pub fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let reason = inner.to_string();
        // A transparent error and its source say the same, and some errors name their cause before the way out.
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = inner.source();
    }
    text.replace(['\n', '\r'], " ")
}

fn hint(work: Option<&Path>) -> String {
    match work {
        Some(work) => format!("what is done is kept in {}: give the same command again to go on", work.display()),
        None => "nothing was kept; with --work DIR the same command goes on where it was stopped".to_owned(),
    }
}
