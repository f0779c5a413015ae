//! How the value that meets a weight becomes the rows `aᵢ` of the second moment.

use crate::model::proto::NodeProto;

use super::Skip;

/// From a layer's input to its rows, each of dimension d (per group).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unfold {
    /// The vectors along some axes; the others count rows.
    Vectors(Vectors),
    /// The patches that a convolution's window sees, channel by channel: `[C/group, k…]` flattened, as the weight is.
    Patches(Window),
}

/// Vectors along axes of an input. Axes below 0 count from the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vectors {
    /// Axes that count groups, and their extents; an input that lacks one is repeated along it.
    pub groups: Vec<(isize, usize)>,
    /// Axes that the weight contracts, in its order.
    pub features: Vec<isize>,
    /// d, the product of their extents.
    pub dim: usize,
    /// The number of axes, where the operator fixes it.
    pub rank: Option<usize>,
    /// The axis that counts samples.
    pub samples: isize,
}

/// An input's shape, and what each of its axes is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axes {
    /// The extents, after what is missing was repeated.
    pub shape: Vec<usize>,
    /// Those that count groups, those that are contracted, and the others, the samples first.
    pub order: Vec<usize>,
}

/// The window of a convolution over N spatial axes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// Groups of channels that are convolved apart.
    pub groups: usize,
    /// Channels of one group.
    pub channels: usize,
    /// The kernel's extents.
    pub kernel: Vec<usize>,
    /// Steps of the window.
    pub strides: Vec<usize>,
    /// Distances between the kernel's taps.
    pub dilations: Vec<usize>,
    /// Zeros around the input.
    pub padding: Padding,
}

/// Zeros around the input of a convolution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Padding {
    /// So many before and after each spatial axis.
    Explicit {
        /// Before.
        begin: Vec<usize>,
        /// After.
        end: Vec<usize>,
    },
    /// As many as make the output ⌈input / stride⌉ large, an odd one at the end.
    SameUpper,
    /// The same, an odd one at the beginning.
    SameLower,
}

impl Unfold {
    /// d, the dimension of a row.
    pub fn dim(&self) -> usize {
        match self {
            Self::Vectors(vectors) => vectors.dim,
            Self::Patches(window) => window.dim(),
        }
    }

    /// Groups, each with rows of its own.
    pub fn groups(&self) -> usize {
        match self {
            Self::Vectors(vectors) => vectors.group_count(),
            Self::Patches(window) => window.groups,
        }
    }

    /// The number of rows that an input of that shape gives (per group), or `None` where the shape does not fit.
    pub fn rows(&self, shape: &[usize]) -> Option<usize> {
        match self {
            Self::Vectors(vectors) => vectors.rows(shape),
            Self::Patches(window) => window.positions(shape),
        }
    }

    /// Whether the number of the input's axes must be known before its rows can be taken, and is not.
    pub fn has_open_rank(&self) -> bool {
        match self {
            Self::Vectors(vectors) => !vectors.is_last_axis() && vectors.rank.is_none(),
            Self::Patches(_) => false,
        }
    }

    /// The axis of an input of that shape that counts samples, the slowest of those that count rows.
    pub fn sample_axis(&self, shape: &[usize]) -> Option<usize> {
        match self {
            Self::Vectors(vectors) => {
                let axes = vectors.axes(shape)?;
                axes.order.get(vectors.groups.len() + vectors.features.len()).copied()
            }
            Self::Patches(_) => Some(0),
        }
    }
}

impl Vectors {
    /// Vectors along one axis, with the samples along the first.
    pub fn along(axis: isize, dim: usize) -> Self {
        Self { groups: Vec::new(), features: vec![axis], dim, rank: None, samples: 0 }
    }

    /// Whether every vector lies along the last axis, in the order of its rows, whatever axes there are before it.
    pub fn is_last_axis(&self) -> bool {
        self.groups.is_empty() && self.features == [-1] && self.samples == 0
    }

    /// Groups, each with rows of its own.
    pub fn group_count(&self) -> usize {
        self.groups.iter().map(|(_, extent)| extent).product()
    }

    /// Those of one group, where an input of that shape has the same for all of several.
    pub fn of_one_group(&self, shape: &[usize]) -> Option<Self> {
        let groups = self.groups.iter().map(|(axis, _)| (*axis, 1)).collect();
        let one = Self { groups, ..self.clone() };
        (self.group_count() > 1 && one.axes(shape).is_some()).then_some(one)
    }

