//! Products `A · Bᵀ` of parts of long matrices, summed in float64: what second moments are made of.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};
use std::ops::Range;

/// A matrix in one slice.
#[derive(Clone, Copy, Debug)]
pub struct Strip<'a, T> {
    /// From its first element on.
    pub values: &'a [T],
    /// The number of rows.
    pub rows: usize,
    /// The number of elements of a row.
    pub length: usize,
    /// What lies side by side.
    pub order: Order,
    /// The distance of two rows, or of two columns where those lie in one piece.
    pub stride: usize,
}

/// What of a matrix lies in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each row.
    Rows,
    /// Each column.
    Columns,
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
    multiply(sum, Accum::Add, 1.0, a, b, part);
}

/// Writes `a · bᵀ` to `to`, on one thread.
pub fn product(to: &mut [f64], a: Strip<'_, f64>, b: Strip<'_, f64>) {
    multiply(to, Accum::Replace, 1.0, a, b, Part::Whole);
}

/// Subtracts `a · bᵀ`, on one thread.
pub fn subtract_product(from: &mut [f64], a: Strip<'_, f64>, b: Strip<'_, f64>) {
    multiply(from, Accum::Add, -1.0, a, b, Part::Whole);
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

/// Adds `a · bᵀ` to `sum`, multiplied and summed in float32 within each of `pieces`, ranges of the rows' elements, and in
/// float64 from piece to piece: an entry loses what a float32 sum of one piece loses, over and over.
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
        multiply(&mut product, Accum::Replace, 1.0, a.piece(&piece), b.piece(&piece), part);
        sum.iter_mut().zip(&product).for_each(|(sum, &product)| *sum += f64::from(product));
    }
}

fn multiply<T: ComplexField>(to: &mut [T], accum: Accum, factor: T, a: Strip<'_, T>, b: Strip<'_, T>, part: Part) {
    let to = MatMut::from_row_major_slice_mut(to, a.rows, b.rows);
    let (a, b) = (a.matrix(), b.matrix().transpose());
    match part {
        Part::Whole => matmul(to, accum, a, b, factor, Par::Seq),
        Part::Lower => {
            let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
            triangular::matmul(to, lower, accum, a, whole, b, whole, factor, Par::Seq);
        }
    }
}

impl<'a, T> Strip<'a, T> {
    /// Rows that lie one behind the other.
    pub fn of_rows(values: &'a [T], rows: usize, length: usize) -> Self {
        Self { values, rows, length, order: Order::Rows, stride: length }
    }

    fn matrix(self) -> MatRef<'a, T> {
        let Self { values, rows, length, order, stride } = self;
        match order {
            Order::Rows => MatRef::from_row_major_slice_with_stride(values, rows, length, stride),
            Order::Columns => MatRef::from_column_major_slice_with_stride(values, rows, length, stride),
        }
    }

    /// Some of its columns.
    fn piece(self, columns: &Range<usize>) -> Self {
        let step = if self.order == Order::Rows { 1 } else { self.stride };
        Self { values: &self.values[columns.start * step..], length: columns.len(), ..self }
    }
}
