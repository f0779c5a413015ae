//! Operators with weights: they make channels, and take them in.

use super::super::Cuts;
use super::pooling::along;
use crate::compact::channels::{Along, Crossing, Followed, Goes, Obstacle};
use crate::model::{Constant, GraphIndex, NodeIndex};
use ndarray::Axis;
use std::collections::{BTreeMap, BTreeSet};

/// The channels that a node makes of its weight.
pub(in crate::compact) struct Made {
    /// The weight.
    pub(in crate::compact) weight: Constant,
    /// How many there are.
    pub(in crate::compact) channels: usize,
    /// Those that are always 0.
    pub(in crate::compact) zero: BTreeSet<usize>,
    /// Where they lie in the node's output.
    pub(in crate::compact) along: Along,
    /// The axis of the weight that they lie on.
    axis: usize,
    /// The bias, and the axis of it that they lie on.
    bias: Option<(Constant, usize)>,
}

impl Made {
    /// What the node itself loses with some of its channels.
    pub(in crate::compact) fn cut(&self, gone: &BTreeSet<usize>, cuts: &mut Cuts) {
        cuts.cut(&self.weight, self.axis, gone.iter().copied());
        if let Some((bias, axis)) = &self.bias {
            cuts.cut(bias, *axis, gone.iter().copied());
        }
    }
}

/// The channels of a node that makes any of a weight of its own.
pub(in crate::compact) fn made(graph: &GraphIndex<'_>, at: NodeIndex) -> Option<Made> {
    let (mut cuts, followed, none) = (Cuts::default(), BTreeMap::new(), BTreeSet::new());
    let crossing = Crossing { graph, at, gone: &none, channels: 0, followed: &followed, cuts: &mut cuts };
    channels(&crossing).ok()
}

fn channels(crossing: &Crossing<'_, '_>) -> Result<Made, Obstacle> {
    let node = crossing.node();
    let weight = crossing.own(1)?.clone();
    let rank = weight.dims.len();
    let (axis, along) = match node.op_type.as_str() {
        "Conv" if node.int("group", 1) == 1 && rank > 2 => (0, along(rank)),
        "Gemm" if rank == 2 => (usize::from(node.int("transB", 0) == 0), Along::Last),
        "MatMul" if rank == 2 => (1, Along::Last),
        _ => return Err(crossing.refused("makes no channels, or in groups")),
    };
    let channels = weight.dims[axis];
    let has_bias = node.op_type != "MatMul" && node.input(2).is_some();
    let bias = has_bias.then(|| crossing.own(2)).transpose()?;
    let of_bias = bias.map(|bias| crossing.values(bias)).transpose()?;
    let values = crossing.values(&weight)?;
    let is_zero = |&channel: &usize| {
        let nothing = values.index_axis(Axis(axis), channel).iter().all(|value| *value == 0.0);
        let added = of_bias.as_ref().is_none_or(|bias| match bias.shape().last() {
            Some(&extent) if extent == channels => {
                bias.index_axis(Axis(bias.ndim() - 1), channel).iter().all(|value| *value == 0.0)
            }
            _ => bias.iter().all(|value| *value == 0.0),
        });
        nothing && added
    };
    let zero = (0..channels).filter(is_zero).collect();
    let bias = bias.filter(|bias| bias.dims.last() == Some(&channels) && channels > 1);
    let bias = bias.map(|bias| (bias.clone(), bias.dims.len() - 1));
    Ok(Made { weight, channels, zero, along, axis, bias })
}

/// A normalization of each channel moves 0 to where mean, variance, scale and bias put it.
pub(super) fn normalization(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    let followed = crossing.only()?;
    let node = crossing.node();
    if node.int("training_mode", 0) != 0 || followed.along == Along::Blocks {
        return Err(crossing.refused("trains, or normalizes blocks"));
    }
    let mut constants = Vec::new();
    for input in 1..5 {
        constants.push(crossing.own(input)?);
    }
    let values: Vec<_> = constants.iter().map(|constant| crossing.values(constant)).collect::<Result<_, _>>()?;
    let [scale, bias, mean, variance] = &values[..] else { return Err(crossing.refused("lacks inputs")) };
    let epsilon = node.float("epsilon", 1e-5);
    let of_zero = |channel: usize| {
        let at = [channel];
        bias[&at[..]] - mean[&at[..]] * scale[&at[..]] / (variance[&at[..]] + f64::from(epsilon)).sqrt()
    };
    let alive: BTreeSet<usize> = crossing.gone.iter().copied().filter(|&channel| of_zero(channel) != 0.0).collect();
    if followed.zero && !alive.is_empty() {
        return Err(Obstacle::Alive(alive));
    }
    for constant in constants {
        crossing.cuts.cut(constant, 0, crossing.gone.iter().copied());
    }
    Ok(Goes::On(followed))
}

pub(super) fn convolution(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    let followed = taken_in(crossing)?;
    let weight = crossing.own(1)?;
    let fits = matches!(followed.along, Along::Second { .. }) && weight.dims.get(1) == Some(&crossing.channels);
    if !fits || crossing.node().int("group", 1) != 1 {
        return Err(crossing.refused("has groups"));
    }
    crossing.cuts.cut(weight, 1, crossing.gone.iter().copied());
    Ok(Goes::In)
}

pub(super) fn gemm(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    let node = crossing.node();
    if node.int("transA", 0) != 0 {
        return Err(crossing.refused("transposes its input"));
    }
    columns(crossing, usize::from(node.int("transB", 0) != 0))
}

pub(super) fn product(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    columns(crossing, 0)
}

/// Takes channels in along an axis of the weight, which is a matrix.
fn columns(crossing: &mut Crossing<'_, '_>, axis: usize) -> Result<Goes, Obstacle> {
    let followed = taken_in(crossing)?;
    let weight = crossing.own(1)?;
    let (channels, inputs) = (crossing.channels, weight.dims[axis]);
    let block = inputs / channels;
    let fits = match followed.along {
        Along::Last => inputs == channels,
        Along::Blocks => inputs % channels == 0,
        Along::Second { .. } => false,
    };
    if weight.dims.len() != 2 || !fits {
        return Err(crossing.refused("does not read the channels one by one"));
    }
    let gone = crossing.gone.iter().flat_map(|channel| channel * block..(channel + 1) * block);
    crossing.cuts.cut(weight, axis, gone);
    Ok(Goes::In)
}

/// The channels at the first input, which have to be 0: what a weight makes of others would be missing.
fn taken_in(crossing: &Crossing<'_, '_>) -> Result<Followed, Obstacle> {
    let followed = crossing.only()?;
    if followed.zero { Ok(followed) } else { Err(crossing.refused("reads channels that are something else than 0")) }
}
