//! The one place where ndarray's row-major matrices meet the column-major ones of faer and nalgebra.
//!
//! A row-major matrix is the column-major matrix of its transpose, and a symmetric one is both. So nothing has to be
//! transposed: the rows of a weight are the right-hand sides of a system, contiguous as solvers want them.

use faer::{Mat, MatMut, MatRef};
use nalgebra::DMatrix;
use ndarray::Array2;

/// A view of a row-major matrix. The array must be in standard layout, as every array that this crate makes is.
pub(super) fn as_faer<T>(matrix: &Array2<T>) -> MatRef<'_, T> {
    let (rows, columns) = matrix.dim();
    match matrix.as_slice() {
        Some(values) => MatRef::from_row_major_slice(values, rows, columns),
        None => unreachable!("matrices of this crate are row-major"),
    }
}

/// A view of a row-major matrix as its transpose, which is column-major, to be overwritten.
pub(super) fn as_faer_transposed<T>(matrix: &mut Array2<T>) -> MatMut<'_, T> {
    let (rows, columns) = matrix.dim();
    match matrix.as_slice_mut() {
        Some(values) => MatMut::from_column_major_slice_mut(values, columns, rows),
        None => unreachable!("matrices of this crate are row-major"),
    }
}

/// The transpose of a column-major matrix, whose columns become rows.
pub(super) fn from_faer_transposed(matrix: MatRef<'_, f64>) -> Array2<f64> {
    let mut rows = Array2::zeros((matrix.ncols(), matrix.nrows()));
    as_faer_transposed(&mut rows).copy_from(matrix);
    rows
}

/// A copy of a symmetric matrix, whose rows are its columns.
pub(super) fn symmetric_to_faer(matrix: &Array2<f64>) -> Mat<f64> {
    as_faer(matrix).transpose().to_owned()
}

pub(super) fn to_nalgebra(matrix: &Array2<f64>) -> DMatrix<f64> {
    DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)])
}

pub(super) fn from_nalgebra(matrix: &DMatrix<f64>) -> Array2<f64> {
    Array2::from_shape_fn((matrix.nrows(), matrix.ncols()), |(i, j)| matrix[(i, j)])
}
