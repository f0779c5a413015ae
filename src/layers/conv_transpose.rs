//! ConvTranspose: `X [N, C, spatial…]`, `W [C, M/group, k…]` (ONNX, ConvTranspose-1, -11, -22).
//!
//! Each position of the input adds its vector of channels, times the weight, to the outputs around it. So the rows are
//! those vectors, and where their products land (strides, pads, dilations) does not matter.

use super::{Finding, LayerRule, NodeView, Operator, Skip, Unfold, Window, groups};
use crate::model::{Axis, MatrixView};

pub(super) struct ConvTranspose;

const OPERATORS: &[Operator] = &[Operator::onnx("ConvTranspose")];

impl LayerRule for ConvTranspose {
    fn operators(&self) -> &'static [Operator] {
        OPERATORS
    }

    fn summary(&self) -> &'static str {
        "any number of axes, groups, any placement of the outputs"
    }

    fn examine(&self, node: NodeView<'_>) -> Result<Finding, Skip> {
        let weight = node.weight(1)?;
        let [channels, outputs @ ..] = weight.view.axes() else { return Err(Skip::NotAMatrix(weight.view.dims())) };
        let Some(spatial) = outputs.len().checked_sub(1) else { return Err(Skip::NotAMatrix(weight.view.dims())) };
        let count = groups(node.proto(), channels)?;
        let (groups, inputs) = channels.grouped(count).ok_or_else(|| Skip::NotAMatrix(weight.view.dims()))?;
        let window = Window::pointwise(count, inputs.extent(), spatial);
        let matrix = MatrixView { groups, outputs: Axis::joined(outputs), inputs };
        node.finding((1, 0), matrix, Unfold::Patches(window))
    }
}
