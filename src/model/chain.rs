//! Nodes that show a constant in another way: other axes, another float type, integers as the floats they stand for.
//!
//! Weights hide behind such chains in every exporter's models. What stands at the end of one can be rewritten at its
//! beginning, because each step is undone exactly (`view.rs`) or, for integers, to the nearest (`quantized.rs`).

use super::graph::{GraphIndex, NodeIndex, Operand};
use super::quantized::Quantization;
use super::view::View;
use crate::tensor::ElementType;

/// The constant that a node's output is, where the node only shows one.
pub(super) fn seen_through(graph: &GraphIndex<'_>, at: NodeIndex) -> Option<Operand> {
    let node = graph.node(at);
    let operand = graph.operand(at, 0).filter(|_| node.is_standard() && node.output.len() == 1)?;
    let view = &operand.view;
    let mut seen = operand.clone();
    match node.op_type.as_str() {
        "Identity" => {}
        "Cast" => seen.element = Some(cast(graph, at, operand)?),
        "Transpose" => seen.view = view.transposed(&permutation(graph, at, view.axes().len())?)?,
        "Reshape" => seen.view = view.reshaped(&reshape(graph, at, &view.dims())?)?,
        "Flatten" => seen.view = view.reshaped(&flatten(graph, at, &view.dims())?)?,
        "Squeeze" => seen.view = view.reshaped(&squeeze(graph, at, &view.dims())?)?,
        "Unsqueeze" => seen.view = view.reshaped(&unsqueeze(graph, at, &view.dims())?)?,
        "DequantizeLinear" => {
            let quantization = Quantization::of(graph, at, &operand.constant).filter(|_| is_stored(operand))?;
            seen.element = Some(quantization.float());
            seen.constant.quantization = Some(quantization);
        }
        _ => return None,
    }
    seen.through.push(node.op_type.clone());
    Some(seen)
}

fn is_stored(operand: &Operand) -> bool {
    operand.view == View::of(&operand.constant.dims) && operand.constant.quantization.is_none()
}

/// A Cast between float types keeps what the weight is; any other makes something else of it.
fn cast(graph: &GraphIndex<'_>, at: NodeIndex, operand: &Operand) -> Option<ElementType> {
    let to = ElementType::from_onnx(i32::try_from(graph.node(at).int("to", 0)).ok()?)?;
    let from = operand.element?;
    (from == to || (from.is_float() && to.is_float())).then_some(to)
}

fn permutation(graph: &GraphIndex<'_>, at: NodeIndex, rank: usize) -> Option<Vec<usize>> {
    match graph.node(at).ints("perm") {
        Some(list) => list.iter().map(|&axis| usize::try_from(axis).ok()).collect(),
        None => Some((0..rank).rev().collect()),
    }
}

/// The shape that a Reshape gives: 0 copies an extent, −1 takes what is left.
fn reshape(graph: &GraphIndex<'_>, at: NodeIndex, dims: &[usize]) -> Option<Vec<usize>> {
    let node = graph.node(at);
    // Before opset 5 the shape was an attribute.
    let wanted = graph.integers(at, 1).or_else(|| node.ints("shape").map(<[i64]>::to_vec))?;
    let keeps_zeros = node.int("allowzero", 0) != 0;
    let mut shape = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (axis, &extent) in wanted.iter().enumerate() {
        shape.push(match extent {
            0 if !keeps_zeros => *dims.get(axis)?,
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            extent => usize::try_from(extent).ok()?,
        });
    }
    if let Some(axis) = open {
        let known: usize = shape.iter().try_fold(1, |product: usize, &extent| product.checked_mul(extent))?;
        shape[axis] = dims.iter().product::<usize>().checked_div(known)?;
    }
    Some(shape)
}

fn flatten(graph: &GraphIndex<'_>, at: NodeIndex, dims: &[usize]) -> Option<Vec<usize>> {
    let axis = axis(graph.node(at).int("axis", 1), dims.len() + 1).filter(|&axis| axis <= dims.len())?;
    Some(vec![dims[..axis].iter().product(), dims[axis..].iter().product()])
}

fn axis(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

/// The axes of a Squeeze or Unsqueeze: an input since opset 13, an attribute before.
fn axes(graph: &GraphIndex<'_>, at: NodeIndex, rank: usize) -> Option<Vec<usize>> {
    let listed = graph.integers(at, 1).or_else(|| graph.node(at).ints("axes").map(<[i64]>::to_vec))?;
    listed.into_iter().map(|listed| axis(listed, rank)).collect()
}

fn squeeze(graph: &GraphIndex<'_>, at: NodeIndex, dims: &[usize]) -> Option<Vec<usize>> {
    let node = graph.node(at);
    let without = if node.input(1).is_none() && node.ints("axes").is_none() {
        (0..dims.len()).filter(|&axis| dims[axis] == 1).collect()
    } else {
        axes(graph, at, dims.len())?
    };
    let kept = dims.iter().enumerate().filter(|(axis, _)| !without.contains(axis));
    Some(kept.map(|(_, &extent)| extent).collect())
}

fn unsqueeze(graph: &GraphIndex<'_>, at: NodeIndex, dims: &[usize]) -> Option<Vec<usize>> {
    let count =
        graph.integers(at, 1).map(|list| list.len()).or_else(|| graph.node(at).ints("axes").map(<[i64]>::len))?;
    let added = axes(graph, at, dims.len() + count)?;
    let mut left = dims.iter();
    let extents =
        (0..dims.len() + count).map(|axis| if added.contains(&axis) { Some(1) } else { left.next().copied() });
    extents.collect()
}
