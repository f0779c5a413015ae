//! Convolutions and transposed convolutions, of any number of axes, grouped and dilated.
//!
//! Each is the gradient of the other in its input (Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016).
//! The gradients in their weights are alike (`weight_gradient.rs`).

#[cfg(test)]
use super::super::tests::{Case, Given, Kind};
use super::super::{Applied, Emit, Gradients, Known, OutputGradients, Refusal, Rule, Value};
use super::weight_gradient::WeightGradient;
use super::window::Sliding;
#[cfg(test)]
use crate::model::fragment::{int, ints, string};
#[cfg(test)]
use proptest::prelude::*;

/// What a convolution multiplies: `slid` is what the window slides over, with the channels of the weight's second axis in every group;
/// `stopped` has an entry for each stop, with the channels of its first.
struct Parts<'a> {
    sliding: Sliding,
    weight: &'a Known,
    /// The first two axes of the weight.
    channels: [usize; 2],
    group: i64,
}

impl<'a> Parts<'a> {
    fn of(node: &Applied<'a>, slid: &Known, stopped: &Known) -> Result<Self, Refusal> {
        let weight = node.input(1)?;
        let extents = weight.shape.fixed_from(0).filter(|extents| extents.len() > 2);
        let extents = extents.ok_or_else(|| Refusal::new("the shape of its weight is not the same in every run"))?;
        let kernel: Vec<i64> = extents[2..].iter().map(|&extent| extent as i64).collect();
        let sliding = Sliding::of(node, &kernel, slid, stopped)?;
        let channels = [extents[0], extents[1]];
        Ok(Self { sliding, weight, channels, group: node.proto().int("group", 1) })
    }

    fn weight_gradient(&self) -> WeightGradient<'_> {
        let [outputs, channels] = self.channels;
        WeightGradient { sliding: &self.sliding, outputs, channels, group: self.group }
    }
}

/// The gradient of a bias: summed over all but the channels.
fn of_bias(g: &Value, output: &Known, emit: &mut Emit<'_>) -> Value {
    let others: Vec<usize> = (0..output.shape.rank()).filter(|axis| *axis != 1).collect();
    emit.sum(g, &others, false)
}

/// Conv.
pub(super) struct Conv;

impl Rule for Conv {
    fn operators(&self) -> &'static [&'static str] {
        &["Conv"]
    }

    fn equation(&self) -> &'static str {
        "dx = ConvTranspose(g, W); dW = Σ over samples and stops of g times what lies under the window; db = Σ g"
    }

    fn limits(&self) -> &'static str {
        "extents behind the channels that are the same in every run"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |window: Window| {
            let (group, [channels, outputs]) = (window.group, window.channels);
            let x = [&[window.samples, channels * group], &window.extents[..]].concat();
            let weight = [&[outputs * group, channels], &window.kernel[..]].concat();
            let mut given = vec![Given::floats(&x), Given::floats(&weight)];
            given.extend(window.bias.then(|| Given::floats(&[outputs * group])));
            let mut attributes = window.attributes();
            match window.pads {
                0 => attributes.push(ints("pads", window.pad_numbers())),
                // Dilations with auto_pad are left open by the specification.
                1 | 2 if window.dilations.iter().all(|&dilation| dilation == 1) => {
                    attributes.push(string("auto_pad", if window.pads == 1 { "SAME_UPPER" } else { "SAME_LOWER" }));
                }
                _ => {}
            }
            Case::new("Conv", given, attributes).kind(Kind::Linear)
        };
        windows().prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, x, y) = (outputs.only()?, node.input(0)?, node.output(0)?);
        let parts = Parts::of(node, x, y)?;
        let of_x = node.needs(0).then(|| {
            let attributes = parts.sliding.transposed_attributes(parts.group);
            emit.node("ConvTranspose", &[g, &parts.weight.value], attributes)
        });
        let of_weight = node.needs(1).then(|| parts.weight_gradient().of(&x.value, g, emit));
        let of_bias = node.needs(2).then(|| of_bias(g, y, emit));
        Ok(vec![of_x, of_weight, of_bias])
    }
}

