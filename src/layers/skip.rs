//! The reasons for which a weight is left as it is.

use crate::model::Constant;
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
    /// It is added, or something else than multiplied with the value that is observed.
    #[error("it is no factor of the layer's input")]
    NoFactor,
    /// The weight meets a recurrent layer's own states.
    #[error("the hidden states that it meets are not observed")]
    Recurrent,
    /// Sequences are padded.
    #[error("its sequences have lengths of their own, and their padding cannot be told from what counts")]
    SequenceLengths,
    /// Several nodes use the weight, and the user left such weights out.
    #[error("{0} nodes use its weight, and --on-shared is skip")]
    Shared(usize),
    /// The layer would need a weight of its own, and cannot have one.
    #[error("{others} must keep its weight, and {obstacle}")]
    NotToBeCopied {
        /// The other users.
        others: String,
        /// Why not.
        obstacle: String,
    },
    /// The weight is stored as integers.
    #[error("its weight is quantised; --requantize rewrites it on the same scale")]
    Quantized,
    /// Nothing reads the weight.
    #[error("nothing uses it")]
    Unused,
    /// The operator has no rule.
    #[error("{0} is not projected")]
    NoRule(String),
    /// The node is in a body from which nothing can be brought out.
    #[error("it is inside {0}, whose values are not observed")]
    Unobserved(String),
    /// The moment needs more than is known before the body runs.
    #[error("it is inside {0}, where the number of its input's axes is not known")]
    OpenRank(String),
    /// The weight is in a function whose calls could not be followed.
    #[error("it is in the local function {name}, which {reason}")]
    Function {
        /// The function.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The weight is stored as a sparse tensor.
    #[error("its weight is stored as a sparse tensor")]
    Sparse,
    /// The user left it out.
    #[error("left out by {0}")]
    LeftOut(&'static str),
}

impl Skip {
    /// For a weight of another type.
    pub(super) fn not_float(weight: &Constant) -> Self {
        let named = weight.element.map(|element| element.to_string());
        Self::NotFloat(named.unwrap_or_else(|| format!("type {} of ONNX's list", weight.data_type)))
    }
}
