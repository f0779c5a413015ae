//! Gemm: `Y = α A' B' + β C` with A' = A or Aᵀ, B' = B or Bᵀ (ONNX, Gemm-7 to -13); the weight is A or B.

use super::{FeatureAxis, Finding, LayerRule, MatrixLayout, Orientation, Skip, Unfold, one_constant};
use crate::model::GraphIndex;
use crate::model::proto::NodeProto;

pub(super) struct Gemm;

impl LayerRule for Gemm {
    fn op_type(&self) -> &'static str {
        "Gemm"
    }

    fn summary(&self) -> &'static str {
        "a constant on either side, transA, transB"
    }

    fn examine(&self, node: &NodeProto, graph: &GraphIndex<'_>) -> Result<Finding, Skip> {
        let (at, weight, input) = one_constant(node, graph, [0, 1])?;
        let &[rows, columns] = weight.dims.as_slice() else { return Err(Skip::NotAMatrix(weight.dims.clone())) };
        let transposed = [node.int("transA", 0) != 0, node.int("transB", 0) != 0];
        // Outputs are the columns of B', or the rows of A'.
        let outputs_first = if at == 1 { transposed[1] } else { !transposed[0] };
        let orientation = if outputs_first { Orientation::OutputsByInputs } else { Orientation::InputsByOutputs };
        // Inputs are the rows of A', or the columns of B'.
        let last = if at == 1 { !transposed[0] } else { transposed[1] };
        let axis = if last { FeatureAxis::Last } else { FeatureAxis::SecondLast };
        let layout = MatrixLayout::of_matrix([rows, columns], orientation);
        if rows * columns == 0 {
            return Err(Skip::Empty(weight.dims.clone()));
        }
        Ok(Finding { weight: weight.clone(), layout, input, unfold: Unfold::Vectors { dim: layout.dim, axis } })
    }
}
