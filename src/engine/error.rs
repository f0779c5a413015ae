//! What can go wrong around an engine.

use thiserror::Error;

/// Failures to find, load or run an engine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No library of this engine could be loaded.
    #[error("{engine} is not available: {reason}; {advice}")]
    Unavailable {
        /// The engine that was asked for.
        engine: &'static str,
        /// What was tried.
        reason: String,
        /// The way out.
        advice: &'static str,
    },
    /// The device cannot be had with this engine.
    #[error("device {device} cannot be used: {reason}; {advice}")]
    Device {
        /// As the user named it.
        device: String,
        /// The engine's reason.
        reason: String,
        /// The way out.
        advice: &'static str,
    },
    /// The engine cannot run this graph.
    #[error("{engine} cannot run the model: {reason}")]
    Unsupported {
        /// The engine.
        engine: &'static str,
        /// Its reason, which names the node where the engine does.
        reason: String,
    },
    /// A run failed.
    #[error("{engine} failed while running the model: {reason}")]
    Run {
        /// The engine.
        engine: &'static str,
        /// Its reason.
        reason: String,
    },
}
