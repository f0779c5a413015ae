//! How the value that meets a weight becomes the rows `aᵢ` of the second moment.

use crate::model::proto::NodeProto;

use super::Skip;

/// From a layer's input to its rows, each of dimension d (per group).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unfold {
    /// The vectors along one axis; every other axis counts rows.
    Vectors {
        /// d, the extent of the feature axis.
        dim: usize,
        /// Which axis the weight contracts.
        axis: FeatureAxis,
    },
    /// The patches that a convolution's window sees, channel by channel: `[C/group, k…]` flattened, as the weight is.
    Patches(Window),
}

/// The axis of an input that a weight contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeatureAxis {
    /// The last.
    Last,
    /// The one before the last, as where the weight stands on the left of a MatMul.
    SecondLast,
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
            Self::Vectors { dim, .. } => *dim,
            Self::Patches(window) => window.dim(),
        }
    }

    /// Groups, each with rows of its own.
    pub fn groups(&self) -> usize {
        match self {
            Self::Vectors { .. } => 1,
            Self::Patches(window) => window.groups,
        }
    }

    /// The number of rows that an input of that shape gives (per group), or `None` where the shape does not fit.
    pub fn rows(&self, shape: &[usize]) -> Option<usize> {
        match self {
            Self::Vectors { dim, axis } => {
                let from_the_end = match axis {
                    FeatureAxis::Last => 1,
                    FeatureAxis::SecondLast => shape.len().min(2),
                };
                let features = *shape.get(shape.len().checked_sub(from_the_end)?)?;
                (features == *dim && *dim > 0).then(|| shape.iter().product::<usize>() / dim)
            }
            Self::Patches(window) => window.positions(shape),
        }
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

    /// The extent of the output along one spatial axis (ONNX, Conv); attributes may be absurd.
    fn extent(&self, axis: usize, size: usize) -> Option<usize> {
        let stride = self.strides[axis];
        match &self.padding {
            Padding::Explicit { begin, end } => {
                let reach = (self.kernel[axis] - 1).checked_mul(self.dilations[axis])?.checked_add(1)?;
                let padded = size.checked_add(begin[axis])?.checked_add(end[axis])?;
                Some(padded.checked_sub(reach)? / stride + 1)
            }
            Padding::SameUpper | Padding::SameLower => Some(size.div_ceil(stride)),
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
        let vectors = Unfold::Vectors { dim: 4, axis: FeatureAxis::Last };
        assert_eq!(vectors.rows(&[2, 3, 4]), Some(6));
        assert_eq!(vectors.rows(&[2, 4, 3]), None);
        let columns = Unfold::Vectors { dim: 4, axis: FeatureAxis::SecondLast };
        assert_eq!(columns.rows(&[2, 4, 3]), Some(6));
        assert_eq!(columns.rows(&[4]), Some(1));

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
