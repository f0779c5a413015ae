//! Reductions over axes.

#[cfg(test)]
use super::super::tests::{Case, Given, axes, shapes};
use super::super::{Applied, Emit, Gradients, Known, OutputGradients, Refusal, Rule, Value};
use crate::model::fragment::int;
#[cfg(test)]
use crate::model::fragment::ints;
#[cfg(test)]
use proptest::prelude::*;

/// A reduction over some or all axes.
pub(super) struct Reduction {
    operators: &'static [&'static str],
    equation: &'static str,
    /// The gradient in the shape of the input, of what lies before it.
    gradient: fn(&Reduced<'_>, &mut Emit<'_>) -> Value,
}

/// A reduced value, with axes of one entry where it was reduced.
struct Reduced<'a> {
    x: &'a Known,
    /// The output.
    y: Value,
    /// Its gradient.
    g: Value,
    axes: Vec<usize>,
}

pub(super) const SUM: Reduction = Reduction {
    operators: &["ReduceSum"],
    equation: "dx = g",
    gradient: |reduced, emit| emit.expand_as(&reduced.g, reduced.x),
};

pub(super) const MEAN: Reduction = Reduction {
    operators: &["ReduceMean"],
    equation: "dx = g / n, of n elements",
    gradient: |reduced, emit| {
        let share = if let Some(count) = reduced.count() {
            emit.scaled(&reduced.g, 1.0 / count as f64)
        } else {
            let count = reduced.count_at_run_time(emit);
            emit.div(&reduced.g, &count)
        };
        emit.expand_as(&share, reduced.x)
    },
};

pub(super) const SQUARES: Reduction = Reduction {
    operators: &["ReduceSumSquare"],
    equation: "dx = 2 g ∘ x",
    gradient: |reduced, emit| {
        let twice = emit.scaled(&reduced.g, 2.0);
        emit.mul(&twice, &reduced.x.value)
    },
};

pub(super) const L1: Reduction = Reduction {
    operators: &["ReduceL1"],
    equation: "dx = g ∘ sign x",
    gradient: |reduced, emit| {
        let sign = emit.unary("Sign", &reduced.x.value);
        emit.mul(&reduced.g, &sign)
    },
};

pub(super) const L2: Reduction = Reduction {
    operators: &["ReduceL2"],
    equation: "dx = g ∘ x / y, and 0 where y = 0",
    gradient: |reduced, emit| {
        let zero = emit.number(0.0, reduced.y.element);
        let is_zero = emit.indicator("Equal", &reduced.y, &zero);
        let safe = emit.add(&reduced.y, &is_zero);
        let share = emit.div(&reduced.g, &safe);
        emit.mul(&share, &reduced.x.value)
    },
};

pub(super) const LOG_SUM_EXP: Reduction = Reduction {
    operators: &["ReduceLogSumExp"],
    equation: "dx = g ∘ e^(x − y)",
    gradient: |reduced, emit| {
        let less = emit.sub(&reduced.x.value, &reduced.y);
        let share = emit.unary("Exp", &less);
        emit.mul(&reduced.g, &share)
    },
};

pub(super) const EXTREME: Reduction = Reduction {
    operators: &["ReduceMax", "ReduceMin"],
    equation: "dx = g ∘ [x = y] / (how many of them are y)",
    gradient: |reduced, emit| {
        let chosen = emit.indicator("Equal", &reduced.x.value, &reduced.y);
        let how_many = emit.sum(&chosen, &reduced.axes, true);
        let share = emit.div(&reduced.g, &how_many);
        emit.mul(&share, &chosen)
    },
};

impl Reduced<'_> {
    /// How many elements each sum has, where that is the same in every run.
    fn count(&self) -> Option<usize> {
        self.axes.iter().map(|&axis| self.x.shape[axis].fixed()).product()
    }

    fn count_at_run_time(&self, emit: &mut Emit<'_>) -> Value {
        let extents = emit.shape(&self.x.value);
        let axes = emit.integers(&self.axes.iter().map(|&axis| axis as i64).collect::<Vec<_>>());
        let reduced = emit.node("Gather", &[&extents, &axes], vec![int("axis", 0)]);
        let count = emit.node("ReduceProd", &[&reduced], vec![int("keepdims", 0)]);
        emit.cast(&count, self.x.value.element)
    }
}

/// The axes that a node reduces, or nothing where it gives its input as it is.
fn reduced_axes(node: &Applied<'_>) -> Result<Option<Vec<usize>>, Refusal> {
    let shape = &node.input(0)?.shape;
    match node.list("axes", 1)?.filter(|axes| !axes.is_empty()) {
        Some(axes) => {
            let found: Option<Vec<usize>> = axes.iter().map(|&axis| shape.axis(axis)).collect();
            found.map(Some).ok_or_else(|| Refusal::new("it reduces an axis that its input lacks"))
        }
        None if node.proto().int("noop_with_empty_axes", 0) != 0 => Ok(None),
        None => Ok(Some((0..shape.rank()).collect())),
    }
}

impl Rule for Reduction {
    fn operators(&self) -> &'static [&'static str] {
        self.operators
    }

    fn equation(&self) -> &'static str {
        self.equation
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let operators = self.operators;
        let given = (shapes(1..4), any::<bool>(), 0..3_usize, 0..operators.len());
        let given = given.prop_flat_map(|given| (axes(given.0.len()), Just(given)));
        let case = move |(axes, (shape, keep, how, operator)): (Vec<usize>, (Vec<usize>, bool, usize, usize))| {
            let operator = operators[operator];
            let mut given = vec![Given::Floats(shape.clone(), 0.2, 2.0)];
            let mut attributes = vec![int("keepdims", i64::from(keep))];
            // From the end, in the form of an older operator set, or all of them.
            let from_end: Vec<i64> = axes.iter().map(|&axis| axis as i64 - shape.len() as i64).collect();
            let opset = match how {
                0 if !axes.is_empty() => {
                    given.push(Given::integers(&from_end));
                    20
                }
                1 if !axes.is_empty() => {
                    attributes.push(ints("axes", from_end));
                    if operator == "ReduceSum" { 12 } else { 17 }
                }
                _ => 20,
            };
            Case::new(operator, given, attributes).opset(opset)
        };
        given.prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, x) = (outputs.only()?, node.input(0)?);
        let Some(axes) = reduced_axes(node)? else { return Ok(vec![Some(g.clone())]) };
        let keeps = node.proto().int("keepdims", 1) != 0;
        let with_axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
        let kept = |value: &Value, emit: &mut Emit<'_>| {
            if keeps || with_axes.is_empty() { value.clone() } else { emit.unsqueeze(value, &with_axes) }
        };
        let reduced = Reduced { x, y: kept(&node.output(0)?.value, emit), g: kept(g, emit), axes };
        Ok(vec![Some((self.gradient)(&reduced, emit))])
    }
}
