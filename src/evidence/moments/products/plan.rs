//! The moment of a convolution's patches as few correlations of its input with itself.
//!
//! Tap s of the window's position o sees the input at `stride · o + s · dilation − pad = stride · (o + q) + φ`: of the input's
//! phases, which take every stride-th position from φ on, it sees one, displaced by q. So the entry of taps s and t is a
//! sum over the window's positions o of two phases y and z,
//!
//! ```text
//! S(s, t) = Σₒ y(o + q) z(o + r)ᵀ = Σₚ y(p) z(p + r − q)ᵀ        p = o + q
//! ```
//!
//! over those p for which o is a position of the window. It depends on the taps through their phases and the displacement
//! r − q alone, but for the p at the edges that some taps do not reach. So the sum over *all* p is taken once for each
//! displacement, and the edges once for each set of taps that leaves them out: for 3 × 3 taps of stride 1 there is one
//! phase, and 13 sums over the image and 16 over edges take the place of 45 sums over the image (all by symmetry,
//! S(t, s) = S(s, t)ᵀ). `displaced.rs` gets the former for less than they would take one by one.

use crate::layers::Window;
use std::collections::BTreeMap;

/// Every stride-th position of the input, from `offset` on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Phase {
    /// Of each axis.
    pub(super) offset: Vec<usize>,
    /// The number of positions of each axis.
    pub(super) extents: Vec<usize>,
}

/// A sum over positions, `Σ y(p) z(p + shift)ᵀ`, of two phases y and z.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Correlation {
    /// Which are y and z. The second is not greater than the first.
    pub(super) phases: [usize; 2],
    /// Of each axis; where both phases are the same, the first that is not 0 is positive.
    pub(super) shift: Vec<isize>,
    /// p, of each axis. All p lie in the first phase, all p + shift in the second.
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
    pub(super) phases: Vec<Phase>,
    pub(super) correlations: Vec<Correlation>,
    /// The number of taps.
    pub(super) taps: usize,
    /// Those of taps s and t, at `s · taps + t`.
    pub(super) terms: Vec<Vec<Term>>,
    /// The input's spatial extents.
    pub(super) spatial: Vec<usize>,
    pub(super) strides: Vec<usize>,
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
    stride: usize,
    taps: usize,
}

/// What a tap sees along an axis: a phase, displaced.
#[derive(Clone, Copy)]
struct Seen {
    offset: usize,
    displacement: isize,
    /// The number of positions of the phase.
    extent: usize,
}

impl Correlation {
    /// Whether rows and columns may change places without a difference.
    pub(super) fn is_symmetric(&self) -> bool {
        self.is_of_one_phase() && self.shift.iter().all(|&shift| shift == 0)
    }

    /// Whether both are the same.
    pub(super) fn is_of_one_phase(&self) -> bool {
        self.phases[0] == self.phases[1]
    }

    /// The number of positions that are summed over.
    pub(super) fn count(&self) -> usize {
        self.region.iter().map(|(from, to)| to - from).product()
    }

    /// The same seen from the other side, where it should be.
    fn canonical(self) -> (Self, bool) {
        let first = self.shift.iter().find(|&&shift| shift != 0);
        let [y, z] = self.phases;
        if y > z || (y == z && first.is_none_or(|&shift| shift > 0)) {
            return (self, false);
        }
        let moved = |(&(from, to), &shift): (&(usize, usize), &isize)| {
            (from.wrapping_add_signed(shift), to.wrapping_add_signed(shift))
        };
        let region = self.region.iter().zip(&self.shift).map(moved).collect();
        (Self { phases: [z, y], shift: self.shift.iter().map(|shift| -shift).collect(), region }, true)
    }
}

impl Plan {
    /// The correlations of a window over an input of these spatial extents, unless they are too many.
    pub(super) fn of(window: &Window, spatial: &[usize]) -> Option<Self> {
        let taps = window.kernel.iter().try_fold(1_usize, |taps, &extent| taps.checked_mul(extent))?;
        if taps > MOST_TAPS || window.kernel.len() != spatial.len() || spatial.is_empty() {
            return None;
        }
        let axes: Option<Vec<AxisOfWindow>> =
            (0..spatial.len()).map(|axis| AxisOfWindow::of(window, axis, spatial[axis])).collect();
        Some(Self::over(&axes?, spatial))
    }

