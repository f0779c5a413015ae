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
use crate::tensor::ElementType;

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
    /// That value's element type: the weight's, or what a Cast of the weight makes of it.
    pub element: ElementType,
    /// How that value becomes rows.
    pub unfold: Unfold,
}

impl Finding {
    /// A weight that the node reads under the name `operand`.
    fn new(
        graph: &GraphIndex<'_>,
        operand: &str,
        layout: MatrixLayout,
        input: &str,
        unfold: Unfold,
    ) -> Result<Self, Skip> {
        let weight = graph.constant(operand).ok_or_else(|| Skip::Computed(operand.to_owned()))?.clone();
        let float = |element: &ElementType| element.is_float();
        match (weight.element.filter(float), graph.operand_element(operand).filter(float)) {
            (Some(_), Some(element)) => Ok(Self { weight, layout, input: input.to_owned(), element, unfold }),
            _ => Err(Skip::not_float(weight.element)),
        }
    }
}

/// Of two operands the constant one and the other.
struct Operands<'g> {
    /// Whether the constant is the right-hand operand.
    constant_right: bool,
    /// The name under which the node reads the constant.
    operand: &'g str,
    /// The constant's shape, `[rows, columns]`.
    dims: [usize; 2],
    /// The other operand.
    input: &'g str,
}

/// The operands of a product of two inputs, of which one must be a constant matrix.
fn operands<'g>(node: &'g NodeProto, graph: &'g GraphIndex<'_>) -> Result<Operands<'g>, Skip> {
    let name = |index: usize| node.input(index).ok_or(Skip::MissingInput(index));
    let (left, right) = (name(0)?, name(1)?);
    let (constant, constant_right) = match (graph.constant(left), graph.constant(right)) {
        (Some(_), Some(_)) => return Err(Skip::BothConstant),
        (None, None) => return Err(Skip::NoConstant),
        (Some(constant), None) => (constant, false),
        (None, Some(constant)) => (constant, true),
    };
    let &[rows, columns] = constant.dims.as_slice() else { return Err(Skip::NotAMatrix(constant.dims.clone())) };
    if rows * columns == 0 {
        return Err(Skip::Empty(constant.dims.clone()));
    }
    let (operand, input) = if constant_right { (right, left) } else { (left, right) };
    Ok(Operands { constant_right, operand, dims: [rows, columns], input })
}
