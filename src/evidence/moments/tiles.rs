//! Sums of matrices in square tiles, each of which one thread brings up to date while it lies in its cache.
//!
//! Every entry is an unevaluated sum of two float64, the second of which holds what rounding the first one lost (Dekker,
//! "A floating-point technique for extending the available precision", 1971). A sum of n terms is then right to n · 2⁻¹⁰⁴,
//! far below the rounding of its value to float64, and so does not depend on the order of its terms: shards of any number
//! add up to what one run gives.

use rayon::prelude::*;
use std::ops::Range;

/// The most rows and columns of a tile of a matrix of that size: three of them, in float64, fit into a second-level cache of
/// 512 KB. Kernels take 12, 24 or 48 rows at a time, and what is left over takes longer, so that dimensions
/// like 768 are cut into pieces that leave nothing; powers of two leave less where every piece is one.
pub(super) fn side(dim: usize) -> usize {
    if dim.is_multiple_of(48) { 144 } else { 128 }
}

/// A part of one of several matrices of the same size.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tile {
    /// Which matrix.
    pub(super) matrix: usize,
    /// Its rows there.
    pub(super) rows: Range<usize>,
    /// Its columns there.
    pub(super) columns: Range<usize>,
    /// Row by row; nothing as long as nothing was added. Memory that a sum does not use yet is not taken, and what it takes it
    /// writes first: a page that is read before it is written costs twice.
    values: Vec<f64>,
    rests: Vec<f64>,
}

/// The shape of square matrices that are cut into tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Only tiles on and below the diagonal are kept, and of those on the diagonal only what is on and below it counts.
    Symmetric,
    /// All of them.
    General,
}

/// A number of twice the precision: `value` is `value + rest`, rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Entry {
    pub(super) value: f64,
    pub(super) rest: f64,
}

/// The tiles of a matrix of zeros, row of tiles by row of tiles.
pub(super) fn zeros(matrix: usize, dim: usize, shape: Shape) -> Vec<Tile> {
    let mut tiles = Vec::with_capacity(count(dim, shape));
    let side = side(dim);
    for row in (0..dim).step_by(side) {
        let last = if shape == Shape::Symmetric { row + 1 } else { dim };
        for column in (0..last).step_by(side) {
            tiles.push(Tile::zeros(matrix, row..dim.min(row + side), column..dim.min(column + side)));
        }
    }
    tiles
}

/// How many tiles a matrix has.
pub(super) fn count(dim: usize, shape: Shape) -> usize {
    let down = dim.div_ceil(side(dim));
    if shape == Shape::Symmetric { down * (down + 1) / 2 } else { down * down }
}

/// The place of an entry: its tile among those of its matrix, and its position in that tile.
pub(super) fn place(dim: usize, shape: Shape, row: usize, column: usize) -> (usize, usize) {
    let side = side(dim);
    let (down, across) = (row / side, column / side);
    let tile = match shape {
        Shape::Symmetric => down * (down + 1) / 2 + across,
        Shape::General => down * dim.div_ceil(side) + across,
    };
    let width = side.min(dim - across * side);
    (tile, row % side * width + column % side)
}

/// Adds to each tile `weight` times what `term` makes of it, in parallel: the tile's rows and columns of a matrix, row by
/// row, to be added to zeros. `term` also sees what is kept `beside` the first tiles, one for each.
pub(super) fn add<B: Send>(
    tiles: &mut [Tile],
    beside: &mut [B],
    weight: f64,
    term: impl Fn(&Tile, &mut [f64], Option<&mut B>) + Sync,
) {
    let beside = beside.iter_mut().map(Some).chain(std::iter::repeat_with(|| None));
    let mut with_beside: Vec<(&mut Tile, Option<&mut B>)> = tiles.iter_mut().zip(beside).collect();
    with_beside.par_iter_mut().for_each_init(Vec::new, |sum: &mut Vec<f64>, (tile, beside)| {
        sum.clear();
        sum.resize(tile.size(), 0.0);
        term(tile, sum, beside.as_deref_mut());
        tile.add(weight, 0, tile.columns.len(), sum);
    });
}

