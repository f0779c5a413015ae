//! Correlations over whole images, for all displacements of two phases at once.
//!
//! By the correlation theorem, `Σₚ y(p) z(p + d)ᵀ` over a tile that enough zeros follow is the inverse transform of the
//! products of the spectra, one for each frequency:
//!
//! ```text
//! R(d) = 1/N · Σ_f Re( conj(Y(f)) Z(f)ᵀ · exp(2πi f·d / N) )
//! ```
//!
//! In the place of one product for each position and displacement there are four for each frequency of half of them: for two
//! channels, 3 × 3 taps and 14 × 14 positions 512 in the place of 196 · 25. Only the few displacements that a window asks for are ever
//! computed back from a batch's products, and only they are kept. Pairs of positions that lie in different tiles are
//! multiplied one by one.

use super::buffers::Buffers;
use super::inverse::Inverse;
use super::panel::{Activations, Panel, Value};
use super::plan::{Correlation, Plan};
use super::spectra::{Spectra, Transform};
use super::tiling::{Channels, Scheme, Tiling};
use crate::evidence::moments::tiles::{self, Entry, Shape, Tile};
use crate::linalg::{self, Part};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;

/// Entries of a tile that are worked on at once: what belongs to them should stay in a second-level cache.
const ENTRIES: usize = 4096;

/// The sums of a plan's correlations that come out of spectra.
#[derive(Debug)]
pub(super) struct Displaced {
    channels: Channels,
    transform: Transform,
    pairs: Vec<Pair>,
    blocks: Vec<Block>,
    /// Of each correlation of the plan: its pair, and its place there.
    places: Vec<Option<(usize, usize)>>,
}

/// Two phases, and their correlations.
#[derive(Debug)]
struct Pair {
    phases: [usize; 2],
    displacements: Vec<Displacement>,
    inverse: Inverse,
    /// The first of its blocks.
    first: usize,
}

#[derive(Debug)]
struct Displacement {
    /// Positions that lie in other tiles than those that they meet.
    crossings: [Vec<usize>; 2],
    /// Whether the opposite one is wanted, too: that of a phase with itself says by symmetry what is above the diagonal.
    both_ways: bool,
}

/// A tile of all correlations of a pair.
#[derive(Debug)]
struct Block {
    pair: usize,
    /// Which part of which group's matrix.
    tile: Tile,
    /// Of each displacement.
    sums: Vec<Sum>,
}

#[derive(Debug)]
struct Sum {
    there: Tile,
    /// Of the opposite displacement.
    back: Option<Tile>,
}

/// The values at crossings, and those that they meet.
type Crossing<'a> = Option<[Panel<'a, f64>; 2]>;

impl Pair {
    fn shape(&self) -> Shape {
        if self.phases[0] == self.phases[1] { Shape::Symmetric } else { Shape::General }
    }
}

impl Displaced {
    pub(super) fn zeros(plan: &Plan, scheme: &Scheme, channels: Channels) -> Self {
        let transform = Transform::new(plan, &scheme.tiling);
        let mut places = vec![None; plan.correlations.len()];
        let mut members: BTreeMap<[usize; 2], Vec<usize>> = BTreeMap::new();
        for (index, correlation) in plan.correlations.iter().enumerate().filter(|(index, _)| scheme.spectral[*index]) {
            members.entry(correlation.phases).or_default().push(index);
        }
        let (mut pairs, mut blocks): (Vec<Pair>, Vec<Block>) = (Vec::new(), Vec::new());
        for (phases, members) in members {
            for (place, &index) in members.iter().enumerate() {
                places[index] = Some((pairs.len(), place));
            }
            let correlations: Vec<&Correlation> = members.iter().map(|&index| &plan.correlations[index]).collect();
            let displacements = correlations.iter().map(|of| displacement(plan, &scheme.tiling, of)).collect();
            let shifts: Vec<&[isize]> = correlations.iter().map(|of| of.shift.as_slice()).collect();
            let inverse = Inverse::new(&transform, &scheme.tiling, &shifts);
            let pair = Pair { phases, displacements, inverse, first: blocks.len() };
            let tiles = (0..channels.groups).flat_map(|group| tiles::zeros(group, channels.channels, pair.shape()));
            blocks.extend(tiles.map(|tile| Block::zeros(&pair, pairs.len(), tile)));
            pairs.push(pair);
        }
        Self { channels, transform, pairs, blocks, places }
    }

    /// The number of values that the spectra of so many samples have, with the positions that are multiplied one by one.
    pub(super) fn values(&self, samples: usize) -> usize {
        if self.pairs.is_empty() {
            return 0;
        }
        let channels = self.channels.all();
        let all = self.pairs.iter().flat_map(|pair| &pair.displacements);
        let crossings: usize = all.map(|displacement| 2 * displacement.crossings[0].len()).sum();
        self.transform.values(samples, channels) + crossings * samples * channels
    }

