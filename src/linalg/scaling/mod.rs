//! Which share of a direction is kept, given the energies of all: the diagonal Λ of `Wp = U Λ Uᵀ`.
//!
//! A new scaling is a file here and a line in [`SCALINGS`].

mod gpm;
mod sap;
mod sgp;

pub use sap::kept_share;

use super::Alpha;
use std::fmt;

/// The scalings, the default first.
pub const SCALINGS: &[&dyn Scaling] = &[&sap::Sap, &sgp::Sgp, &gpm::Gpm];

/// How energies become the shares that are kept.
pub trait Scaling: Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// One line for `--help`.
    fn summary(&self) -> &'static str;

    /// Whether the share is `ασ / ((α−1)σ + 1)`, a rational function of the energy alone: only then is the projection a rational
    /// function of the moment, and needs no eigenvectors.
    fn is_rational(&self) -> bool {
        false
    }

    /// What is tried where α is searched for, if not a bracket around the best: where this Λ bends, α lies elsewhere.
    fn alphas(&self) -> Option<&'static [f64]> {
        None
    }

    /// λ of every direction, given the energies σ of all of them, of sum 1 and in any order. What rounding makes negative
    /// counts as 0.
    fn shares(&self, alpha: Alpha, energies: &[f64]) -> Vec<f64>;
}

impl fmt::Debug for dyn Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The scaling of that name.
pub fn scaling(name: &str) -> Option<&'static dyn Scaling> {
    SCALINGS.iter().copied().find(|scaling| scaling.name() == name)
}

/// Below this share of the largest energy, a direction of d is rounding: eigenvalues of a symmetric matrix are exact to some
/// roundings of its norm.
fn rounding(energies: &[f64]) -> f64 {
    let largest = energies.iter().copied().fold(0.0, f64::max);
    energies.len() as f64 * f64::EPSILON * largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn alpha(value: f64) -> Alpha {
        Alpha::new(value).unwrap()
    }

    proptest! {
        #[test]
        fn shares_lie_between_0_and_1_and_grow_with_energy_and_with_alpha(
            weights in prop::collection::vec(0.0..1.0_f64, 1..12),
            exponent in -1.0..6.0_f64,
        ) {
            let total: f64 = weights.iter().sum();
            prop_assume!(total > 1e-3);
            let mut energies: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
            energies.sort_by(|a, b| b.total_cmp(a));
            for scaling in SCALINGS {
                let of = |exponent: f64| scaling.shares(alpha(10_f64.powf(exponent)), &energies);
                let (shares, more) = (of(exponent), of(exponent + 0.5));
                prop_assert!(shares.iter().all(|share| (0.0..=1.0 + 1e-12).contains(share)), "{scaling:?}: {shares:?}");
                prop_assert!(shares.is_sorted_by(|a, b| a >= b), "{scaling:?}: {shares:?}");
                prop_assert!(shares.iter().zip(&more).all(|(share, more)| *more >= share - 1e-12), "{scaling:?}");
            }
        }

        #[test]
        fn the_order_of_directions_does_not_matter(weights in prop::collection::vec(0.01..1.0_f64, 2..9)) {
            let total: f64 = weights.iter().sum();
            let energies: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
            let turned: Vec<f64> = energies.iter().rev().copied().collect();
            for scaling in SCALINGS {
                let mut back = scaling.shares(alpha(20.0), &turned);
                back.reverse();
                prop_assert_eq!(scaling.shares(alpha(20.0), &energies), back);
            }
        }
    }

    #[test]
    fn a_direction_that_nothing_uses_is_removed_whatever_the_scaling() {
        for scaling in SCALINGS {
            let shares = scaling.shares(alpha(1e6), &[0.7, 0.3, 0.0, -1e-17]);
            assert_eq!(shares[2..], [0.0, 0.0], "{scaling:?}");
            assert!(shares[1] > 0.99, "{scaling:?}: {shares:?}");
        }
    }
}
