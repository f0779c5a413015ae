//! MatMul: `Y = A B` with numpy's broadcasting (ONNX, MatMul-1 to -13); the weight is a constant A or B.
//!
//! A constant with more than two axes is a stack of matrices, as mixtures of experts have: one group each, which sees
//! its own slice of the input, or all of it where the input has no such axis.

use super::output::{OutputAxis, Produced};
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
        // Only FusedMatMul has these. The second pair moves the first axis behind those of the stack, before the first
        // pair exchanges the last two.
        let transposed = ["transA", "transB"].map(|name| node.proto().int(name, 0) != 0);
        let moved = ["transBatchA", "transBatchB"].map(|name| node.proto().int(name, 0) != 0);
        let mut axes = weight.view.axes().to_vec();
        let rank = axes.len();
        if moved[position] && rank > 2 {
            axes[..rank - 1].rotate_left(1);
        }
        let [stack @ .., rows, columns] = axes.as_slice() else {
            return Err(Skip::NotAMatrix(weight.view.dims()));
        };
        let inner_is_last = |side: usize| (side == 0) != transposed[side];
        let (inputs, outputs) = if inner_is_last(position) { (columns, rows) } else { (rows, columns) };
        let matrix = MatrixView { groups: Axis::joined(stack), outputs: outputs.clone(), inputs: inputs.clone() };
        let groups = stack.iter().enumerate().filter(|(_, axis)| axis.extent() > 1);
        let mut groups: Vec<_> = groups.map(|(at, axis)| (at as isize - rank as isize, axis.extent())).collect();
        let mut features = if inner_is_last(input) { -1 } else { -2 };
        let mut fixed = None;
        if moved[input] {
            for (axis, _) in &mut groups {
                *axis += 1;
            }
            features = if inner_is_last(input) { -1 } else { 0 };
            // An input with fewer axes would have others moved.
            fixed = (!groups.is_empty()).then_some(rank);
        }
        let vectors = Vectors { groups, rank: fixed, ..Vectors::along(features, matrix.dim()) };
        let plain = node.proto().is_standard() && position == 1 && rank == 2;
        let outputs = matrix.outputs.extent();
        let produced = plain.then_some(Produced { axis: OutputAxis::Features, bias: None, outputs, positions: 0 });
        Ok(Finding { produced, ..node.finding((position, input), matrix, Unfold::Vectors(vectors))? })
    }
}