/// ConvTranspose.
pub(super) struct ConvTranspose;

impl Rule for ConvTranspose {
    fn operators(&self) -> &'static [&'static str] {
        &["ConvTranspose"]
    }

    fn equation(&self) -> &'static str {
        "dx = Conv(g, W); dW as of Conv, x and g exchanged; db = Σ g"
    }

    fn limits(&self) -> &'static str {
        "extents behind the channels that are the same in every run"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |window: Window| {
            let (group, [channels, outputs]) = (window.group, window.channels);
            let stops: Vec<usize> = window.extents.iter().map(|extent| extent.saturating_sub(3).max(1)).collect();
            let x = [&[window.samples, channels * group], &stops[..]].concat();
            let weight = [&[channels * group, outputs], &window.kernel[..]].concat();
            let mut given = vec![Given::floats(&x), Given::floats(&weight)];
            given.extend(window.bias.then(|| Given::floats(&[outputs * group])));
            let mut attributes = window.attributes();
            // Pads that leave something of every axis.
            if window.kernel.iter().all(|&kernel| kernel == 3) {
                attributes.push(ints("pads", window.pad_numbers()));
            }
            if window.strides.iter().all(|&stride| stride == 2) {
                attributes.push(ints("output_padding", vec![1; window.kernel.len()]));
            }
            Case::new("ConvTranspose", given, attributes).kind(Kind::Linear)
        };
        windows().prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, x, y) = (outputs.only()?, node.input(0)?, node.output(0)?);
        let parts = Parts::of(node, y, x)?;
        let of_x = node.needs(0).then(|| {
            let attributes = parts.sliding.attributes(parts.group);
            emit.node("Conv", &[g, &parts.weight.value], attributes)
        });
        let of_weight = node.needs(1).then(|| parts.weight_gradient().of(g, &x.value, emit));
        let of_bias = node.needs(2).then(|| of_bias(g, y, emit));
        Ok(vec![of_x, of_weight, of_bias])
    }
}

/// A window to try convolutions with.
#[cfg(test)]
#[derive(Clone, Debug)]
struct Window {
    samples: usize,
    channels: [usize; 2],
    group: usize,
    extents: Vec<usize>,
    kernel: Vec<usize>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    pads: usize,
    bias: bool,
}

#[cfg(test)]
impl Window {
    fn attributes(&self) -> Vec<crate::model::proto::AttributeProto> {
        vec![
            ints("strides", self.strides.iter().copied()),
            ints("dilations", self.dilations.iter().copied()),
            int("group", self.group as i64),
        ]
    }

    /// More before than behind, or the other way round.
    fn pad_numbers(&self) -> Vec<i64> {
        let before = self.kernel.iter().map(|&kernel| kernel as i64 / 2);
        before.clone().chain(before.map(|pad| (pad - 1).max(0))).collect()
    }
}

#[cfg(test)]
fn windows() -> impl Strategy<Value = Window> {
    let of_axes = |axes: usize| {
        // So many that what is under the taps is written out.
        let channels = (prop_oneof![3 => 1..3_usize, 1 => Just(16)], 1..3_usize).prop_map(|(a, b)| [a, b]);
        let sizes = (1..3_usize, channels, 1..3_usize, 0..4_usize, any::<bool>());
        let lists = (
            proptest::collection::vec(5..8_usize, axes),
            proptest::collection::vec(1..4_usize, axes),
            proptest::collection::vec(1..3_i64, axes),
            proptest::collection::vec(1..3_i64, axes),
        );
        (sizes, lists).prop_map(|((samples, channels, group, pads, bias), (extents, kernel, strides, dilations))| {
            Window { samples, channels, group, extents, kernel, strides, dilations, pads, bias }
        })
    };
    prop_oneof![2 => of_axes(1), 4 => of_axes(2), 1 => of_axes(3)]
}
