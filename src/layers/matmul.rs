//! MatMul: `Y = A B` with numpy's broadcasting (ONNX, MatMul-1 to -13); the weight is a constant matrix A or B.

use super::{FeatureAxis, Finding, LayerRule, MatrixLayout, Orientation, Skip, Unfold, one_constant};
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
        let (at, weight, input) = one_constant(node, graph, [0, 1])?;
        let &[rows, columns] = weight.dims.as_slice() else { return Err(Skip::NotAMatrix(weight.dims.clone())) };
        if rows * columns == 0 {
            return Err(Skip::Empty(weight.dims.clone()));
        }
        let (orientation, axis) = match at {
            0 => (Orientation::OutputsByInputs, FeatureAxis::SecondLast),
            _ => (Orientation::InputsByOutputs, FeatureAxis::Last),
        };
        let layout = MatrixLayout::of_matrix([rows, columns], orientation);
        Ok(Finding { weight: weight.clone(), layout, input, unfold: Unfold::Vectors { dim: layout.dim, axis } })
    }
}
