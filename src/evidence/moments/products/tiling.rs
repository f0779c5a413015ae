//! Which correlations of a plan are taken through spectra, and of which tiles of the input: what takes least.
//!
//! All numbers are float64 operations of one sample and one group of channels; only their ratios matter.

use super::plan::{Correlation, Plan};
use std::collections::BTreeMap;

/// Samples of a batch, as far as what they share is concerned.
const SAMPLES: f64 = 16.0;

/// What a product takes whatever its size, in operations.
const CALL: f64 = 50_000.0;

/// What moving a value takes, in operations of products.
const MOVE: f64 = 40.0;

/// What an operation of products of spectra takes, in those of long products: their rows are few.
const SHORT: f64 = 1.6;

/// The most values that spectra have at once: 128 MB. Of fewer samples the sums would be written more often.
pub(super) const SPECTRA: usize = 1 << 24;

/// An axis is cut into no more tiles.
const MOST_TILES: usize = 8;

/// Tiles of equal extents that cover every phase of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tiling {
    /// The extents of a tile.
    pub(super) tile: Vec<usize>,
    /// How many there are along each axis.
    pub(super) counts: Vec<usize>,
    /// The extents of a tile's transform: so many zeros follow that no displacement leads around.
    pub(super) lengths: Vec<usize>,
}

/// How the correlations of a plan are taken.
#[derive(Clone, Debug)]
pub(super) struct Scheme {
    pub(super) tiling: Tiling,
    /// Of each correlation, whether it comes out of spectra.
    pub(super) spectral: Vec<bool>,
}

/// One group's channels among all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channels {
    pub(super) groups: usize,
    /// Of one group.
    pub(super) channels: usize,
}

impl Channels {
    /// Those of all groups.
    pub(super) fn all(self) -> usize {
        self.groups * self.channels
    }
}

impl Tiling {
    /// The number of tiles.
    pub(super) fn count(&self) -> usize {
        self.counts.iter().product()
    }

    /// The number of values of a tile's transform.
    pub(super) fn points(&self) -> usize {
        self.lengths.iter().product()
    }

    /// What transforming a tile takes: a product for each axis, the last one first, and moving what comes out.
    fn transform(&self) -> f64 {
        let mut values: usize = self.tile.iter().product();
        let mut cost = 2.0 * MOVE * self.points() as f64;
        for (tile, length) in self.tile.iter().zip(&self.lengths).rev() {
            cost += 2.0 * (values * length) as f64;
            values = values / tile * length;
        }
        cost
    }

    /// Whether two positions lie in the same tile.
    pub(super) fn together(&self, first: &[usize], second: &[usize]) -> bool {
        self.tile.iter().zip(first.iter().zip(second)).all(|(tile, (first, second))| first / tile == second / tile)
    }

    /// How many positions of a correlation lie in another tile than those that they meet.
    fn crossings(&self, correlation: &Correlation) -> usize {
        let axes = correlation.region.iter().zip(&correlation.shift).zip(&self.tile);
        let together = axes.map(|((&(from, to), &shift), tile)| {
            (from..to).filter(|at| at / tile == at.wrapping_add_signed(shift) / tile).count()
        });
        correlation.count() - together.product::<usize>()
    }

    /// Every one that might be the best for a plan.
    pub(super) fn all(plan: &Plan) -> Vec<Self> {
        let none = Self { tile: Vec::new(), counts: Vec::new(), lengths: Vec::new() };
        plan.reach().iter().enumerate().fold(vec![none], |tilings, (axis, reach)| {
            let extent = plan.phases.iter().map(|phase| phase.extents[axis]).max().unwrap_or(0).max(1);
            let mut tiles: Vec<usize> = (1..=extent.min(MOST_TILES)).map(|count| extent.div_ceil(count)).collect();
            tiles.dedup();
            let with = |tiling: &Self, tile: usize| {
                let mut tiling = tiling.clone();
                tiling.tile.push(tile);
                tiling.counts.push(extent.div_ceil(tile));
                tiling.lengths.push(tile + reach);
                tiling
            };
            tilings.iter().flat_map(|tiling| tiles.iter().map(move |&tile| with(tiling, tile))).collect()
        })
    }
}

impl Scheme {
    /// The scheme that takes least, if it takes less than the products of `positions` patches.
    pub(super) fn of(plan: &Plan, channels: Channels, positions: usize) -> Option<Self> {
        let patch = (plan.taps * channels.channels) as f64;
        let patches = positions as f64 * patch * (patch + MOVE);
        let (scheme, cost) = Self::best(plan, channels)?;
        (cost < patches).then_some(scheme)
    }