    fn over(axes: &[AxisOfWindow], spatial: &[usize]) -> Self {
        let kernel: Vec<usize> = axes.iter().map(|axis| axis.taps).collect();
        let all_taps: Vec<Vec<Seen>> = ndarray::indices(kernel)
            .into_iter()
            .map(|at| as_vec(&at).iter().zip(axes).map(|(&tap, axis)| axis.sees(tap)).collect())
            .collect();
        let mut phases: Vec<Phase> = all_taps.iter().map(|tap| phase(tap)).collect();
        let of_tap = phases.clone();
        phases.sort_unstable();
        phases.dedup();
        let of_tap: Vec<usize> = of_tap.iter().map(|phase| phases.binary_search(phase).unwrap_or_default()).collect();
        let mut known: BTreeMap<Correlation, usize> = BTreeMap::new();
        let mut correlations = Vec::new();
        let mut terms = Vec::with_capacity(all_taps.len() * all_taps.len());
        for (first, &y) in all_taps.iter().zip(&of_tap) {
            for (second, &z) in all_taps.iter().zip(&of_tap) {
                let mut own = Vec::new();
                for Part { negative, shift, region } in parts(axes, first, second) {
                    let (correlation, transposed) = Correlation { phases: [y, z], shift, region }.canonical();
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
        let strides = axes.iter().map(|axis| axis.stride).collect();
        Self { phases, correlations, taps: all_taps.len(), terms, spatial: spatial.to_vec(), strides }
    }

    /// Whether a correlation is summed over every position for which both lie in their phases.
    pub(super) fn is_whole(&self, correlation: &Correlation) -> bool {
        let [y, z] = correlation.phases.map(|phase| &self.phases[phase].extents);
        let extents = y.iter().zip(z);
        let axes = correlation.shift.iter().zip(&correlation.region).zip(extents);
        axes.into_iter().all(|((&shift, &region), (&y, &z))| region == all(shift, y, z))
    }

    /// The largest displacement of each axis.
    pub(super) fn reach(&self) -> Vec<usize> {
        let of_axis =
            |axis: usize| self.correlations.iter().map(|correlation| correlation.shift[axis].unsigned_abs()).max();
        (0..self.spatial.len()).map(|axis| of_axis(axis).unwrap_or(0)).collect()
    }

    /// The position in the input of a position in a phase, counted element by element in row-major order.
    pub(super) fn flat(&self, phase: usize, at: &[usize]) -> usize {
        let axes = at.iter().zip(&self.phases[phase].offset).zip(self.strides.iter().zip(&self.spatial));
        axes.fold(0, |flat, ((&at, &offset), (&stride, &size))| flat * size + at * stride + offset)
    }

    /// Where the positions of a correlation lie in the input, and those that they meet, as far as `counts` takes them.
    pub(super) fn positions(
        &self,
        correlation: &Correlation,
        counts: impl Fn(&[usize], &[usize]) -> bool,
    ) -> [Vec<usize>; 2] {
        let sizes: Vec<usize> = correlation.region.iter().map(|(from, to)| to - from).collect();
        let mut positions = [Vec::new(), Vec::new()];
        for offset in ndarray::indices(sizes) {
            let first: Vec<usize> =
                as_vec(&offset).iter().zip(&correlation.region).map(|(offset, (from, _))| from + offset).collect();
            let second: Vec<usize> =
                first.iter().zip(&correlation.shift).map(|(at, &shift)| at.wrapping_add_signed(shift)).collect();
            if counts(&first, &second) {
                positions[0].push(self.flat(correlation.phases[0], &first));
                positions[1].push(self.flat(correlation.phases[1], &second));
            }
        }
        positions
    }
}

fn phase(tap: &[Seen]) -> Phase {
    Phase {
        offset: tap.iter().map(|seen| seen.offset).collect(),
        extents: tap.iter().map(|seen| seen.extent).collect(),
    }
}

impl AxisOfWindow {
    fn of(window: &Window, axis: usize, size: usize) -> Option<Self> {
        let (taps, dilation, positions) = (window.kernel[axis], window.dilations[axis], window.extent(axis, size)?);
        let begin = -isize::try_from(window.zeros_before(axis, size)?).ok()?;
        Some(Self { size, positions, begin, dilation, stride: window.strides[axis], taps })
    }

    fn sees(&self, tap: usize) -> Seen {
        let (at, stride) = (self.begin + (tap * self.dilation) as isize, self.stride as isize);
        let offset = at.rem_euclid(stride) as usize;
        let extent = self.size.saturating_sub(offset).div_ceil(self.stride);
        Seen { offset, displacement: at.div_euclid(stride), extent }
    }

    /// Where p begins and ends for two taps, as a sum of ranges with signs: everything but what the window leaves out.
    fn parts(&self, first: Seen, second: Seen) -> Vec<(bool, (usize, usize))> {
        let (from, to) = all(second.displacement - first.displacement, first.extent, second.extent);
        let begin = first.displacement.clamp(from as isize, to as isize) as usize;
        let end = (first.displacement + self.positions as isize).clamp(from as isize, to as isize) as usize;
        if begin >= end {
            return Vec::new();
        }
        let left_out = [(true, (from, begin)), (true, (end, to))];
        let left_out = left_out.into_iter().filter(|(_, (from, to))| from < to);
        [(false, (from, to))].into_iter().chain(left_out).collect()
    }
}

/// The positions p of an axis for which p lies in one phase and p + shift in the other, of so many positions each.
fn all(shift: isize, first: usize, second: usize) -> (usize, usize) {
    let from = first.min(shift.min(0).unsigned_abs());
    let to =
        if shift < 0 { second.saturating_add(shift.unsigned_abs()) } else { second.saturating_sub(shift as usize) };
    (from, from.max(first.min(to)))
}

/// A part of the sum for two taps: over a region, or minus that.
#[derive(Clone, Default)]
struct Part {
    negative: bool,
    shift: Vec<isize>,
    region: Vec<(usize, usize)>,
}

/// What makes the sum for two taps: every combination of the parts of all axes.
fn parts(axes: &[AxisOfWindow], first: &[Seen], second: &[Seen]) -> Vec<Part> {
    let mut parts = vec![Part::default()];
    for ((axis, &first), &second) in axes.iter().zip(first).zip(second) {
        let of_axis = axis.parts(first, second);
        let extended = |part: &Part| {
            let part = part.clone();
            of_axis.clone().into_iter().map(move |(minus, range)| {
                let mut longer = part.clone();
                longer.negative ^= minus;
                longer.shift.push(second.displacement - first.displacement);
                longer.region.push(range);
                longer
            })
        };
        parts = parts.iter().flat_map(extended).collect();
    }
    parts
}

fn as_vec(at: &ndarray::IxDyn) -> Vec<usize> {
    use ndarray::Dimension;
    at.slice().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Padding;

    fn square(kernel: usize, pad: usize, stride: usize) -> Window {
        let padding = Padding::Explicit { begin: vec![pad; 2], end: vec![pad; 2] };
        Window {
            groups: 1,
            channels: 1,
            kernel: vec![kernel; 2],
            strides: vec![stride; 2],
            dilations: vec![1; 2],
            padding,
        }
    }

    fn whole_and_all(plan: &Plan) -> (usize, usize) {
        let whole = plan.correlations.iter().filter(|correlation| plan.is_whole(correlation)).count();
        (whole, plan.correlations.len())
    }

    #[test]
    fn few_sums_make_the_moment_of_three_by_three_taps() {
        let plan = Plan::of(&square(3, 1, 1), &[14, 14]).unwrap();
        assert_eq!(whole_and_all(&plan), (13, 29));
        assert_eq!((plan.phases.len(), plan.reach()), (1, vec![2, 2]));
    }

    #[test]
    fn a_window_that_steps_sees_phases() {
        let plan = Plan::of(&square(3, 1, 2), &[14, 14]).unwrap();
        assert_eq!((plan.phases.len(), plan.reach()), (4, vec![1, 1]));
        assert_eq!(whole_and_all(&plan).0, 5 + 2 + 2 + 1 + 6 + 6 + 4 + 4 + 2 + 2);
        let far_apart = Plan::of(&square(1, 0, 3), &[14, 14]).unwrap();
        assert_eq!((far_apart.phases[0].extents.clone(), whole_and_all(&far_apart)), (vec![5, 5], (1, 1)));
    }
}
