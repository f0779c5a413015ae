//! The reasons for which a weight is left as it is.

use crate::tensor::ElementType;
use thiserror::Error;

/// Why a node's weight is not projected. Each reads as the end of "skipped: …".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Skip {
    /// No operand is a constant.
    #[error("both operands are computed by the graph; it has no weight")]
    NoConstant,
    /// Every operand is a constant.
    #[error("both operands are constants; it has no input to learn from")]
    BothConstant,
    /// The weight is made by other nodes.
    #[error("its weight {0} is computed by the graph")]
    Computed(String),
    /// The node lacks an input that its operator requires.
    #[error("its input {0} is missing")]
    MissingInput(usize),
    /// The weight has a rank that no rule covers.
    #[error("its weight has shape {0:?}, which is no matrix")]
    NotAMatrix(Vec<usize>),
    /// The weight is empty.
    #[error("its weight has shape {0:?}, which holds no values")]
    Empty(Vec<usize>),
    /// The weight holds something else than floats.
    #[error("its weight is of {0}, not of a float type")]
    NotFloat(String),
    /// An attribute has a value that the rule does not cover.
    #[error("its attribute {name} is {value}")]
    Attribute {
        /// The attribute.
        name: &'static str,
        /// What it says.
        value: String,
    },
    /// Layers use the weight in ways that need different corrections.
    #[error("layers use its weight in different orientations ({0})")]
    Orientations(String),
    /// Something that must not change uses the weight too.
    #[error("{0} uses its weight too, and must not change")]
    SharedWith(String),
    /// The weight is visible outside of the main graph.
    #[error("its weight is also a graph output or used inside a subgraph")]
    Pinned,
    /// The operator has no rule.
    #[error("{0} is not projected")]
    NoRule(String),
    /// The node is not in the main graph.
    #[error("it is inside {0}, whose inputs are not observed")]
    NotMainGraph(String),
    /// The weight is stored as a sparse tensor.
    #[error("its weight is stored as a sparse tensor")]
    Sparse,
    /// The user left it out.
    #[error("left out by --include or --exclude")]
    LeftOut,
}

impl Skip {
    /// For a weight of this type.
    pub(super) fn not_float(element: Option<ElementType>) -> Self {
        Self::NotFloat(element.map_or("an unknown type".into(), |element| element.to_string()))
    }
}
