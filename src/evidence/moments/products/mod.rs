//! Second moments of values that an engine gives out, where its memory is the program's own.
//!
//! Symmetry halves the products; a convolution of stride 1 needs few correlations of its input (`plan.rs`) in the place of
//! the product of its patches. Every tile of a sum is computed by one thread in a fixed order, so that the number of
//! threads does not show.

mod correlations;
mod panel;
mod plan;

use super::SymmetricSum;
use super::tiles;
use crate::layers::{Unfold, Window};
use crate::linalg::{Factor, Part};
use crate::tensor::Tensor;
use correlations::Correlations;
use panel::{Layout, Meeting, Panel, add_product};
use plan::Plan;

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
        Self { given, features, correlations }
    }

    /// Adds the moment of a batch, times `weight`. `drawn`: the rows of it that count, where not all do.
    ///
    /// # Errors
    /// The shape, where the engine gave another than it must.
    pub(super) fn add(
        &mut self,
        weight: f64,
        value: &Tensor,
        drawn: Option<&[usize]>,
        moment: &mut SymmetricSum,
    ) -> Result<(), Vec<usize>> {
        let wrong = || value.shape().to_vec();
        let layout = self.layout(value.shape()).ok_or_else(wrong)?;
        match value {
            Tensor::Float32(values) => {
                let values = values.as_slice().ok_or_else(wrong)?;
                self.add_values(weight, (values, layout), drawn, f64::from, moment);
            }
            Tensor::Float64(values) => {
                let values = values.as_slice().ok_or_else(wrong)?;
                self.add_values(weight, (values, layout), drawn, |value| value, moment);
            }
            _ => return Err(wrong()),
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

    fn add_values<S: Copy + Sync, T: Factor>(
        &mut self,
        weight: f64,
        (values, layout): (&[S], Layout),
        drawn: Option<&[usize]>,
        convert: impl Fn(S) -> T + Sync + Copy,
        moment: &mut SymmetricSum,
    ) {
        if let Some(correlations) = &mut self.correlations {
            correlations.add(weight, values, layout, convert);
            return;
        }
        let panel = match drawn {
            None => Panel::gathered(values, layout, convert),
            Some(rows) => Panel::drawn(values, layout, rows, convert),
        };
        let dim = moment.shape()[1];
        tiles::add(moment.tiles_mut(), weight, |tile, sum, scratch| {
            let first = tile.matrix * dim;
            let part = if tile.is_diagonal() { Part::Lower } else { Part::Whole };
            let rows = first + tile.rows.start..first + tile.rows.end;
            let columns = first + tile.columns.start..first + tile.columns.end;
            add_product((&panel, &panel), &Meeting { rows, columns, shift: 0, part }, sum, scratch);
        });
    }
}

#[cfg(test)]
mod tests;
