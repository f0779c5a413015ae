//! The moment of a convolution's patches as few correlations of its input with itself.
//!
//! With stride 1, the entry of taps s and t is a sum over the window's positions o,
//!
//! ```text
//! S(s, t) = Σₒ x(o + s) x(o + t)ᵀ = Σₚ x(p) x(p + t − s)ᵀ        p = o + s
//! ```
//!
//! over those p for which o is a position of the window. It depends on the taps through the displacement t − s alone, but
//! for the p at the edges that some taps do not reach. So the sum over *all* p is taken once for each displacement, and the
//! edges once for each set of taps that leaves them out: for 3 × 3 taps 13 sums over the image and 16 over edges, in the
//! place of 45 sums over the image (all by symmetry, S(t, s) = S(s, t)ᵀ).

use crate::layers::Window;
use std::collections::BTreeMap;

/// A sum over positions of the input, `Σ x(p) x(p + shift)ᵀ`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Correlation {
    /// Of each axis; the first that is not 0 is positive.
    pub(super) shift: Vec<isize>,
    /// p, of each axis. All p + shift lie in the input, too.
    pub(super) region: Vec<(usize, usize)>,
}

/// A correlation as a part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) correlation: usize,
    /// Whether it is subtracted.
    pub(super) negative: bool,
    /// Whether rows and columns change places.
    pub(super) transposed: bool,
}

/// Windows of more taps are left to the patches: their plans would be longer than what they save.
const MOST_TAPS: usize = 49;

/// Which correlations make the moment of a window's patches.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) correlations: Vec<Correlation>,
    /// The number of taps.
    pub(super) taps: usize,
    /// Those of taps s and t, at `s · taps + t`.
    pub(super) terms: Vec<Vec<Term>>,
    /// The input's spatial extents.
    pub(super) spatial: Vec<usize>,
    /// The largest displacement of each axis.
    pub(super) reach: Vec<usize>,
}

/// One axis of a window.
struct AxisOfWindow {
    /// Of the input.
    size: usize,
    /// Positions of the window.
    positions: usize,
    /// Where the first position of the window has its first tap.
    begin: isize,
    dilation: usize,
    taps: usize,
}

impl Correlation {
    /// Whether rows and columns may change places without a difference.
    pub(super) fn is_symmetric(&self) -> bool {
        self.shift.iter().all(|&shift| shift == 0)
    }

    /// Whether it is summed over every position for which both lie in the input.
    pub(super) fn is_whole(&self, spatial: &[usize]) -> bool {
        let whole = |((&shift, &region), &size): ((&isize, &(usize, usize)), &usize)| region == all(shift, size);
        self.shift.iter().zip(&self.region).zip(spatial).all(whole)
    }

    /// The positions that are summed over.
    pub(super) fn count(&self) -> usize {
        self.region.iter().map(|(from, to)| to - from).product()
    }
}

impl Plan {
    /// The correlations of a window over an input of these spatial extents, where its strides are 1 and this takes less
    /// than the product of the patches themselves.
    pub(super) fn of(window: &Window, spatial: &[usize]) -> Option<Self> {
        let plan = Self::always(window, spatial)?;
        let positions: usize = (0..spatial.len()).filter_map(|axis| window.extent(axis, spatial[axis])).product();
        (plan.cost() < plan.taps * plan.taps * positions / 2).then_some(plan)
    }

    /// The same whatever it takes.
    pub(super) fn always(window: &Window, spatial: &[usize]) -> Option<Self> {
        let taps = window.kernel.iter().try_fold(1_usize, |taps, &extent| taps.checked_mul(extent))?;
        let steps = window.strides.iter().any(|&stride| stride != 1);
        if steps || taps > MOST_TAPS || window.kernel.len() != spatial.len() {
            return None;
        }
        let axes: Option<Vec<AxisOfWindow>> =
            (0..spatial.len()).map(|axis| AxisOfWindow::of(window, axis, spatial[axis])).collect();
        Some(Self::over(&axes?, spatial))
    }

    fn over(axes: &[AxisOfWindow], spatial: &[usize]) -> Self {
        let kernel: Vec<usize> = axes.iter().map(|axis| axis.taps).collect();
        let all_taps: Vec<Vec<usize>> = ndarray::indices(kernel).into_iter().map(|at| as_vec(&at)).collect();
        let mut known: BTreeMap<Correlation, usize> = BTreeMap::new();
        let mut correlations = Vec::new();
        let mut terms = Vec::with_capacity(all_taps.len() * all_taps.len());
        for first in &all_taps {
            for second in &all_taps {
                let mut own = Vec::new();
                for (negative, correlation) in signed_regions(axes, first, second) {
                    let (correlation, transposed) = correlation.canonical();
                    let next = correlations.len();
                    let index = *known.entry(correlation.clone()).or_insert(next);
                    if index == next {
                        correlations.push(correlation);
                    }
                    own.push(Term { correlation: index, negative, transposed });
                }
                terms.push(own);
            }
        }
        let reach = axes.iter().map(|axis| (axis.taps - 1) * axis.dilation).collect();
        Self { correlations, taps: all_taps.len(), terms, spatial: spatial.to_vec(), reach }
    }

    /// The number of products of one channel with another.
    fn cost(&self) -> usize {
        let cost = |correlation: &Correlation| {
            let count = if correlation.is_whole(&self.spatial) { self.run() } else { correlation.count() };
            if correlation.is_symmetric() { count / 2 } else { count }
        };
        self.correlations.iter().map(cost).sum()
    }

