//! Second moments of values that an engine gives out, where its memory is the program's own.
//!
//! Symmetry halves the products; a convolution of stride 1 needs few correlations of its input (`plan.rs`) in the place of
//! the product of its patches. Every tile of a sum is computed by one thread in a fixed order, so that the number of
//! threads does not show.

mod buffers;
mod correlations;
mod panel;
mod plan;

use super::SymmetricSum;
use super::tiles;
use crate::engine::{Numbers, Shown};
use crate::layers::{Unfold, Window};
use crate::linalg::Part;
use buffers::Pooled;
use correlations::Correlations;
use panel::{Layout, Meeting, Panel, Source, add_product};
use plan::Plan;
use std::ops::Range;

pub(super) use buffers::Buffers;

/// The most bytes of rows that are gathered at once.
const PANEL: usize = 1 << 25;

/// How an engine gives the rows of a source.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given {
    /// `[…, d]`: one row after another.
    Rows,
    /// `[samples, groups · d, positions…]`: the features of a sample one after another.
    Features,
    /// `[groups, d, rows]`.
    Columns,
    /// The input of a convolution, `[samples, groups · channels, spatial…]`, whose patches are taken here.
    Patches(Box<Window>, Vec<usize>),
}

/// What is summed of a source.
pub(super) struct Products {
    given: Given,
    /// Features of all groups.
    features: usize,
    correlations: Option<Correlations>,
    single: bool,
}

impl Given {
    /// The value of a source as it is, where its rows need no engine.
    pub(super) fn as_it_is(unfold: &Unfold, shape: &[usize]) -> Option<Self> {
        match unfold {
            Unfold::Vectors(vectors) => vectors.is_last_axis().then_some(Self::Rows),
            Unfold::Patches(window) if window.is_pointwise() => Some(Self::Features),
            Unfold::Patches(window) => {
                Plan::of(window, shape.get(2..)?)?;
                Some(Self::Patches(Box::new(window.clone()), shape[2..].to_vec()))
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
        let (correlations, features) = match &given {
            Given::Patches(window, spatial) => {
                let plan = Plan::of(window, spatial);
                let correlations = plan.map(|plan| Correlations::zeros(plan, groups, window.channels));
                (correlations, groups * window.channels)
            }
            Given::Rows | Given::Features | Given::Columns => (None, groups * dim),
        };
        let single = std::env::var_os("SINGLE").is_some();
        Self { given, features, correlations, single }
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
            Numbers::Float32(values) if self.single => {
                self.add_values(weight, Source { values, layout }, drawn, |value| value, Source::there, moment, buffers);
            }
            Numbers::Float32(values) => {
                self.add_values(weight, Source { values, layout }, drawn, f64::from, |_| None, moment, buffers);
            }
            Numbers::Float64(values) => {
                self.add_values(weight, Source { values, layout }, drawn, |value| value, Source::there, moment, buffers);
            }
            Numbers::Other => return Err(shown.shape.clone()),
        }
        Ok(())
    }

    /// Moves what is kept here into the moment.
    pub(super) fn flush(&mut self, moment: &mut SymmetricSum) {
        if let Some(correlations) = &mut self.correlations {
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
            Given::Columns => (1, *shape.last()?),
        };
        (blocks * features * positions == count).then_some(Layout { blocks, features, positions })
    }

    fn add_values<'a, S: Copy + Sync, T: Pooled>(
        &mut self,
        weight: f64,
        source: Source<'a, S>,
        drawn: Option<&[usize]>,
        convert: impl Fn(S) -> T + Sync + Copy,
        there: impl Fn(Source<'a, S>) -> Option<Panel<'a, T>>,
        moment: &mut SymmetricSum,
        buffers: &'a Buffers,
    ) {
        if let Some(correlations) = &mut self.correlations {
            correlations.add(weight, source, convert, buffers);
            return;
        }
        if let Some(rows) = drawn {
            add_gram(weight, &Panel::drawn(source, rows, convert, buffers), moment);
            return;
        }
        if let Some(panel) = there(source) {
            add_gram(weight, &panel, moment);
            return;
        }
        for part in source.parts(PANEL / size_of::<T>()) {
            add_gram(weight, &Panel::gathered(part, convert, buffers), moment);
        }
    }
}

/// Adds the products of all features with each other.
fn add_gram<T: Pooled>(weight: f64, panel: &Panel<'_, T>, moment: &mut SymmetricSum) {
    let dim = moment.shape()[1];
    tiles::add(moment.tiles_mut(), weight, |tile, sum, scratch| {
        let part = if tile.is_diagonal() { Part::Lower } else { Part::Whole };
        let of_group = |range: &Range<usize>| tile.matrix * dim + range.start..tile.matrix * dim + range.end;
        let meeting = Meeting { rows: of_group(&tile.rows), columns: of_group(&tile.columns), shift: 0, part };
        add_product((panel, panel), &meeting, sum, scratch);
    });
}

#[cfg(test)]
mod tests;
