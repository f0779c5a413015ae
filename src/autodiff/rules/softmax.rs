//! Softmax and its logarithm.

#[cfg(test)]
use super::super::tests::{Case, Given, shapes};
use super::super::{Applied, Emit, Extent, Gradients, OutputGradients, Refusal, Rule};
#[cfg(test)]
use crate::model::fragment::int;
#[cfg(test)]
use proptest::prelude::*;

/// Since this operator set a softmax is over one axis; before, over all axes from one on.
const OVER_ONE_AXIS: i64 = 13;

#[cfg(test)]
fn cases(operator: &'static str) -> BoxedStrategy<Case> {
    let case = move |(shape, axis, old): (Vec<usize>, usize, bool)| {
        let given = vec![Given::Floats(shape.clone(), -2.0, 2.0)];
        if old {
            return Case::new(operator, given, vec![int("axis", shape.len() as i64 - 1)]).opset(11);
        }
        let attributes = if axis == 0 { vec![] } else { vec![int("axis", (axis % shape.len()) as i64 - 1)] };
        Case::new(operator, given, attributes)
    };
    (shapes(2..4), 0..4_usize, any::<bool>()).prop_map(case).boxed()
}

/// The one axis that a softmax is over.
fn axis(node: &Applied<'_>, emit: &Emit<'_>) -> Result<usize, Refusal> {
    if emit.opset() >= OVER_ONE_AXIS {
        return node.axis(-1);
    }
    let axis = node.axis(1)?;
    let behind = &node.input(0)?.shape.extents()[axis + 1..];
    if behind.iter().all(|extent| *extent == Extent::Fixed(1)) {
        Ok(axis)
    } else {
        Err(Refusal::new("it is over several axes; convert the model to opset 13"))
    }
}

/// Softmax.
pub(super) struct Softmax;

impl Rule for Softmax {
    fn operators(&self) -> &'static [&'static str] {
        &["Softmax"]
    }

    fn equation(&self) -> &'static str {
        "dx = y ∘ (g − Σ g ∘ y)"
    }

    fn limits(&self) -> &'static str {
        "before opset 13 over one axis only"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        cases("Softmax")
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, y, axis) = (outputs.only()?, &node.output(0)?.value, axis(node, emit)?);
        let weighted = emit.mul(g, y);
        let sum = emit.sum(&weighted, &[axis], true);
        let rest = emit.sub(g, &sum);
        Ok(vec![Some(emit.mul(y, &rest))])
    }
}

/// LogSoftmax.
pub(super) struct LogSoftmax;

impl Rule for LogSoftmax {
    fn operators(&self) -> &'static [&'static str] {
        &["LogSoftmax"]
    }

    fn equation(&self) -> &'static str {
        "dx = g − e^y Σ g"
    }

    fn limits(&self) -> &'static str {
        "before opset 13 over one axis only"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        cases("LogSoftmax")
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, y, axis) = (outputs.only()?, &node.output(0)?.value, axis(node, emit)?);
        let probability = emit.unary("Exp", y);
        let sum = emit.sum(g, &[axis], true);
        let share = emit.mul(&probability, &sum);
        Ok(vec![Some(emit.sub(g, &share))])
    }
}
