//! The rows of a layer's inputs, feature by feature: what products are taken of.

use crate::linalg::{Factor, Strip};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// Positions that are fewer are gathered before they are multiplied: a product pays only where rows are long.
const SHORT: usize = 48;

/// Features that are gathered together, so that what one reads for a feature is still at hand for the next.
const TOGETHER: usize = 16;

/// How values lie in memory: `[blocks, features, positions]`. A row is what all features have at one position of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Samples of a convolution; single rows where a row lies in one piece.
    pub(super) blocks: usize,
    /// Those of all groups.
    pub(super) features: usize,
    /// Within a block.
    pub(super) positions: usize,
}

/// Rows, feature by feature.
pub(super) struct Panel<'a, T: Clone> {
    values: Cow<'a, [T]>,
    /// The distance of features.
    stride: usize,
    /// The unbroken runs of positions, counted from a feature's first value.
    runs: Vec<Range<usize>>,
}

impl Layout {
    /// The number of rows.
    pub(super) fn rows(self) -> usize {
        self.blocks * self.positions
    }
}

impl<'a, T: Factor> Panel<'a, T> {
    /// All rows, where they lie.
    pub(super) fn borrowed(values: &'a [T], layout: Layout) -> Self {
        if layout.positions < SHORT && layout.blocks > 1 {
            return Self::gathered(values, layout, |value| value);
        }
        let block = layout.features * layout.positions;
        let runs = (0..layout.blocks).map(|at| at * block..at * block + layout.positions).collect();
        Self { values: Cow::Borrowed(values), stride: layout.positions, runs }
    }
}

impl<T: Factor> Panel<'_, T> {
    /// All rows, converted.
    pub(super) fn gathered<S: Copy + Sync>(values: &[S], layout: Layout, convert: impl Fn(S) -> T + Sync) -> Self {
        let Layout { features, positions, .. } = layout;
        Self::filled(layout, layout.rows(), |feature, block, target| {
            let first = (block * features + feature) * positions;
            let target = &mut target[block * positions..(block + 1) * positions];
            target.iter_mut().zip(&values[first..first + positions]).for_each(|(to, &from)| *to = convert(from));
        })
    }

    /// The rows at these positions of every block, shifted by `shift`, converted.
    pub(super) fn picked<S: Copy + Sync>(
        values: &[S],
        layout: Layout,
        at: &[usize],
        shift: isize,
        convert: impl Fn(S) -> T + Sync,
    ) -> Self {
        let Layout { features, positions, .. } = layout;
        Self::filled(layout, layout.blocks * at.len(), |feature, block, target| {
            let first = (block * features + feature) * positions;
            let target = &mut target[block * at.len()..(block + 1) * at.len()];
            for (to, &position) in target.iter_mut().zip(at) {
                *to = convert(values[first + position.wrapping_add_signed(shift)]);
            }
        })
    }

    /// These rows, counted over all blocks, converted.
    pub(super) fn drawn<S: Copy + Sync>(
        values: &[S],
        layout: Layout,
        rows: &[usize],
        convert: impl Fn(S) -> T + Sync,
    ) -> Self {
        let Layout { features, positions, .. } = layout;
        let mut panel = vec![T::default(); features * rows.len()];
        panel.par_chunks_mut(rows.len().max(1)).enumerate().for_each(|(feature, target)| {
            for (to, row) in target.iter_mut().zip(rows) {
                let (block, position) = (row / positions, row % positions);
                *to = convert(values[(block * features + feature) * positions + position]);
            }
        });
        Self::whole(panel, rows.len())
    }

    /// Rows that are `length` long, which `fill` writes block by block.
    fn filled(layout: Layout, length: usize, fill: impl Fn(usize, usize, &mut [T]) + Sync) -> Self {
        let mut panel = vec![T::default(); layout.features * length];
        panel.par_chunks_mut((TOGETHER * length).max(1)).enumerate().for_each(|(chunk, features)| {
            for block in 0..layout.blocks {
                for (feature, target) in features.chunks_exact_mut(length).enumerate() {
                    fill(chunk * TOGETHER + feature, block, target);
                }
            }
        });
        Self::whole(panel, length)
    }

    /// Features of `stride` values, of which those in `runs` count.
    pub(super) fn of_runs(values: Vec<T>, stride: usize, runs: Vec<Range<usize>>) -> Self {
        Self { values: Cow::Owned(values), stride, runs }
    }

    fn whole(values: Vec<T>, length: usize) -> Self {
        Self::of_runs(values, length, vec![0..length])
    }

    fn strip(&self, features: &Range<usize>, run: &Range<usize>, shift: usize) -> Strip<'_, T> {
        let first = features.start * self.stride + run.start + shift;
        Strip { values: &self.values[first..], rows: features.len(), length: run.len(), stride: self.stride }
    }
}

/// Which features of one panel meet which of another, and how far behind.
pub(super) struct Meeting {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// Every position of the first panel meets the position so far behind it in the second.
    pub(super) shift: usize,
    pub(super) part: crate::linalg::Part,
}

/// Adds the products of two panels' features over all positions of the first panel's runs.
pub(super) fn add_product<T: Factor>(
    (a, b): (&Panel<'_, T>, &Panel<'_, T>),
    meeting: &Meeting,
    sum: &mut [f64],
    scratch: &mut Vec<f32>,
) {
    for run in &a.runs {
        let (a, b) = (a.strip(&meeting.rows, run, 0), b.strip(&meeting.columns, run, meeting.shift));
        T::add_product(sum, a, b, meeting.part, scratch);
    }
}