    /// The scheme that takes least, and what it takes.
    pub(super) fn best(plan: &Plan, channels: Channels) -> Option<(Self, f64)> {
        let all = Tiling::all(plan).into_iter().map(|tiling| Self::with(plan, channels, tiling));
        all.min_by(|(_, first), (_, second)| first.total_cmp(second))
    }

    fn with(plan: &Plan, channels: Channels, tiling: Tiling) -> (Self, f64) {
        let Channels { groups, channels } = channels;
        let (points, tiles) = (tiling.points() as f64, tiling.count() as f64);
        // Features of all phases and groups share a batch's spectra.
        let features = (plan.phases.len() * channels) as f64;
        let per_part = (SPECTRA as f64 / (features * groups as f64 * points * tiles)).clamp(1.0, SAMPLES);
        let square = (channels * channels) as f64;
        let blocks = channels.div_ceil(super::tiles::side(channels)).pow(2) as f64;
        let mut pairs: BTreeMap<[usize; 2], Vec<usize>> = BTreeMap::new();
        let mut spectral = vec![false; plan.correlations.len()];
        let mut cost = 0.0;
        for (index, correlation) in plan.correlations.iter().enumerate() {
            if plan.is_whole(correlation) {
                pairs.entry(correlation.phases).or_default().push(index);
            } else {
                cost += direct(correlation, correlation.count(), channels);
            }
        }
        for (phases, members) in pairs {
            // Half of the frequencies say all, and so does half of a product of something with itself.
            let (halves, of) = (points / 2.0, if phases[0] == phases[1] { square / 2.0 } else { square });
            let inverse = 4.0 * members.len() as f64 / per_part;
            let products = SHORT * of * halves * (8.0 * tiles + inverse) + blocks * halves * CALL / SAMPLES;
            let crossing = |&index: &usize| {
                let correlation = &plan.correlations[index];
                direct(correlation, tiling.crossings(correlation), channels)
            };
            let through_spectra: f64 = products + members.iter().map(crossing).sum::<f64>();
            let one_by_one: f64 = members
                .iter()
                .map(|&index| direct(&plan.correlations[index], plan.correlations[index].count(), channels))
                .sum();
            if through_spectra < one_by_one {
                for &index in &members {
                    spectral[index] = true;
                }
            }
            cost += through_spectra.min(one_by_one);
        }
        if spectral.contains(&true) {
            cost += features * tiles * tiling.transform();
        }
        (Self { tiling, spectral }, cost)
    }
}

/// The products of so many positions with those that they meet.
fn direct(correlation: &Correlation, count: usize, channels: usize) -> f64 {
    let (count, channels) = (count as f64, channels as f64);
    let (products, panels) = if correlation.is_symmetric() { (1.0, 1.0) } else { (2.0, 2.0) };
    let call = if count > 0.0 { CALL / SAMPLES } else { 0.0 };
    count * channels * (products * channels + panels * MOVE) + call
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Padding, Window};

    fn plan(size: usize) -> Plan {
        let (ones, same) = (vec![1; 2], Padding::SameUpper);
        let window = Window {
            groups: 1,
            channels: 1,
            kernel: vec![3; 2],
            strides: ones.clone(),
            dilations: ones,
            padding: same,
        };
        Plan::of(&window, &[size, size]).unwrap()
    }

    #[test]
    fn small_images_are_one_tile_and_large_ones_are_cut() {
        let best = |size, channels| Scheme::best(&plan(size), Channels { groups: 1, channels }).unwrap().0.tiling;
        assert_eq!(best(7, 512), Tiling { tile: vec![7; 2], counts: vec![1; 2], lengths: vec![9; 2] });
        assert_eq!(best(14, 256).lengths, [16; 2]);
        let large = best(224, 64);
        assert!(large.counts.iter().all(|&count| count > 1) && large.points() < 10_000, "{large:?}");
    }

    #[test]
    fn a_single_channel_is_left_to_the_patches() {
        let channels = |channels| Channels { groups: 64, channels };
        assert!(Scheme::of(&plan(14), channels(1), 14 * 14).is_none());
        assert!(Scheme::of(&plan(14), channels(64), 14 * 14).is_some());
    }

    #[test]
    fn crossings_are_the_pairs_of_positions_that_tiles_part() {
        let plan = plan(10);
        for tiling in Tiling::all(&plan) {
            for correlation in &plan.correlations {
                let apart = plan.positions(correlation, |first, second| !tiling.together(first, second));
                assert_eq!(tiling.crossings(correlation), apart[0].len());
            }
        }
    }
}
