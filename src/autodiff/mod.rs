//! Gradients of a model as more nodes of it: reverse-mode differentiation from ONNX to ONNX.
//!
//! [`differentiate`] writes behind the nodes of a model those that compute the gradients of one of its numbers. They are ordinary
//! ONNX, so they run wherever the model runs, and can be differentiated again. How an operator is differentiated is a [`Rule`]; a
//! new one is a file in `rules/` and a line in [`RULES`].

mod criterion;
mod emit;
mod error;
mod gradient_model;
mod known;
mod loss;
mod parameters;
mod path;
mod per_sample;
mod reverse;
mod rule;
mod rules;
mod shape;

pub use criterion::{Criterion, CrossEntropy, Judged, Scored, negative_sum, normalized};
pub use emit::Emit;
pub use error::{AutodiffError, Refusal};
pub use gradient_model::{GradientModel, Objective, Respect};
pub use known::{Knowledge, Known, Value};
pub use loss::{Loss, LossPorts, Targets, with_loss};
pub use parameters::parameters;
pub use path::leading_to;
pub use per_sample::LastLayer;
pub use reverse::{Differentiated, Wanted, differentiate};
pub use rule::{Applied, Gradients, OutputGradients, Rule};
pub use rules::RULES;
pub use shape::{Extent, Shape};

#[cfg(test)]
pub mod tests;
