//! What of a model can be learnt.

use crate::model::proto::NodeProto;
use crate::model::{GraphIndex, MAIN};
use crate::tensor::ElementType;
use std::collections::BTreeSet;

/// Since these are what training measures, no gradient changes them.
const STATISTICS_OF_BATCH_NORMALIZATION: [usize; 2] = [3, 4];

/// The stored tensors of the main graph that can be learnt, in their order: floats with axes, but for what normalisations have
/// measured. (A number without axes is a constant that someone wrote into the network.)
pub fn parameters(graph: &GraphIndex<'_>) -> Vec<String> {
    let nodes = graph.scope(MAIN).nodes.iter().map(|&at| graph.node(at));
    let normalizations = nodes.filter(|node| node.op_type == "BatchNormalization");
    let statistics =
        |node: &'_ NodeProto| STATISTICS_OF_BATCH_NORMALIZATION.map(|input| node.input.get(input).cloned());
    let measured: BTreeSet<String> = normalizations.flat_map(statistics).flatten().collect();
    let stored = graph.model().graph().initializer.iter();
    let learnt = stored.filter(|tensor| {
        let is_float = ElementType::from_onnx(tensor.data_type).is_some_and(ElementType::is_float);
        is_float && !tensor.dims.is_empty() && !measured.contains(&tensor.name)
    });
    learnt.map(|tensor| tensor.name.clone()).collect()
}
