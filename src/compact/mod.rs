//! Channels that are always 0, cut out of a graph: the weights that make them lose rows, those that read them columns, and nothing else
//! of what the model computes changes.
//!
//! From each node that makes channels of a weight, `walk.rs` follows those that are 0 through the nodes behind it, by the rules of
//! `rules/`, to the weights that read them. Where any node on the way mixes channels, or has no rule, the weight stays as it is.

mod channels;
mod rules;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use walk::compaction;

use crate::model::{Constant, Model, ModelError, Resized, WeightPatch};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is cut out of a model.
#[derive(Debug, Default)]
pub(crate) struct Compaction {
    cuts: Cuts,
    /// The names of values that have other extents now.
    values: BTreeSet<String>,
    /// What became of every weight that makes channels of which some are 0.
    pub(crate) channels: Vec<CutChannels>,
}

/// The channels that a weight makes, and which of them are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CutChannels {
    /// The weight.
    pub weight: String,
    /// How many channels there were.
    pub channels: usize,
    /// How many of them are always 0.
    pub zero: usize,
    /// How many are gone.
    pub cut: usize,
    /// Why none is, where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_because: Option<String>,
}

/// Entries that stored tensors lose, and shapes that say so.
#[derive(Clone, Debug, Default)]
struct Cuts {
    /// By the name of the tensor: the tensor, and of each axis the positions that go.
    tensors: BTreeMap<String, (Constant, BTreeMap<usize, BTreeSet<usize>>)>,
    /// By the name of the tensor: the tensor, and the integers that it holds from now on.
    shapes: BTreeMap<String, (Constant, Vec<i64>)>,
}

impl Cuts {
    fn cut(&mut self, constant: &Constant, axis: usize, gone: impl IntoIterator<Item = usize>) {
        let of_tensor =
            self.tensors.entry(constant.name.clone()).or_insert_with(|| (constant.clone(), BTreeMap::new()));
        of_tensor.1.entry(axis).or_default().extend(gone);
    }

    fn join(&mut self, other: Self) {
        for (constant, axes) in other.tensors.into_values() {
            for (axis, gone) in axes {
                self.cut(&constant, axis, gone);
            }
        }
        self.shapes.extend(other.shapes);
    }
}

impl Compaction {
    /// The bytes of the model without what is cut out.
    ///
    /// # Errors
    /// A tensor that cannot be read.
    pub(crate) fn apply(&self, model: &Model) -> Result<Vec<u8>, ModelError> {
        let mut resized = Vec::new();
        for (constant, axes) in self.cuts.tensors.values() {
            let mut values = model.values(constant)?;
            for (&axis, gone) in axes {
                let kept: Vec<usize> = (0..constant.dims[axis]).filter(|position| !gone.contains(position)).collect();
                values = values.select(ndarray::Axis(axis), &kept);
            }
            resized.push(Resized::Floats(WeightPatch { constant: constant.clone(), values, copies: Vec::new() }));
        }
        let shapes = self.cuts.shapes.values();
        resized.extend(shapes.map(|(constant, integers)| Resized::Integers(constant.clone(), integers.clone())));
        model.with_resized(&resized, &self.values)
    }
}
