//! Scaled Gradient Projection: `λ = αs / ((α−1)s + s₁)` of the singular value s, the largest being s₁ (Saha and Roy, "Continual
//! Learning with Scaled Gradient Projection", AAAI 2023).
//!
//! With σ = s²/Σs² it is the formula of SAP at `√(σ/σ₁)`. The root brings rounding up: a moment tells a direction from one that is
//! never used only where its singular value is above some 1e-8 of the largest. What is below counts as never used.

use super::super::Alpha;
use super::{Scaling, kept_share, rounding};

pub(super) struct Sgp;

impl Scaling for Sgp {
    fn name(&self) -> &'static str {
        "sgp"
    }

    fn summary(&self) -> &'static str {
        "λ = αs/((α−1)s+s₁), s the direction's singular value, s₁ the largest (Saha and Roy, AAAI 2023)"
    }

    fn alphas(&self) -> Option<&'static [f64]> {
        Some(&[1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0])
    }

    fn shares(&self, alpha: Alpha, energies: &[f64]) -> Vec<f64> {
        let largest = energies.iter().copied().fold(0.0, f64::max);
        let least = rounding(energies);
        let share = |&energy: &f64| if energy > least { kept_share(alpha, (energy / largest).sqrt()) } else { 0.0 };
        energies.iter().map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_formula_of_singular_values() {
        // Singular values 4, 2 and 1: energies 16, 4 and 1 of 21.
        let alpha = Alpha::new(3.0).unwrap();
        let shares = Sgp.shares(alpha, &[16.0 / 21.0, 4.0 / 21.0, 1.0 / 21.0]);
        let wanted = [4.0, 2.0, 1.0].map(|s| 3.0 * s / (2.0 * s + 4.0));
        for (share, wanted) in shares.iter().zip(wanted) {
            assert!((share - wanted).abs() < 1e-15, "{shares:?}");
        }
    }
}
