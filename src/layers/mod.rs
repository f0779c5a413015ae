//! Which weights of a model can be projected, and why the others cannot.
//!
//! [`Ledger::survey`] asks the rule of every node ([`RULES`], one file each) where the node's weight is and how its
//! input unfolds into rows. Everything that carries weights ends in the ledger: as part of a [`Layer`], or skipped with
//! its reason.

mod attention;
mod conv;
mod conv_transpose;
mod einsum;
mod gemm;
mod ledger;
mod matmul;
mod output;
mod recurrent;
mod selection;
mod sharing;
mod skip;
mod unfold;

pub use ledger::{Entry, Ledger};
pub use output::{Normalization, Output, OutputAxis, Shift};
pub use selection::{OnShared, Selection};
pub use sharing::{Layer, Site};
pub use skip::Skip;
pub use unfold::{Axes, Padding, Unfold, Vectors, Window};

use crate::model::proto::NodeProto;
use crate::model::{Axis, GraphIndex, MatrixView, NodeIndex, Operand, ValueId};
use output::Produced;

/// The rules, in the order in which `--help` and the docs list them.
pub const RULES: &[&dyn LayerRule] = &[
    &conv::Conv,
    &conv_transpose::ConvTranspose,
    &gemm::Gemm,
    &matmul::MatMul,
    &einsum::Einsum,
    &recurrent::Recurrent,
    &attention::Attention,
];

/// An operator by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Its operator set; ONNX's own is empty.
    pub domain: &'static str,
    /// Its name there.
    pub op_type: &'static str,
}

impl Operator {
    const fn onnx(op_type: &'static str) -> Self {
        Self { domain: "", op_type }
    }

    const fn microsoft(op_type: &'static str) -> Self {
        Self { domain: "com.microsoft", op_type }
    }

    fn is(self, node: &NodeProto) -> bool {
        self.op_type == node.op_type && self.domain == node.operator_set()
    }
}

/// How some operators use a weight.
pub trait LayerRule: Sync {
    /// The operators.
    fn operators(&self) -> &'static [Operator];
    /// What of them is projected, in one line, for the docs.
    fn summary(&self) -> &'static str;
    /// Finds the weight of a node and how its input meets it.
    ///
    /// # Errors
    /// The reason why this node's weight cannot be projected.
    fn examine(&self, node: NodeView<'_>) -> Result<Finding, Skip>;
    /// Why another constant of a node, at `input`, is not projected.
    fn leaves(&self, _input: usize) -> Skip {
        Skip::NoFactor
    }
}

/// The operators of a rule by name, those of other operator sets than ONNX's own with theirs.
pub fn operator_names(rule: &dyn LayerRule) -> String {
    let name = |operator: &Operator| match operator.domain {
        "" => operator.op_type.to_owned(),
        domain => format!("{domain}.{}", operator.op_type),
    };
    rule.operators().iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What a rule finds at a node: `out = rows(input) · matrix(weight)ᵀ`.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Which input of the node is the weight.
    pub position: usize,
    /// The weight as the node reads it.
    pub weight: Operand,
    /// How the stored weight is matrices.
    pub matrix: MatrixView,
    /// The value that meets the weight.
    pub input: ValueId,
    /// How that value becomes rows.
    pub unfold: Unfold,
    /// Where the products are, where the node gives them as they are.
    pub produced: Option<Produced>,
}

/// A node as a rule sees it.
#[derive(Clone, Copy)]
pub struct NodeView<'g> {
    graph: &'g GraphIndex<'g>,
    at: NodeIndex,
}

impl<'g> NodeView<'g> {
    fn proto(&self) -> &'g NodeProto {
        self.graph.node(self.at)
    }

    /// The value at an input.
    fn value(&self, input: usize) -> Result<ValueId, Skip> {
        self.graph.value(self.at, input).ok_or(Skip::MissingInput(input))
    }

    /// The constant at an input, with at least one element.
    fn weight(&self, input: usize) -> Result<&'g Operand, Skip> {
        let name = self.proto().input(input).ok_or(Skip::MissingInput(input))?;
        let operand = self.graph.operand(self.at, input).ok_or_else(|| Skip::Computed(name.to_owned()))?;
        if operand.constant.dims.contains(&0) {
            return Err(Skip::Empty(operand.constant.dims.clone()));
        }
        Ok(operand)
    }

    /// Of two operands the position of the constant one, which meets the other.
    fn factors(&self) -> Result<(usize, usize), Skip> {
        self.value(0)?;
        self.value(1)?;
        match (self.graph.operand(self.at, 0), self.graph.operand(self.at, 1)) {
            (Some(_), Some(_)) => Err(Skip::BothConstant),
            (None, None) => Err(Skip::NoConstant),
            (Some(_), None) => Ok((0, 1)),
            (None, Some(_)) => Ok((1, 0)),
        }
    }

    fn finding(&self, (position, input): (usize, usize), matrix: MatrixView, unfold: Unfold) -> Result<Finding, Skip> {
        let weight = self.weight(position)?.clone();
        if !weight.element.is_some_and(crate::tensor::ElementType::is_float) {
            return Err(Skip::not_float(&weight.constant));
        }
        Ok(Finding { position, weight, matrix, input: self.value(input)?, unfold, produced: None })
    }
}

/// The number of groups that a convolution declares, which must divide the first axis of its weight.
fn groups(node: &NodeProto, first: &Axis) -> Result<usize, Skip> {
    let group = node.int("group", 1);
    let channels = first.extent();
    let divides = |groups: &usize| *groups > 0 && channels.is_multiple_of(*groups);
    let wrong = || Skip::Attribute { name: "group", value: format!("{group} for {channels} channels") };
    usize::try_from(group).ok().filter(divides).ok_or_else(wrong)
}
