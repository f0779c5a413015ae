//! The correlations of a convolution's input with itself, summed over batches, and the moment that they make.

use super::buffers::Buffers;
use super::displaced::Displaced;
use super::panel::{Activations, Meeting, Panel, Value, add_product};
use super::plan::{Correlation, Plan};
use super::tiling::{Channels, SPECTRA, Scheme};
use crate::evidence::moments::SymmetricSum;
use crate::evidence::moments::tiles::{self, Entry, Shape, Tile};
use rayon::prelude::*;

/// Sums of the correlations of every group of channels.
#[derive(Debug)]
pub(in crate::evidence::moments) struct Correlations {
    plan: Plan,
    channels: Channels,
    /// Those over whole images, as far as spectra take less than the products themselves.
    displaced: Displaced,
    /// Of each correlation of the plan, where it is not among those.
    others: Vec<Option<Other>>,
}

/// A correlation whose positions are multiplied one by one: those of an edge, mostly.
#[derive(Debug)]
struct Other {
    /// The positions in the input, and those that they meet.
    positions: [Vec<usize>; 2],
    shape: Shape,
    /// Group by group.
    sums: Vec<Tile>,
}

impl Correlations {
    pub(super) fn zeros(plan: Plan, scheme: &Scheme, channels: Channels) -> Self {
        let other = |(correlation, spectral): (&Correlation, &bool)| {
            (!spectral).then(|| Other::zeros(&plan, correlation, channels))
        };
        let others = plan.correlations.iter().zip(&scheme.spectral).map(other).collect();
        Self { displaced: Displaced::zeros(&plan, scheme, channels), plan, channels, others }
    }

    /// The number of channels of all groups, and the spatial extents of the input.
    pub(super) fn input(&self) -> (usize, &[usize]) {
        (self.channels.all(), &self.plan.spatial)
    }

    /// The bytes that [`add`](Self::add) takes meanwhile for so many samples.
    pub(super) fn room(&self, samples: usize) -> usize {
        let others = self.others.iter().flatten().map(|other| other.panels() * self.channels.all() * samples);
        // As many of those are under way as there are threads.
        let others = others.max().unwrap_or(0).saturating_mul(rayon::current_num_threads());
        size_of::<f64>() * others.max(self.displaced.values(samples.min(self.samples())))
    }

    /// How many samples' spectra are taken at once.
    fn samples(&self) -> usize {
        (SPECTRA / self.displaced.values(1).max(1)).max(1)
    }

    /// The bytes of the sums.
    pub(super) fn kept(&self) -> usize {
        let others = self.others.iter().flatten().flat_map(|other| &other.sums);
        self.displaced.kept() + others.map(Tile::bytes).sum::<usize>()
    }

    /// Adds those of a batch, `[samples, groups · channels, spatial…]`, times `weight`.
    pub(super) fn add<V: Value<f64>>(&mut self, weight: f64, activations: Activations<'_, V>, buffers: &Buffers) {
        let (channels, spatial) = self.input();
        let sample = channels * spatial.iter().product::<usize>();
        // Equal parts: a small one at the end would take nearly as long as a large one.
        let samples = activations.layout.blocks;
        let part = samples.div_ceil(samples.div_ceil(self.samples()).max(1));
        for part in activations.parts(part * sample) {
            self.displaced.add(weight, part, buffers);
        }
        let channels = self.channels;
        let others = self.others.par_iter_mut().flatten();
        others.for_each(|other| other.add(weight, activations, channels, buffers));
    }

    /// Moves the sums into the moment that they make, and begins anew.
    pub(super) fn flush(&mut self, moment: &mut SymmetricSum) {
        let taps = self.plan.taps;
        let entry = |group: usize, row: usize, column: usize| {
            let terms = &self.plan.terms[row % taps * taps + column % taps];
            terms.iter().fold(Entry::default(), |sum, term| {
                let (row, column) = (row / taps, column / taps);
                let (row, column) = if term.transposed { (column, row) } else { (row, column) };
                let value = self.entry(term.correlation, group, row, column);
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
        self.displaced.clear();
        self.others.iter_mut().flatten().flat_map(|other| &mut other.sums).for_each(Tile::clear);
    }

    fn entry(&self, correlation: usize, group: usize, row: usize, column: usize) -> Entry {
        match &self.others[correlation] {
            Some(other) => other.entry(self.channels, group, row, column),
            None => self.displaced.entry(correlation, group, row, column),
        }
    }
}

impl Other {
    fn zeros(plan: &Plan, correlation: &Correlation, channels: Channels) -> Self {
        let shape = if correlation.is_symmetric() { Shape::Symmetric } else { Shape::General };
        let zeros = |group| tiles::zeros(group, channels.channels, shape);
        let sums = (0..channels.groups).flat_map(zeros).collect();
        Self { positions: plan.positions(correlation, |_, _| true), shape, sums }
    }

    /// The number of values of a channel that are gathered of a sample.
    fn panels(&self) -> usize {
        self.positions[0].len() * if self.shape == Shape::Symmetric { 1 } else { 2 }
    }

    fn add<V: Value<f64>>(
        &mut self,
        weight: f64,
        activations: Activations<'_, V>,
        channels: Channels,
        buffers: &Buffers,
    ) {
        let [first, second] = &self.positions;
        let panel = |at: &[usize]| Panel::picked(activations, at, buffers);
        let (first, second) = (panel(first), (self.shape == Shape::General).then(|| panel(second)));
        tiles::add(&mut self.sums, &mut [], weight, |tile, sum, _: Option<&mut ()>| {
            let meeting = Meeting::of(tile, tile.matrix * channels.channels, second.is_none());
            add_product((&first, second.as_ref().unwrap_or(&first)), &meeting, sum);
        });
    }

    fn entry(&self, channels: Channels, group: usize, row: usize, column: usize) -> Entry {
        let (row, column) =
            if self.shape == Shape::Symmetric { (row.max(column), row.min(column)) } else { (row, column) };
        let (tile, at) = tiles::place(channels.channels, self.shape, row, column);
        self.sums[group * tiles::count(channels.channels, self.shape) + tile].entry(at)
    }
}
