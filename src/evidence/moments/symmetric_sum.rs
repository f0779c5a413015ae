//! Sums of symmetric matrices that do not depend on the order of their terms (see `tiles.rs`), so that shards of any
//! number add up to what one run gives.

use super::tiles::{self, Entry, Shape, Tile};
use ndarray::{Array2, Array3, ArrayView3};
use rayon::prelude::*;

/// A sum of matrices `[groups, d, d]`, each of them symmetric.
///
/// Half of a symmetric matrix says all of it, and so with its rests it takes the memory of one float64 matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct SymmetricSum {
    shape: [usize; 3],
    tiles: Vec<Tile>,
}

impl SymmetricSum {
    /// A sum of nothing.
    pub fn zeros(groups: usize, dim: usize) -> Self {
        let tiles = (0..groups).flat_map(|group| tiles::zeros(group, dim, Shape::Symmetric)).collect();
        Self { shape: [groups, dim, dim], tiles }
    }

    /// From what [`packed`](Self::packed) and [`diagonal_rests`](Self::diagonal_rests) gave, or nothing where these do not
    /// belong together.
    pub fn of_parts(packed: &Array3<f64>, diagonal_rests: &Array2<f64>) -> Option<Self> {
        let (groups, dim, columns) = packed.dim();
        if dim != columns || diagonal_rests.dim() != (groups, dim) {
            return None;
        }
        let mut sum = Self::zeros(groups, dim);
        sum.tiles.par_iter_mut().for_each(|tile| {
            let group = tile.matrix;
            tile.update(|row, column, entry| match row.cmp(&column) {
                std::cmp::Ordering::Less => entry,
                std::cmp::Ordering::Equal => {
                    Entry { value: packed[(group, row, row)], rest: diagonal_rests[(group, row)] }
                }
                std::cmp::Ordering::Greater => {
                    Entry { value: packed[(group, row, column)], rest: packed[(group, column, row)] }
                }
            });
        });
        Some(sum)
    }

    /// The shape of the matrices: groups, d, d.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The matrices with values on and below the diagonal and, above it, what rounding those lost.
    pub fn packed(&self) -> Array3<f64> {
        self.filled(|entry| entry.rest)
    }

    /// What rounding the values on the diagonals lost, `[groups, d]`.
    pub fn diagonal_rests(&self) -> Array2<f64> {
        Array2::from_shape_fn((self.shape[0], self.shape[1]), |(group, row)| self.entry(group, row, row).rest)
    }

    /// The matrices of all groups, rounded to float64.
    pub fn matrices(&self) -> Vec<Array2<f64>> {
        (0..self.shape[0]).map(|group| self.matrix(group)).collect()
    }

    /// The matrix of a group, rounded to float64.
    pub fn matrix(&self, group: usize) -> Array2<f64> {
        let dim = self.shape[1];
        let mut matrix = Array2::zeros((dim, dim));
        for tile in self.tiles_of(group) {
            fill(tile, |row, column, entry| {
                matrix[(row, column)] = entry.value;
                matrix[(column, row)] = entry.value;
            });
        }
        matrix
    }

    /// Adds matrices of the same shape, times `weight`. What they hold above the diagonal is not looked at.
    pub fn add_scaled(&mut self, weight: f64, matrices: &ArrayView3<'_, f64>) {
        tiles::add(&mut self.tiles, &mut [], weight, |tile, terms, _: Option<&mut ()>| {
            let mut at = 0;
            for row in tile.rows.clone() {
                for column in tile.columns.clone() {
                    // What stands above the diagonal stays 0, so that equal sums are equal.
                    if column <= row {
                        terms[at] = matrices[(tile.matrix, row, column)];
                    }
                    at += 1;
                }
            }
        });
    }

    /// Adds another sum of the same shape.
    pub fn add(&mut self, other: &Self) {
        self.tiles.par_iter_mut().zip(&other.tiles).for_each(|(tile, other)| tile.merge(other));
    }

    /// The tiles, group by group.
    pub(super) fn tiles(&self) -> &[Tile] {
        &self.tiles
    }

    /// The tiles, group by group.
    pub(super) fn tiles_mut(&mut self) -> &mut [Tile] {
        &mut self.tiles
    }

    fn tiles_of(&self, group: usize) -> &[Tile] {
        let count = tiles::count(self.shape[1], Shape::Symmetric);
        &self.tiles[group * count..(group + 1) * count]
    }

    /// An entry on or below the diagonal, rounded to float64.
    pub(super) fn value(&self, group: usize, row: usize, column: usize) -> f64 {
        self.entry(group, row, column).value
    }

