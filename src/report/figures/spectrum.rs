//! How the energy of a layer's inputs is spread over directions, and how much of each the correction keeps.

use crate::linalg::{Alpha, Scaling};
use serde::Serialize;

/// Directions that are listed: enough for a curve.
const MOST_DIRECTIONS: usize = 200;

/// The inputs of a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spectrum {
    /// The layer's weight.
    pub weight: String,
    /// The number of directions.
    pub directions: usize,
    /// How strongly it was corrected; nothing where it stays or was computed anew.
    pub alpha: Option<Alpha>,
    /// Of how many directions at least half is kept.
    pub mostly_kept: Option<usize>,
    /// Some of the directions, those of most energy first, denser where they differ more.
    pub listed: Vec<Direction>,
}

/// A direction of a layer's inputs: an eigenvector of their second moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Direction {
    /// Its place by energy, from 1.
    pub rank: usize,
    /// Its share of the energy, the mean over groups.
    pub energy: f64,
    /// The share of it that the correction keeps, the mean over groups; nothing without a correction.
    pub kept: Option<f64>,
}

impl Spectrum {
    /// Of all energies of each group, the largest first.
    pub fn of(weight: String, alpha: Option<Alpha>, scaling: &dyn Scaling, groups: &[Vec<f64>]) -> Self {
        let directions = groups.iter().map(Vec::len).max().unwrap_or(0);
        let mean = |rank: usize, of: &[Vec<f64>]| {
            let values = of.iter().filter_map(|values| values.get(rank - 1));
            values.sum::<f64>() / groups.len().max(1) as f64
        };
        let shares: Option<Vec<Vec<f64>>> =
            alpha.map(|alpha| groups.iter().map(|energies| scaling.shares(alpha, energies)).collect());
        let kept = |rank: usize| shares.as_ref().map(|shares| mean(rank, shares));
        let direction = |rank: usize| Direction { rank, energy: mean(rank, groups), kept: kept(rank) };
        let mostly_kept = alpha.map(|_| (1..=directions).filter(|&rank| kept(rank).unwrap_or(0.0) >= 0.5).count());
        let listed = ranks(directions).into_iter().map(direction).collect();
        Self { weight, directions, alpha, mostly_kept, listed }
    }
}

/// Of 1 to `most` all, or as many as are listed, evenly by their logarithm, with both ends.
fn ranks(most: usize) -> Vec<usize> {
    if most <= MOST_DIRECTIONS {
        return (1..=most).collect();
    }
    let step = (most as f64).ln() / (MOST_DIRECTIONS - 1) as f64;
    let rank = |at: usize| ((at as f64 * step).exp().round() as usize).clamp(1, most);
    let mut ranks: Vec<usize> = (0..MOST_DIRECTIONS).map(rank).collect();
    ranks.dedup();
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::SCALINGS;

    #[test]
    fn few_directions_are_all_listed_and_of_many_both_ends() {
        assert_eq!(ranks(0), [0; 0]);
        assert_eq!(ranks(3), [1, 2, 3]);
        let many = ranks(2304);
        assert!(many.len() <= MOST_DIRECTIONS && many.is_sorted_by(|a, b| a < b));
        assert_eq!((many[0], many[1], many.last()), (1, 2, Some(&2304)));
    }

    #[test]
    fn a_direction_is_kept_as_far_as_its_energy_reaches() {
        let spectrum = Spectrum::of("w".to_owned(), Alpha::new(10.0), SCALINGS[0], &[vec![0.8, 0.19, 0.01]]);
        let kept: Vec<f64> = spectrum.listed.iter().filter_map(|direction| direction.kept).collect();
        assert!(kept[0] > 0.95 && kept[2] < 0.1, "{kept:?}");
        assert_eq!((spectrum.mostly_kept, spectrum.directions), (Some(2), 3));
        assert_eq!(Spectrum::of("w".to_owned(), None, SCALINGS[0], &[vec![1.0]]).mostly_kept, None);
    }

    #[test]
    fn groups_count_alike() {
        let spectrum = Spectrum::of("w".to_owned(), Alpha::new(1.0), SCALINGS[0], &[vec![0.75, 0.25], vec![1.0, 0.0]]);
        let means: Vec<(f64, Option<f64>)> = spectrum.listed.iter().map(|of| (of.energy, of.kept)).collect();
        assert_eq!(means, [(0.875, Some(0.875)), (0.125, Some(0.125))], "with α = 1 the energy is what is kept");
    }
}
