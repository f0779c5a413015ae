//! Which weights of a model can be projected, and why the others cannot.
//!
//! [`Ledger::survey`] asks the rule of every node ([`RULES`], one file each) where the node's weight is and how its
//! input unfolds into rows. Every Conv, Gemm and MatMul, and whatever else carries weights, ends in the ledger: as
//! part of a [`Layer`], or skipped with its reason.

mod conv;
mod gemm;
mod ledger;
mod matmul;
mod matrix;
mod skip;
mod unfold;

pub use ledger::{Entry, Layer, Ledger, Selection, Site};
pub use matrix::{MatrixLayout, Orientation};
pub use skip::Skip;
pub use unfold::{FeatureAxis, Padding, Unfold, Window};

use crate::model::proto::NodeProto;
use crate::model::{Constant, GraphIndex};

/// The rules, in the order in which `--help` and the docs list them.
pub const RULES: &[&dyn LayerRule] = &[&conv::Conv, &gemm::Gemm, &matmul::MatMul];

/// How one operator of ONNX's own operator set uses a weight.
pub trait LayerRule: Sync {
    /// The operator's name.
    fn op_type(&self) -> &'static str;
    /// What of the operator is projected, in one line, for the docs.
    fn summary(&self) -> &'static str;
    /// Finds the weight of a node and how its input meets it.
    ///
    /// # Errors
    /// The reason why this node's weight cannot be projected.
    fn examine(&self, node: &NodeProto, graph: &GraphIndex<'_>) -> Result<Finding, Skip>;
}

/// What a rule finds at a node: `out = rows(input) · matrix(weight)ᵀ`.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The weight.
    pub weight: Constant,
    /// How the weight's tensor is a matrix.
    pub layout: MatrixLayout,
    /// The value that meets the weight.
    pub input: String,
    /// How that value becomes rows.
    pub unfold: Unfold,
}

/// The constant operands at the given inputs of a node, and the names of the others.
fn one_constant<'g>(
    node: &NodeProto,
    graph: &'g GraphIndex<'_>,
    operands: [usize; 2],
) -> Result<(usize, &'g Constant, String), Skip> {
    let name = |index: usize| node.input(index).ok_or(Skip::MissingInput(index));
    let [left, right] = [name(operands[0])?, name(operands[1])?];
    match (graph.constant(left), graph.constant(right)) {
        (Some(_), Some(_)) => Err(Skip::BothConstant),
        (Some(constant), None) => Ok((operands[0], constant, right.to_owned())),
        (None, Some(constant)) => Ok((operands[1], constant, left.to_owned())),
        (None, None) => Err(Skip::NoConstant),
    }
}
