//! Pooling: the largest or the mean of what is under a window, or of all of a channel.

#[cfg(test)]
use super::super::tests::{Case, Given, Kind};
use super::super::{Applied, Emit, Gradients, Known, OutputGradients, Refusal, Rule};
use super::window::Sliding;
use crate::model::fragment::string;
#[cfg(test)]
use crate::model::fragment::{int, ints};
use crate::tensor::{ElementType, Tensor};
use ndarray::{ArrayD, IxDyn};
#[cfg(test)]
use proptest::prelude::*;

fn window(node: &Applied<'_>) -> Result<Sliding, Refusal> {
    let kernel = node.proto().ints("kernel_shape").ok_or_else(|| Refusal::new("it has no kernel_shape"))?;
    Sliding::of(node, kernel, node.input(0)?, node.output(0)?)
}

/// `MaxPool`.
pub(super) struct MaxPool;

impl Rule for MaxPool {
    fn operators(&self) -> &'static [&'static str] {
        &["MaxPool"]
    }

    fn equation(&self) -> &'static str {
        "dx = g where x was the first of the largest under the window"
    }

    fn limits(&self) -> &'static str {
        "before opset 16 windows that do not overlap; storage_order 0"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        windows().prop_map(|(x, attributes)| Case::new("MaxPool", vec![Given::floats(&x)], attributes)).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        if node.proto().int("storage_order", 0) != 0 {
            return Err(Refusal::new("its indices count columns first"));
        }
        let (g, x) = (outputs.only()?, node.input(0)?);
        let apart = window(node).is_ok_and(|window| window.never_overlaps());
        if !apart {
            emit.since(16, "ScatterElements that adds")?;
        }
        let indices = emit.output_of(node.index(), 1, ElementType::Int64);
        let zeros = emit.zeros_as(x);
        let [zeros, indices, g] = [&zeros, &indices, g].map(|value| emit.reshape(value, &[-1]));
        // Without the sum where there is nothing to sum: kernels that only copy are faster.
        let attributes = if apart { vec![] } else { vec![string("reduction", "add")] };
        let scattered = emit.node("ScatterElements", &[&zeros, &indices, &g], attributes);
        Ok(vec![Some(emit.reshape_as(&scattered, x))])
    }
}

/// `AveragePool`.
pub(super) struct AveragePool;

impl Rule for AveragePool {
    fn operators(&self) -> &'static [&'static str] {
        &["AveragePool"]
    }

    fn equation(&self) -> &'static str {
        "dx = ConvTranspose(g / n, ones) of each channel, n the number of entries that a mean is of"
    }

    fn limits(&self) -> &'static str {
        "extents behind the channels that are the same in every run; no windows beyond the pads (ceil_mode)"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |((x, mut attributes), all): ((Vec<usize>, Vec<crate::model::proto::AttributeProto>), bool)| {
            attributes.push(int("count_include_pad", i64::from(all)));
            Case::new("AveragePool", vec![Given::floats(&x)], attributes).kind(Kind::Linear)
        };
        (windows(), any::<bool>()).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, x, window) = (outputs.only()?, node.input(0)?, window(node)?);
        if window.leaves_gaps() && node.proto().string("auto_pad", "NOTSET").starts_with("SAME") {
            return Err(Refusal::new(
                "it pads evenly with strides larger than its window, which engines do in several ways",
            ));
        }
        if window.overhangs() {
            return Err(Refusal::new("a window reaches beyond the pads (ceil_mode)"));
        }
        let taps: i64 = window.kernel.iter().product();
        let counts = match node.proto().int("count_include_pad", 0) {
            0 => window.counts(),
            _ => ArrayD::from_elem(IxDyn(&[]), taps as f64),
        };
        let counts = emit.constant(&Tensor::from_f64(&counts, x.value.element));
        let mean = emit.div(g, &counts);
        // Every channel of every sample by itself.
        let apart = emit.reshape(&mean, &[&[-1, 1], &window.stops[..]].concat());
        let shape: Vec<usize> = [1, 1].into_iter().chain(window.kernel.iter().map(|&kernel| kernel as usize)).collect();
        let ones = emit.constant(&Tensor::from_f64(&ArrayD::from_elem(shape, 1.0), x.value.element));
        let spread = emit.node("ConvTranspose", &[&apart, &ones], window.transposed_attributes(1));
        Ok(vec![Some(emit.reshape_as(&spread, x))])
    }
}

