//! The correlations of a convolution's input with itself, summed over batches, and the moment that they make.

use super::panel::{Layout, Meeting, Panel, add_product};
use super::plan::{Correlation, Plan, flat, positions};
use crate::evidence::moments::SymmetricSum;
use crate::evidence::moments::tiles::{self, Entry, Shape, Tile};
use crate::linalg::{Factor, Part};
use rayon::prelude::*;

/// Sums of the correlations of every group of channels.
pub(super) struct Correlations {
    plan: Plan,
    groups: usize,
    channels: usize,
    /// Of each correlation, its matrices of all groups.
    sums: Vec<Vec<Tile>>,
}

impl Correlations {
    pub(super) fn zeros(plan: Plan, groups: usize, channels: usize) -> Self {
        let zeros = |correlation: &Correlation| {
            (0..groups).flat_map(|group| tiles::zeros(group, channels, shape(correlation))).collect()
        };
        Self { groups, channels, sums: plan.correlations.iter().map(zeros).collect(), plan }
    }

    /// Adds those of a batch, `[samples, groups · channels, spatial…]`, times `weight`.
    pub(super) fn add<S: Copy + Sync, T: Factor>(
        &mut self,
        weight: f64,
        values: &[S],
        layout: Layout,
        convert: impl Fn(S) -> T + Sync + Copy,
    ) {
        let padded = self.plan.padded();
        let input = self.padded_panel(values, layout, convert);
        for (correlation, sums) in self.plan.correlations.iter().zip(&mut self.sums) {
            if correlation.is_whole(&self.plan.spatial) {
                let shift = flat(&correlation.shift, &padded) as usize;
                add_one(sums, weight, (&input, &input), shift, self.channels);
                continue;
            }
            let at = positions(&correlation.region, &self.plan.spatial);
            let shift = flat(&correlation.shift, &self.plan.spatial);
            let first = Panel::picked(values, layout, &at, 0, convert);
            let second = if shift == 0 { None } else { Some(Panel::picked(values, layout, &at, shift, convert)) };
            add_one(sums, weight, (&first, second.as_ref().unwrap_or(&first)), 0, self.channels);
        }
    }

    /// The input with zeros behind every line and every sample, feature by feature.
    fn padded_panel<S: Copy + Sync, T: Factor>(
        &self,
        values: &[S],
        layout: Layout,
        convert: impl Fn(S) -> T + Sync,
    ) -> Panel<'static, T> {
        let (spatial, padded) = (&self.plan.spatial, self.plan.padded());
        let plane: usize = padded.iter().product();
        let stride = layout.blocks * plane + plane;
        let line = spatial.last().copied().unwrap_or(1).max(1);
        let lines: Vec<usize> =
            (0..layout.positions / line).map(|index| padded_line(index, spatial, &padded)).collect();
        let mut panel = vec![T::default(); layout.features * stride];
        panel.par_chunks_mut(stride).enumerate().for_each(|(feature, target)| {
            for block in 0..layout.blocks {
                let first = (block * layout.features + feature) * layout.positions;
                let source = values[first..first + layout.positions].chunks_exact(line);
                for (source, at) in source.zip(&lines) {
                    let target = &mut target[block * plane + at..block * plane + at + line];
                    target.iter_mut().zip(source).for_each(|(to, &from)| *to = convert(from));
                }
            }
        });
        let runs = (0..layout.blocks).map(|block| block * plane..block * plane + self.plan.run()).collect();
        Panel::of_runs(panel, stride, runs)
    }

    /// Moves the sums into the moment that they make, and begins anew.
    pub(super) fn flush(&mut self, moment: &mut SymmetricSum) {
        let taps = self.plan.taps;
        let counts: Vec<usize> =
            self.plan.correlations.iter().map(|correlation| tiles::count(self.channels, shape(correlation))).collect();
        let entry = |group: usize, row: usize, column: usize| {
            let terms = &self.plan.terms[row % taps * taps + column % taps];
            terms.iter().fold(Entry::default(), |sum, term| {
                let (row, column) = (row / taps, column / taps);
                let (row, column) = if term.transposed { (column, row) } else { (row, column) };
                let shape = shape(&self.plan.correlations[term.correlation]);
                let (row, column) =
                    if shape == Shape::Symmetric { (row.max(column), row.min(column)) } else { (row, column) };
                let (tile, at) = tiles::place(self.channels, shape, row, column);
                let value = self.sums[term.correlation][group * counts[term.correlation] + tile].entry(at);
                if term.negative { sum.minus(value) } else { sum.plus(value) }
            })
        };
        moment.tiles_mut().par_iter_mut().for_each(|tile| {
            let group = tile.matrix;
            tile.update(
                |row, column, before| {
                    if column > row { before } else { before.plus(entry(group, row, column)) }
                },
            );
        });
        self.sums.iter_mut().flatten().for_each(Tile::clear);
        debug_assert_eq!(moment.shape()[0], self.groups);
    }
}

fn shape(correlation: &Correlation) -> Shape {
    if correlation.is_symmetric() { Shape::Symmetric } else { Shape::General }
}

/// Where a line of the input begins in the padded one.
fn padded_line(mut index: usize, spatial: &[usize], padded: &[usize]) -> usize {
    let mut at = vec![0_isize; spatial.len()];
    for axis in (0..spatial.len().saturating_sub(1)).rev() {
        at[axis] = (index % spatial[axis]) as isize;
        index /= spatial[axis];
    }
    flat(&at, padded) as usize
}

fn add_one<T: Factor>(
    sums: &mut [Tile],
    weight: f64,
    panels: (&Panel<'_, T>, &Panel<'_, T>),
    shift: usize,
    channels: usize,
) {
    let symmetric = std::ptr::eq(panels.0, panels.1) && shift == 0;
    tiles::add(sums, weight, |tile, sum, scratch| {
        let first = tile.matrix * channels;
        let part = if symmetric && tile.is_diagonal() { Part::Lower } else { Part::Whole };
        let rows = first + tile.rows.start..first + tile.rows.end;
        let columns = first + tile.columns.start..first + tile.columns.end;
        add_product(panels, &Meeting { rows, columns, shift, part }, sum, scratch);
    });
}
