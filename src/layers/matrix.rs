//! How the tensor of a weight is one matrix `[outputs, d]` for each group.

use ndarray::{Array2, ArrayD, Axis, IxDyn};
use serde::Serialize;

/// Which axis of a two-dimensional weight its inputs run along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// `[outputs, d]`: one output a row.
    OutputsByInputs,
    /// `[d, outputs]`: one output a column.
    InputsByOutputs,
}

/// A weight's tensor as matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MatrixLayout {
    /// Which axis is which.
    pub orientation: Orientation,
    /// Groups of a Conv, which share nothing; 1 elsewhere. They divide the first axis.
    pub groups: usize,
    /// Outputs of one group.
    pub outputs: usize,
    /// Inputs of one group.
    pub dim: usize,
}

impl MatrixLayout {
    /// The layout of a two-dimensional weight.
    pub(super) fn of_matrix(dims: [usize; 2], orientation: Orientation) -> Self {
        let (outputs, dim) = match orientation {
            Orientation::OutputsByInputs => (dims[0], dims[1]),
            Orientation::InputsByOutputs => (dims[1], dims[0]),
        };
        Self { orientation, groups: 1, outputs, dim }
    }

    /// The matrices `[outputs, d]` of a weight, one a group.
    pub fn matrices(&self, weight: &ArrayD<f64>) -> Vec<Array2<f64>> {
        let rows = match self.orientation {
            Orientation::OutputsByInputs => (self.groups * self.outputs, self.dim),
            Orientation::InputsByOutputs => (self.dim, self.outputs),
        };
        let matrix = weight.to_shape(rows).expect("a layout is made from its weight's shape");
        match self.orientation {
            Orientation::OutputsByInputs => {
                matrix.axis_chunks_iter(Axis(0), self.outputs).map(|group| group.to_owned()).collect()
            }
            Orientation::InputsByOutputs => vec![matrix.t().as_standard_layout().into_owned()],
        }
    }

    /// The inverse of [`MatrixLayout::matrices`], for a weight of shape `dims`.
    pub fn tensor(&self, matrices: &[Array2<f64>], dims: &[usize]) -> ArrayD<f64> {
        let values = match self.orientation {
            Orientation::OutputsByInputs => matrices.iter().flat_map(|matrix| matrix.iter().copied()).collect(),
            Orientation::InputsByOutputs => {
                matrices.iter().flat_map(|matrix| matrix.t().iter().copied().collect::<Vec<_>>()).collect()
            }
        };
        ArrayD::from_shape_vec(IxDyn(dims), values).expect("a layout is made from its weight's shape")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_and_tensor_are_inverse() {
        let weight = ArrayD::from_shape_fn(IxDyn(&[6, 2, 3]), |at| (at[0] * 100 + at[1] * 10 + at[2]) as f64);
        let grouped = MatrixLayout { orientation: Orientation::OutputsByInputs, groups: 3, outputs: 2, dim: 6 };
        let matrices = grouped.matrices(&weight);
        assert_eq!(matrices.len(), 3);
        assert_eq!(matrices[1].row(0).to_vec(), [200.0, 201.0, 202.0, 210.0, 211.0, 212.0]);
        assert_eq!(grouped.tensor(&matrices, &[6, 2, 3]), weight);

        let matrix = ArrayD::from_shape_fn(IxDyn(&[2, 3]), |at| (at[0] * 10 + at[1]) as f64);
        let columns = MatrixLayout::of_matrix([2, 3], Orientation::InputsByOutputs);
        assert_eq!(columns.matrices(&matrix)[0].row(1).to_vec(), [1.0, 11.0]);
        assert_eq!(columns.tensor(&columns.matrices(&matrix), &[2, 3]), matrix);
    }
}
