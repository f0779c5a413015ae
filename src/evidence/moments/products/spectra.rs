//! Discrete Fourier transforms of the tiles of a convolution's input.
//!
//! Tiles are so small that the definition, a product with the matrix of cosines and sines for each axis, takes less time than
//! a fast transform: it runs at the speed of matrix products. What comes out are sums with a cosine or a sine along each
//! axis; a complex exponential is a product of `cos − i sin` of all axes, so each of its parts is a few of those sums.
//! Of real values half of the frequencies say all: X(−f) is the conjugate of X(f).

use super::buffers::{Buffer, Buffers};
use super::panel::{Activations, Value};
use super::patches::Line;
use super::plan::Plan;
use super::tiling::Tiling;
use crate::linalg::{self, Order, Strip};
use ndarray::Dimension;
use rayon::prelude::*;
use std::f64::consts::TAU;
use std::ops::{DerefMut, Range};

/// Values that are transformed at once: they and what becomes of them should stay in a second-level cache.
const TOGETHER: usize = 1 << 14;

/// Features that are laid side by side at once: a line of a cache.
const SIDE_BY_SIDE: usize = 8;

/// One of two frequencies f and −f.
#[derive(Clone, Debug)]
pub(super) struct Frequency {
    /// Of each axis.
    pub(super) at: Vec<usize>,
    /// Whether f and −f are the same.
    pub(super) is_its_own_mirror: bool,
    /// What its real part is made of, and its imaginary one.
    parts: [Vec<Term>; 2],
}

/// A sum with a cosine or a sine along each axis.
#[derive(Clone, Copy, Debug)]
struct Term {
    sum: usize,
    sign: f64,
}

/// The transform of tiles.
#[derive(Debug)]
pub(super) struct Transform {
    pub(super) frequencies: Vec<Frequency>,
    /// Of each axis.
    axes: Vec<Axis>,
    /// Of each phase and each tile: its lines in the input.
    lines: Vec<Vec<Vec<Line>>>,
}

/// The sums along one axis.
#[derive(Debug)]
struct Axis {
    /// Positions of a tile.
    extent: usize,
    /// The length of the transform, and the number of sums.
    length: usize,
    /// `[length, extent]`; along the last axis `[extent, length]`.
    matrix: Vec<f64>,
}

/// The spectra of a batch's tiles, `[frequencies, 2, rows, features]`: a row is one tile of one sample; the real parts of all
/// rows come before their imaginary ones. Features are the channels of the first phase, then those of the next.
pub(super) struct Spectra<'a> {
    values: Buffer<'a, f64>,
    rows: usize,
    features: usize,
}

/// Complex numbers of some features and all rows.
pub(super) struct Complex<'a> {
    /// Real parts, then imaginary ones.
    pub(super) both: Strip<'a, f64>,
    pub(super) real: Strip<'a, f64>,
    pub(super) imaginary: Strip<'a, f64>,
}

impl Transform {
    pub(super) fn new(plan: &Plan, tiling: &Tiling) -> Self {
        let last = tiling.tile.len() - 1;
        let axes = tiling.tile.iter().zip(&tiling.lengths).enumerate();
        Self {
            frequencies: half_of_the_frequencies(&tiling.lengths),
            axes: axes.map(|(axis, (&extent, &length))| Axis::new(extent, length, axis == last)).collect(),
            lines: (0..plan.phases.len()).map(|phase| lines_of_tiles(plan, phase, tiling)).collect(),
        }
    }

    /// The number of values that the spectra of so many samples of so many channels have, while they are made.
    pub(super) fn values(&self, samples: usize, channels: usize) -> usize {
        (2 * self.stride(samples * self.tiles())).saturating_mul(self.lines.len() * channels)
    }

    /// The spectra of all features of a batch.
    pub(super) fn of<'a, V: Value<f64>>(&self, activations: Activations<'_, V>, buffers: &'a Buffers) -> Spectra<'a> {
        let (features, rows) =
            (self.lines.len() * activations.layout.features, activations.layout.blocks * self.tiles());
        let stride = self.stride(rows);
        let by_feature = self.by_feature(activations, stride, buffers);
        // What is multiplied at one frequency lies together, the features side by side: products take it as it is.
        let mut values = buffers.double.take(2 * self.frequencies.len() * rows * features);
        values.par_chunks_mut((2 * rows * features).max(1)).enumerate().for_each(|(frequency, values)| {
            for first in (0..features).step_by(SIDE_BY_SIDE) {
                let some = first..features.min(first + SIDE_BY_SIDE);
                let from = |feature: usize| &by_feature[feature * stride + 2 * rows * frequency..][..2 * rows];
                let mut sources: [&[f64]; SIDE_BY_SIDE] = [&[]; SIDE_BY_SIDE];
                some.clone().zip(&mut sources).for_each(|(feature, source)| *source = from(feature));
                for (row, values) in values.chunks_exact_mut(features).enumerate() {
                    values[some.clone()].iter_mut().zip(sources).for_each(|(to, source)| *to = source[row]);
                }
            }
        });
        Spectra { values, rows, features }
    }

