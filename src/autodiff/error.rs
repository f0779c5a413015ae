//! Why a gradient cannot be had.

use crate::engine::EngineError;
use crate::model::ModelError;
use thiserror::Error;

/// Failures to differentiate a model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AutodiffError {
    /// The model cannot be read or extended.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model cannot be run, which tells the shapes.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Nothing tells how to differentiate an operator.
    #[error(
        "node {node}: {operator} has no gradient rule (docs/autodiff.md lists the {rules} operators that have one)"
    )]
    NoRule {
        /// The node.
        node: String,
        /// Its operator, with its domain where that is not ONNX's own.
        operator: String,
        /// How many operators have one.
        rules: usize,
    },
    /// A rule does not cover what a node does.
    #[error("node {node}: no gradient of {operator}: {reason}")]
    Refused {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// What of it is not covered.
        reason: String,
    },
    /// The value is none that gradients can be taken of.
    #[error("{0}")]
    Target(String),
}

/// What a rule does not cover of a node, to stand behind "no gradient of Conv: ".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

impl Refusal {
    /// For that reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
