//! The shape of a value, as far as it is the same in every run.

use std::ops::Index;

/// The extent of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Extent {
    /// The same in every run.
    Fixed(usize),
    /// It follows the inputs: most often the batch size.
    Dynamic,
}

impl Extent {
    /// The extent, where it is fixed.
    pub const fn fixed(self) -> Option<usize> {
        match self {
            Self::Fixed(extent) => Some(extent),
            Self::Dynamic => None,
        }
    }
}

/// The extents of every axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape(Vec<Extent>);

impl Shape {
    /// What two runs with different extents of the inputs have in common; nothing where even the number of axes differs.
    pub fn common(one: &[usize], other: &[usize]) -> Option<Self> {
        let extent = |(&one, &other): (&usize, &usize)| if one == other { Extent::Fixed(one) } else { Extent::Dynamic };
        (one.len() == other.len()).then(|| Self(one.iter().zip(other).map(extent).collect()))
    }

    /// Of these extents.
    pub fn new(extents: impl IntoIterator<Item = Extent>) -> Self {
        Self(extents.into_iter().collect())
    }

    /// Of these fixed extents.
    pub fn of(extents: &[usize]) -> Self {
        Self::new(extents.iter().copied().map(Extent::Fixed))
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The extents.
    pub fn extents(&self) -> &[Extent] {
        &self.0
    }

    /// The extents, where all of them are fixed.
    pub fn fixed(&self) -> Option<Vec<usize>> {
        self.0.iter().map(|extent| extent.fixed()).collect()
    }

    /// The extents of some axes, where these are fixed.
    pub fn fixed_from(&self, axis: usize) -> Option<Vec<usize>> {
        self.0.get(axis..)?.iter().map(|extent| extent.fixed()).collect()
    }

    /// As a Reshape's target, where that tells the shape: at most one extent may be inferred.
    pub fn as_target(&self) -> Option<Vec<i64>> {
        let dynamic = self.0.iter().filter(|extent| **extent == Extent::Dynamic).count();
        let empty = self.0.contains(&Extent::Fixed(0));
        let target = |extent: &Extent| extent.fixed().map_or(-1, |extent| extent as i64);
        (dynamic == 0 || dynamic == 1 && !empty).then(|| self.0.iter().map(target).collect())
    }

    /// The axis that ONNX means by a number that may count from the end.
    pub fn axis(&self, axis: i64) -> Option<usize> {
        let rank = self.rank() as i64;
        let counted = if axis < 0 { axis + rank } else { axis };
        usize::try_from(counted).ok().filter(|axis| *axis < self.rank())
    }

    /// The axes over which a gradient of this shape is summed for a value of another shape that was broadcast to it (numpy's rules,
    /// which are ONNX's): those that the other lacks, and those of which it has one entry.
    pub fn broadcast_axes(&self, from: &Self) -> Vec<usize> {
        let lacks = self.rank().saturating_sub(from.rank());
        let repeated = |axis: &usize| {
            *axis < lacks || (from.0[axis - lacks] == Extent::Fixed(1) && self.0[*axis] != Extent::Fixed(1))
        };
        (0..self.rank()).filter(repeated).collect()
    }
}

impl Index<usize> for Shape {
    type Output = Extent;

    fn index(&self, axis: usize) -> &Extent {
        &self.0[axis]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_tell_what_follows_the_batch() {
        let shape = Shape::common(&[2, 3, 8], &[3, 3, 8]).expect("as many axes");
        assert_eq!(shape.extents(), [Extent::Dynamic, Extent::Fixed(3), Extent::Fixed(8)]);
        assert_eq!(shape.as_target(), Some(vec![-1, 3, 8]));
        assert_eq!((shape.fixed(), shape.fixed_from(1)), (None, Some(vec![3, 8])));
        assert_eq!(Shape::common(&[2], &[2, 1]), None);
    }

    #[test]
    fn no_target_tells_two_unknown_extents_or_one_beside_an_empty_axis() {
        assert_eq!(Shape::common(&[2, 4], &[3, 5]).expect("as many axes").as_target(), None);
        assert_eq!(Shape::common(&[2, 0], &[3, 0]).expect("as many axes").as_target(), None);
        assert_eq!(Shape::of(&[2, 0]).as_target(), Some(vec![2, 0]));
    }

    #[test]
    fn gradients_are_summed_over_what_was_repeated() {
        let all = Shape::common(&[2, 1, 4, 5], &[3, 1, 4, 5]).expect("as many axes");
        assert_eq!(all.broadcast_axes(&all), [0_usize; 0]);
        assert_eq!(all.broadcast_axes(&Shape::of(&[4, 1])), [0, 1, 3]);
        assert_eq!(all.broadcast_axes(&Shape::of(&[])), [0, 1, 2, 3]);
        assert_eq!(all.broadcast_axes(&Shape::of(&[1, 1, 4, 5])), [0], "one stays one");
    }
}