    /// The same as `[features, frequencies, 2, rows]`, features so far apart.
    fn by_feature<'a, V: Value<f64>>(
        &self,
        activations: Activations<'_, V>,
        stride: usize,
        buffers: &'a Buffers,
    ) -> Buffer<'a, f64> {
        let (channels, tiles) = (activations.layout.features, self.tiles());
        let rows = activations.layout.blocks * tiles;
        let points: usize = self.axes.iter().map(|axis| axis.length).product();
        let together = (TOGETHER / points.max(1)).max(1);
        let mut values = buffers.double.take(self.lines.len() * channels * stride);
        values.par_chunks_mut(stride.max(1)).enumerate().for_each(|(feature, spectra)| {
            let (phase, channel) = (feature / channels, feature % channels);
            // No step makes more values of a tile than it has points.
            let mut work = [(); 2].map(|()| buffers.double.take(together.min(rows) * points));
            for from in (0..rows).step_by(together) {
                let part = from..rows.min(from + together);
                let of_row = |row: usize| (activations.of(channel, row / tiles), &self.lines[phase][row % tiles]);
                let filled = self.fill(part.clone().map(of_row), &mut work[0]);
                let sums = self.transform(part.len(), filled, &mut work);
                self.write(part, rows, sums, spectra);
            }
        });
        values
    }

    fn tiles(&self) -> usize {
        self.lines.first().map_or(0, Vec::len)
    }

    /// From one feature's spectra to the next one's. Odd in lines of a cache, so that features do not all fall into the same
    /// places of it.
    fn stride(&self, rows: usize) -> usize {
        (2 * self.frequencies.len() * rows).next_multiple_of(16) + 8
    }

    /// Writes the tiles of some rows, `[other axes…, rows, last axis]`. Returns the number of values.
    fn fill<'v, V: Value<f64> + 'v>(
        &self,
        rows: impl ExactSizeIterator<Item = (&'v [V], &'v Vec<Line>)>,
        to: &mut [f64],
    ) -> usize {
        let count = rows.len();
        let extents: usize = self.axes.iter().map(|axis| axis.extent).product();
        let width = self.axes.last().map_or(1, |axis| axis.extent);
        to[..count * extents].fill(0.0);
        for (row, (values, lines)) in rows.enumerate() {
            for line in lines {
                let first = (line.first * count + row) * width;
                let seen = values[line.at..].iter().step_by(line.step);
                to[first..first + line.count].iter_mut().zip(seen).for_each(|(to, &from)| *to = from.into());
            }
        }
        count * extents
    }

    /// Makes of the first `values` values of the first buffer, those of so many rows, their sums, `[axes…, rows]`.
    fn transform<'w, B: DerefMut<Target = [f64]>>(
        &self,
        rows: usize,
        values: usize,
        work: &'w mut [B; 2],
    ) -> &'w [f64] {
        let [first, second] = work;
        let (mut from, mut to): (&mut [f64], &mut [f64]) = (first, second);
        let Some((last, others)) = self.axes.split_last() else { return &from[..0] };
        let lines = values / last.extent.max(1);
        let mut values = lines * last.length;
        let of_lines = Strip::of_rows(from, lines, last.extent);
        linalg::combinations(&mut to[..values], of_lines, &last.matrix);
        // From here on rows lie side by side, so that nothing steps.
        let mut inner = rows * last.length;
        let lines = to[..values].chunks_exact(inner.max(1));
        for (line, turned) in lines.zip(from.chunks_exact_mut(inner.max(1))) {
            turn(line, turned, last.length);
        }
        for axis in others.iter().rev() {
            let (before, after) = (axis.extent * inner, axis.length * inner);
            let parts = from[..values].chunks_exact(before.max(1));
            for (part, sums) in parts.zip(to.chunks_exact_mut(after.max(1))) {
                linalg::combinations(sums, Strip::of_rows(&axis.matrix, axis.length, axis.extent), part);
            }
            values = values / before.max(1) * after;
            inner = after;
            std::mem::swap(&mut from, &mut to);
        }
        &from[..values]
    }

    /// Writes the complex numbers of some of `all` rows that are made of these sums.
    fn write(&self, rows: Range<usize>, all: usize, sums: &[f64], spectra: &mut [f64]) {
        let parts = self.frequencies.iter().flat_map(|frequency| &frequency.parts);
        for (terms, part) in parts.zip(spectra.chunks_exact_mut(all)) {
            let part = &mut part[rows.clone()];
            part.fill(0.0);
            for term in terms {
                let sums = &sums[term.sum * rows.len()..(term.sum + 1) * rows.len()];
                part.iter_mut().zip(sums).for_each(|(part, sum)| *part += term.sign * sum);
            }
        }
    }
}

