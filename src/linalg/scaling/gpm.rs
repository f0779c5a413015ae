//! Gradient Projection Memory: the directions of most energy are kept whole, and nothing of the others (Saha, Garg and Roy,
//! "Gradient Projection Memory for Continual Learning", ICLR 2021).
//!
//! There the strength is the share ε of the energy that the kept directions hold together. Here it is `ε = 1 − 1/α`, so that α runs
//! over decades as for the other scalings and a large one leaves the weights as they are: 100 is the ε = 0.99 of SAP's public code.

use super::super::Alpha;
use super::{Scaling, rounding};

pub(super) struct Gpm;

impl Scaling for Gpm {
    fn name(&self) -> &'static str {
        "gpm"
    }

    fn summary(&self) -> &'static str {
        "λ = 1 for the directions that hold the share 1 − 1/α of the energy together, else 0 (Saha et al., ICLR 2021)"
    }

    fn alphas(&self) -> Option<&'static [f64]> {
        Some(&[10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4])
    }

    fn shares(&self, alpha: Alpha, energies: &[f64]) -> Vec<f64> {
        let mut order: Vec<usize> = (0..energies.len()).collect();
        order.sort_by(|&a, &b| energies[b].total_cmp(&energies[a]).then(a.cmp(&b)));
        let (threshold, least) = (1.0 - 1.0 / alpha.get(), rounding(energies));
        let mut shares = vec![0.0; energies.len()];
        let mut held = 0.0;
        // The first direction always, and each after which the share is not yet reached.
        for (rank, &at) in order.iter().enumerate() {
            if energies[at] <= least || (rank > 0 && held >= threshold) {
                break;
            }
            shares[at] = 1.0;
            held += energies[at];
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(alpha: f64) -> Vec<f64> {
        Gpm.shares(Alpha::new(alpha).unwrap(), &[0.06, 0.7, 0.04, 0.2])
    }

    #[test]
    fn as_many_directions_are_kept_as_it_takes_to_hold_the_share() {
        assert_eq!(kept(9.0), [0.0, 1.0, 0.0, 1.0], "0.7 is less than 8/9, and 0.9 is not");
        assert_eq!(kept(12.0), [1.0, 1.0, 0.0, 1.0]);
        assert_eq!(kept(100.0), [1.0; 4]);
    }

    #[test]
    fn one_direction_is_always_kept() {
        assert_eq!(kept(0.5), [0.0, 1.0, 0.0, 0.0]);
        assert_eq!(kept(1.0), [0.0, 1.0, 0.0, 0.0]);
    }
}
