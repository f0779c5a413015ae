//! Symmetric matrices by their eigenvectors: systems with any multiple of the identity added, and pseudo-inverses.

use super::LinalgError;
use super::boundary::{from_faer_transposed, symmetric_to_faer};
use faer::Side;
use ndarray::{Array1, Array2};

/// A symmetric positive semi-definite matrix `A = U diag(λ) Uᵀ`.
#[derive(Debug)]
pub struct SymmetricEigen {
    values: Array1<f64>,
    /// U transposed: an eigenvector a row.
    vectors: Array2<f64>,
}

impl SymmetricEigen {
    /// Of a matrix of which what is on and below the diagonal is looked at.
    ///
    /// # Errors
    /// [`LinalgError`] where it is not finite, or its eigenvectors are not found.
    pub fn of(matrix: &Array2<f64>) -> Result<Self, LinalgError> {
        if matrix.iter().any(|value| !value.is_finite()) {
            return Err(LinalgError::NotFinite);
        }
        let failed = |error| LinalgError::Failed { solver: "the eigenvalue solver", reason: format!("{error:?}") };
        let decomposition = symmetric_to_faer(matrix).self_adjoint_eigen(Side::Lower).map_err(failed)?;
        let values = decomposition.S().column_vector().iter().copied().collect();
        Ok(Self { values, vectors: from_faer_transposed(decomposition.U()) })
    }

    /// `(A + added · I)⁻¹ b`. With 0 added it is `A⁺ b`, the pseudo-inverse: eigenvalues that rounding alone may have made
    /// (numpy's `max(shape) · ε · λ_max`) count as 0.
    pub fn solve(&self, right: &Array1<f64>, added: f64) -> Array1<f64> {
        let largest = self.values.iter().fold(0.0, |most: f64, value| most.max(*value));
        let cut = self.values.len() as f64 * f64::EPSILON * largest;
        let mut shares = self.vectors.dot(right);
        for (share, &value) in shares.iter_mut().zip(&self.values) {
            let value = if added > 0.0 { value.max(0.0) + added } else { value };
            *share = if value > cut { *share / value } else { 0.0 };
        }
        self.vectors.t().dot(&shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_singular_matrix_is_solved_by_its_pseudo_inverse() {
        let eigen = SymmetricEigen::of(&array![[2.0, 2.0], [2.0, 2.0]]).unwrap();
        let solution = eigen.solve(&array![4.0, 4.0], 0.0);
        assert!((&solution - &array![1.0, 1.0]).iter().all(|value| value.abs() < 1e-14), "{solution}");
        // What it cannot be the image of is left out.
        let solution = eigen.solve(&array![1.0, -1.0], 0.0);
        assert!(solution.iter().all(|value| value.abs() < 1e-14), "{solution}");
    }

    #[test]
    fn something_added_makes_it_regular() {
        let (matrix, right) = (array![[2.0, 1.0], [1.0, 3.0]], array![1.0, -2.0]);
        let solution = SymmetricEigen::of(&matrix).unwrap().solve(&right, 0.5);
        let residual = matrix.dot(&solution) + &solution * 0.5 - &right;
        assert!(residual.iter().all(|value| value.abs() < 1e-14), "{residual}");
        assert!(SymmetricEigen::of(&array![[f64::NAN]]).is_err());
    }
}
