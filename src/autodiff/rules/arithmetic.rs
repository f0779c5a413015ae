//! The four operations, whose operands are broadcast.

#[cfg(test)]
use super::super::tests::{Case, Given, axes, shapes, with_ones};
use super::super::{Applied, Emit, Gradients, OutputGradients, Refusal, Rule, Value};
#[cfg(test)]
use proptest::prelude::*;

#[cfg(test)]
fn cases(operator: &'static str) -> BoxedStrategy<Case> {
    let given = (shapes(0..4), 0..4_usize, any::<bool>()).prop_flat_map(|(shape, lacks, swap)| {
        axes(shape.len()).prop_map(move |ones| {
            let mut other = with_ones(&shape, &ones);
            let other = other.split_off(lacks.min(other.len()));
            let given = [shape.clone(), other];
            if swap { [given[1].clone(), given[0].clone()] } else { given }
        })
    });
    // Divisors lie away from 0.
    let case = move |[a, b]: [Vec<usize>; 2]| {
        let open: Vec<usize> = if a.len() == b.len() && !a.is_empty() && a[0] == b[0] { vec![0, 1] } else { vec![] };
        Case::new(operator, vec![Given::floats(&a), Given::Floats(b, 0.5, 2.0)], vec![]).open(&open)
    };
    given.prop_map(case).boxed()
}

/// Both gradients of an operation on two values, each summed over what was broadcast.
fn of_both(
    node: &Applied<'_>,
    emit: &mut Emit<'_>,
    mut gradient: impl FnMut(usize, &mut Emit<'_>) -> Result<Value, Refusal>,
) -> Result<Vec<Option<Value>>, Refusal> {
    let shape = &node.output(0)?.shape;
    let mut found = vec![None, None];
    for (input, found) in found.iter_mut().enumerate().filter(|(input, _)| node.needs(*input)) {
        let full = gradient(input, emit)?;
        *found = Some(emit.unbroadcast(&full, shape, node.input(input)?));
    }
    Ok(found)
}

/// Add.
pub(super) struct Add;

impl Rule for Add {
    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        cases("Add")
    }

    fn operators(&self) -> &'static [&'static str] {
        &["Add"]
    }

    fn equation(&self) -> &'static str {
        "da = g, db = g"
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let g = outputs.only()?;
        of_both(node, emit, |_, _| Ok(g.clone()))
    }
}

/// Sub.
pub(super) struct Sub;

impl Rule for Sub {
    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        cases("Sub")
    }

    fn operators(&self) -> &'static [&'static str] {
        &["Sub"]
    }

    fn equation(&self) -> &'static str {
        "da = g, db = −g"
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let g = outputs.only()?;
        of_both(node, emit, |input, emit| Ok(if input == 0 { g.clone() } else { emit.unary("Neg", g) }))
    }
}

/// Mul.
pub(super) struct Mul;

impl Rule for Mul {
    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        cases("Mul")
    }

    fn operators(&self) -> &'static [&'static str] {
        &["Mul"]
    }

    fn equation(&self) -> &'static str {
        "da = g ∘ b, db = g ∘ a"
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let g = outputs.only()?;
        of_both(node, emit, |input, emit| Ok(emit.mul(g, &node.input(1 - input)?.value)))
    }
}

/// Div.
pub(super) struct Div;

impl Rule for Div {
    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        cases("Div")
    }

    fn operators(&self) -> &'static [&'static str] {
        &["Div"]
    }

    fn equation(&self) -> &'static str {
        "da = g / b, db = −(g / b) ∘ y"
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let over = emit.div(outputs.only()?, &node.input(1)?.value);
        of_both(node, emit, |input, emit| {
            if input == 0 {
                return Ok(over.clone());
            }
            let product = emit.mul(&over, &node.output(0)?.value);
            Ok(emit.unary("Neg", &product))
        })
    }
}
