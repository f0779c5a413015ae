//! Gemm: `Y = α A' B' + β C` with A' = A or Aᵀ, B' = B or Bᵀ (ONNX, Gemm-7 to -13); the weight is A or B.

use super::output::{OutputAxis, Produced};
use super::{Finding, LayerRule, NodeView, Operator, Skip, Unfold, Vectors};
use crate::model::{Axis, MatrixView};

pub(super) struct Gemm;

const OPERATORS: &[Operator] = &[Operator::onnx("Gemm"), Operator::microsoft("FusedGemm")];

impl LayerRule for Gemm {
    fn operators(&self) -> &'static [Operator] {
        OPERATORS
    }

    fn summary(&self) -> &'static str {
        "a constant on either side, transA, transB"
    }

    fn examine(&self, node: NodeView<'_>) -> Result<Finding, Skip> {
        let (position, input) = node.factors()?;
        let weight = node.weight(position)?;
        let [rows, columns] = weight.view.axes() else { return Err(Skip::NotAMatrix(weight.view.dims())) };
        let transposed = ["transA", "transB"].map(|name| node.proto().int(name, 0) != 0);
        // The inner axis of A' is its columns, that of B' its rows.
        let inner_is_last = |side: usize| (side == 0) != transposed[side];
        let (inputs, outputs) = if inner_is_last(position) { (columns, rows) } else { (rows, columns) };
        let matrix = MatrixView { groups: Axis::default(), outputs: outputs.clone(), inputs: inputs.clone() };
        let features = if inner_is_last(input) { -1 } else { -2 };
        let vectors = Vectors { rank: Some(2), ..Vectors::along(features, matrix.dim()) };
        // A FusedGemm gives what a function makes of the products; with factors it is not `W a + b` that is given.
        let factor = |name| node.proto().float(name, 1.0) == 1.0;
        let plain = node.proto().is_standard() && position == 1 && factor("alpha") && factor("beta");
        let outputs = matrix.outputs.extent();
        let produced = plain.then_some(Produced { axis: OutputAxis::Features, bias: Some(2), outputs, positions: 0 });
        Ok(Finding { produced, ..node.finding((position, input), matrix, Unfold::Vectors(vectors))? })
    }
}
