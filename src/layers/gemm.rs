//! Gemm: `Y = α A' B' + β C` with A' = A or Aᵀ, B' = B or Bᵀ (ONNX, Gemm-7 to -13); the weight is A or B.

use super::{FeatureAxis, Finding, LayerRule, MatrixLayout, Operands, Orientation, Skip, Unfold, operands};
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
        let Operands { constant_right, operand, dims, input } = operands(node, graph)?;
        let [left_transposed, right_transposed] = ["transA", "transB"].map(|name| node.int(name, 0) != 0);
        // Outputs are the columns of B' or the rows of A'; inputs the rows of A' or the columns of B'.
        let (outputs_first, inputs_last) =
            if constant_right { (right_transposed, !left_transposed) } else { (!left_transposed, right_transposed) };
        let orientation = if outputs_first { Orientation::OutputsByInputs } else { Orientation::InputsByOutputs };
        let axis = if inputs_last { FeatureAxis::Last } else { FeatureAxis::SecondLast };
        let layout = MatrixLayout::of_matrix(dims, orientation);
        Finding::new(graph, operand, layout, input, Unfold::Vectors { dim: layout.dim, axis })
    }
}
