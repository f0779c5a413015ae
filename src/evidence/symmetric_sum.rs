//! Sums of symmetric matrices that do not depend on the order of their terms, so that shards of any number add up to what
//! one run gives.
//!
//! Every entry is an unevaluated sum of two float64, the second of which holds what rounding the first one lost (Dekker,
//! "A floating-point technique for extending the available precision", 1971). A sum of n terms is then right to n · 2⁻¹⁰⁴,
//! far below the rounding of its value to float64.
//!
//! Half of a symmetric matrix says all of it, so both fit where one matrix would. In row-major order, the value of an entry
//! at k, above the diagonal, lies at k, and its rest at d² − 1 − k, below the diagonal. The rests of the diagonal lie apart.

use ndarray::{Array2, Array3};

/// A sum of matrices `[groups, d, d]`, each of them symmetric.
#[derive(Clone, Debug, PartialEq)]
pub struct SymmetricSum {
    packed: Array3<f64>,
    diagonal_rests: Array2<f64>,
}

impl SymmetricSum {
    /// A sum of nothing.
    pub fn zeros(groups: usize, dim: usize) -> Self {
        Self { packed: Array3::zeros((groups, dim, dim)), diagonal_rests: Array2::zeros((groups, dim)) }
    }

    /// From what [`parts`](Self::parts) gave, or nothing where these do not belong together.
    pub fn of_parts(packed: Array3<f64>, diagonal_rests: Array2<f64>) -> Option<Self> {
        let (groups, rows, columns) = packed.dim();
        let in_order = packed.is_standard_layout() && diagonal_rests.is_standard_layout();
        let fits = in_order && rows == columns && diagonal_rests.dim() == (groups, rows);
        fits.then_some(Self { packed, diagonal_rests })
    }

    /// The matrices as they are kept (see the head of this file), and the rests of their diagonals.
    pub fn parts(&self) -> (&Array3<f64>, &Array2<f64>) {
        (&self.packed, &self.diagonal_rests)
    }

    /// The shape of the matrices: groups, d, d.
    pub fn shape(&self) -> &[usize] {
        self.packed.shape()
    }

    /// Adds matrices of the same shape, times `weight`. What they hold below the diagonal is not looked at.
    pub fn add_scaled(&mut self, weight: f64, matrices: &Array3<f64>) {
        let terms = matrices.as_standard_layout();
        let size = self.shape()[1] * self.shape()[2];
        for (group, term) in self.groups().zip(terms.as_slice().unwrap_or_default().chunks_exact(size.max(1))) {
            group.update(|at, entry| entry.plus(Entry { value: weight * term[at], rest: 0.0 }));
        }
    }

    /// Adds another sum of the same shape.
    pub fn add(&mut self, mut other: Self) {
        for (group, term) in self.groups().zip(other.groups()) {
            group.update(|at, entry| entry.plus(term.entry(at)));
        }
    }

    /// The sum, rounded to float64.
    pub fn into_matrices(mut self) -> Array3<f64> {
        self.groups().for_each(Group::mirror);
        self.packed
    }

    fn groups(&mut self) -> impl Iterator<Item = Group<'_>> {
        let dim = self.diagonal_rests.ncols().max(1);
        let packed = self.packed.as_slice_mut().unwrap_or_default().chunks_exact_mut(dim * dim);
        let rests = self.diagonal_rests.as_slice_mut().unwrap_or_default().chunks_exact_mut(dim);
        packed.zip(rests).map(|(packed, diagonal_rests)| Group { packed, diagonal_rests })
    }
}

/// One of the matrices.
struct Group<'a> {
    packed: &'a mut [f64],
    diagonal_rests: &'a mut [f64],
}

impl Group<'_> {
    /// Replaces every entry on and above the diagonal by what `next` makes of its position in row-major order and itself.
    fn update(self, next: impl Fn(usize, Entry) -> Entry) {
        let (dim, last) = (self.diagonal_rests.len(), self.packed.len() - 1);
        for row in 0..dim {
            let diagonal = row * dim + row;
            let entry = next(diagonal, Entry { value: self.packed[diagonal], rest: self.diagonal_rests[row] });
            (self.packed[diagonal], self.diagonal_rests[row]) = (entry.value, entry.rest);
            for at in diagonal + 1..(row + 1) * dim {
                let entry = next(at, Entry { value: self.packed[at], rest: self.packed[last - at] });
                (self.packed[at], self.packed[last - at]) = (entry.value, entry.rest);
            }
        }
    }

    /// The entry at a position on or above the diagonal.
    fn entry(&self, at: usize) -> Entry {
        let dim = self.diagonal_rests.len();
        let rest = if at.is_multiple_of(dim + 1) {
            self.diagonal_rests[at / (dim + 1)]
        } else {
            self.packed[dim * dim - 1 - at]
        };
        Entry { value: self.packed[at], rest }
    }

    /// Puts the values above the diagonal in the place of the rests.
    fn mirror(self) {
        let dim = self.diagonal_rests.len();
        for row in 0..dim {
            for column in row + 1..dim {
                self.packed[column * dim + row] = self.packed[row * dim + column];
            }
        }
    }
}

/// A number of twice the precision: `value` is `value + rest`, rounded.
#[derive(Clone, Copy)]
struct Entry {
    value: f64,
    rest: f64,
}

impl Entry {
    fn plus(self, other: Self) -> Self {
        let (value, lost) = two_sum(self.value, other.value);
        let (rest, lost_of_rest) = two_sum(self.rest, other.rest);
        let (value, rest) = quick_two_sum(value, lost + rest);
        let (value, rest) = quick_two_sum(value, rest + lost_of_rest);
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
        terms.into_iter().for_each(|term| total.add_scaled(1.0, term));
        total
    }

    proptest! {
        #[test]
        fn any_order_and_any_division_give_the_same_matrices(
            (groups, dim, terms) in (1_usize..3, 1_usize..7).prop_flat_map(|(groups, dim)| (Just(groups), Just(dim), terms(groups, dim, 12))),
            cut in 0_usize..12,
        ) {
            let whole = sum(groups, dim, &terms).into_matrices();
            prop_assert_eq!(&sum(groups, dim, terms.iter().rev()).into_matrices(), &whole);
            let mut parts = sum(groups, dim, &terms[..cut]);
            parts.add(sum(groups, dim, &terms[cut..]));
            prop_assert_eq!(&parts.into_matrices(), &whole);
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
            (0..times).for_each(|_| total.add_scaled(weight, &ones));
        }
        assert_eq!(total.into_matrices(), 1000.0 * ones);
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let total = sum(2, 3, &[Array3::from_elem((2, 3, 3), 0.1)]);
        let (packed, rests) = total.parts();
        assert_eq!(SymmetricSum::of_parts(packed.clone(), rests.clone()), Some(total.clone()));
        assert_eq!(SymmetricSum::of_parts(packed.clone(), Array2::zeros((2, 2))), None);
        assert_eq!(SymmetricSum::of_parts(Array3::zeros((2, 3, 2)), rests.clone()), None);
    }
}