    /// What each axis of an input of that shape is, or `None` where the shape does not fit.
    pub fn axes(&self, shape: &[usize]) -> Option<Axes> {
        if self.rank.is_some_and(|rank| rank != shape.len()) {
            return None;
        }
        // A MatMul takes a single vector on its right for a column.
        let features = if shape.len() == 1 && self.features == [-2] { &[-1][..] } else { &self.features };
        let all = self.groups.iter().map(|(axis, _)| *axis).chain(features.iter().copied());
        let least = all.map(|axis| if axis < 0 { axis.unsigned_abs() } else { axis.unsigned_abs() + 1 }).max()?;
        let added = if self.groups.is_empty() { 0 } else { least.saturating_sub(shape.len()) };
        let mut shape: Vec<usize> = std::iter::repeat_n(1, added).chain(shape.iter().copied()).collect();
        let rank = shape.len();
        let at = |axis: isize| {
            let axis = if axis < 0 { rank.checked_sub(axis.unsigned_abs())? } else { axis.unsigned_abs() };
            (axis < rank).then_some(axis)
        };
        let mut order = Vec::with_capacity(rank);
        for &(axis, extent) in &self.groups {
            let axis = at(axis)?;
            if shape[axis] == 1 {
                shape[axis] = extent;
            }
            if shape[axis] != extent {
                return None;
            }
            order.push(axis);
        }
        for &axis in features {
            order.push(at(axis)?);
        }
        let dim: usize = order[self.groups.len()..].iter().map(|&axis| shape[axis]).product();
        let samples = at(self.samples);
        let rest = samples.into_iter().chain((0..rank).filter(|axis| Some(*axis) != samples));
        let rest: Vec<usize> = rest.filter(|axis| !order.contains(axis)).collect();
        order.extend(rest);
        (dim == self.dim && dim > 0).then_some(Axes { shape, order })
    }

    /// What each axis of an input of that many axes is, whatever their extents are.
    pub fn order_of(&self, rank: usize) -> Option<Axes> {
        let (groups, dim) = (self.groups.iter().map(|(axis, _)| (*axis, 1)).collect(), 1);
        Self { groups, dim, ..self.clone() }.axes(&vec![1; rank])
    }

    fn rows(&self, shape: &[usize]) -> Option<usize> {
        let axes = self.axes(shape)?;
        Some(axes.shape.iter().product::<usize>() / (self.dim * self.group_count()))
    }
}

impl Window {
    /// Reads the window of a convolution node whose kernel is known.
    pub(super) fn of(node: &NodeProto, groups: usize, channels: usize, kernel: Vec<usize>) -> Result<Self, Skip> {
        let rank = kernel.len();
        let strides = positive(node, "strides", rank)?;
        let dilations = positive(node, "dilations", rank)?;
        let padding = match node.string("auto_pad", "NOTSET") {
            "SAME_UPPER" => Padding::SameUpper,
            "SAME_LOWER" => Padding::SameLower,
            "VALID" => Padding::Explicit { begin: vec![0; rank], end: vec![0; rank] },
            "NOTSET" | "" => explicit(node, rank)?,
            other => return Err(Skip::Attribute { name: "auto_pad", value: other.to_owned() }),
        };
        Ok(Self { groups, channels, kernel, strides, dilations, padding })
    }

    /// A window that sees one position at a time.
    pub(super) fn pointwise(groups: usize, channels: usize, spatial: usize) -> Self {
        let (ones, zeros) = (vec![1; spatial], vec![0; spatial]);
        let padding = Padding::Explicit { begin: zeros.clone(), end: zeros };
        Self { groups, channels, kernel: ones.clone(), strides: ones.clone(), dilations: ones, padding }
    }

    /// d, the dimension of a patch of one group.
    pub fn dim(&self) -> usize {
        self.channels * self.kernel.iter().product::<usize>()
    }

    /// Whether every patch is one position of the input, in order.
    pub fn is_pointwise(&self) -> bool {
        let unpadded = match &self.padding {
            Padding::Explicit { begin, end } => begin.iter().chain(end).all(|&pad| pad == 0),
            Padding::SameUpper | Padding::SameLower => true,
        };
        unpadded && self.kernel.iter().chain(&self.strides).all(|&extent| extent == 1)
    }

    /// The number of positions of the window over an input `[N, C, spatial…]`.
    fn positions(&self, shape: &[usize]) -> Option<usize> {
        let [batch, channels, spatial @ ..] = shape else { return None };
        if *channels != self.groups * self.channels || spatial.len() != self.kernel.len() {
            return None;
        }
        (0..spatial.len()).try_fold(*batch, |product, axis| product.checked_mul(self.extent(axis, spatial[axis])?))
    }

