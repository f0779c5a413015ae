//! Windows that slide over the axes behind samples and channels: their strides, dilations and pads, as they are in every run.

use super::super::{Applied, Known, Refusal};
use crate::model::fragment::{int, ints};
use crate::model::proto::AttributeProto;

/// How a window slides over an input. Extents are those of the axes behind samples and channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sliding {
    pub(super) kernel: Vec<i64>,
    pub(super) strides: Vec<i64>,
    pub(super) dilations: Vec<i64>,
    /// All numbers before, then all behind.
    pub(super) pads: Vec<i64>,
    /// What it slides over.
    pub(super) over: Vec<i64>,
    /// Where it stops.
    pub(super) stops: Vec<i64>,
}

impl Sliding {
    /// The window of a node: it slides over the one value and stops at each entry of the other. (Those of a Conv are its input and its
    /// output; those of a ConvTranspose the other way round.)
    ///
    /// # Errors
    /// Extents that are not the same in every run.
    pub(super) fn of(node: &Applied<'_>, kernel: &[i64], over: &Known, stops: &Known) -> Result<Self, Refusal> {
        let (over, stops) = (behind_channels(over)?, behind_channels(stops)?);
        let axes = kernel.len();
        if over.len() != axes || stops.len() != axes {
            return Err(Refusal::new("its kernel has not as many axes as its input"));
        }
        let proto = node.proto();
        let list = |name: &str| proto.ints(name).map_or_else(|| vec![1; axes], <[i64]>::to_vec);
        let mut sliding = Self {
            kernel: kernel.to_vec(),
            strides: list("strides"),
            dilations: list("dilations"),
            pads: proto.ints("pads").map_or_else(|| vec![0; 2 * axes], <[i64]>::to_vec),
            over,
            stops,
        };
        let auto = proto.string("auto_pad", "NOTSET");
        if auto.starts_with("SAME") || proto.ints("output_shape").is_some() {
            sliding.pad_evenly(
                auto == "SAME_UPPER" || proto.ints("output_shape").is_some() && auto != "SAME_LOWER",
                proto.ints("output_padding"),
            );
        }
        Ok(sliding)
    }

    /// The pads with which it stops just there; one that is odd is behind where `more_behind`.
    fn pad_evenly(&mut self, more_behind: bool, further: Option<&[i64]>) {
        let axes = self.kernel.len();
        for axis in 0..axes {
            let further = further.and_then(|further| further.get(axis)).copied().unwrap_or(0);
            let total = (self.reach(axis) - self.over[axis] + further).max(0);
            let less = total / 2;
            let (before, behind) = if more_behind { (less, total - less) } else { (total - less, less) };
            (self.pads[axis], self.pads[axes + axis]) = (before, behind);
        }
    }

    /// From the first entry under the window at its first stop to the last one at its last.
    fn reach(&self, axis: usize) -> i64 {
        self.strides[axis] * (self.stops[axis] - 1) + self.dilations[axis] * (self.kernel[axis] - 1) + 1
    }

    /// Of what it slides over with its pads, how much lies behind its reach: what a transposed convolution has to be told.
    pub(super) fn rest(&self) -> Vec<i64> {
        let axes = self.kernel.len();
        let rest = |axis: usize| self.over[axis] + self.pads[axis] + self.pads[axes + axis] - self.reach(axis);
        (0..axes).map(rest).collect()
    }

    /// Whether it stops outside what it slides over and its pads, as pooling may that rounds up.
    pub(super) fn overhangs(&self) -> bool {
        self.rest().iter().any(|rest| *rest < 0)
    }

    /// As attributes of a convolution.
    pub(super) fn attributes(&self, group: i64) -> Vec<AttributeProto> {
        vec![
            ints("kernel_shape", self.kernel.iter().copied()),
            ints("strides", self.strides.iter().copied()),
            ints("dilations", self.dilations.iter().copied()),
            ints("pads", self.pads.iter().copied()),
            int("group", group),
        ]
    }

    /// As attributes of the transposed convolution that gives something in the shape of what it slides over.
    pub(super) fn transposed_attributes(&self, group: i64) -> Vec<AttributeProto> {
        let mut attributes = self.attributes(group);
        attributes.push(ints("output_padding", self.rest()));
        attributes
    }

    /// Whether no entry is under the window twice.
    pub(super) fn never_overlaps(&self) -> bool {
        let reaches = |axis: usize| self.dilations[axis] * (self.kernel[axis] - 1) + 1;
        (0..self.kernel.len()).all(|axis| reaches(axis) <= self.strides[axis])
    }

    /// Whether some entries are under the window at no stop.
    pub(super) fn leaves_gaps(&self) -> bool {
        (0..self.kernel.len()).any(|axis| self.kernel[axis] < self.strides[axis])
    }

    /// For each stop, how many entries that are no pads are under the window.
    pub(super) fn counts(&self) -> ndarray::ArrayD<f64> {
        let axes = self.kernel.len();
        let of_axis = |axis: usize, stop: usize| {
            let first = stop as i64 * self.strides[axis] - self.pads[axis];
            let under = (0..self.kernel[axis]).map(|tap| first + tap * self.dilations[axis]);
            under.filter(|at| (0..self.over[axis]).contains(at)).count() as f64
        };
        let shape: Vec<usize> = [1, 1].into_iter().chain(self.stops.iter().map(|&stops| stops as usize)).collect();
        ndarray::ArrayD::from_shape_fn(shape, |index| (0..axes).map(|axis| of_axis(axis, index[axis + 2])).product())
    }
}

/// The extents behind samples and channels.
pub(super) fn behind_channels(value: &Known) -> Result<Vec<i64>, Refusal> {
    let fixed = value.shape.fixed_from(2).filter(|extents| !extents.is_empty());
    let fixed = fixed
        .ok_or_else(|| Refusal::new(format!("the extents of {} are not the same in every run", value.value.name)))?;
    Ok(fixed.into_iter().map(|extent| extent as i64).collect())
}
