//! Singular-value Adaptive Projection: `λ = ασ / ((α−1)σ + 1)` of the share σ of the energy (arXiv 2403.08618).

use super::super::Alpha;
use super::Scaling;

pub(super) struct Sap;

impl Scaling for Sap {
    fn name(&self) -> &'static str {
        "sap"
    }

    fn summary(&self) -> &'static str {
        "λ = ασ/((α−1)σ+1), σ the direction's share of the energy (arXiv 2403.08618)"
    }

    fn is_rational(&self) -> bool {
        true
    }

    fn shares(&self, alpha: Alpha, energies: &[f64]) -> Vec<f64> {
        energies.iter().map(|&energy| kept_share(alpha, energy)).collect()
    }
}

/// `λ(σ)`, the share of a direction with energy σ that is kept.
pub fn kept_share(alpha: Alpha, energy: f64) -> f64 {
    let energy = energy.max(0.0);
    alpha.get() * energy / ((alpha.get() - 1.0) * energy + 1.0)
}
