//! Products `A · Bᵀ` of tall, thin parts of long matrices, summed in float64: what second moments are made of.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par};

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

/// How much of a product is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Of a symmetric product, what is on and below the diagonal.
    Lower,
}

/// A type of numbers whose products are summed in float64.
pub trait Factor: Copy + Default + Send + Sync + 'static {
    /// Adds `a · bᵀ` to `sum`, `[a.rows, b.rows]` row by row. `scratch` is kept between calls.
    fn add_product(sum: &mut [f64], a: Strip<'_, Self>, b: Strip<'_, Self>, part: Part, scratch: &mut Vec<f32>);
}

impl Factor for f64 {
    fn add_product(sum: &mut [f64], a: Strip<'_, f64>, b: Strip<'_, f64>, part: Part, _: &mut Vec<f32>) {
        multiply(sum, Accum::Add, a, b, part);
    }
}

/// Positions whose products are summed in float32 before they are added to the sum in float64.
const SHORT_SUM: usize = 64;

impl Factor for f32 {
    fn add_product(sum: &mut [f64], a: Strip<'_, f32>, b: Strip<'_, f32>, part: Part, scratch: &mut Vec<f32>) {
        scratch.clear();
        scratch.resize(sum.len(), 0.0);
        for from in (0..a.length).step_by(SHORT_SUM) {
            let length = SHORT_SUM.min(a.length - from);
            multiply(scratch, Accum::Replace, a.cut(from, length), b.cut(from, length), part);
            sum.iter_mut().zip(&*scratch).for_each(|(sum, &term)| *sum += f64::from(term));
        }
    }
}

impl<T> Strip<'_, T> {
    fn cut(self, from: usize, length: usize) -> Self {
        Self { values: &self.values[from..], length, ..self }
    }
}

fn multiply<T: faer::traits::ComplexField>(
    sum: &mut [T],
    accumulation: Accum,
    a: Strip<'_, T>,
    b: Strip<'_, T>,
    part: Part,
) {
    let sum = MatMut::from_row_major_slice_mut(sum, a.rows, b.rows);
    let (a, b) = (view(a), view(b).transpose());
    match part {
        Part::Whole => matmul(sum, accumulation, a, b, T::one_impl(), Par::Seq),
        Part::Lower => {
            let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
            triangular::matmul(sum, lower, accumulation, a, whole, b, whole, T::one_impl(), Par::Seq);
        }
    }
}

fn view<T>(strip: Strip<'_, T>) -> MatRef<'_, T> {
    MatRef::from_row_major_slice_with_stride(strip.values, strip.rows, strip.length, strip.stride)
}
