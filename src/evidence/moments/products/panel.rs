//! The rows of a layer's inputs, feature by feature: what products are taken of.

use super::buffers::{Buffer, Buffers, Pool};
use super::patches::Patches;
use super::rounding::pieces;
use crate::evidence::moments::tiles::Tile;
use crate::linalg::{self, Part, Strip};
use rayon::prelude::*;
use std::ops::Range;

/// Features that are gathered together, so that what one reads for a feature is still at hand for the next.
const TOGETHER: usize = 16;

/// Rows that are turned together: a cache line of float64 for each feature.
const ROWS: usize = 8;

/// How values lie in memory: `[blocks, features, positions]`. A row is what all features have at one position of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Samples of a convolution; single rows where a row lies in one piece.
    pub(super) blocks: usize,
    /// Those of all groups.
    pub(super) features: usize,
    /// Within a block.
    pub(super) positions: usize,
    /// How many blocks make a sample.
    pub(super) together: usize,
}

/// A type of numbers of which a panel of `T` loses nothing.
pub(super) trait Value<T>: Copy + Into<T> + Send + Sync {}

impl<T, V: Copy + Into<T> + Send + Sync> Value<T> for V {}

/// A type of numbers that panels hold.
pub(super) trait Number: Copy + Default + Into<f64> + Send + Sync + 'static {
    /// Where its buffers are.
    fn pool(buffers: &Buffers) -> &Pool<Self>;
    /// Adds the product of two strips, of which a sample has so many elements.
    fn add_product(sum: &mut [f64], a: Strip<'_, Self>, b: Strip<'_, Self>, part: Part, sample: usize);
}

impl Number for f64 {
    fn pool(buffers: &Buffers) -> &Pool<Self> {
        &buffers.double
    }

    fn add_product(sum: &mut [f64], a: Strip<'_, Self>, b: Strip<'_, Self>, part: Part, _: usize) {
        linalg::add_product(sum, a, b, part);
    }
}

impl Number for f32 {
    fn pool(buffers: &Buffers) -> &Pool<Self> {
        &buffers.single
    }

    fn add_product(sum: &mut [f64], a: Strip<'_, Self>, b: Strip<'_, Self>, part: Part, sample: usize) {
        linalg::add_product_in_pieces(sum, a, b, part, pieces(a.length, sample));
    }
}

/// Values of an engine as they lie there.
#[derive(Clone, Copy)]
pub(super) struct Activations<'a, V> {
    pub(super) values: &'a [V],
    pub(super) layout: Layout,
}

/// Rows, feature by feature.
pub(super) struct Panel<'a, T> {
    values: Buffer<'a, T>,
    /// The number of rows.
    length: usize,
    /// How many of them belong to one sample.
    sample: usize,
}

impl Layout {
    /// The number of values of a block.
    fn block(self) -> usize {
        self.features * self.positions
    }
}

impl<'a, V: Copy> Activations<'a, V> {
    /// The same in parts of whole samples, each of no more than so many values where a sample has no more.
    pub(super) fn parts(self, most: usize) -> impl Iterator<Item = Activations<'a, V>> {
        let block = self.layout.block().max(1);
        let sample = block * self.layout.together.max(1);
        let samples = (most / sample).max(1);
        self.values.chunks(samples * sample).map(move |values| {
            let layout = Layout { blocks: values.len() / block, ..self.layout };
            Activations { values, layout }
        })
    }

    /// The values of a feature in a block.
    pub(super) fn of(self, feature: usize, block: usize) -> &'a [V] {
        let first = (block * self.layout.features + feature) * self.layout.positions;
        &self.values[first..first + self.layout.positions]
    }
}

impl<'a, T: Number> Panel<'a, T> {
    /// All rows.
    pub(super) fn gathered<V: Value<T>>(activations: Activations<'_, V>, buffers: &'a Buffers) -> Self {
        let Layout { blocks, positions, .. } = activations.layout;
        if positions == 1 {
            return Self::turned(activations, buffers);
        }
        Self::filled(activations.layout, blocks * positions, buffers, |feature, block, target| {
            let target = &mut target[block * positions..(block + 1) * positions];
            target.iter_mut().zip(activations.of(feature, block)).for_each(|(to, &from)| *to = from.into());
        })
    }

    /// All rows, where each lies in one piece: a few of them at a time, so that both what is read and what is written lies
    /// side by side.
    fn turned<V: Value<T>>(activations: Activations<'_, V>, buffers: &'a Buffers) -> Self {
        let Layout { blocks, features, together, .. } = activations.layout;
        let mut panel = T::pool(buffers).take(features * blocks);
        panel.par_chunks_mut((TOGETHER * blocks).max(1)).enumerate().for_each(|(chunk, targets)| {
            let mut turned = [[T::default(); ROWS]; TOGETHER];
            for (part, rows) in activations.values.chunks(ROWS * features).enumerate() {
                for (at, row) in rows.chunks_exact(features).enumerate() {
                    let values = turned.iter_mut().zip(&row[chunk * TOGETHER..]);
                    values.for_each(|(to, &value)| to[at] = value.into());
                }
                for (target, values) in targets.chunks_exact_mut(blocks).zip(&turned) {
                    let target = target[part * ROWS..].iter_mut().zip(values);
                    target.for_each(|(to, &value)| *to = value);
                }
            }
        });
        Self { values: panel, length: blocks, sample: together }
    }

