//! `P = I − Mf`: what samples to forget use is removed.

use super::{Projection, Space, Spaces};
use crate::linalg::LinalgError;
use ndarray::Array2;

pub(super) struct NoMf;

impl Projection for NoMf {
    fn name(&self) -> &'static str {
        "i-mf"
    }

    fn summary(&self) -> &'static str {
        "I − Mf: what samples to forget use is removed; α is that of Mf, and a large one removes more"
    }

    fn retains(&self) -> bool {
        false
    }

    fn alphas(&self) -> Option<&'static [f64]> {
        Some(&[0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
    }

    fn leaves(&self, _retain: bool, forget: bool) -> bool {
        !forget
    }

    fn project(&self, weight: &Array2<f64>, spaces: &Spaces<'_>) -> Result<Array2<f64>, LinalgError> {
        let forgotten = spaces.forget.map(Space::of_weight).transpose()?;
        Ok(forgotten.map_or_else(|| weight.clone(), |forgotten| weight - forgotten))
    }
}
