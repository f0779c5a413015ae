//! One of several values for each element: Min, Max, Clip, Where.

#[cfg(test)]
use super::super::tests::{Case, Given, shapes};
use super::super::{Applied, Emit, Gradients, OutputGradients, Refusal, Rule};
#[cfg(test)]
use proptest::prelude::*;

/// Min and Max of any number of values.
pub(super) struct Extreme;

impl Rule for Extreme {
    fn operators(&self) -> &'static [&'static str] {
        &["Min", "Max"]
    }

    fn equation(&self) -> &'static str {
        "dxᵢ = g ∘ [xᵢ = y] / (how many of them are y)"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |(operator, shape, count): (&'static str, Vec<usize>, usize)| {
            let others = (1..count).map(|at| if at == 1 { vec![shape[shape.len() - 1]] } else { shape.clone() });
            let given = std::iter::once(shape.clone()).chain(others).enumerate();
            // Bounds that differ, so that no two of the numbers are the same.
            let given = given.map(|(at, shape)| Given::Floats(shape, -1.0 - 0.017 * at as f64, 1.0)).collect();
            Case::new(operator, given, vec![]).open(&[])
        };
        (prop_oneof![Just("Min"), Just("Max")], shapes(1..3), 2..4_usize).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, y) = (outputs.only()?, node.output(0)?);
        let count = node.proto().input.len();
        let mut chosen = Vec::with_capacity(count);
        for input in 0..count {
            chosen.push(emit.indicator("Equal", &node.input(input)?.value, &y.value));
        }
        let how_many = chosen.iter().cloned().reduce(|sum, next| emit.add(&sum, &next));
        let share = how_many.map_or_else(|| g.clone(), |how_many| emit.div(g, &how_many));
        let mut found = Vec::with_capacity(count);
        for (input, chosen) in chosen.iter().enumerate() {
            found.push(if node.needs(input) {
                let full = emit.mul(&share, chosen);
                Some(emit.unbroadcast(&full, &y.shape, node.input(input)?))
            } else {
                None
            });
        }
        Ok(found)
    }
}

/// Clip between constants.
pub(super) struct Clip;

impl Rule for Clip {
    fn operators(&self) -> &'static [&'static str] {
        &["Clip"]
    }

    fn equation(&self) -> &'static str {
        "dx = g where y = x"
    }

    fn limits(&self) -> &'static str {
        "no gradients of the bounds"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |(shape, bounds): (Vec<usize>, usize)| {
            let x = Given::floats(&shape);
            match bounds {
                0 => Case::new("Clip", vec![x, Given::Number(-0.45), Given::Number(0.33)], vec![]),
                1 => Case::new("Clip", vec![x, Given::Nothing, Given::Number(0.33)], vec![]),
                _ => Case::new("Clip", vec![x, Given::Number(-0.45)], vec![]),
            }
        };
        (shapes(1..4), 0..3_usize).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        if node.needs(1) || node.needs(2) {
            return Err(Refusal::new("its bounds depend on what the gradient is of"));
        }
        let x = &node.input(0)?.value;
        let kept = emit.indicator("Equal", x, &node.output(0)?.value);
        Ok(vec![Some(emit.mul(outputs.only()?, &kept))])
    }
}

/// Where.
pub(super) struct Where;

impl Rule for Where {
    fn operators(&self) -> &'static [&'static str] {
        &["Where"]
    }

    fn equation(&self) -> &'static str {
        "da = g where the condition holds, db = g where it does not"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |(shape, lacks): (Vec<usize>, bool)| {
            let last = vec![shape[shape.len() - 1]];
            let condition = if lacks { last.clone() } else { shape.clone() };
            let truths = (0..condition.iter().product::<usize>()).map(|at| at % 3 != 1).collect();
            let b = if lacks { shape.clone() } else { last };
            Case::new("Where", vec![Given::Truths(condition, truths), Given::floats(&shape), Given::floats(&b)], vec![])
        };
        (shapes(1..4), any::<bool>()).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, y) = (outputs.only()?, node.output(0)?);
        let condition = node.input(0)?.value.clone();
        let zero = emit.number(0.0, g.element);
        let mut found = vec![None];
        for input in [1, 2] {
            if !node.needs(input) {
                found.push(None);
                continue;
            }
            let [a, b] = if input == 1 { [g, &zero] } else { [&zero, g] };
            let full = emit.node_of("Where", &[&condition, a, b], vec![], g.element);
            found.push(Some(emit.unbroadcast(&full, &y.shape, node.input(input)?)));
        }
        Ok(found)
    }
}
