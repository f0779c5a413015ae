//! The gradient in the weight of a convolution: the sum, over samples and stops of the window, of the gradient there times what lies
//! under the window.
//!
//! It is a convolution again, in which samples and channels change places, and strides and dilations (Dumoulin and Visin, 2016). Where
//! a window has few taps and there are many channels, engines are faster (`docs/autodiff.md`) with one product of matrices over what lies under
//! each tap.

use super::super::{Emit, Value};
use super::window::Sliding;
use crate::model::fragment::{int, ints};

/// The most taps of a window for which what lies under them is written out.
const MOST_TAPS: i64 = 9;

/// With fewer channels the products are too small.
const LEAST_CHANNELS: usize = 16;

/// Of which convolution.
pub(super) struct WeightGradient<'a> {
    pub(super) sliding: &'a Sliding,
    /// The first axis of the weight.
    pub(super) outputs: usize,
    /// The second one.
    pub(super) channels: usize,
    pub(super) group: i64,
}

impl WeightGradient<'_> {
    /// `[channels of stopped, channels of slid / group, k…]`, by what the window slides over and what has an entry for each stop.
    pub(super) fn of(&self, slid: &Value, stopped: &Value, emit: &mut Emit<'_>) -> Value {
        let taps: i64 = self.sliding.kernel.iter().product();
        let few = taps <= MOST_TAPS && self.channels >= LEAST_CHANNELS;
        let pads = self.sliding.pads.iter().all(|pad| *pad >= 0);
        if self.group == 1 && few && pads {
            self.by_taps(slid, stopped, emit)
        } else {
            self.by_convolution(slid, stopped, emit)
        }
    }

    fn by_convolution(&self, slid: &Value, stopped: &Value, emit: &mut Emit<'_>) -> Value {
        let axes = self.sliding.kernel.len();
        let slid = self.channels_first(slid, emit);
        let mut order: Vec<usize> = (0..axes + 2).collect();
        order.swap(0, 1);
        let stopped = emit.transpose(stopped, &order);
        let attributes = vec![
            ints("strides", self.sliding.dilations.iter().copied()),
            ints("dilations", self.sliding.strides.iter().copied()),
            ints("pads", self.sliding.pads.iter().copied()),
            int("group", self.group),
        ];
        let mut product = emit.node("Conv", &[&slid, &stopped], attributes);
        // Where the window leaves a rest, there are more products than taps.
        for (axis, rest) in self.sliding.rest().into_iter().enumerate() {
            if rest >= self.sliding.dilations[axis] {
                product = emit.slice(&product, axis + 2, [0, self.sliding.kernel[axis]], 1);
            }
        }
        emit.transpose(&product, &order)
    }

    /// `[channels of a group, group · samples, …]`.
    fn channels_first(&self, slid: &Value, emit: &mut Emit<'_>) -> Value {
        let axes = self.sliding.over.len();
        if self.group == 1 {
            let order: Vec<usize> = [1, 0].into_iter().chain(2..axes + 2).collect();
            return emit.transpose(slid, &order);
        }
        let (channels, over) = (self.channels as i64, &self.sliding.over);
        let by_group = emit.reshape(slid, &[&[0, self.group, channels], &over[..]].concat());
        let order: Vec<usize> = [2, 1, 0].into_iter().chain(3..axes + 3).collect();
        let channels_first = emit.transpose(&by_group, &order);
        emit.reshape(&channels_first, &[&[channels, -1], &over[..]].concat())
    }

    fn by_taps(&self, slid: &Value, stopped: &Value, emit: &mut Emit<'_>) -> Value {
        let Sliding { kernel, pads, .. } = self.sliding;
        let axes = kernel.len();
        // Channels last, so that what is copied lies together.
        let order: Vec<usize> = std::iter::once(0).chain(2..axes + 2).chain([1]).collect();
        let slid = emit.transpose(slid, &order);
        let slid = emit.pad(&slid, &[&[0], &pads[..axes], &[0, 0], &pads[axes..], &[0]].concat());
        let under: Vec<Value> = self.taps().iter().map(|tap| self.under(&slid, tap, emit)).collect();
        let channels = self.channels as i64;
        let rows = emit.concat(&under.iter().collect::<Vec<_>>(), -1);
        let rows = emit.reshape(&rows, &[-1, channels * under.len() as i64]);
        let stopped = emit.transpose(stopped, &order);
        let stopped = emit.reshape(&stopped, &[-1, self.outputs as i64]);
        let product = emit.gemm((&stopped, true), (&rows, false), 1.0);
        let by_tap = emit.reshape(&product, &[&[-1], &kernel[..], &[channels]].concat());
        let back: Vec<usize> = [0, axes + 1].into_iter().chain(1..=axes).collect();
        emit.transpose(&by_tap, &back)
    }

    /// Every place in the window, the last axis first.
    fn taps(&self) -> Vec<Vec<i64>> {
        let further = |taps: Vec<Vec<i64>>, &extent: &i64| {
            let longer = |tap: &Vec<i64>| (0..extent).map(|at| [&tap[..], &[at]].concat()).collect::<Vec<_>>();
            taps.iter().flat_map(longer).collect()
        };
        self.sliding.kernel.iter().fold(vec![vec![]], further)
    }

    /// What lies under a tap at every stop, of `[samples, …, channels]`.
    fn under(&self, slid: &Value, tap: &[i64], emit: &mut Emit<'_>) -> Value {
        let Sliding { strides, dilations, stops, .. } = self.sliding;
        let starts: Vec<i64> = tap.iter().zip(dilations).map(|(at, dilation)| at * dilation).collect();
        let ends =
            starts.iter().zip(strides).zip(stops).map(|((start, stride), stops)| start + stride * (stops - 1) + 1);
        let ends: Vec<i64> = ends.collect();
        let axes: Vec<i64> = (1..=tap.len() as i64).collect();
        let [starts, ends, axes, steps] = [&starts, &ends, &axes, strides].map(|numbers| emit.integers(numbers));
        emit.node("Slice", &[slid, &starts, &ends, &axes, &steps], vec![])
    }
}
