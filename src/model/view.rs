//! How a value shows the elements of a stored tensor: through transposes and reshapes, nothing copied.
//!
//! An axis of a [`View`] is a list of factors, major to minor, each an extent and a stride into the stored tensor
//! (row-major, in elements). Transposing permutes axes; reshaping regroups factors, and splits one where an extent
//! divides it. So "the same elements in the same order" is equality of normal forms, whatever nodes lie in between.

use ndarray::{Array2, ArrayD, IxDyn};

/// A stored tensor with other axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    axes: Vec<Axis>,
}

/// One axis: which elements of the stored tensor it steps over.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Axis {
    /// Major to minor; adjacent factors that are one run of the stored tensor are one factor, and none has extent 1.
    factors: Vec<Factor>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Factor {
    extent: usize,
    stride: usize,
}

impl Axis {
    fn of(factors: impl IntoIterator<Item = Factor>) -> Self {
        let mut merged: Vec<Factor> = Vec::new();
        for factor in factors.into_iter().filter(|factor| factor.extent != 1) {
            match merged.last_mut() {
                Some(above) if above.stride == factor.extent * factor.stride => {
                    *above = Factor { extent: above.extent * factor.extent, stride: factor.stride };
                }
                _ => merged.push(factor),
            }
        }
        Self { factors: merged }
    }

    /// The number of positions.
    pub fn extent(&self) -> usize {
        self.factors.iter().map(|factor| factor.extent).product()
    }

    /// Several axes as one, the first the major.
    pub fn joined<'a>(axes: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::of(axes.into_iter().flat_map(|axis| axis.factors.iter().copied()))
    }

    /// The axis as `extents`, major to minor, or `None` where they do not divide its factors.
    fn split(&self, extents: &[usize]) -> Option<Vec<Self>> {
        let mut left: Vec<Factor> = self.factors.iter().rev().copied().collect();
        let mut axes = Vec::with_capacity(extents.len());
        for &extent in extents {
            let (mut wanted, mut taken) = (extent, Vec::new());
            while wanted > 1 {
                let factor = left.pop()?;
                if wanted.is_multiple_of(factor.extent) {
                    wanted /= factor.extent;
                    taken.push(factor);
                } else if factor.extent.is_multiple_of(wanted) {
                    let inner = factor.extent / wanted;
                    left.push(Factor { extent: inner, stride: factor.stride });
                    taken.push(Factor { extent: wanted, stride: factor.stride * inner });
                    wanted = 1;
                } else {
                    return None;
                }
            }
            axes.push(Self::of(taken));
        }
        left.is_empty().then_some(axes)
    }

    /// The axis as `count` groups and what is in each, or `None` where it does not divide.
    pub fn grouped(&self, count: usize) -> Option<(Self, Self)> {
        let extent = self.extent();
        let inner = extent.checked_div(count).filter(|_| extent.is_multiple_of(count))?;
        let mut axes = self.split(&[count, inner])?;
        Some((axes.remove(0), axes.remove(0)))
    }

    /// For each position, where its elements begin in the stored tensor.
    fn offsets(&self) -> Vec<usize> {
        self.factors.iter().fold(vec![0], |offsets, factor| {
            offsets.iter().flat_map(|offset| (0..factor.extent).map(move |at| offset + at * factor.stride)).collect()
        })
    }
}

impl View {
    /// A tensor as it is stored. It must not be empty.
    pub fn of(dims: &[usize]) -> Self {
        let mut stride = 1;
        let mut axes: Vec<Axis> = Vec::with_capacity(dims.len());
        for &extent in dims.iter().rev() {
            axes.push(Axis::of([Factor { extent, stride }]));
            // Only an empty tensor can overflow here, and it has no elements to find.
            stride = stride.saturating_mul(extent);
        }
        axes.reverse();
        Self { axes }
    }

    /// The extent of each axis.
    pub fn dims(&self) -> Vec<usize> {
        self.axes.iter().map(Axis::extent).collect()
    }

    /// The axes.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The axes in the order `permutation`, or `None` where it is none.
    pub fn transposed(&self, permutation: &[usize]) -> Option<Self> {
        let mut sorted = permutation.to_vec();
        sorted.sort_unstable();
        let axes = permutation.iter().filter_map(|&axis| self.axes.get(axis).cloned()).collect();
        sorted.into_iter().eq(0..self.axes.len()).then_some(Self { axes })
    }

