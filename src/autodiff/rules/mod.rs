//! The rules, one file for each family of operators.

mod arithmetic;
mod choice;
mod convolution;
mod elementwise;
mod gather;
mod layout;
mod matrix;
mod normalization;
mod pieces;
mod pooling;
mod power;
mod rectifiers;
mod reductions;
mod resize;
mod softmax;
mod weight_gradient;
mod window;

use super::rule::Rule;
use crate::model::proto::NodeProto;

/// Every rule, in the order in which the docs list them.
pub const RULES: &[&dyn Rule] = &[
    &matrix::Gemm,
    &matrix::MatMul,
    &convolution::Conv,
    &convolution::ConvTranspose,
    &rectifiers::RELU,
    &rectifiers::LEAKY_RELU,
    &rectifiers::THRESHOLDED_RELU,
    &rectifiers::ELU,
    &rectifiers::SELU,
    &rectifiers::CELU,
    &rectifiers::PRelu,
    &elementwise::SIGMOID,
    &elementwise::HARD_SIGMOID,
    &elementwise::HARD_SWISH,
    &elementwise::TANH,
    &elementwise::GELU,
    &elementwise::MISH,
    &elementwise::SOFTPLUS,
    &elementwise::SOFTSIGN,
    &elementwise::ERF,
    &elementwise::EXP,
    &elementwise::LOG,
    &elementwise::SQRT,
    &elementwise::RECIPROCAL,
    &elementwise::NEG,
    &elementwise::ABS,
    &elementwise::SIN,
    &elementwise::COS,
    &softmax::Softmax,
    &softmax::LogSoftmax,
    &arithmetic::Add,
    &arithmetic::Sub,
    &arithmetic::Mul,
    &arithmetic::Div,
    &power::Pow,
    &choice::Extreme,
    &choice::Clip,
    &choice::Where,
    &reductions::SUM,
    &reductions::MEAN,
    &reductions::SQUARES,
    &reductions::L1,
    &reductions::L2,
    &reductions::LOG_SUM_EXP,
    &reductions::EXTREME,
    &pooling::MaxPool,
    &pooling::AveragePool,
    &pooling::GlobalAveragePool,
    &pooling::GlobalMaxPool,
    &normalization::LayerNormalization,
    &normalization::BatchNormalization,
    &normalization::InstanceNormalization,
    &normalization::GroupNormalization,
    &layout::Reshape,
    &layout::Transpose,
    &layout::Identity,
    &pieces::Concat,
    &pieces::Split,
    &pieces::Slice,
    &pieces::Pad,
    &pieces::Expand,
    &gather::Gather,
    &resize::Resize,
];

/// The rule of a node's operator, if it has one.
pub(super) fn of(node: &NodeProto) -> Option<&'static dyn Rule> {
    let mut rules = RULES.iter().copied().filter(|_| node.is_standard());
    rules.find(|rule| rule.operators().contains(&node.op_type.as_str()))
}
