//! MatMul: `Y = A B` with numpy's broadcasting (ONNX, MatMul-1 to -13); the weight is a constant A or B.
//!
//! A constant with more than two axes is a stack of matrices, as mixtures of experts have: one group each, which sees
//! its own slice of the input, or all of it where the input has no such axis.

use super::{Finding, LayerRule, NodeView, Operator, Skip, Unfold, Vectors};
use crate::model::{Axis, MatrixView};

pub(super) struct MatMul;

const OPERATORS: &[Operator] = &[Operator::onnx("MatMul"), Operator::microsoft("FusedMatMul")];

impl LayerRule for MatMul {
    fn operators(&self) -> &'static [Operator] {
        OPERATORS
    }

    fn summary(&self) -> &'static str {
        "a constant matrix on either side, or a stack of them"
    }

    fn examine(&self, node: NodeView<'_>) -> Result<Finding, Skip> {
        let (position, input) = node.factors()?;
        let weight = node.weight(position)?;
        let [stack @ .., rows, columns] = weight.view.axes() else {
            return Err(Skip::NotAMatrix(weight.view.dims()));
        };
        for name in ["transBatchA", "transBatchB"] {
            if node.proto().int(name, 0) != 0 {
                return Err(Skip::Attribute { name, value: "1".into() });
            }
        }
        // Only FusedMatMul has these.
        let transposed = ["transA", "transB"].map(|name| node.proto().int(name, 0) != 0);
        let inner_is_last = |side: usize| (side == 0) != transposed[side];
        let (inputs, outputs) = if inner_is_last(position) { (columns, rows) } else { (rows, columns) };
        let matrix = MatrixView { groups: Axis::joined(stack), outputs: outputs.clone(), inputs: inputs.clone() };
        let rank = weight.view.axes().len() as isize;
        let groups = stack.iter().enumerate().filter(|(_, axis)| axis.extent() > 1);
        let groups = groups.map(|(at, axis)| (at as isize - rank, axis.extent())).collect();
        let features = if inner_is_last(input) { -1 } else { -2 };
        let vectors = Vectors { groups, ..Vectors::along(features, matrix.dim()) };
        node.finding((position, input), matrix, Unfold::Vectors(vectors))
    }
}
