//! How channels go through operators: a file a family, and one line in [`RULES`].

mod elementwise;
mod layout;
mod pooling;
mod weights;

use super::channels::{Crossing, Goes, Obstacle};

/// What becomes of channels that come to a node.
pub(super) type Rule = fn(&mut Crossing<'_, '_>) -> Result<Goes, Obstacle>;

/// The rules by operators.
const RULES: &[(&[&str], Rule)] = &[
    (elementwise::OF_ZERO, elementwise::keeps_zero),
    (elementwise::OF_ANY, elementwise::gives_anything),
    (&["Clip"], elementwise::clip),
    (&["Mul", "Div"], elementwise::product),
    (&["Add", "Sub"], elementwise::sum),
    (&["Pow"], elementwise::power),
    (pooling::POOLS, pooling::pool),
    (pooling::REDUCTIONS, pooling::reduce),
    (&["Flatten"], layout::flatten),
    (&["Reshape"], layout::reshape),
    (&["Squeeze"], layout::squeeze),
    (&["BatchNormalization"], weights::normalization),
    (&["Conv"], weights::convolution),
    (&["Gemm"], weights::gemm),
    (&["MatMul"], weights::product),
];

/// The rule of an operator.
pub(super) fn rule(op_type: &str) -> Option<Rule> {
    RULES.iter().find(|(operators, _)| operators.contains(&op_type)).map(|(_, rule)| *rule)
}

pub(super) use weights::{Made, made};
