//! Conv: `X [N, C, spatial…]`, `W [M, C/group, k…]`; the rows are the patches under the window (ONNX, Conv-1, -11, -22).

use super::{Finding, LayerRule, MatrixLayout, Orientation, Skip, Unfold, Window};
use crate::model::GraphIndex;
use crate::model::proto::NodeProto;

pub(super) struct Conv;

impl LayerRule for Conv {
    fn op_type(&self) -> &'static str {
        "Conv"
    }

    fn summary(&self) -> &'static str {
        "any number of spatial axes, strides, pads, auto_pad, dilations, groups"
    }

    fn examine(&self, node: &NodeProto, graph: &GraphIndex<'_>) -> Result<Finding, Skip> {
        let input = node.input(0).ok_or(Skip::MissingInput(0))?;
        let name = node.input(1).ok_or(Skip::MissingInput(1))?;
        let weight = graph.constant(name).ok_or_else(|| Skip::Computed(name.to_owned()))?;
        let [maps, channels, kernel @ ..] = weight.dims.as_slice() else {
            return Err(Skip::NotAMatrix(weight.dims.clone()));
        };
        let group = node.int("group", 1);
        let groups = usize::try_from(group)
            .ok()
            .filter(|&groups| groups > 0 && maps.is_multiple_of(groups))
            .ok_or_else(|| Skip::Attribute { name: "group", value: format!("{group} for {maps} outputs") })?;
        if weight.dims.contains(&0) {
            return Err(Skip::Empty(weight.dims.clone()));
        }
        let window = Window::of(node, groups, *channels, kernel.to_vec())?;
        let layout = MatrixLayout {
            orientation: Orientation::OutputsByInputs,
            groups,
            outputs: maps / groups,
            dim: window.dim(),
        };
        Finding::new(graph, name, layout, input, Unfold::Patches(window))
    }
}