    /// The same elements in the same order with other extents, or `None` where that would tear a factor apart.
    pub fn reshaped(&self, dims: &[usize]) -> Option<Self> {
        Axis::joined(&self.axes).split(dims).map(|axes| Self { axes })
    }

    /// Whether a tensor of shape `dims` is seen as it is stored.
    pub fn is_identity(&self, dims: &[usize]) -> bool {
        *self == Self::of(dims)
    }

    /// What is seen of a stored tensor.
    pub fn of_stored(&self, stored: &ArrayD<f64>) -> ArrayD<f64> {
        let values = stored.as_standard_layout();
        let seen: Vec<f64> =
            Axis::joined(&self.axes).offsets().iter().map(|&at| values.as_slice().map_or(0.0, |v| v[at])).collect();
        ArrayD::from_shape_vec(IxDyn(&self.dims()), seen).expect("a view has one element for each position")
    }
}

/// A stored tensor as matrices `[outputs, d]`, one a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixView {
    /// Groups of a Conv, experts of a batched MatMul: they share nothing.
    pub groups: Axis,
    /// Outputs of one group.
    pub outputs: Axis,
    /// Inputs of one group: what the weight contracts.
    pub inputs: Axis,
}

impl MatrixView {
    /// d, the inputs of one group.
    pub fn dim(&self) -> usize {
        self.inputs.extent()
    }

    /// Whether two layers contract the same elements in the same order, so that one correction serves both.
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.groups == other.groups && self.inputs == other.inputs
    }

    /// The matrices of a stored tensor.
    pub fn matrices(&self, stored: &ArrayD<f64>) -> Vec<Array2<f64>> {
        let values = stored.as_standard_layout();
        let values = values.as_slice().expect("standard layout is a slice");
        let (outputs, inputs) = (self.outputs.offsets(), self.inputs.offsets());
        let matrix = |group: usize| {
            let mut matrix = vec![0.0; outputs.len() * inputs.len()];
            for_each_position(&outputs, &inputs, |out, input| {
                matrix[out * inputs.len() + input] = values[group + outputs[out] + inputs[input]];
            });
            Array2::from_shape_vec((outputs.len(), inputs.len()), matrix).expect("the shape gave the number of values")
        };
        self.groups.offsets().into_iter().map(matrix).collect()
    }

    /// The inverse of [`MatrixView::matrices`], for a stored tensor of shape `dims`.
    pub fn tensor(&self, matrices: &[Array2<f64>], dims: &[usize]) -> ArrayD<f64> {
        let mut values = vec![0.0; dims.iter().product()];
        let (outputs, inputs) = (self.outputs.offsets(), self.inputs.offsets());
        for (group, matrix) in self.groups.offsets().into_iter().zip(matrices) {
            let matrix = matrix.as_standard_layout();
            let matrix = matrix.as_slice().expect("standard layout is a slice");
            for_each_position(&outputs, &inputs, |out, input| {
                values[group + outputs[out] + inputs[input]] = matrix[out * inputs.len() + input];
            });
        }
        ArrayD::from_shape_vec(IxDyn(dims), values).expect("the shape gave the number of values")
    }
}

