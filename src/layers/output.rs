//! Where the outputs `z = W a + b` of a layer can be seen, and which constants move them.
//!
//! Exporters write the addition into the operator (Conv, Gemm) or behind it (MatMul, Add), and where they do not fold it
//! away, a `BatchNormalization` reads the outputs. Only what nothing else reads may be changed: a bias that two nodes share
//! stays, and so does one of a weight that is used in several places.

use crate::model::{Constant, GraphIndex, MAIN, NodeIndex, ValueId, View};
use crate::tensor::ElementType;

/// The outputs of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The value that holds them, with the bias where there is one.
    pub value: ValueId,
    /// The node that makes it.
    pub node: NodeIndex,
    /// Its axis along which they lie.
    pub axis: OutputAxis,
    /// How many there are.
    pub outputs: usize,
    /// What moves them.
    pub shift: Shift,
}

/// What moves the outputs of a layer, one number each.
#[derive(Clone, Debug, PartialEq)]
pub enum Shift {
    /// Nothing that may be changed.
    Fixed,
    /// A bias is added.
    Bias(Constant),
    /// A `BatchNormalization` alone reads them.
    Normalization(Box<Normalization>),
}

impl Shift {
    /// What must be 0 for an output, too, so that one whose weights are 0 gives nothing but 0.
    pub fn silenced(&self) -> Vec<&Constant> {
        match self {
            Self::Fixed => Vec::new(),
            Self::Bias(bias) => vec![bias],
            Self::Normalization(of) => of.before.iter().chain(of.affine.iter().flatten()).collect(),
        }
    }
}

/// What a `BatchNormalization` does to outputs: it subtracts a mean, divides by the root of a variance, scales and adds a bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// The bias that the layer adds before, where nothing else reads it.
    pub before: Option<Constant>,
    /// The mean.
    pub mean: Constant,
    /// The variance.
    pub variance: Constant,
    /// Scale and bias of what comes of that, where nothing else reads them.
    pub affine: Option<[Constant; 2]>,
}

/// The axis of a value along which the outputs of a layer lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputAxis {
    /// The second: `[samples, channels, positions…]`.
    Channels,
    /// The last: `[…, features]`.
    Features,
}

impl OutputAxis {
    /// Whether a constant of that shape adds one number to each of `outputs`, when it is broadcast against a value.
    /// `positions`: how many axes lie behind the outputs.
    fn is_met_by(self, dims: &[usize], outputs: usize, positions: usize) -> bool {
        let behind = match self {
            Self::Channels => positions,
            Self::Features => 0,
        };
        dims.len().checked_sub(behind + 1).is_some_and(|at| {
            dims[at] == outputs && dims.iter().enumerate().all(|(axis, &extent)| axis == at || extent == 1)
        })
    }
}

/// The outputs of a node that computes `rows · matrixᵀ`, as its rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// Where they lie in the node's first output.
    pub axis: OutputAxis,
    /// The node's input that holds the bias, where it has one.
    pub bias: Option<usize>,
    /// How many there are.
    pub outputs: usize,
    /// How many axes lie behind them.
    pub positions: usize,
}

impl Output {
    /// That of a node, where its rule knows it and nothing stands in the way of reading it.
    pub(super) fn of(graph: &GraphIndex<'_>, at: NodeIndex, produced: Produced) -> Option<Self> {
        let output = Self::plain(graph, at, produced)?;
        let given = produced.bias.filter(|&input| graph.node(at).input(input).is_some());
        let shift = given.and_then(|input| own(graph, at, input)).filter(|bias| {
            bias.dims.iter().product::<usize>() == produced.outputs
                && OutputAxis::Features.is_met_by(&bias.dims, produced.outputs, 0)
        });
        let output = shift.map_or(output.clone(), |bias| Self { shift: Shift::Bias(bias.clone()), ..output });
        if let Some(normalized) = output.normalized(graph) {
            return Some(normalized);
        }
        let behind = if given.is_none() { output.added(graph, produced) } else { None };
        Some(behind.unwrap_or(output))
    }

    /// The first output of a node, where it is one value: in a body there is one for each run, and a function's node is
    /// stored once for all calls.
    fn plain(graph: &GraphIndex<'_>, node: NodeIndex, produced: Produced) -> Option<Self> {
        let flat = graph.flat_node(node);
        if flat.scope != MAIN || flat.place.is_in_function() {
            return None;
        }
        let value = ValueId { scope: MAIN, name: flat.proto.output.first()?.clone() };
        Some(Self { value, node, axis: produced.axis, outputs: produced.outputs, shift: Shift::Fixed })
    }

    /// The same outputs with the normalization that alone reads them.
    fn normalized(&self, graph: &GraphIndex<'_>) -> Option<Self> {
        let [(at, 0)] = graph.readers(&self.value)[..] else { return None };
        let node = graph.node(at);
        let usual = node.op_type == "BatchNormalization" && node.is_standard() && node.int("training_mode", 0) == 0;
        if !usual || self.axis != OutputAxis::Channels {
            return None;
        }
        let [scale, bias, mean, variance] = [1, 2, 3, 4].map(|input| own(graph, at, input).cloned());
        let affine = scale.zip(bias).map(<[Constant; 2]>::from);
        let before = if let Shift::Bias(bias) = &self.shift { Some(bias.clone()) } else { None };
        let normalization = Normalization { before, mean: mean?, variance: variance?, affine };
        Some(Self { shift: Shift::Normalization(normalization.into()), ..self.clone() })
    }

    /// The sum of the outputs and a bias of its own, where an addition is all that reads them.
    fn added(&self, graph: &GraphIndex<'_>, produced: Produced) -> Option<Self> {
        let [(at, input @ (0 | 1))] = graph.readers(&self.value)[..] else { return None };
        let node = graph.node(at);
        if node.op_type != "Add" || !node.is_standard() {
            return None;
        }
        let bias = own(graph, at, 1 - input)?;
        let sum = Self::plain(graph, at, produced)?;
        let met = produced.axis.is_met_by(&bias.dims, produced.outputs, produced.positions);
        met.then(|| Self { shift: Shift::Bias(bias.clone()), ..sum })
    }
}

/// The constant at an input, where it is one of floats that is stored as it is read, and nothing else reads it.
fn own<'g>(graph: &'g GraphIndex<'_>, at: NodeIndex, input: usize) -> Option<&'g Constant> {
    let operand = graph.operand(at, input)?;
    let constant = &operand.constant;
    let plain = operand.view == View::of(&constant.dims) && constant.quantization.is_none();
    let float = constant.element.is_some_and(ElementType::is_float) && operand.element == constant.element;
    (plain && float && graph.uses(&constant.place).len() == 1).then_some(constant)
}
