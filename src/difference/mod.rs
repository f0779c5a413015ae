//! What differs between two models: the values of tensors, the structure around them, and what they predict.
//!
//! Nothing here depends on how a model is stored: tensors are compared by name and value, nodes by what they compute, so
//! that the same model saved by another program, with its weights elsewhere, is the same model. Annotations of types
//! inside the graph (`value_info`) and documentation are no part of a model.

mod outline;
mod predictions;
mod tensors;

pub use outline::{Difference, metadata, structure};
pub use predictions::{ClassChange, Direction, Flip, PredictionChange};
pub use tensors::{Depth, Distance, TensorChange, TensorDifferences, TensorForm, tensor_names, tensors};
