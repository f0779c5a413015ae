//! Products `A · Bᵀ` of parts of long matrices, in float64: what second moments are made of.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par};

/// Rows of equal length, each `stride` elements behind the one before, in one slice.
#[derive(Clone, Copy, Debug)]
pub struct Strip<'a> {
    /// From the first element of the first row on.
    pub values: &'a [f64],
    /// The number of rows.
    pub rows: usize,
    /// The number of elements of a row that take part.
    pub length: usize,
    /// The distance of rows.
    pub stride: usize,
}

/// How much of a product is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Of a symmetric product, what is on and below the diagonal.
    Lower,
}

/// Adds `a · bᵀ` to `sum`, `[a.rows, b.rows]` row by row, on one thread.
pub fn add_product(sum: &mut [f64], a: Strip<'_>, b: Strip<'_>, part: Part) {
    let sum = MatMut::from_row_major_slice_mut(sum, a.rows, b.rows);
    let (a, b) = (a.matrix(), b.matrix().transpose());
    match part {
        Part::Whole => matmul(sum, Accum::Add, a, b, 1.0, Par::Seq),
        Part::Lower => {
            let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
            triangular::matmul(sum, lower, Accum::Add, a, whole, b, whole, 1.0, Par::Seq);
        }
    }
}

impl<'a> Strip<'a> {
    fn matrix(self) -> MatRef<'a, f64> {
        MatRef::from_row_major_slice_with_stride(self.values, self.rows, self.length, self.stride)
    }
}
