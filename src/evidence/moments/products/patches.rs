//! Where the taps of a convolution's window lie, for patches that are gathered.

use crate::layers::Window;

/// The patches of a window over an input of some extents.
#[derive(Debug)]
pub(in crate::evidence::moments) struct Patches {
    /// The number of channels of all groups.
    pub(super) channels: usize,
    /// The spatial extents of the input.
    pub(super) spatial: Vec<usize>,
    /// Of each tap, what it sees of every line of positions.
    pub(super) taps: Vec<Vec<Line>>,
    /// The number of positions.
    pub(super) positions: usize,
}

/// What a tap sees along the last axis, while the window moves there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The first position of the window at which it sees the input and not zeros.
    pub(super) first: usize,
    /// How many of them.
    pub(super) count: usize,
    /// What it sees there, counted in the input of a channel.
    pub(super) at: usize,
    /// The distance of what it sees next.
    pub(super) step: usize,
}

impl Patches {
    /// How many values the patches of so many values of the input hold.
    pub(super) fn growth(&self, values: usize) -> usize {
        let positions: usize = self.spatial.iter().product();
        (values / positions.max(1)).saturating_mul(self.taps.len() * self.positions)
    }

    /// Those of a window, where it fits.
    pub(super) fn of(window: &Window, spatial: &[usize]) -> Option<Self> {
        if window.kernel.len() != spatial.len() || spatial.is_empty() {
            return None;
        }
        let extents: Option<Vec<usize>> = (0..spatial.len()).map(|axis| window.extent(axis, spatial[axis])).collect();
        let begins: Option<Vec<usize>> =
            (0..spatial.len()).map(|axis| window.zeros_before(axis, spatial[axis])).collect();
        let (extents, begins) = (extents?, begins?);
        let (line, before) = extents.split_last()?;
        // Of each axis, what a tap sees from a position of the window.
        let sees = |axis: usize, tap: usize, position: usize| {
            let at = (position * window.strides[axis] + tap * window.dilations[axis]).checked_sub(begins[axis])?;
            (at < spatial[axis]).then_some(at)
        };
        let of_tap = |tap: ndarray::IxDyn| {
            let last = spatial.len() - 1;
            let within: Vec<usize> = (0..*line).filter(|&position| sees(last, tap[last], position).is_some()).collect();
            let start = |position: ndarray::IxDyn| {
                (0..last).try_fold(0, |flat, axis| Some(flat * spatial[axis] + sees(axis, tap[axis], position[axis])?))
            };
            let of_line = |(index, position): (usize, ndarray::IxDyn)| {
                let (first, start) = (*within.first()?, start(position)?);
                let at = start * spatial[last] + sees(last, tap[last], first)?;
                Some(Line { first: index * line + first, count: within.len(), at, step: window.strides[last] })
            };
            ndarray::indices(before.to_vec()).into_iter().enumerate().filter_map(of_line).collect()
        };
        let taps = ndarray::indices(window.kernel.clone()).into_iter().map(of_tap).collect();
        let (channels, spatial) = (window.groups * window.channels, spatial.to_vec());
        Some(Self { channels, spatial, taps, positions: extents.iter().product() })
    }
}
