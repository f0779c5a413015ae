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
use crate::layers::{Unfold, Window};
use crate::linalg::Part;
use correlations::Correlations;
use panel::{Layout, Meeting, Panel, Source, Value, add_product};
use patches::Patches;
use plan::Plan;
use std::ops::Range;

pub(super) use buffers::Buffers;

/// The most values that are gathered at once: 64 MB.
const PANEL: usize = 1 << 23;

/// How an engine gives the rows of a source.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given {
    /// `[…, d]`: one row after another.
    Rows,
    /// `[samples, groups · d, positions…]`: the features of a sample one after another.
    Features,
    /// The input of a convolution, `[samples, groups · channels, spatial…]`, whose patches are taken here.
    Patches(Box<Window>, Vec<usize>),
}

/// What is summed of a source.
pub(super) struct Products {
    given: Given,
    /// Features of all groups.
    features: usize,
    /// How the patches of a convolution are multiplied.
    patches: Option<Way>,
}

/// Ways to the moment of patches.
enum Way {
    Correlations(Correlations),
    Gathered(Patches),
}

impl Given {
    /// The value of a source as it is, where its rows need no engine.
    pub(super) fn as_it_is(unfold: &Unfold, shape: &[usize]) -> Option<Self> {
        match unfold {
            Unfold::Vectors(vectors) => vectors.is_last_axis().then_some(Self::Rows),
            Unfold::Patches(window) if window.is_pointwise() => Some(Self::Features),
            Unfold::Patches(window) => {
                let spatial = shape.get(2..)?;
                Patches::of(window, spatial).map(|_| Self::Patches(Box::new(window.clone()), spatial.to_vec()))
            }
        }
    }

    /// Whether the rows are made here and not by the engine, so that none can be left out.
    pub(super) fn makes_rows(&self) -> bool {
        matches!(self, Self::Patches(..))
    }
}

impl Products {
    pub(super) fn new(unfold: &Unfold, given: Given) -> Self {
        let (groups, dim) = (unfold.groups(), unfold.dim());
        let (patches, features) = match &given {
            Given::Patches(window, spatial) => {
                let plan = Plan::of(window, spatial);
                let correlations =
                    plan.map(|plan| Way::Correlations(Correlations::zeros(plan, groups, window.channels)));
                let gathered = || Patches::of(window, spatial).map(Way::Gathered);
                (correlations.or_else(gathered), groups * window.channels)
            }
            Given::Rows | Given::Features => (None, groups * dim),
        };
        Self { given, features, patches }
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
            Numbers::Float32(values) => self.add_values(weight, Source { values, layout }, drawn, moment, buffers),
            Numbers::Float64(values) => self.add_values(weight, Source { values, layout }, drawn, moment, buffers),
            Numbers::Other => return Err(shown.shape.clone()),
        }
        Ok(())
    }

    /// Moves what is kept here into the moment.
    pub(super) fn flush(&mut self, moment: &mut SymmetricSum) {
        if let Some(Way::Correlations(correlations)) = &mut self.patches {
            correlations.flush(moment);
        }
    }

    fn layout(&self, shape: &[usize]) -> Option<Layout> {
        let features = self.features;
        let count: usize = shape.iter().product();
        let (blocks, positions) = match &self.given {
            Given::Rows => (count / features, 1),
            Given::Features => (*shape.first()?, shape.get(2..)?.iter().product()),
            Given::Patches(_, spatial) => {
                let fits = shape.get(2..)? == spatial.as_slice();
                (*shape.first().filter(|_| fits)?, spatial.iter().product())
            }
        };
        (blocks * features * positions == count).then_some(Layout { blocks, features, positions })
    }

    fn add_values<S: Value>(
        &mut self,
        weight: f64,
        source: Source<'_, S>,
        drawn: Option<&[usize]>,
        moment: &mut SymmetricSum,
        buffers: &Buffers,
    ) {
        match (&mut self.patches, drawn) {
            (Some(Way::Correlations(correlations)), _) => correlations.add(weight, source, buffers),
            (Some(Way::Gathered(patches)), _) => {
                let growth = patches.taps.len() * patches.positions / source.layout.positions.max(1);
                for part in source.parts(PANEL / growth.max(1)) {
                    add_gram(weight, &Panel::patches(part, patches, buffers), moment);
                }
            }
            (None, Some(rows)) => add_gram(weight, &Panel::drawn(source, rows, buffers), moment),
            (None, None) => {
                for part in source.parts(PANEL) {
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
        let part = if tile.is_diagonal() { Part::Lower } else { Part::Whole };
        let of_group = |range: &Range<usize>| tile.matrix * dim + range.start..tile.matrix * dim + range.end;
        let meeting = Meeting { rows: of_group(&tile.rows), columns: of_group(&tile.columns), shift: 0, part };
        add_product((panel, panel), &meeting, sum);
    });
}

#[cfg(test)]
mod tests;
