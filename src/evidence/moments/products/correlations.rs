//! The correlations of a convolution's input with itself, summed over batches, and the moment that they make.

use super::buffers::Buffers;
use super::panel::{Activations, Meeting, Number, Panel, Planes, Value, add_product};
use super::plan::{Correlation, Plan, flat, positions};
use super::rounding::Known;
use crate::evidence::moments::SymmetricSum;
use crate::evidence::moments::tiles::{self, Entry, Shape, Tile};
use ndarray::Dimension;
use rayon::prelude::*;

/// Sums of the correlations of every group of channels.
#[derive(Debug)]
pub(in crate::evidence::moments) struct Correlations {
    plan: Plan,
    groups: usize,
    channels: usize,
    planes: Planes,
    /// The tiles of every correlation's matrices, those of a correlation group by group.
    sums: Vec<Tile>,
    /// Where those of a correlation begin.
    first: Vec<usize>,
}

impl Correlations {
    pub(super) fn zeros(plan: Plan, groups: usize, channels: usize) -> Self {
        let (mut sums, mut first) = (Vec::new(), Vec::new());
        for (index, correlation) in plan.correlations.iter().enumerate() {
            first.push(sums.len());
            let zeros = |group| tiles::zeros(index * groups + group, channels, shape(correlation));
            sums.extend((0..groups).flat_map(zeros));
        }
        Self { planes: planes(&plan), plan, groups, channels, sums, first }
    }

    /// The number of channels of all groups, and the spatial extents of the input.
    pub(super) fn input(&self) -> (usize, &[usize]) {
        (self.groups * self.channels, &self.plan.spatial)
    }

    /// The bytes that [`add`](Self::add) takes meanwhile for so many samples.
    pub(super) fn room(&self, samples: usize) -> usize {
        let edge = |correlation: &Correlation| {
            let panels = if correlation.is_symmetric() { 1 } else { 2 };
            if correlation.is_whole(&self.plan.spatial) { 0 } else { panels * correlation.count() * samples }
        };
        let edges: usize = self.plan.correlations.iter().map(edge).sum();
        size_of::<f64>() * self.groups * self.channels * ((samples + 1) * self.planes.size + edges)
    }

    /// The bytes of the sums.
    pub(super) fn kept(&self) -> usize {
        let entries: usize = self.sums.iter().map(|tile| tile.rows.len() * tile.columns.len()).sum();
        size_of::<Entry>() * entries
    }

    /// Entries of the tiles that are worth float32: those of correlations over the whole input.
    pub(super) fn known(&self) -> Vec<Option<Known>> {
        let whole = |correlation: &Correlation| correlation.is_whole(&self.plan.spatial);
        let known = |(index, tile): (usize, &Tile)| {
            let correlation = &self.plan.correlations[tile.matrix / self.groups];
            whole(correlation).then(|| Known::of(index, tile, self.groups, shape(correlation)))
        };
        self.sums.iter().enumerate().map(known).collect()
    }

    /// How many features of the moment come from a channel.
    pub(super) fn taps(&self) -> usize {
        self.plan.taps
    }

    /// Adds those of a batch, `[samples, groups · channels, spatial…]`, times `weight`, in the arithmetic of T but for the edges.
    pub(super) fn add<T: Number, V: Value<T> + Value<f64>>(
        &mut self,
        weight: f64,
        activations: Activations<'_, V>,
        known: &mut [Option<Known>],
        buffers: &Buffers,
    ) {
        let Self { plan, groups, channels, planes, sums, .. } = self;
        let whole = Panel::<T>::padded(activations, planes, buffers);
        let edge = |correlation: &Correlation| {
            (!correlation.is_whole(&plan.spatial)).then(|| Edge::new(correlation, plan, activations, buffers))
        };
        let edges: Vec<Option<Edge<'_>>> = plan.correlations.iter().map(edge).collect();
        let padded = plan.padded();
        tiles::add(sums, known, weight, |tile, sum, known| {
            let (index, group) = (tile.matrix / *groups, tile.matrix % *groups);
            let correlation = &plan.correlations[index];
            let meeting = |shift| Meeting::of(tile, group * *channels, shift, correlation.is_symmetric());
            if let Some(edge) = &edges[index] {
                add_product((&edge.first, edge.second.as_ref().unwrap_or(&edge.first)), &meeting(0), sum);
                return;
            }
            let meeting = meeting(flat(&correlation.shift, &padded).unsigned_abs());
            add_product((&whole, &whole), &meeting, sum);
            if let Some(Some(known)) = known {
                known.compare(weight, (&whole, &whole), (tile, &meeting), sum);
            }
        });
    }

    /// Moves the sums into the moment that they make, and begins anew.
    pub(super) fn flush(&mut self, moment: &mut SymmetricSum) {
        let taps = self.plan.taps;
        let entry = |group: usize, row: usize, column: usize| {
            let terms = &self.plan.terms[row % taps * taps + column % taps];
            terms.iter().fold(Entry::default(), |sum, term| {
                let (row, column) = (row / taps, column / taps);
                let (row, column) = if term.transposed { (column, row) } else { (row, column) };
                let shape = shape(&self.plan.correlations[term.correlation]);
                let (row, column) =
                    if shape == Shape::Symmetric { (row.max(column), row.min(column)) } else { (row, column) };
                let (tile, at) = tiles::place(self.channels, shape, row, column);
                let first = self.first[term.correlation] + group * tiles::count(self.channels, shape);
                let value = self.sums[first + tile].entry(at);
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
        self.sums.iter_mut().for_each(Tile::clear);
    }
}

fn shape(correlation: &Correlation) -> Shape {
    if correlation.is_symmetric() { Shape::Symmetric } else { Shape::General }
}

/// The positions of an edge, and those that they meet, where they do not meet themselves.
struct Edge<'a> {
    first: Panel<'a, f64>,
    second: Option<Panel<'a, f64>>,
}

impl<'a> Edge<'a> {
    fn new<V: Value<f64>>(
        correlation: &Correlation,
        plan: &Plan,
        activations: Activations<'_, V>,
        buffers: &'a Buffers,
    ) -> Self {
        let at = positions(&correlation.region, &plan.spatial);
        let shift = flat(&correlation.shift, &plan.spatial);
        let panel = |shift| Panel::picked(activations, &at, shift, buffers);
        Self { first: panel(0), second: (!correlation.is_symmetric()).then(|| panel(shift)) }
    }
}

/// Where the lines of a padded input are.
fn planes(plan: &Plan) -> Planes {
    let padded = plan.padded();
    let (line, before) = plan.spatial.split_last().map_or((1, &[][..]), |(line, before)| (*line, before));
    let begin = |at: ndarray::IxDyn| {
        let at: Vec<isize> = at.as_array_view().iter().map(|&at| at as isize).chain([0]).collect();
        flat(&at, &padded).unsigned_abs()
    };
    let lines = ndarray::indices(before.to_vec()).into_iter().map(begin).collect();
    Planes { size: padded.iter().product(), line: line.max(1), lines, run: plan.run() }
}
