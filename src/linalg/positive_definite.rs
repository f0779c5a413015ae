//! Systems with a symmetric, positive definite matrix, by a Cholesky factorisation (faer).

use super::boundary::{as_faer, as_faer_transposed};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::{factor, solve};
use faer::{Auto, Par, Spec};
use ndarray::Array2;

/// Columns that are factored at once. Measured: 35 Gflop/s at d = 1152 and 28 at 512, against 26 and 11 with faer's
/// own choice; no difference at 4608.
const BLOCK: usize = 128;

/// A symmetric, positive definite matrix that systems are solved with.
#[derive(Debug)]
pub struct PositiveDefinite {
    /// Its Cholesky factor, in the triangle that is read.
    factor: Array2<f64>,
}

impl PositiveDefinite {
    /// Factors `M`, [d, d], of which only the upper triangle is read: the lower one of faer's columns. By one thread alone, so that
    /// the result cannot depend on how many there are.
    ///
    /// # Errors
    /// Why `M` is not positive definite.
    pub fn of(mut matrix: Array2<f64>) -> Result<Self, String> {
        let (par, d) = (Par::Seq, matrix.ncols());
        let parameters: Spec<factor::LltParams, f64> =
            factor::LltParams { block_size: BLOCK, recursion_threshold: BLOCK / 2, ..Auto::<f64>::auto() }.into();
        let mut memory = MemBuffer::new(factor::cholesky_in_place_scratch::<f64>(d, par, parameters));
        let stack = MemStack::new(&mut memory);
        let columns = as_faer_transposed(&mut matrix);
        factor::cholesky_in_place(columns, factor::LltRegularization::default(), par, stack, parameters)
            .map_err(|error| error.to_string())?;
        Ok(Self { factor: matrix })
    }

    /// `X M⁻¹` for rows `X`, [rows, d].
    pub fn solve_rows(&self, mut rows: Array2<f64>) -> Array2<f64> {
        let factor = as_faer(&self.factor).transpose();
        solve::solve_in_place(factor, as_faer_transposed(&mut rows), Par::Seq, MemStack::new(&mut []));
        rows
    }
}

/// `X M⁻¹` for rows `X`, [rows, d], and a symmetric, positive definite `M`, [d, d], of which only the upper triangle is read.
///
/// # Errors
/// Why `M` is not positive definite.
pub fn solve_rows(matrix: Array2<f64>, rows: Array2<f64>) -> Result<Array2<f64>, String> {
    Ok(PositiveDefinite::of(matrix)?.solve_rows(rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rows_times_the_matrix_are_what_they_were_and_the_lower_triangle_is_not_read() {
        let (matrix, rows) = (array![[4.0, 1.0, 0.5], [1.0, 3.0, 0.0], [0.5, 0.0, 2.0]], array![[1.0, 2.0, 3.0]]);
        let mut upper = matrix.clone();
        (upper[(1, 0)], upper[(2, 0)], upper[(2, 1)]) = (f64::NAN, f64::NAN, f64::NAN);
        let solved = solve_rows(upper, rows.clone()).unwrap();
        assert!((solved.dot(&matrix) - rows).iter().all(|difference| difference.abs() < 1e-14));
        assert!(solve_rows(array![[1.0, 2.0], [2.0, 1.0]], array![[1.0, 1.0]]).is_err());
    }
}
