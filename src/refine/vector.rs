//! Constants that hold one number for each output of a layer, whatever axes of extent 1 lie around them.

use crate::model::{Constant, Model, ModelError, WeightPatch};
use ndarray::{Array1, ArrayD, Dimension, IxDyn};

/// Their numbers.
///
/// # Errors
/// A constant that cannot be read.
pub(super) fn values(model: &Model, constant: &Constant) -> Result<Array1<f64>, ModelError> {
    Ok(model.values(constant)?.iter().copied().collect())
}

/// New numbers for one.
pub(super) fn patch(constant: &Constant, values: &Array1<f64>) -> WeightPatch {
    // At most one of its axes has more than one element.
    let shaped = ArrayD::from_shape_fn(IxDyn(&constant.dims), |at| values[at.slice().iter().sum::<usize>()]);
    WeightPatch { constant: constant.clone(), values: shaped, copies: Vec::new() }
}