    /// The extents of the input with so many zeros behind each axis that no displacement leads into the next line or the
    /// next sample.
    pub(super) fn padded(&self) -> Vec<usize> {
        self.spatial.iter().zip(&self.reach).map(|(size, reach)| size + reach).collect()
    }

    /// From the first position to behind the last one, in a padded input.
    pub(super) fn run(&self) -> usize {
        let last: Vec<isize> = self.spatial.iter().map(|&size| size as isize - 1).collect();
        flat(&last, &self.padded()) as usize + 1
    }
}

impl AxisOfWindow {
    fn of(window: &Window, axis: usize, size: usize) -> Option<Self> {
        let (taps, dilation, positions) = (window.kernel[axis], window.dilations[axis], window.extent(axis, size)?);
        let begin = -isize::try_from(window.zeros_before(axis, size)?).ok()?;
        Some(Self { size, positions, begin, dilation, taps })
    }

    /// Where p begins and ends for two taps, as a sum of ranges with signs: everything but what the window leaves out.
    fn parts(&self, first: usize, second: usize) -> Vec<(bool, (usize, usize))> {
        let shift = (second as isize - first as isize) * self.dilation as isize;
        let (from, to) = all(shift, self.size);
        let reached = self.begin + (first * self.dilation) as isize;
        let begin = reached.clamp(from as isize, to as isize) as usize;
        let end = (reached + self.positions as isize).clamp(from as isize, to as isize) as usize;
        if begin >= end {
            return Vec::new();
        }
        let left_out = [(true, (from, begin)), (true, (end, to))];
        let left_out = left_out.into_iter().filter(|(_, (from, to))| from < to);
        [(false, (from, to))].into_iter().chain(left_out).collect()
    }
}

/// The positions p of an axis for which p and p + shift lie in it.
fn all(shift: isize, size: usize) -> (usize, usize) {
    let from = size.min(shift.min(0).unsigned_abs());
    (from, from.max(size.saturating_sub(shift.max(0).unsigned_abs())))
}

/// What makes the sum for two taps: every combination of the parts of all axes.
fn signed_regions(axes: &[AxisOfWindow], first: &[usize], second: &[usize]) -> Vec<(bool, Correlation)> {
    let mut regions = vec![(false, Correlation { shift: Vec::new(), region: Vec::new() })];
    for ((axis, &first), &second) in axes.iter().zip(first).zip(second) {
        let shift = (second as isize - first as isize) * axis.dilation as isize;
        let parts = axis.parts(first, second);
        let extended = |(negative, region): &(bool, Correlation)| {
            let region = region.clone();
            let negative = *negative;
            parts.clone().into_iter().map(move |(minus, range)| {
                let mut longer = region.clone();
                longer.shift.push(shift);
                longer.region.push(range);
                (negative != minus, longer)
            })
        };
        regions = regions.iter().flat_map(extended).collect();
    }
    regions
}

impl Correlation {
    /// The same seen from the other side, where the shift is not positive.
    fn canonical(self) -> (Self, bool) {
        let first = self.shift.iter().find(|&&shift| shift != 0);
        if first.is_none_or(|&shift| shift > 0) {
            return (self, false);
        }
        let moved = |(&(from, to), &shift): (&(usize, usize), &isize)| {
            (from.wrapping_add_signed(shift), to.wrapping_add_signed(shift))
        };
        let region = self.region.iter().zip(&self.shift).map(moved).collect();
        (Self { shift: self.shift.iter().map(|shift| -shift).collect(), region }, true)
    }
}

/// A position or a displacement, counted element by element in row-major order.
pub(super) fn flat(at: &[isize], extents: &[usize]) -> isize {
    at.iter().zip(extents).fold(0, |flat, (&at, &extent)| flat * extent as isize + at)
}

/// Every position of a region, counted in an input of these extents.
pub(super) fn positions(region: &[(usize, usize)], extents: &[usize]) -> Vec<usize> {
    let sizes: Vec<usize> = region.iter().map(|(from, to)| to - from).collect();
    let at = |offset: ndarray::IxDyn| {
        let at: Vec<isize> =
            as_vec(&offset).iter().zip(region).map(|(offset, (from, _))| (from + offset) as isize).collect();
        flat(&at, extents) as usize
    };
    ndarray::indices(sizes).into_iter().map(at).collect()
}

fn as_vec(at: &ndarray::IxDyn) -> Vec<usize> {
    use ndarray::Dimension;
    at.slice().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Padding;

    fn square(kernel: usize, pad: usize) -> Window {
        let padding = Padding::Explicit { begin: vec![pad; 2], end: vec![pad; 2] };
        let (kernel, ones) = (vec![kernel; 2], vec![1; 2]);
        Window { groups: 1, channels: 1, kernel, strides: ones.clone(), dilations: ones, padding }
    }

    #[test]
    fn few_sums_make_the_moment_of_three_by_three_taps() {
        let plan = Plan::of(&square(3, 1), &[14, 14]).unwrap();
        let whole = plan.correlations.iter().filter(|correlation| correlation.is_whole(&plan.spatial)).count();
        assert_eq!((whole, plan.correlations.len()), (13, 29));
        assert_eq!(plan.padded(), [16, 16]);
        assert_eq!(plan.run(), 13 * 16 + 14);
    }

    #[test]
    fn windows_that_step_and_those_that_are_mostly_edge_are_left_to_the_patches() {
        let stepping = Window { strides: vec![1, 2], ..square(3, 1) };
        assert!(Plan::of(&stepping, &[14, 14]).is_none());
        assert!(Plan::of(&square(2, 0), &[2, 2]).is_none());
    }
}