/// Visits every pair of an output and an input: in the order of a matrix where inputs are neighbours in the stored tensor,
/// else in tiles, so that a cache line that was fetched is used before it goes.
fn for_each_position(outputs: &[usize], inputs: &[usize], mut visit: impl FnMut(usize, usize)) {
    const TILE: usize = 32;
    let step = |offsets: &[usize]| offsets.get(1).copied().unwrap_or(usize::MAX);
    let (rows, columns) = if step(outputs) < step(inputs) { (TILE, TILE) } else { (1, inputs.len().max(1)) };
    for out in (0..outputs.len()).step_by(rows) {
        for input in (0..inputs.len()).step_by(columns) {
            for out in out..outputs.len().min(out + rows) {
                for input in input..inputs.len().min(input + columns) {
                    visit(out, input);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbered(dims: &[usize]) -> ArrayD<f64> {
        let count: usize = dims.iter().product();
        ArrayD::from_shape_vec(IxDyn(dims), (0..count).map(|at| at as f64).collect()).unwrap()
    }

    proptest! {
        /// Against ndarray, which copies.
        #[test]
        fn a_view_shows_what_transposing_and_reshaping_give(
            dims in prop::collection::vec(1..5_usize, 1..5),
            seed in any::<u64>(),
        ) {
            let stored = numbered(&dims);
            let mut order: Vec<usize> = (0..dims.len()).collect();
            order.rotate_left(seed as usize % dims.len());
            let wanted = stored.clone().permuted_axes(IxDyn(&order)).as_standard_layout().into_owned();
            let view = View::of(&dims).transposed(&order).unwrap();
            prop_assert_eq!(view.of_stored(&stored), wanted.clone());
            let flat = [1, wanted.len()];
            let reshaped = view.reshaped(&flat).unwrap();
            prop_assert_eq!(reshaped.of_stored(&stored), wanted.into_shape_with_order(IxDyn(&flat)).unwrap());
            prop_assert_eq!(reshaped.reshaped(&view.dims()).unwrap(), view);
        }
    }

    #[test]
    fn a_reshape_that_mixes_axes_is_no_view() {
        let transposed = View::of(&[2, 3]).transposed(&[1, 0]).unwrap();
        assert_eq!(transposed.reshaped(&[2, 3]), None);
        assert_eq!(transposed.reshaped(&[7]), None);
        assert!(transposed.reshaped(&[1, 3, 2]).is_some());
        assert_eq!(View::of(&[2, 3]).transposed(&[0, 0]), None);
    }

    #[test]
    fn a_way_there_and_back_is_the_identity() {
        let dims = [4, 6, 3];
        let there = View::of(&dims).reshaped(&[4, 18]).and_then(|view| view.transposed(&[1, 0])).unwrap();
        let back = there.transposed(&[1, 0]).and_then(|view| view.reshaped(&dims)).unwrap();
        assert!(back.is_identity(&dims) && !there.is_identity(&dims));
    }

    /// Larger than a tile, which their extents do not divide, in both orders of storage and from both orders in memory.
    #[test]
    fn matrices_that_are_visited_in_tiles_are_whole() {
        let stored = numbered(&[37, 53]);
        let view = View::of(&[37, 53]);
        let [rows, columns] = [0, 1].map(|axis| view.axes()[axis].clone());
        let wanted = stored.clone().into_dimensionality::<ndarray::Ix2>().unwrap();
        let across = MatrixView { groups: Axis::default(), outputs: rows.clone(), inputs: columns.clone() };
        assert_eq!(across.matrices(&stored).remove(0), wanted);
        let down = MatrixView { groups: Axis::default(), outputs: columns, inputs: rows };
        let matrix = down.matrices(&stored).remove(0);
        assert_eq!(matrix, wanted.t());
        assert_eq!(down.tensor(&[matrix], &[37, 53]), stored);
        assert_eq!(down.tensor(&[wanted.reversed_axes()], &[37, 53]), stored);
    }

    #[test]
    fn matrices_and_tensor_are_inverse() {
        let stored = numbered(&[6, 2, 3]);
        let view = View::of(&[6, 2, 3]);
        let (groups, outputs) = view.axes()[0].grouped(3).unwrap();
        let grouped = MatrixView { groups, outputs, inputs: Axis::joined(&view.axes()[1..]) };
        let matrices = grouped.matrices(&stored);
        assert_eq!(matrices.len(), 3);
        assert_eq!(matrices[1].row(0).to_vec(), [12.0, 13.0, 14.0, 15.0, 16.0, 17.0]);
        assert_eq!(grouped.tensor(&matrices, &[6, 2, 3]), stored);

        let columns = View::of(&[2, 3]);
        let [inputs, outputs] = [0, 1].map(|axis| columns.axes()[axis].clone());
        let columns = MatrixView { groups: Axis::default(), outputs, inputs };
        let matrix = numbered(&[2, 3]);
        assert_eq!(columns.matrices(&matrix)[0].row(1).to_vec(), [1.0, 4.0]);
        assert_eq!(columns.tensor(&columns.matrices(&matrix), &[2, 3]), matrix);
    }
}
