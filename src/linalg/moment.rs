//! The second moment that a projection is computed from.

use super::LinalgError;
use super::boundary::as_faer;
use faer::Side;
use ndarray::Array2;

/// Rows and columns of a tile: two of them lie in the first cache, so that rows and columns are read at the same speed.
const TILE: usize = 32;

/// `C = Σ aᵢaᵢᵀ / Σ |aᵢ|²`: symmetric, positive semi-definite, of trace 1, not centred.
#[derive(Clone, Debug)]
pub struct UnitMoment {
    matrix: Array2<f64>,
    loss: f64,
}

impl UnitMoment {
    /// Scales a sum of outer products `[d, d]` to trace 1; `None` where the trace is 0, so that there is nothing to
    /// project onto.
    ///
    /// # Errors
    /// [`LinalgError::NotFinite`].
    pub fn from_sum(mut sum: Array2<f64>) -> Result<Option<Self>, LinalgError> {
        let trace = sum.diag().sum();
        if trace <= 0.0 {
            return if sum.iter().all(|value| value.is_finite()) { Ok(None) } else { Err(LinalgError::NotFinite) };
        }
        let finite = symmetrise(&mut sum, trace);
        if finite { Ok(Some(Self { matrix: sum, loss: 0.0 })) } else { Err(LinalgError::NotFinite) }
    }

    /// The same, whose entries are known to have lost so much, as a share of `√(C_ii C_jj)` (root mean square).
    #[must_use]
    pub fn with_loss(self, loss: f64) -> Self {
        Self { loss, ..self }
    }

    /// The matrix.
    pub fn matrix(&self) -> &Array2<f64> {
        &self.matrix
    }

    /// What its entries have lost, as a share of `√(C_ii C_jj)`: 0 where it was summed in float64.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// The matrix, for a solver that cannot tell what rounding does to weights.
    pub(super) fn in_float64(&self, solver: &'static str) -> Result<&Array2<f64>, LinalgError> {
        if self.loss == 0.0 { Ok(&self.matrix) } else { Err(LinalgError::NeedsFloat64 { solver }) }
    }

    /// Its eigenvalues σ, the largest first: shares of the energy, of sum 1. What rounding makes negative is 0.
    ///
    /// # Errors
    /// [`LinalgError::Failed`].
    pub fn energies(&self) -> Result<Vec<f64>, LinalgError> {
        let failed = |error| LinalgError::Failed { solver: "eigh", reason: format!("{error:?}") };
        let mut energies: Vec<f64> = as_faer(&self.matrix).self_adjoint_eigenvalues(Side::Lower).map_err(failed)?;
        energies.reverse();
        Ok(energies.into_iter().map(|energy| energy.max(0.0)).collect())
    }

    /// `1 / Σ σᵢ²`, the participation ratio: how many directions of equal energy would be as spread out. Between 1
    /// and d; it needs no eigenvalues, because `Σ σᵢ² = ‖C‖²` (Frobenius).
    pub fn effective_rank(&self) -> f64 {
        1.0 / as_faer(&self.matrix).squared_norm_l2()
    }
}

/// Divides by the trace, and gives both halves their mean: a matrix product need not give bit-equal halves, and the
/// projection must not depend on which one is read. Tells whether all values are finite.
fn symmetrise(sum: &mut Array2<f64>, trace: f64) -> bool {
    let d = sum.nrows();
    let mut finite = trace.is_finite();
    for rows in (0..d).step_by(TILE) {
        for columns in (0..=rows).step_by(TILE) {
            for i in rows..(rows + TILE).min(d) {
                for j in columns..(columns + TILE).min(i + 1) {
                    let mean = (sum[(i, j)] + sum[(j, i)]) / (2.0 * trace);
                    finite &= mean.is_finite();
                    sum[(i, j)] = mean;
                    sum[(j, i)] = mean;
                }
            }
        }
    }
    finite
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energies_are_the_eigenvalues_the_largest_first() {
        // Of the rows (2, 2) and (1, −1): energies 8 and 2 along the diagonals.
        let rows = ndarray::array![[2.0, 2.0], [1.0, -1.0]];
        let moment = UnitMoment::from_sum(rows.t().dot(&rows)).unwrap().unwrap();
        let energies = moment.energies().unwrap();
        assert!((energies[0] - 0.8).abs() < 1e-15 && (energies[1] - 0.2).abs() < 1e-15, "{energies:?}");
    }
}