    /// The rows at these positions of every block.
    pub(super) fn picked<V: Value<T>>(activations: Activations<'_, V>, at: &[usize], buffers: &'a Buffers) -> Self {
        Self::filled(activations.layout, activations.layout.blocks * at.len(), buffers, |feature, block, target| {
            let values = activations.of(feature, block);
            let target = &mut target[block * at.len()..(block + 1) * at.len()];
            for (to, &position) in target.iter_mut().zip(at) {
                *to = values[position].into();
            }
        })
    }

    /// These rows, counted over all blocks.
    pub(super) fn drawn<V: Value<T>>(activations: Activations<'_, V>, rows: &[usize], buffers: &'a Buffers) -> Self {
        let Layout { features, positions, .. } = activations.layout;
        let mut panel = T::pool(buffers).take(features * rows.len());
        panel.par_chunks_mut(rows.len().max(1)).enumerate().for_each(|(feature, target)| {
            for (to, row) in target.iter_mut().zip(rows) {
                *to = activations.of(feature, row / positions)[row % positions].into();
            }
        });
        Self { values: panel, length: rows.len(), sample: rows.len() }
    }

    /// The patches that a window sees, tap by tap of each channel.
    pub(super) fn patches<V: Value<T>>(
        activations: Activations<'_, V>,
        patches: &Patches,
        buffers: &'a Buffers,
    ) -> Self {
        let taps = patches.taps.len();
        let Layout { blocks, features, together, .. } = activations.layout;
        let layout = Layout { blocks, features: features * taps, positions: patches.positions, together };
        Self::filled(layout, layout.blocks * layout.positions, buffers, |feature, block, target| {
            let values = activations.of(feature / taps, block);
            let target = &mut target[block * layout.positions..(block + 1) * layout.positions];
            target.fill(T::default());
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
        fill: impl Fn(usize, usize, &mut [T]) + Sync,
    ) -> Self {
        let mut panel = T::pool(buffers).take(layout.features * length);
        panel.par_chunks_mut((TOGETHER * length).max(1)).enumerate().for_each(|(chunk, features)| {
            for block in 0..layout.blocks {
                for (feature, target) in features.chunks_exact_mut(length).enumerate() {
                    fill(chunk * TOGETHER + feature, block, target);
                }
            }
        });
        let sample = length / layout.blocks.max(1) * layout.together;
        Self { values: panel, length, sample }
    }

    /// What some features have in all rows.
    pub(super) fn strip(&self, features: &Range<usize>) -> Strip<'_, T> {
        Strip::of_rows(&self.values[features.start * self.length..], features.len(), self.length)
    }
}

/// Which features of one panel meet which of another.
pub(super) struct Meeting {
    rows: Range<usize>,
    columns: Range<usize>,
    part: Part,
}

impl Meeting {
    /// For a tile of a matrix whose first row and column belong to `first`. `symmetric`: whether half of a tile on the
    /// diagonal says all of it.
    pub(super) fn of(tile: &Tile, first: usize, symmetric: bool) -> Self {
        let features = |range: &Range<usize>| first + range.start..first + range.end;
        let part = if symmetric && tile.is_diagonal() { Part::Lower } else { Part::Whole };
        Self { rows: features(&tile.rows), columns: features(&tile.columns), part }
    }
}

impl Meeting {
    /// The product of one of the features that meet with another, in float64.
    pub(super) fn product<T: Number>(&self, (a, b): (&Panel<'_, T>, &Panel<'_, T>), row: usize, column: usize) -> f64 {
        let row = self.rows.start + row..self.rows.start + row + 1;
        let column = self.columns.start + column..self.columns.start + column + 1;
        dot(&a.strip(&row).values[..a.length], &b.strip(&column).values[..b.length])
    }
}

/// In several sums side by side, which take less time than one.
fn dot<T: Number>(a: &[T], b: &[T]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, b) = (a.chunks(8), b.chunks(8));
    for (a, b) in a.zip(b) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            let (a, b): (f64, f64) = (a.into(), b.into());
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// Adds the products of two panels' features over all rows.
pub(super) fn add_product<T: Number>((a, b): (&Panel<'_, T>, &Panel<'_, T>), meeting: &Meeting, sum: &mut [f64]) {
    T::add_product(sum, a.strip(&meeting.rows), b.strip(&meeting.columns), meeting.part, a.sample);
}
