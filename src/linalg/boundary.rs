//! The one place where ndarray's row-major matrices meet the column-major ones of faer and nalgebra.

use faer::{Mat, MatRef};
use nalgebra::DMatrix;
use ndarray::Array2;

/// A view of a row-major matrix. The array must be in standard layout, as every array that this crate makes is.
pub(super) fn as_faer(matrix: &Array2<f64>) -> MatRef<'_, f64> {
    let (rows, columns) = matrix.dim();
    match matrix.as_slice() {
        Some(values) => MatRef::from_row_major_slice(values, rows, columns),
        None => unreachable!("matrices of this crate are row-major"),
    }
}

pub(super) fn from_faer(matrix: MatRef<'_, f64>) -> Array2<f64> {
    Array2::from_shape_fn((matrix.nrows(), matrix.ncols()), |(i, j)| matrix[(i, j)])
}

/// A copy in faer's own order, in which its factorisations are fastest.
pub(super) fn to_faer(matrix: &Array2<f64>) -> Mat<f64> {
    as_faer(matrix).to_owned()
}

pub(super) fn to_nalgebra(matrix: &Array2<f64>) -> DMatrix<f64> {
    DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)])
}

pub(super) fn from_nalgebra(matrix: &DMatrix<f64>) -> Array2<f64> {
    Array2::from_shape_fn((matrix.nrows(), matrix.ncols()), |(i, j)| matrix[(i, j)])
}
