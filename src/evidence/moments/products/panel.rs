//! The rows of a layer's inputs, feature by feature: what products are taken of.

use super::buffers::{Buffer, Buffers};
use super::patches::Patches;
use crate::evidence::moments::tiles::Tile;
use crate::linalg::{self, Part, Strip};
use rayon::prelude::*;
use std::ops::Range;

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

/// A type of numbers of which float64 loses nothing.
pub(super) trait Value: Copy + Into<f64> + Send + Sync {}

impl Value for f32 {}
impl Value for f64 {}

/// Values of an engine as they lie there.
#[derive(Clone, Copy)]
pub(super) struct Activations<'a, V> {
    pub(super) values: &'a [V],
    pub(super) layout: Layout,
}

/// Rows in float64, feature by feature.
pub(super) struct Panel<'a> {
    values: Buffer<'a>,
    /// The distance of features.
    stride: usize,
    /// The unbroken runs of positions, counted from a feature's first value.
    runs: Vec<Range<usize>>,
}

impl Layout {
    /// The number of values of a block.
    fn block(self) -> usize {
        self.features * self.positions
    }
}

impl<'a, V: Value> Activations<'a, V> {
    /// The same in parts of whole blocks, each of no more than so many values where a block has no more.
    pub(super) fn parts(self, most: usize) -> impl Iterator<Item = Activations<'a, V>> {
        let Layout { features, positions, .. } = self.layout;
        let block = self.layout.block().max(1);
        let blocks = (most / block).max(1);
        self.values.chunks(blocks * block).map(move |values| {
            let layout = Layout { blocks: values.len() / block, features, positions };
            Activations { values, layout }
        })
    }

    /// The values of a feature in a block.
    fn of(self, feature: usize, block: usize) -> &'a [V] {
        let first = (block * self.layout.features + feature) * self.layout.positions;
        &self.values[first..first + self.layout.positions]
    }
}

impl<'a> Panel<'a> {
    /// All rows.
    pub(super) fn gathered<V: Value>(activations: Activations<'_, V>, buffers: &'a Buffers) -> Self {
        let Layout { blocks, positions, .. } = activations.layout;
        Self::filled(activations.layout, blocks * positions, buffers, |feature, block, target| {
            let target = &mut target[block * positions..(block + 1) * positions];
            target.iter_mut().zip(activations.of(feature, block)).for_each(|(to, &from)| *to = from.into());
        })
    }

    /// The rows at these positions of every block, shifted by `shift`.
    pub(super) fn picked<V: Value>(
        activations: Activations<'_, V>,
        at: &[usize],
        shift: isize,
        buffers: &'a Buffers,
    ) -> Self {
        Self::filled(activations.layout, activations.layout.blocks * at.len(), buffers, |feature, block, target| {
            let values = activations.of(feature, block);
            let target = &mut target[block * at.len()..(block + 1) * at.len()];
            for (to, &position) in target.iter_mut().zip(at) {
                *to = values[position.wrapping_add_signed(shift)].into();
            }
        })
    }

    /// These rows, counted over all blocks.
    pub(super) fn drawn<V: Value>(activations: Activations<'_, V>, rows: &[usize], buffers: &'a Buffers) -> Self {
        let Layout { features, positions, .. } = activations.layout;
        let mut panel = buffers.take(features * rows.len());
        panel.par_chunks_mut(rows.len().max(1)).enumerate().for_each(|(feature, target)| {
            for (to, row) in target.iter_mut().zip(rows) {
                *to = activations.of(feature, row / positions)[row % positions].into();
            }
        });
        let run = 0..rows.len();
        Self { values: panel, stride: run.len(), runs: vec![run] }
    }

    /// All rows, with zeros between the lines of every block and behind it, where `planes` leaves room for them.
    pub(super) fn padded<V: Value>(activations: Activations<'_, V>, planes: &Planes, buffers: &'a Buffers) -> Self {
        let Layout { blocks, features, .. } = activations.layout;
        // The last block is followed by zeros, too.
        let stride = (blocks + 1) * planes.size;
        let mut panel = buffers.take(features * stride);
        panel.par_chunks_mut(stride.max(1)).enumerate().for_each(|(feature, target)| {
            target.fill(0.0);
            for block in 0..blocks {
                let plane = &mut target[block * planes.size..(block + 1) * planes.size];
                for (from, &at) in activations.of(feature, block).chunks_exact(planes.line).zip(&planes.lines) {
                    plane[at..at + planes.line].iter_mut().zip(from).for_each(|(to, &from)| *to = from.into());
                }
            }
        });
        let runs = (0..blocks).map(|block| block * planes.size..block * planes.size + planes.run).collect();
        Self { values: panel, stride, runs }
    }

    /// The patches that a window sees, tap by tap of each channel.
    pub(super) fn patches<V: Value>(activations: Activations<'_, V>, patches: &Patches, buffers: &'a Buffers) -> Self {
        let taps = patches.taps.len();
        let layout =
            Layout { features: activations.layout.features * taps, positions: patches.positions, ..activations.layout };
        Self::filled(layout, layout.blocks * layout.positions, buffers, |feature, block, target| {
            let values = activations.of(feature / taps, block);
            let target = &mut target[block * layout.positions..(block + 1) * layout.positions];
            target.fill(0.0);
            for line in &patches.taps[feature % taps] {
                let seen = values[line.at..].iter().step_by(line.step);
                let target = &mut target[line.first..line.first + line.count];
                target.iter_mut().zip(seen).for_each(|(to, &from)| *to = from.into());
            }
        })
    }

    /// Rows that are `length` long, which `fill` writes block by block.
    fn filled(
        layout: Layout,
        length: usize,
        buffers: &'a Buffers,
        fill: impl Fn(usize, usize, &mut [f64]) + Sync,
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
        Self { values: panel, stride: length, runs: vec![run] }
    }

    fn strip(&self, features: &Range<usize>, run: &Range<usize>, shift: usize) -> Strip<'_> {
        let first = features.start * self.stride + run.start + shift;
        Strip { values: &self.values[first..], rows: features.len(), length: run.len(), stride: self.stride }
    }
}

/// Where the lines of a block go, with zeros between them.
#[derive(Debug)]
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
    rows: Range<usize>,
    columns: Range<usize>,
    /// Every position of the first panel meets the position so far behind it in the second.
    shift: usize,
    part: Part,
}

impl Meeting {
    /// For a tile of a matrix whose first row and column belong to `first`. `symmetric`: whether half of a tile on the
    /// diagonal says all of it.
    pub(super) fn of(tile: &Tile, first: usize, shift: usize, symmetric: bool) -> Self {
        let features = |range: &Range<usize>| first + range.start..first + range.end;
        let part = if symmetric && tile.is_diagonal() { Part::Lower } else { Part::Whole };
        Self { rows: features(&tile.rows), columns: features(&tile.columns), shift, part }
    }
}

/// Adds the products of two panels' features over all positions of the first panel's runs.
pub(super) fn add_product((a, b): (&Panel<'_>, &Panel<'_>), meeting: &Meeting, sum: &mut [f64]) {
    for run in &a.runs {
        let (a, b) = (a.strip(&meeting.rows, run, 0), b.strip(&meeting.columns, run, meeting.shift));
        linalg::add_product(sum, a, b, meeting.part);
    }
}
