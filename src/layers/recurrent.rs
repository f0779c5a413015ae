//! RNN, LSTM and GRU: the weights `W [directions, gates · hidden, input]` of the inputs (ONNX, RNN-7, LSTM-7, GRU-7).
//!
//! Every step of a sequence is a row, the same for both directions. The recurrent weights meet hidden states, which no
//! output shows; and where sequences have lengths of their own, padding cannot be told from what counts.

use super::{Finding, LayerRule, NodeView, Operator, Skip, Unfold, Vectors};
use crate::model::{Axis, MatrixView};

pub(super) struct Recurrent;

const OPERATORS: &[Operator] = &[Operator::onnx("RNN"), Operator::onnx("LSTM"), Operator::onnx("GRU")];

const WEIGHT: usize = 1;
const RECURRENT_WEIGHT: usize = 2;
const SEQUENCE_LENGTHS: usize = 4;

impl LayerRule for Recurrent {
    fn operators(&self) -> &'static [Operator] {
        OPERATORS
    }

    fn summary(&self) -> &'static str {
        "the input weights, where all sequences have one length"
    }

    fn examine(&self, node: NodeView<'_>) -> Result<Finding, Skip> {
        let weight = node.weight(WEIGHT)?;
        let [directions, gates, inputs] = weight.view.axes() else {
            return Err(Skip::NotAMatrix(weight.view.dims()));
        };
        if node.proto().input(SEQUENCE_LENGTHS).is_some() {
            return Err(Skip::SequenceLengths);
        }
        let matrix =
            MatrixView { groups: Axis::default(), outputs: Axis::joined([directions, gates]), inputs: inputs.clone() };
        // Layout 0 is [sequence, batch, input], 1 is [batch, sequence, input].
        let samples = isize::from(node.proto().int("layout", 0) == 0);
        let vectors = Vectors { rank: Some(3), samples, ..Vectors::along(-1, matrix.dim()) };
        node.finding((WEIGHT, 0), matrix, Unfold::Vectors(vectors))
    }

    fn leaves(&self, input: usize) -> Skip {
        if input == RECURRENT_WEIGHT { Skip::Recurrent } else { Skip::NoFactor }
    }
}