/// `GlobalAveragePool`.
pub(super) struct GlobalAveragePool;

impl Rule for GlobalAveragePool {
    fn operators(&self) -> &'static [&'static str] {
        &["GlobalAveragePool"]
    }

    fn equation(&self) -> &'static str {
        "dx = g / n, of n positions"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        images().prop_map(|x| Case::new("GlobalAveragePool", vec![Given::floats(&x)], vec![])).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, x) = (outputs.only()?, node.input(0)?);
        let positions = positions(x)?;
        let share = emit.scaled(g, 1.0 / positions as f64);
        Ok(vec![Some(emit.expand_as(&share, x))])
    }
}

/// `GlobalMaxPool`.
pub(super) struct GlobalMaxPool;

impl Rule for GlobalMaxPool {
    fn operators(&self) -> &'static [&'static str] {
        &["GlobalMaxPool"]
    }

    fn equation(&self) -> &'static str {
        "dx = g ∘ [x = y] / (how many of them are y)"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        images().prop_map(|x| Case::new("GlobalMaxPool", vec![Given::floats(&x)], vec![])).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, x) = (outputs.only()?, node.input(0)?);
        let chosen = emit.indicator("Equal", &x.value, &node.output(0)?.value);
        let behind: Vec<usize> = (2..x.shape.rank()).collect();
        let how_many = emit.sum(&chosen, &behind, true);
        let share = emit.div(g, &how_many);
        Ok(vec![Some(emit.mul(&share, &chosen))])
    }
}

fn positions(x: &Known) -> Result<usize, Refusal> {
    let extents = x.shape.fixed_from(2);
    extents
        .map(|extents| extents.iter().product())
        .ok_or_else(|| Refusal::new("the extents of its input are not the same in every run"))
}

#[cfg(test)]
fn images() -> impl Strategy<Value = Vec<usize>> {
    (1..3_usize, 1..3_usize, proptest::collection::vec(2..5_usize, 1..4))
        .prop_map(|(samples, channels, extents)| [vec![samples, channels], extents].concat())
}

/// Inputs and windows of one to three axes.
#[cfg(test)]
fn windows() -> impl Strategy<Value = (Vec<usize>, Vec<crate::model::proto::AttributeProto>)> {
    let of_axes = |axes: usize| {
        let lists = (
            proptest::collection::vec(5..8_usize, axes),
            proptest::collection::vec(1..4_i64, axes),
            proptest::collection::vec(1..4_i64, axes),
        );
        (1..3_usize, 1..3_usize, lists, 0..3_usize).prop_map(|(samples, channels, (extents, kernel, strides), pads)| {
            let half: Vec<i64> = kernel.iter().map(|&kernel| kernel / 2).collect();
            let mut attributes = vec![ints("kernel_shape", kernel.clone()), ints("strides", strides.clone())];
            match pads {
                1 if kernel.iter().zip(&strides).all(|(kernel, stride)| kernel >= stride) => {
                    attributes.push(string("auto_pad", "SAME_UPPER"));
                }
                _ => {
                    attributes.push(ints("pads", half.iter().copied().chain(half.iter().map(|&pad| (pad - 1).max(0)))));
                }
            }
            ([vec![samples, channels], extents].concat(), attributes)
        })
    };
    prop_oneof![1 => of_axes(1), 3 => of_axes(2), 1 => of_axes(3)]
}