    fn entry(&self, group: usize, row: usize, column: usize) -> Entry {
        let (tile, at) = tiles::place(self.shape[1], Shape::Symmetric, row, column);
        self.tiles_of(group)[tile].entry(at)
    }

    fn filled(&self, above: impl Fn(Entry) -> f64) -> Array3<f64> {
        let mut filled = Array3::zeros(self.shape);
        for tile in &self.tiles {
            fill(tile, |row, column, entry| {
                filled[(tile.matrix, column, row)] = above(entry);
                filled[(tile.matrix, row, column)] = entry.value;
            });
        }
        filled
    }
}

/// Calls `each` with the entries of a tile on and below the diagonal.
fn fill(tile: &Tile, mut each: impl FnMut(usize, usize, Entry)) {
    let mut at = 0;
    for row in tile.rows.clone() {
        for column in tile.columns.clone() {
            if column <= row {
                each(row, column, tile.entry(at));
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Axis;
    use proptest::prelude::*;

    /// Symmetric matrices whose entries differ by many orders of magnitude.
    fn terms(groups: usize, dim: usize, count: usize) -> impl Strategy<Value = Vec<Array3<f64>>> {
        let entry = (-1.0_f64..1.0, -30_i32..30).prop_map(|(value, exponent)| value * 2_f64.powi(exponent));
        let matrix = proptest::collection::vec(entry, groups * dim * dim).prop_map(move |values| {
            let at = |group: usize, row: usize, column: usize| {
                values[(group * dim + row.min(column)) * dim + row.max(column)]
            };
            Array3::from_shape_fn((groups, dim, dim), |(group, row, column)| at(group, row, column))
        });
        proptest::collection::vec(matrix, count)
    }

    fn sum<'a>(groups: usize, dim: usize, terms: impl IntoIterator<Item = &'a Array3<f64>>) -> SymmetricSum {
        let mut total = SymmetricSum::zeros(groups, dim);
        terms.into_iter().for_each(|term| total.add_scaled(1.0, &term.view()));
        total
    }

    fn matrices(sum: &SymmetricSum) -> Array3<f64> {
        let mut all = Array3::zeros(sum.shape);
        (0..sum.shape[0]).for_each(|group| all.index_axis_mut(Axis(0), group).assign(&sum.matrix(group)));
        all
    }

    proptest! {
        #[test]
        fn any_order_and_any_division_give_the_same_matrices(
            (groups, dim, terms) in (1_usize..3, 1_usize..7).prop_flat_map(|(groups, dim)| (Just(groups), Just(dim), terms(groups, dim, 12))),
            cut in 0_usize..12,
        ) {
            let whole = matrices(&sum(groups, dim, &terms));
            prop_assert_eq!(&matrices(&sum(groups, dim, terms.iter().rev())), &whole);
            let mut parts = sum(groups, dim, &terms[..cut]);
            parts.add(&sum(groups, dim, &terms[cut..]));
            prop_assert_eq!(&matrices(&parts), &whole);
            let plain = terms.iter().fold(Array3::zeros((groups, dim, dim)), |sum: Array3<f64>, term| sum + term);
            let scale = terms.iter().flatten().fold(0.0_f64, |most, value| most.max(value.abs()));
            prop_assert!(plain.iter().zip(&whole).all(|(plain, exact)| (plain - exact).abs() <= 1e-14 * scale));
        }
    }

    #[test]
    fn what_float64_would_lose_is_kept() {
        let ones = Array3::from_elem((1, 2, 2), 1.0);
        let mut total = SymmetricSum::zeros(1, 2);
        for (weight, times) in [(1e20, 1), (1.0, 1000), (-1e20, 1)] {
            (0..times).for_each(|_| total.add_scaled(weight, &ones.view()));
        }
        assert_eq!(matrices(&total), 1000.0 * ones);
    }

    #[test]
    fn parts_come_back_exactly_and_those_that_do_not_belong_together_are_refused() {
        let dim = tiles::side(1) + 3;
        let third =
            Array3::from_shape_fn((2, dim, dim), |(group, row, column)| 1.0 / (3 + group + row + column) as f64);
        let total = sum(2, dim, &[third.clone(), 1e-9 * third]);
        let (packed, rests) = (total.packed(), total.diagonal_rests());
        assert!(rests.iter().any(|&rest| rest != 0.0));
        assert_eq!(SymmetricSum::of_parts(&packed, &rests), Some(total));
        assert_eq!(SymmetricSum::of_parts(&packed, &Array2::zeros((2, 2))), None);
        assert_eq!(SymmetricSum::of_parts(&Array3::zeros((2, 3, 2)), &rests), None);
    }
}
