//! The second moment that a projection is computed from.

use super::LinalgError;
use ndarray::Array2;

/// `C = Σ aᵢaᵢᵀ / Σ |aᵢ|²`: symmetric, positive semi-definite, of trace 1, not centred.
#[derive(Clone, Debug)]
pub struct UnitMoment(Array2<f64>);

impl UnitMoment {
    /// Scales a sum of outer products to trace 1; `None` where the trace is 0, so that there is nothing to project onto.
    ///
    /// # Errors
    /// [`LinalgError::NotFinite`].
    pub fn from_sum(mut sum: Array2<f64>) -> Result<Option<Self>, LinalgError> {
        let trace = sum.diag().sum();
        if !sum.iter().all(|value| value.is_finite()) || !trace.is_finite() {
            return Err(LinalgError::NotFinite);
        }
        if trace <= 0.0 {
            return Ok(None);
        }
        // A matrix product need not give bit-equal halves; the projection must not depend on which one is read.
        for i in 0..sum.nrows() {
            for j in 0..=i {
                let mean = (sum[(i, j)] + sum[(j, i)]) / (2.0 * trace);
                sum[(i, j)] = mean;
                sum[(j, i)] = mean;
            }
        }
        Ok(Some(Self(sum)))
    }

    /// The matrix.
    pub fn matrix(&self) -> &Array2<f64> {
        &self.0
    }

    /// `1 / Σ σᵢ²`, the participation ratio: how many directions of equal energy would be as spread out. Between 1
    /// and d; it needs no eigenvalues, because `Σ σᵢ² = ‖C‖²` (Frobenius).
    pub fn effective_rank(&self) -> f64 {
        1.0 / self.0.iter().map(|value| value * value).sum::<f64>()
    }
}
