//! One self-adjoint eigendecomposition for every α: `Ŵ = (W U) diag(λ(α)) Uᵀ`.

use super::boundary::{as_faer, from_faer_transposed, symmetric_to_faer};
use super::{Alpha, Factored, LinalgError, Scaling, Solver, UnitMoment};
use faer::{Mat, Side};
use ndarray::Array2;

pub(super) struct Eigh;

pub(super) const EIGH: Eigh = Eigh;

/// A weight in the basis of its inputs' eigenvectors.
pub(super) struct Spectral {
    /// Energies σ, of sum 1.
    pub(super) energies: Vec<f64>,
    /// U, [d, d], one eigenvector a column.
    pub(super) vectors: Mat<f64>,
    /// `W U`, [outputs, d].
    pub(super) weight: Mat<f64>,
    /// Λ.
    pub(super) scaling: &'static dyn Scaling,
}

impl Solver for Eigh {
    fn name(&self) -> &'static str {
        "eigh"
    }

    fn summary(&self) -> &'static str {
        "one self-adjoint eigendecomposition for all α (faer)"
    }

    fn serves_every_alpha(&self) -> bool {
        true
    }

    fn factor(
        &self,
        moment: UnitMoment,
        weight: Array2<f64>,
        scaling: &'static dyn Scaling,
    ) -> Result<Box<dyn Factored>, LinalgError> {
        let failed = |error| LinalgError::Failed { solver: EIGH.name(), reason: format!("{error:?}") };
        let decomposition =
            symmetric_to_faer(moment.in_float64(EIGH.name())?).self_adjoint_eigen(Side::Lower).map_err(failed)?;
        let energies = decomposition.S().column_vector().iter().copied().collect();
        let vectors = decomposition.U().to_owned();
        let weight = as_faer(&weight) * &vectors;
        Ok(Box::new(Spectral { energies, vectors, weight, scaling }))
    }
}

impl Factored for Spectral {
    fn project(&self, alpha: Alpha) -> Result<Array2<f64>, LinalgError> {
        Ok(self.back(&self.weight, alpha))
    }

    fn project_other(&self, other: Array2<f64>, alpha: Alpha) -> Result<Array2<f64>, LinalgError> {
        Ok(self.back(&(as_faer(&other) * &self.vectors), alpha))
    }
}

impl Spectral {
    /// A matrix in the basis of the eigenvectors, scaled, in its own basis.
    fn back(&self, matrix: &Mat<f64>, alpha: Alpha) -> Array2<f64> {
        let shares = self.scaling.shares(alpha, &self.energies);
        let scaled = Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)] * shares[j]);
        from_faer_transposed((&self.vectors * scaled.transpose()).as_ref())
    }
}