    /// How many positions of the input the taps span along one spatial axis.
    fn reach(&self, axis: usize) -> Option<usize> {
        (self.kernel[axis] - 1).checked_mul(self.dilations[axis])?.checked_add(1)
    }

    /// The extent of the output along one spatial axis (ONNX, Conv); attributes may be absurd.
    pub fn extent(&self, axis: usize, size: usize) -> Option<usize> {
        let stride = self.strides[axis];
        match &self.padding {
            Padding::Explicit { begin, end } => {
                let padded = size.checked_add(begin[axis])?.checked_add(end[axis])?;
                Some(padded.checked_sub(self.reach(axis)?)? / stride + 1)
            }
            Padding::SameUpper | Padding::SameLower => Some(size.div_ceil(stride)),
        }
    }

    /// The number of zeros before one spatial axis (ONNX, Conv).
    pub fn zeros_before(&self, axis: usize, size: usize) -> Option<usize> {
        let all = || {
            let steps = size.div_ceil(self.strides[axis]).saturating_sub(1).checked_mul(self.strides[axis])?;
            Some(steps.checked_add(self.reach(axis)?)?.saturating_sub(size))
        };
        match &self.padding {
            Padding::Explicit { begin, .. } => Some(begin[axis]),
            Padding::SameUpper => Some(all()? / 2),
            Padding::SameLower => Some(all()?.div_ceil(2)),
        }
    }
}

fn explicit(node: &NodeProto, rank: usize) -> Result<Padding, Skip> {
    let zeros = vec![0; 2 * rank];
    let pads = node.ints("pads").unwrap_or(&zeros);
    let sizes: Result<Vec<usize>, _> = pads.iter().map(|&pad| usize::try_from(pad)).collect();
    match sizes {
        Ok(sizes) if sizes.len() == 2 * rank => {
            Ok(Padding::Explicit { begin: sizes[..rank].to_vec(), end: sizes[rank..].to_vec() })
        }
        _ => Err(Skip::Attribute { name: "pads", value: format!("{pads:?}") }),
    }
}

fn positive(node: &NodeProto, name: &'static str, rank: usize) -> Result<Vec<usize>, Skip> {
    let Some(values) = node.ints(name) else { return Ok(vec![1; rank]) };
    let sizes: Option<Vec<usize>> =
        values.iter().map(|&value| usize::try_from(value).ok().filter(|&v| v > 0)).collect();
    sizes.filter(|sizes| sizes.len() == rank).ok_or_else(|| Skip::Attribute { name, value: format!("{values:?}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_as_the_operators_do() {
        let vectors = Unfold::Vectors(Vectors::along(-1, 4));
        assert_eq!(vectors.rows(&[2, 3, 4]), Some(6));
        assert_eq!(vectors.rows(&[2, 4, 3]), None);
        let columns = Unfold::Vectors(Vectors::along(-2, 4));
        assert_eq!(columns.rows(&[2, 4, 3]), Some(6));
        assert_eq!(columns.rows(&[4]), Some(1));
        let experts = Unfold::Vectors(Vectors { groups: vec![(-3, 5)], ..Vectors::along(-1, 4) });
        assert_eq!(experts.rows(&[5, 3, 4]), Some(3));
        assert_eq!(experts.rows(&[2, 5, 3, 4]), Some(6));
        assert_eq!(experts.rows(&[3, 4]), Some(3), "every expert sees an input without that axis");
        assert_eq!(experts.rows(&[6, 3, 4]), None);

        let padding = Padding::Explicit { begin: vec![0, 1], end: vec![1, 0] };
        let window =
            Window { groups: 2, channels: 3, kernel: vec![3, 2], strides: vec![2, 1], dilations: vec![1, 2], padding };
        // Height (7 + 1 − 3) / 2 + 1 = 3, width (5 + 1 − 3) / 1 + 1 = 4.
        assert_eq!(Unfold::Patches(window.clone()).rows(&[2, 6, 7, 5]), Some(2 * 3 * 4));
        assert_eq!(Unfold::Patches(window.clone()).rows(&[2, 5, 7, 5]), None);
        let same = Window { padding: Padding::SameUpper, ..window };
        assert_eq!(Unfold::Patches(same).rows(&[1, 6, 7, 5]), Some(4 * 5));
    }
}
