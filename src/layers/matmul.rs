//! MatMul: `Y = A B` with numpy's broadcasting (ONNX, MatMul-1 to -13); the weight is a constant matrix A or B.

use super::{FeatureAxis, Finding, LayerRule, MatrixLayout, Operands, Orientation, Skip, Unfold, operands};
use crate::model::GraphIndex;
use crate::model::proto::NodeProto;

pub(super) struct MatMul;

impl LayerRule for MatMul {
    fn op_type(&self) -> &'static str {
        "MatMul"
    }

    fn summary(&self) -> &'static str {
        "a constant matrix on either side"
    }

    fn examine(&self, node: &NodeProto, graph: &GraphIndex<'_>) -> Result<Finding, Skip> {
        let Operands { constant_right, operand, dims, input } = operands(node, graph)?;
        let (orientation, axis) = if constant_right {
            (Orientation::InputsByOutputs, FeatureAxis::Last)
        } else {
            (Orientation::OutputsByInputs, FeatureAxis::SecondLast)
        };
        let layout = MatrixLayout::of_matrix(dims, orientation);
        Finding::new(graph, operand, layout, input, Unfold::Vectors { dim: layout.dim, axis })
    }
}