    /// The bytes of the sums.
    pub(super) fn kept(&self) -> usize {
        let sums = self.blocks.iter().flat_map(|block| &block.sums);
        sums.map(|sum| sum.there.bytes() + sum.back.as_ref().map_or(0, Tile::bytes)).sum()
    }

    /// Adds those of a batch, times `weight`.
    pub(super) fn add<V: Value<f64>>(&mut self, weight: f64, activations: Activations<'_, V>, buffers: &Buffers) {
        if self.pairs.is_empty() {
            return;
        }
        let spectra = self.transform.of(activations, buffers);
        let crossing = |displacement: &Displacement| {
            let panel = |at: &Vec<usize>| Panel::picked(activations, at, buffers);
            (!displacement.crossings[0].is_empty()).then(|| displacement.crossings.each_ref().map(panel))
        };
        let crossings: Vec<Vec<Crossing<'_>>> =
            self.pairs.iter().map(|pair| pair.displacements.iter().map(crossing).collect()).collect();
        let (pairs, channels) = (&self.pairs, self.channels);
        self.blocks.par_iter_mut().for_each(|block| {
            let (pair, crossings) = (&pairs[block.pair], &crossings[block.pair]);
            block.add(weight, pair, channels, &spectra, crossings, buffers);
        });
    }

    /// What an entry of a correlation of the plan has come to.
    pub(super) fn entry(&self, correlation: usize, group: usize, row: usize, column: usize) -> Entry {
        let Some((pair, place)) = self.places[correlation] else { return Entry::default() };
        let (pair, channels) = (&self.pairs[pair], self.channels.channels);
        let mirrored = pair.shape() == Shape::Symmetric && column > row;
        let (row, column) = if mirrored { (column, row) } else { (row, column) };
        let (tile, at) = tiles::place(channels, pair.shape(), row, column);
        let sum = &self.blocks[pair.first + group * tiles::count(channels, pair.shape()) + tile].sums[place];
        let tile = sum.back.as_ref().filter(|_| mirrored).unwrap_or(&sum.there);
        tile.entry(at)
    }

    pub(super) fn clear(&mut self) {
        for sum in self.blocks.iter_mut().flat_map(|block| &mut block.sums) {
            sum.there.clear();
            sum.back.iter_mut().for_each(Tile::clear);
        }
    }
}

fn displacement(plan: &Plan, tiling: &Tiling, correlation: &Correlation) -> Displacement {
    let crossings = plan.positions(correlation, |first, second| !tiling.together(first, second));
    Displacement { crossings, both_ways: correlation.is_of_one_phase() && !correlation.is_symmetric() }
}

impl Block {
    fn zeros(pair: &Pair, index: usize, tile: Tile) -> Self {
        let sum = |displacement: &Displacement| Sum {
            there: tile.clone(),
            back: displacement.both_ways.then(|| tile.clone()),
        };
        Self { pair: index, sums: pair.displacements.iter().map(sum).collect(), tile }
    }

    fn add(
        &mut self,
        weight: f64,
        pair: &Pair,
        channels: Channels,
        spectra: &Spectra<'_>,
        crossings: &[Crossing<'_>],
        buffers: &Buffers,
    ) {
        let Tile { matrix: group, rows, columns, .. } = &self.tile;
        let from = |first: usize, range: &Range<usize>| first + range.start..first + range.end;
        let of_phase =
            |side: usize, channels_there: &Range<usize>| from(pair.phases[side] * channels.all(), channels_there);
        let lower = pair.shape() == Shape::Symmetric && self.tile.is_diagonal();
        let at_once = (ENTRIES / columns.len().max(1)).max(1);
        for begin in rows.clone().step_by(at_once) {
            let rows = begin..rows.end.min(begin + at_once);
            // What is above the diagonal does not count.
            let columns = columns.start..if lower { rows.end } else { columns.end };
            let first = group * channels.channels;
            let (y, z) = (from(first, &rows), from(first, &columns));
            let displaced = pair.inverse.of(spectra, [of_phase(0, &y), of_phase(1, &z)], buffers);
            let mut one = buffers.double.take(y.len() * z.len());
            for (place, (sum, crossing)) in self.sums.iter_mut().zip(crossings).enumerate() {
                let mut add = |tile: &mut Tile, back: bool| {
                    displaced.write(place, back, &mut one);
                    if let Some([first, second]) = crossing {
                        let (first, second) = if back { (second, first) } else { (first, second) };
                        linalg::add_product(&mut one, first.strip(&y), second.strip(&z), Part::Whole);
                    }
                    let first = rows.start - tile.rows.start;
                    tile.add(weight, first, z.len(), &one);
                };
                add(&mut sum.there, false);
                sum.back.iter_mut().for_each(|tile| add(tile, true));
            }
        }
    }
}
