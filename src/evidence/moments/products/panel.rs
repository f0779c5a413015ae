//! The rows of a layer's inputs, feature by feature: what products are taken of.

use super::buffers::{Buffer, Buffers, Pooled};
use crate::linalg::{Part, Strip};
use rayon::prelude::*;
use std::ops::Range;

/// Runs of positions that are shorter are gathered into one before they are multiplied.
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

/// Values of an engine as they lie there.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, S> {
    pub(super) values: &'a [S],
    pub(super) layout: Layout,
}

/// Rows, feature by feature.
pub(super) struct Panel<'a, T: Pooled> {
    values: Values<'a, T>,
    /// The distance of features.
    stride: usize,
    /// The unbroken runs of positions, counted from a feature's first value.
    runs: Vec<Range<usize>>,
}

enum Values<'a, T: Pooled> {
    There(&'a [T]),
    Gathered(Buffer<'a, T>),
}

impl Layout {
    /// The number of rows.
    pub(super) fn rows(self) -> usize {
        self.blocks * self.positions
    }

    /// The number of values of a block.
    fn block(self) -> usize {
        self.features * self.positions
    }
}

impl<'a, S: Copy + Sync> Source<'a, S> {
    /// The same in parts of whole blocks, each of no more than so many values where a block has no more.
    pub(super) fn parts(self, most: usize) -> impl Iterator<Item = Source<'a, S>> {
        let Layout { features, positions, .. } = self.layout;
        let block = self.layout.block().max(1);
        let blocks = (most / block).max(1);
        self.values.chunks(blocks * block).map(move |values| {
            let layout = Layout { blocks: values.len() / block, features, positions };
            Source { values, layout }
        })
    }

    /// The values of a feature in a block.
    fn of(self, feature: usize, block: usize) -> &'a [S] {
        let first = (block * self.layout.features + feature) * self.layout.positions;
        &self.values[first..first + self.layout.positions]
    }
}

impl<'a, T: Pooled> Source<'a, T> {
    /// All rows where they lie, unless their runs are too short.
    pub(super) fn there(self) -> Option<Panel<'a, T>> {
        let Layout { blocks, positions, .. } = self.layout;
        let block = self.layout.block();
        (positions >= SHORT).then(|| Panel {
            values: Values::There(self.values),
            stride: positions,
            runs: (0..blocks).map(|at| at * block..at * block + positions).collect(),
        })
    }
}

impl<'a, T: Pooled> Panel<'a, T> {
    /// All rows, converted.
    pub(super) fn gathered<S: Copy + Sync>(
        source: Source<'_, S>,
        convert: impl Fn(S) -> T + Sync,
        buffers: &'a Buffers,
    ) -> Self {
        let Layout { blocks, positions, .. } = source.layout;
        Self::filled(source.layout, blocks * positions, buffers, |feature, block, target| {
            let target = &mut target[block * positions..(block + 1) * positions];
            target.iter_mut().zip(source.of(feature, block)).for_each(|(to, &from)| *to = convert(from));
        })
    }

    /// The rows at these positions of every block, shifted by `shift`, converted.
    pub(super) fn picked<S: Copy + Sync>(
        source: Source<'_, S>,
        at: &[usize],
        shift: isize,
        convert: impl Fn(S) -> T + Sync,
        buffers: &'a Buffers,
    ) -> Self {
        Self::filled(source.layout, source.layout.blocks * at.len(), buffers, |feature, block, target| {
            let values = source.of(feature, block);
            let target = &mut target[block * at.len()..(block + 1) * at.len()];
            for (to, &position) in target.iter_mut().zip(at) {
                *to = convert(values[position.wrapping_add_signed(shift)]);
            }
        })
    }

    /// These rows, counted over all blocks, converted.
    pub(super) fn drawn<S: Copy + Sync>(
        source: Source<'_, S>,
        rows: &[usize],
        convert: impl Fn(S) -> T + Sync,
        buffers: &'a Buffers,
    ) -> Self {
        let Layout { features, positions, .. } = source.layout;
        let mut panel = buffers.take(features * rows.len());
        panel.par_chunks_mut(rows.len().max(1)).enumerate().for_each(|(feature, target)| {
            for (to, row) in target.iter_mut().zip(rows) {
                *to = convert(source.of(feature, row / positions)[row % positions]);
            }
        });
        let run = 0..rows.len();
        Self { values: Values::Gathered(panel), stride: run.len(), runs: vec![run] }
    }

    /// All rows, converted, with zeros where `place` leaves some: a feature's lines of every block are `line` long, and
    /// begin at `lines` of a plane of its own.
    pub(super) fn padded<S: Copy + Sync>(
        source: Source<'_, S>,
        planes: &Planes,
        convert: impl Fn(S) -> T + Sync,
        buffers: &'a Buffers,
    ) -> Self {
        let Layout { blocks, features, .. } = source.layout;
        // The last block is followed by zeros, too.
        let stride = (blocks + 1) * planes.size;
        let mut panel = buffers.take(features * stride);
        panel.par_chunks_mut(stride.max(1)).enumerate().for_each(|(feature, target)| {
            target.fill(T::default());
            for block in 0..blocks {
                let plane = &mut target[block * planes.size..(block + 1) * planes.size];
                for (from, &at) in source.of(feature, block).chunks_exact(planes.line).zip(&planes.lines) {
                    plane[at..at + planes.line].iter_mut().zip(from).for_each(|(to, &from)| *to = convert(from));
                }
            }
        });
        let runs = (0..blocks).map(|block| block * planes.size..block * planes.size + planes.run).collect();
        Self { values: Values::Gathered(panel), stride, runs }
    }

    /// Rows that are `length` long, which `fill` writes block by block.
    fn filled(
        layout: Layout,
        length: usize,
        buffers: &'a Buffers,
        fill: impl Fn(usize, usize, &mut [T]) + Sync,
    ) -> Self {
        let mut panel = buffers.take(layout.features * length);
        panel.par_chunks_mut((TOGETHER * length).max(1)).enumerate().for_each(|(chunk, features)| {
            for block in 0..layout.blocks {
                for (feature, target) in features.chunks_exact_mut(length).enumerate() {
                    fill(chunk * TOGETHER + feature, block, target);
                }
            }
        });
        let run = 0..length;
        Self { values: Values::Gathered(panel), stride: length, runs: vec![run] }
    }

    fn strip(&self, features: &Range<usize>, run: &Range<usize>, shift: usize) -> Strip<'_, T> {
        let values: &[T] = match &self.values {
            Values::There(values) => values,
            Values::Gathered(values) => values,
        };
        let first = features.start * self.stride + run.start + shift;
        Strip { values: &values[first..], rows: features.len(), length: run.len(), stride: self.stride }
    }
}

/// Where the lines of a block go, with zeros between them.
pub(super) struct Planes {
    /// Of a block.
    pub(super) size: usize,
    /// The length of a line.
    pub(super) line: usize,
    /// Where they begin.
    pub(super) lines: Vec<usize>,
    /// From the beginning to behind the last line.
    pub(super) run: usize,
}

/// Which features of one panel meet which of another, and how far behind.
pub(super) struct Meeting {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// Every position of the first panel meets the position so far behind it in the second.
    pub(super) shift: usize,
    pub(super) part: Part,
}

/// Adds the products of two panels' features over all positions of the first panel's runs.
pub(super) fn add_product<T: Pooled>(
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
