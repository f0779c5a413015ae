//! Attention of ONNX Runtime's own operator set: the joint weights `[hidden, q + k + v]` of query, key and value
//! (com.microsoft, Attention-1). The attention itself has no weights.

use super::{Finding, LayerRule, NodeView, Operator, Skip, Unfold, Vectors};
use crate::model::{Axis, MatrixView};

pub(super) struct Attention;

const OPERATORS: &[Operator] = &[Operator::microsoft("Attention")];

impl LayerRule for Attention {
    fn operators(&self) -> &'static [Operator] {
        OPERATORS
    }

    fn summary(&self) -> &'static str {
        "the joint weights of query, key and value"
    }

    fn examine(&self, node: NodeView<'_>) -> Result<Finding, Skip> {
        let weight = node.weight(1)?;
        let [inputs, outputs] = weight.view.axes() else { return Err(Skip::NotAMatrix(weight.view.dims())) };
        let matrix = MatrixView { groups: Axis::default(), outputs: outputs.clone(), inputs: inputs.clone() };
        let vectors = Vectors { rank: Some(3), ..Vectors::along(-1, matrix.dim()) };
        node.finding((1, 0), matrix, Unfold::Vectors(vectors))
    }
}