impl Tile {
    fn zeros(matrix: usize, rows: Range<usize>, columns: Range<usize>) -> Self {
        Self { matrix, rows, columns, values: Vec::new(), rests: Vec::new() }
    }

    /// The number of its entries.
    fn size(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// Takes the memory of its entries, if it has none.
    fn take_memory(&mut self) {
        let size = self.size();
        self.values.resize(size, 0.0);
        self.rests.resize(size, 0.0);
    }

    /// Whether it lies on the diagonal of its matrix.
    pub(super) fn is_diagonal(&self) -> bool {
        self.rows == self.columns
    }

    /// Adds terms, times `weight`, to the first `columns` entries of as many rows as there are, from the tile's row `first` on.
    pub(super) fn add(&mut self, weight: f64, first: usize, columns: usize, terms: &[f64]) {
        self.take_memory();
        let width = self.columns.len().max(1);
        let rows = self.values.chunks_exact_mut(width).zip(self.rests.chunks_exact_mut(width)).skip(first);
        for ((values, rests), terms) in rows.zip(terms.chunks_exact(columns.max(1))) {
            for ((value, rest), term) in values.iter_mut().zip(rests).zip(terms) {
                let sum = Entry { value: *value, rest: *rest }.plus_number(weight * term);
                (*value, *rest) = (sum.value, sum.rest);
            }
        }
    }

    /// The bytes that its entries take.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Entry>() * self.size()
    }

    /// Replaces every entry by what `next` makes of its row, its column and itself.
    pub(super) fn update(&mut self, next: impl Fn(usize, usize, Entry) -> Entry) {
        self.take_memory();
        let (rows, columns) = (self.rows.clone(), self.columns.clone());
        let mut at = 0;
        for row in rows {
            for column in columns.clone() {
                let entry = next(row, column, self.entry(at));
                (self.values[at], self.rests[at]) = (entry.value, entry.rest);
                at += 1;
            }
        }
    }

    /// The entry at a position, row by row.
    pub(super) fn entry(&self, at: usize) -> Entry {
        if self.values.is_empty() {
            return Entry::default();
        }
        Entry { value: self.values[at], rest: self.rests[at] }
    }

    /// Adds the same tile of another sum.
    pub(super) fn merge(&mut self, other: &Self) {
        self.take_memory();
        for at in 0..self.size() {
            let sum = self.entry(at).plus(other.entry(at));
            (self.values[at], self.rests[at]) = (sum.value, sum.rest);
        }
    }

    /// Forgets everything, and gives back its memory.
    pub(super) fn clear(&mut self) {
        (self.values, self.rests) = (Vec::new(), Vec::new());
    }
}

impl Entry {
    pub(super) fn plus(self, other: Self) -> Self {
        let (value, lost) = two_sum(self.value, other.value);
        let (rest, lost_of_rest) = two_sum(self.rest, other.rest);
        let (value, rest) = quick_two_sum(value, lost + rest);
        let (value, rest) = quick_two_sum(value, rest + lost_of_rest);
        Self { value, rest }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(Self { value: -other.value, rest: -other.rest })
    }

    fn plus_number(self, number: f64) -> Self {
        let (value, lost) = two_sum(self.value, number);
        let (value, rest) = quick_two_sum(value, self.rest + lost);
        Self { value, rest }
    }
}

/// The rounded sum, and what rounding lost (Knuth, "The Art of Computer Programming" 2, 4.2.2, theorem B).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

/// The same where `a` is not the smaller one.
fn quick_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_one_place() {
        for dim in [1, 5, 127, 128, 129, 144, 192, 259, 336] {
            for shape in [Shape::Symmetric, Shape::General] {
                let tiles = zeros(0, dim, shape);
                assert_eq!(tiles.len(), count(dim, shape));
                for (index, tile) in tiles.iter().enumerate() {
                    let mut at = 0;
                    for row in tile.rows.clone() {
                        for column in tile.columns.clone() {
                            assert_eq!(place(dim, shape, row, column), (index, at));
                            at += 1;
                        }
                    }
                    assert_eq!(at, tile.size());
                }
            }
        }
    }
}
