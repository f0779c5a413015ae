//! What is made small: the loss of each sample as nodes behind its scores.

use super::emit::Emit;
use super::known::Value;
use crate::model::Link;
use crate::model::fragment::int;
use std::fmt;

/// A loss of single samples.
pub trait Criterion: fmt::Debug + Sync {
    /// Writes the loss of each sample.
    fn judge(&self, scored: &Scored, emit: &mut Emit<'_>) -> Judged;

    /// Whether it holds samples against what is remembered of each, a probability of every class, besides its target.
    fn remembers(&self) -> bool {
        false
    }

    /// How many numbers it takes that may differ from step to step.
    fn dials(&self) -> usize {
        0
    }
}

/// Samples as a criterion finds them.
#[derive(Clone, Debug)]
pub struct Scored {
    /// `[samples, scores]`.
    pub rows: Value,
    /// How they become probabilities.
    pub link: Link,
    /// Whether one score tells two classes apart.
    pub single: bool,
    /// A probability of each score's class, in the shape of `rows`.
    pub targets: Value,
    /// What is remembered: `[samples, classes]`; for criteria that ask for it.
    pub memory: Option<Value>,
    /// Numbers without axes; as many as the criterion asks for.
    pub dials: Vec<Value>,
}

/// What a criterion has written.
#[derive(Clone, Debug)]
pub struct Judged {
    /// `[samples]`.
    pub losses: Value,
    /// What is to be remembered from now on, in the shape of what was; no gradient goes through it.
    pub memory: Option<Value>,
}

/// The negative logarithm of the probability that the model gives to the target: what scoring computes
/// (`evidence/prediction.rs`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CrossEntropy;

impl Criterion for CrossEntropy {
    fn judge(&self, scored: &Scored, emit: &mut Emit<'_>) -> Judged {
        Judged { losses: scored.cross_entropy(emit), memory: None }
    }
}

impl Scored {
    /// The cross-entropy of each sample: `[samples]`.
    pub fn cross_entropy(&self, emit: &mut Emit<'_>) -> Value {
        if let Some(logarithms) = self.log_probabilities(emit) {
            return negative_sum(&self.targets, &logarithms, emit);
        }
        let soft = emit.unary("Softplus", &self.rows);
        let of_target = emit.mul(&self.targets, &self.rows);
        let each = emit.sub(&soft, &of_target);
        emit.sum(&each, &[1], false)
    }

    /// The logarithm of each class's probability, where scores become those of one distribution.
    fn log_probabilities(&self, emit: &mut Emit<'_>) -> Option<Value> {
        match self.link {
            Link::Softmax => Some(emit.node("LogSoftmax", &[&self.rows], vec![int("axis", 1)])),
            Link::Identity => {
                let least = emit.number(f64::from(f32::MIN_POSITIVE), self.rows.element);
                let positive = emit.node("Max", &[&self.rows, &least], vec![]);
                Some(emit.unary("Log", &positive))
            }
            Link::Sigmoid => None,
        }
    }

    /// The probability of each class: `[samples, classes]`. Those of one score are of class 0 and 1; several sigmoids are divided by
    /// their sum.
    pub fn probabilities(&self, emit: &mut Emit<'_>) -> Value {
        match self.link {
            Link::Softmax => emit.node("Softmax", &[&self.rows], vec![int("axis", 1)]),
            Link::Identity => self.rows.clone(),
            Link::Sigmoid => {
                let each = emit.unary("Sigmoid", &self.rows);
                if self.single { self.both(&each, emit) } else { normalized(&each, emit) }
            }
        }
    }

    /// The target of each class: `[samples, classes]`.
    pub fn class_targets(&self, emit: &mut Emit<'_>) -> Value {
        if self.single { self.both(&self.targets, emit) } else { self.targets.clone() }
    }

    /// The logarithm of the probability of the target, each sample's: `[samples]`, the cross-entropy of one distribution over classes
    /// with its sign turned.
    pub fn log_likelihood(&self, emit: &mut Emit<'_>) -> Value {
        if self.link == Link::Sigmoid && !self.single {
            let probabilities = self.probabilities(emit);
            let least = emit.number(f64::from(f32::MIN_POSITIVE), self.rows.element);
            let positive = emit.node("Max", &[&probabilities, &least], vec![]);
            let logarithms = emit.unary("Log", &positive);
            let chosen = emit.mul(&self.targets, &logarithms);
            return emit.sum(&chosen, &[1], false);
        }
        let loss = self.cross_entropy(emit);
        emit.unary("Neg", &loss)
    }

    /// Columns for class 0 and 1, of that for class 1.
    fn both(&self, of_one: &Value, emit: &mut Emit<'_>) -> Value {
        let one = emit.number(1.0, self.rows.element);
        let of_other = emit.sub(&one, of_one);
        emit.concat(&[&of_other, of_one], 1)
    }
}

/// Rows divided by their sums.
pub fn normalized(rows: &Value, emit: &mut Emit<'_>) -> Value {
    let sums = emit.sum(rows, &[1], true);
    emit.div(rows, &sums)
}

/// `−Σ a b` over each row.
pub fn negative_sum(a: &Value, b: &Value, emit: &mut Emit<'_>) -> Value {
    let products = emit.mul(a, b);
    let sums = emit.sum(&products, &[1], false);
    emit.unary("Neg", &sums)
}
