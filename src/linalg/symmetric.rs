//! Symmetric matrices by their eigenvectors: systems with any multiple of the identity added, and pseudo-inverses.

use super::LinalgError;
use super::boundary::{from_faer_transposed, symmetric_to_faer};
use faer::Side;
use ndarray::{Array1, Array2, Axis};

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

    /// `x (A + added · I)⁻¹` for each of the rows x, [rows, d], with what is added for it. With 0 added it is `x A⁺`, by the
    /// pseudo-inverse: eigenvalues that rounding alone may have made (numpy's `max(shape) · ε · λ_max`) count as 0.
    pub fn solve_rows(&self, rows: &Array2<f64>, added: impl Fn(usize) -> f64) -> Array2<f64> {
        let cut = self.rounding();
        let mut shares = rows.dot(&self.vectors.t());
        for (row, mut shares) in shares.rows_mut().into_iter().enumerate() {
            let added = added(row);
            for (share, &value) in shares.iter_mut().zip(&self.values) {
                let value = if added > 0.0 { value.max(0.0) + added } else { value };
                *share = if value > cut { *share / value } else { 0.0 };
            }
        }
        shares.dot(&self.vectors)
    }

    /// Eigenvectors, a row each, that span what the matrix maps to: those whose eigenvalues rounding alone cannot have made.
    pub fn image(&self) -> Array2<f64> {
        let cut = self.rounding();
        let seen: Vec<usize> = (0..self.values.len()).filter(|&at| self.values[at] > cut).collect();
        self.vectors.select(Axis(0), &seen)
    }

    /// How large rounding may make an eigenvalue that is 0.
    fn rounding(&self) -> f64 {
        let largest = self.values.iter().fold(0.0, |most: f64, value| most.max(*value));
        self.values.len() as f64 * f64::EPSILON * largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_singular_matrix_is_solved_by_its_pseudo_inverse() {
        let eigen = SymmetricEigen::of(&array![[2.0, 2.0], [2.0, 2.0]]).unwrap();
        // What it cannot be the image of is left out.
        let solution = eigen.solve_rows(&array![[4.0, 4.0], [1.0, -1.0]], |_| 0.0);
        assert!((&solution - &array![[1.0, 1.0], [0.0, 0.0]]).iter().all(|value| value.abs() < 1e-14), "{solution}");
        let image = eigen.image();
        assert!(image.nrows() == 1 && (image[(0, 0)] - image[(0, 1)]).abs() < 1e-14, "{image}");
    }

    #[test]
    fn something_added_makes_it_regular() {
        let (matrix, right) = (array![[2.0, 1.0], [1.0, 3.0]], array![[1.0, -2.0], [1.0, -2.0]]);
        let added = array![0.5, 2.0];
        let solution = SymmetricEigen::of(&matrix).unwrap().solve_rows(&right, |row| added[row]);
        let residual = solution.dot(&matrix) + &solution * &added.insert_axis(Axis(1)) - &right;
        assert!(residual.iter().all(|value| value.abs() < 1e-14), "{residual}");
        assert!(SymmetricEigen::of(&array![[f64::NAN]]).is_err());
    }
}
