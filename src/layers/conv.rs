//! Conv: `X [N, C, spatial…]`, `W [M, C/group, k…]`; the rows are the patches under the window (ONNX, Conv-1, -11, -22).

use super::output::{OutputAxis, Produced};
use super::{Finding, LayerRule, NodeView, Operator, Skip, Unfold, Window, groups};
use crate::model::{Axis, MatrixView};

pub(super) struct Conv;

const OPERATORS: &[Operator] = &[Operator::onnx("Conv"), Operator::microsoft("FusedConv")];

impl LayerRule for Conv {
    fn operators(&self) -> &'static [Operator] {
        OPERATORS
    }

    fn summary(&self) -> &'static str {
        "any number of axes; strides, pads, auto_pad, dilations, groups"
    }

    fn examine(&self, node: NodeView<'_>) -> Result<Finding, Skip> {
        let weight = node.weight(1)?;
        let [maps, rest @ ..] = weight.view.axes() else { return Err(Skip::NotAMatrix(weight.view.dims())) };
        let [channels, kernel @ ..] = rest else { return Err(Skip::NotAMatrix(weight.view.dims())) };
        let count = groups(node.proto(), maps)?;
        let (groups, outputs) = maps.grouped(count).ok_or_else(|| Skip::NotAMatrix(weight.view.dims()))?;
        // A FusedConv gives what a function makes of the products.
        let produced = node.proto().is_standard().then_some(Produced {
            axis: OutputAxis::Channels,
            bias: Some(2),
            outputs: maps.extent(),
            positions: kernel.len(),
        });
        let kernel = kernel.iter().map(Axis::extent).collect();
        let window = Window::of(node.proto(), count, channels.extent(), kernel)?;
        let matrix = MatrixView { groups, outputs, inputs: Axis::joined(rest) };
        Ok(Finding { produced, ..node.finding((1, 0), matrix, Unfold::Patches(window))? })
    }
}
