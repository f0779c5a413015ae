//! Pow.

#[cfg(test)]
use super::super::tests::{Case, Given, shapes};
use super::super::{Applied, Emit, Gradients, OutputGradients, Rule};
use crate::tensor::ElementType;
#[cfg(test)]
use proptest::prelude::*;

/// Pow: `y = aᵇ`.
pub(super) struct Pow;

impl Rule for Pow {
    fn operators(&self) -> &'static [&'static str] {
        &["Pow"]
    }

    fn equation(&self) -> &'static str {
        "da = g ∘ b a^(b − 1); db = g ∘ y ln a, and 0 where a is not positive"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |(shape, exponent): (Vec<usize>, usize)| {
            if let Some(exponent) = [2.0, 3.0, 1.0].get(exponent) {
                return Case::new("Pow", vec![Given::floats(&shape), Given::Number(*exponent)], vec![]);
            }
            let exponents = Given::Floats(shape[shape.len() - 1..].to_vec(), -1.5, 2.5);
            Case::new("Pow", vec![Given::Floats(shape, 0.5, 2.0), exponents], vec![])
        };
        (shapes(1..4), 0..5_usize).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, a, b, y) = (outputs.only()?, node.input(0)?, node.input(1)?, node.output(0)?);
        let exponent = emit.cast(&b.value, a.value.element);
        let mut found = vec![None, None];
        if node.needs(0) {
            let less = emit.shifted(&exponent, -1.0);
            let power = emit.node("Pow", &[&a.value, &less], vec![]);
            let slope = emit.mul(&exponent, &power);
            let full = emit.mul(g, &slope);
            found[0] = Some(emit.unbroadcast(&full, &y.shape, a));
        }
        if node.needs(1) {
            let [zero, one] = [0.0, 1.0].map(|number| emit.number(number, a.value.element));
            let positive = emit.node_of("Greater", &[&a.value, &zero], vec![], ElementType::Bool);
            let safe = emit.node_of("Where", &[&positive, &a.value, &one], vec![], a.value.element);
            let logarithm = emit.unary("Log", &safe);
            let product = emit.mul(&y.value, &logarithm);
            let full = emit.mul(g, &product);
            found[1] = Some(emit.unbroadcast(&full, &y.shape, b));
        }
        Ok(found)
    }
}
