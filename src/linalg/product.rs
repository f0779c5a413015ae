//! Products `A · Bᵀ` of parts of long matrices, summed in float64: what second moments are made of.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};
use std::ops::Range;

/// Rows of equal length, each `stride` elements behind the one before, in one slice.
#[derive(Clone, Copy, Debug)]
pub struct Strip<'a, T> {
    /// From the first element of the first row on.
    pub values: &'a [T],
    /// The number of rows.
    pub rows: usize,
    /// The number of elements of a row that take part.
    pub length: usize,
    /// The distance of rows.
    pub stride: usize,
}

/// Columns side by side, of rows that are `stride` elements apart, in one slice.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// From the first element of the first row on.
    pub values: &'a [f64],
    /// The number of rows.
    pub rows: usize,
    /// The number of columns.
    pub columns: usize,
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
pub fn add_product(sum: &mut [f64], a: Strip<'_, f64>, b: Strip<'_, f64>, part: Part) {
    multiply(sum, Accum::Add, a, b, part);
}

/// Writes `aᵀ · b` to `to`, `[a.columns, b.columns]` row by row, on one thread.
pub fn cross_product(to: &mut [f64], a: Columns<'_>, b: Columns<'_>) {
    multiply_columns(to, Accum::Replace, 1.0, a, b);
}

/// Subtracts it.
pub fn subtract_cross_product(from: &mut [f64], a: Columns<'_>, b: Columns<'_>) {
    multiply_columns(from, Accum::Add, -1.0, a, b);
}

fn multiply_columns(to: &mut [f64], accum: Accum, factor: f64, a: Columns<'_>, b: Columns<'_>) {
    let to = MatMut::from_row_major_slice_mut(to, a.columns, b.columns);
    matmul(to, accum, a.matrix().transpose(), b.matrix(), factor, Par::Seq);
}

/// Writes `coefficients.rows` combinations of `coefficients.length` terms one behind the other, as the terms are, on one
/// thread.
pub fn combinations(to: &mut [f64], coefficients: Strip<'_, f64>, terms: &[f64]) {
    combine(to, Accum::Replace, coefficients, terms);
}

/// Adds them to sums.
pub fn add_combinations(sums: &mut [f64], coefficients: Strip<'_, f64>, terms: &[f64]) {
    combine(sums, Accum::Add, coefficients, terms);
}

fn combine(to: &mut [f64], accum: Accum, coefficients: Strip<'_, f64>, terms: &[f64]) {
    let size = terms.len() / coefficients.length.max(1);
    let to = MatMut::from_row_major_slice_mut(to, coefficients.rows, size);
    let terms = MatRef::from_row_major_slice(terms, coefficients.length, size);
    matmul(to, accum, coefficients.matrix(), terms, 1.0, Par::Seq);
}

/// Adds `a · bᵀ` to `sum`, multiplied and summed in float32 within each of `pieces`, ranges of the rows' elements, and in float64 from piece
/// to piece: an entry loses what a float32 sum of one piece loses, over and over.
pub fn add_product_in_pieces(
    sum: &mut [f64],
    a: Strip<'_, f32>,
    b: Strip<'_, f32>,
    part: Part,
    pieces: impl Iterator<Item = Range<usize>>,
) {
    // What is above the diagonal is never written, if only the rest is wanted.
    let mut product = vec![0.0_f32; sum.len()];
    for piece in pieces {
        multiply(&mut product, Accum::Replace, a.piece(&piece), b.piece(&piece), part);
        sum.iter_mut().zip(&product).for_each(|(sum, &product)| *sum += f64::from(product));
    }
}

fn multiply<T: ComplexField>(to: &mut [T], accum: Accum, a: Strip<'_, T>, b: Strip<'_, T>, part: Part) {
    let to = MatMut::from_row_major_slice_mut(to, a.rows, b.rows);
    let (a, b, one) = (a.matrix(), b.matrix().transpose(), T::one_impl());
    match part {
        Part::Whole => matmul(to, accum, a, b, one, Par::Seq),
        Part::Lower => {
            let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
            triangular::matmul(to, lower, accum, a, whole, b, whole, one, Par::Seq);
        }
    }
}

impl<'a> Columns<'a> {
    fn matrix(self) -> MatRef<'a, f64> {
        MatRef::from_row_major_slice_with_stride(self.values, self.rows, self.columns, self.stride)
    }
}

impl<'a, T> Strip<'a, T> {
    fn matrix(self) -> MatRef<'a, T> {
        MatRef::from_row_major_slice_with_stride(self.values, self.rows, self.length, self.stride)
    }

    fn piece(self, elements: &Range<usize>) -> Self {
        Self { values: &self.values[elements.start..], length: elements.len(), ..self }
    }
}