impl Axis {
    fn new(extent: usize, length: usize, is_last: bool) -> Self {
        let sum = |sum: usize, at: usize| {
            let (times, is_sine) = if sum <= length / 2 { (sum, false) } else { (sum - length / 2, true) };
            let angle = TAU * (times * at % length) as f64 / length as f64;
            if is_sine { angle.sin() } else { angle.cos() }
        };
        let matrix = if is_last {
            (0..extent).flat_map(|at| (0..length).map(move |index| sum(index, at))).collect()
        } else {
            (0..length).flat_map(|index| (0..extent).map(move |at| sum(index, at))).collect()
        };
        Self { extent, length, matrix }
    }
}

impl Spectra<'_> {
    /// What features have at a frequency, in all rows.
    pub(super) fn at(&self, frequency: usize, features: &Range<usize>) -> Complex<'_> {
        let first = 2 * frequency * self.rows * self.features + features.start;
        let some = |row: usize, length: usize| Strip {
            values: &self.values[first + row * self.features..],
            rows: features.len(),
            length,
            order: Order::Columns,
            stride: self.features,
        };
        Complex { both: some(0, 2 * self.rows), real: some(0, self.rows), imaginary: some(self.rows, self.rows) }
    }
}

/// Makes the rows of a matrix columns.
fn turn(from: &[f64], to: &mut [f64], width: usize) {
    let rows = from.len() / width.max(1);
    for (column, to) in to.chunks_exact_mut(rows.max(1)).enumerate() {
        to.iter_mut().zip(from[column..].iter().step_by(width)).for_each(|(to, &from)| *to = from);
    }
}

/// A position, counted element by element in row-major order.
fn flat(at: &[usize], extents: &[usize]) -> usize {
    at.iter().zip(extents).fold(0, |flat, (at, extent)| flat * extent + at)
}

fn half_of_the_frequencies(lengths: &[usize]) -> Vec<Frequency> {
    let frequency = |at: ndarray::IxDyn| {
        let at = at.slice().to_vec();
        let mirrored: Vec<usize> = at.iter().zip(lengths).map(|(at, length)| (length - at) % length).collect();
        let is_half = flat(&at, lengths) <= flat(&mirrored, lengths);
        is_half.then(|| Frequency { is_its_own_mirror: at == mirrored, parts: parts(&at, lengths), at })
    };
    ndarray::indices(lengths.to_vec()).into_iter().filter_map(frequency).collect()
}

/// The product of `cos − i sin` over all axes: one term for each choice of a cosine or a sine along each.
fn parts(at: &[usize], lengths: &[usize]) -> [Vec<Term>; 2] {
    // Index, number of sines, sign. −f has the cosine of f, and its sine with the other sign.
    let mut products = vec![(Vec::new(), 0_usize, 1.0)];
    for (&at, &length) in at.iter().zip(lengths) {
        let (times, sign) = if at <= length / 2 { (at, 1.0) } else { (length - at, -1.0) };
        let has_sine = times > 0 && 2 * times != length;
        let choices = [(times, 0, 1.0), (length / 2 + times, 1, sign)];
        let with = |(indices, sines, product): &(Vec<usize>, usize, f64)| {
            let (indices, sines, product) = (indices.clone(), *sines, *product);
            choices.into_iter().filter(move |(_, sine, _)| *sine == 0 || has_sine).map(move |(index, sine, sign)| {
                let mut indices = indices.clone();
                indices.push(index);
                (indices, sines + sine, product * sign)
            })
        };
        products = products.iter().flat_map(with).collect();
    }
    let of = |odd: bool| {
        let term = |(indices, sines, sign): &(Vec<usize>, usize, f64)| {
            let sum = flat(indices, lengths);
            // Of (−i)ⁿ for n sines.
            let turned = if [1, 2].contains(&(sines % 4)) { -1.0 } else { 1.0 };
            (sines % 2 == usize::from(odd)).then_some(Term { sum, sign: sign * turned })
        };
        products.iter().filter_map(term).collect()
    };
    [of(false), of(true)]
}

/// Of each tile the lines that a phase has there; where each goes is counted in lines of a tile.
fn lines_of_tiles(plan: &Plan, phase: usize, tiling: &Tiling) -> Vec<Vec<Line>> {
    let last = tiling.tile.len() - 1;
    let lines = |tile: ndarray::IxDyn| {
        let begin: Vec<usize> = tile.slice().iter().zip(&tiling.tile).map(|(at, extent)| at * extent).collect();
        let extents = plan.phases[phase].extents.iter().zip(&begin).zip(&tiling.tile);
        let mut here: Vec<usize> = extents.map(|((all, begin), tile)| all.saturating_sub(*begin).min(*tile)).collect();
        let count = std::mem::replace(&mut here[last], 1);
        let line = |at: ndarray::IxDyn| {
            let at = at.slice();
            let first = flat(&at[..last], &tiling.tile[..last]);
            let position: Vec<usize> = begin.iter().zip(at).map(|(begin, at)| begin + at).collect();
            Line { first, count, at: plan.flat(phase, &position), step: plan.strides[last] }
        };
        ndarray::indices(here).into_iter().map(line).filter(|line| line.count > 0).collect()
    };
    ndarray::indices(tiling.counts.clone()).into_iter().map(lines).collect()
}
