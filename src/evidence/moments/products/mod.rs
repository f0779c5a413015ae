//! Second moments of values that an engine gives out, where its memory is the program's own.
//!
//! Symmetry halves the products; a convolution of stride 1 needs few correlations of its input (`plan.rs`) in the place of
//! the product of its patches. Every tile of a sum is computed by one thread in a fixed order, so that the number of
//! threads does not show.

mod buffers;
mod correlations;
mod panel;
mod patches;
mod plan;

use super::SymmetricSum;
use super::tiles;
use crate::engine::{Numbers, Shown};
use crate::layers::Unfold;
use correlations::Correlations;
use panel::{Activations, Layout, Meeting, Panel, Value, add_product};
use patches::Patches;
use plan::Plan;

pub(super) use buffers::Buffers;

/// The most values that are gathered at once: 64 MB.
const PANEL: usize = 1 << 23;

/// What is summed of a source, by the form of the value that the engine gives out.
#[derive(Debug)]
pub(super) enum Products {
    /// `[…, d]`: one row after another.
    Rows {
        /// d.
        dim: usize,
    },
    /// `[samples, features, positions…]`, the features of all groups: a row is what they have at one position.
    Features {
        /// Their number.
        features: usize,
    },
    /// The input of a convolution, `[samples, channels, spatial…]`, whose patches are gathered.
    Patches(Patches),
    /// The same, with few correlations in the place of the patches.
    Correlations(Correlations),
}

impl Products {
    /// For a source whose value has that shape, where its rows need no engine. `drawn`: whether only some of them count.
    pub(super) fn of(unfold: &Unfold, shape: &[usize], drawn: bool) -> Option<Self> {
        let window = match unfold {
            Unfold::Vectors(vectors) if vectors.is_last_axis() => return Some(Self::Rows { dim: vectors.dim }),
            Unfold::Vectors(_) => return None,
            Unfold::Patches(window) => window,
        };
        if window.is_pointwise() {
            return Some(Self::Features { features: window.groups * window.channels });
        }
        let spatial = shape.get(2..).filter(|_| !drawn)?;
        match Plan::of(window, spatial) {
            Some(plan) => Some(Self::Correlations(Correlations::zeros(plan, window.groups, window.channels))),
            None => Patches::of(window, spatial).map(Self::Patches),
        }
    }

    /// Adds the moment of a batch, times `weight`. `drawn`: the rows of it that count, where not all do.
    ///
    /// # Errors
    /// The shape, where the engine gave another than it must.
    pub(super) fn add(
        &mut self,
        weight: f64,
        shown: &Shown<'_>,
        drawn: Option<&[usize]>,
        moment: &mut SymmetricSum,
        buffers: &Buffers,
    ) -> Result<(), Vec<usize>> {
        let layout = self.layout(&shown.shape).ok_or_else(|| shown.shape.clone())?;
        match shown.values {
            Numbers::Float32(values) => self.add_values(weight, Activations { values, layout }, drawn, moment, buffers),
            Numbers::Float64(values) => self.add_values(weight, Activations { values, layout }, drawn, moment, buffers),
            Numbers::Other => return Err(shown.shape.clone()),
        }
        Ok(())
    }

    /// The bytes that [`add`](Self::add) takes meanwhile for a value of that shape.
    pub(super) fn room(&self, shape: &[usize]) -> usize {
        let values: usize = shape.iter().product();
        let block = values / shape.first().copied().unwrap_or(1).max(1);
        let panel = |values: usize, block: usize| size_of::<f64>() * values.min(block.max(PANEL));
        match self {
            Self::Rows { .. } | Self::Features { .. } => panel(values, block),
            Self::Patches(patches) => panel(patches.growth(values), patches.growth(block)),
            Self::Correlations(correlations) => correlations.room(values / block.max(1)),
        }
    }

    /// The bytes of what is kept here.
    pub(super) fn kept(&self) -> usize {
        match self {
            Self::Correlations(correlations) => correlations.kept(),
            _ => 0,
        }
    }

    /// Moves what is kept here into the moment.
    pub(super) fn flush(&mut self, moment: &mut SymmetricSum) {
        if let Self::Correlations(correlations) = self {
            correlations.flush(moment);
        }
    }

    fn layout(&self, shape: &[usize]) -> Option<Layout> {
        if let Self::Rows { dim } = *self {
            let (&last, before) = shape.split_last()?;
            return (last == dim).then(|| Layout { blocks: before.iter().product(), features: dim, positions: 1 });
        }
        let &[blocks, features, ref spatial @ ..] = shape else { return None };
        let fits = match self {
            Self::Rows { .. } => false,
            Self::Features { features: expected } => features == *expected,
            Self::Patches(patches) => (features, spatial) == (patches.channels, patches.spatial.as_slice()),
            Self::Correlations(correlations) => (features, spatial) == correlations.input(),
        };
        fits.then(|| Layout { blocks, features, positions: spatial.iter().product() })
    }

    fn add_values<V: Value>(
        &mut self,
        weight: f64,
        activations: Activations<'_, V>,
        drawn: Option<&[usize]>,
        moment: &mut SymmetricSum,
        buffers: &Buffers,
    ) {
        match (self, drawn) {
            (Self::Correlations(correlations), _) => correlations.add(weight, activations, buffers),
            (Self::Patches(patches), _) => {
                let growth = patches.taps.len() * patches.positions / activations.layout.positions.max(1);
                for part in activations.parts(PANEL / growth.max(1)) {
                    add_gram(weight, &Panel::patches(part, patches, buffers), moment);
                }
            }
            (Self::Rows { .. } | Self::Features { .. }, Some(rows)) => {
                add_gram(weight, &Panel::drawn(activations, rows, buffers), moment);
            }
            (Self::Rows { .. } | Self::Features { .. }, None) => {
                for part in activations.parts(PANEL) {
                    add_gram(weight, &Panel::gathered(part, buffers), moment);
                }
            }
        }
    }
}

/// Adds the products of all features with each other.
fn add_gram(weight: f64, panel: &Panel<'_>, moment: &mut SymmetricSum) {
    let dim = moment.shape()[1];
    tiles::add(moment.tiles_mut(), weight, |tile, sum| {
        add_product((panel, panel), &Meeting::of(tile, tile.matrix * dim, 0, true), sum);
    });
}

#[cfg(test)]
mod tests;
