//! Rectifiers: another function on either side of 0.

#[cfg(test)]
use super::super::tests::{Case, Given, axes, shapes, with_ones};
use super::super::{Applied, Emit, Gradients, OutputGradients, Refusal, Rule, Value};
#[cfg(test)]
use crate::model::fragment::float;
use crate::tensor::ElementType;
#[cfg(test)]
use proptest::prelude::*;

/// A rectifier of one value.
pub(super) struct Rectifier {
    operators: &'static [&'static str],
    equation: &'static str,
    /// The slope, by the node and its output. The output, where it tells enough: the node before may then still be fused with this
    /// one, since nothing else reads what it gives.
    slope: fn(&Applied<'_>, &Value, &mut Emit<'_>) -> Result<Value, Refusal>,
}

pub(super) const RELU: Rectifier =
    Rectifier { operators: &["Relu"], equation: "dx = g where y > 0", slope: |_, y, emit| Ok(is_above(y, 0.0, emit)) };

pub(super) const LEAKY_RELU: Rectifier = Rectifier {
    operators: &["LeakyRelu"],
    equation: "dx = g where x > 0, else α g",
    slope: |node, _, emit| {
        let above = is_above(&node.input(0)?.value, 0.0, emit);
        let alpha = f64::from(node.proto().float("alpha", 0.01));
        let more = emit.scaled(&above, 1.0 - alpha);
        Ok(emit.shifted(&more, alpha))
    },
};

pub(super) const THRESHOLDED_RELU: Rectifier = Rectifier {
    operators: &["ThresholdedRelu"],
    equation: "dx = g where x > α",
    slope: |node, _, emit| {
        let alpha = f64::from(node.proto().float("alpha", 1.0));
        Ok(is_above(&node.input(0)?.value, alpha, emit))
    },
};

pub(super) const ELU: Rectifier = Rectifier {
    operators: &["Elu"],
    equation: "dx = g where x > 0, else g ∘ (y + α)",
    slope: |node, y, emit| {
        let alpha = f64::from(node.proto().float("alpha", 1.0));
        Ok(exponential(&node.input(0)?.value, y, [1.0, alpha], emit))
    },
};

pub(super) const SELU: Rectifier = Rectifier {
    operators: &["Selu"],
    equation: "dx = γ g where x > 0, else g ∘ (y + γ α)",
    slope: |node, y, emit| {
        let alpha = f64::from(node.proto().float("alpha", 1.673_263_2));
        let gamma = f64::from(node.proto().float("gamma", 1.050_701));
        Ok(exponential(&node.input(0)?.value, y, [gamma, gamma * alpha], emit))
    },
};

pub(super) const CELU: Rectifier = Rectifier {
    operators: &["Celu"],
    equation: "dx = g where x > 0, else g ∘ (y/α + 1)",
    slope: |node, y, emit| {
        let alpha = f64::from(node.proto().float("alpha", 1.0));
        let scaled = emit.scaled(y, 1.0 / alpha);
        Ok(exponential(&node.input(0)?.value, &scaled, [1.0, 1.0], emit))
    },
};

/// 1 above a threshold and 0 elsewhere.
fn is_above(x: &Value, threshold: f64, emit: &mut Emit<'_>) -> Value {
    let threshold = emit.number(threshold, x.element);
    emit.indicator("Greater", x, &threshold)
}

/// `above` where x > 0, and `y + below` elsewhere.
fn exponential(x: &Value, y: &Value, [above, below]: [f64; 2], emit: &mut Emit<'_>) -> Value {
    let [zero, above] = [0.0, above].map(|number| emit.number(number, x.element));
    let is_above = emit.node_of("Greater", &[x, &zero], vec![], ElementType::Bool);
    let below = emit.shifted(y, below);
    emit.node_of("Where", &[&is_above, &above, &below], vec![], x.element)
}

impl Rule for Rectifier {
    fn operators(&self) -> &'static [&'static str] {
        self.operators
    }

    fn equation(&self) -> &'static str {
        self.equation
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let operator = self.operators[0];
        let case = move |(shape, other): (Vec<usize>, bool)| {
            let attributes = match operator {
                "LeakyRelu" | "Elu" | "Celu" if other => vec![float("alpha", 0.3)],
                "Selu" if other => vec![float("alpha", 1.5), float("gamma", 1.2)],
                "ThresholdedRelu" => vec![float("alpha", 0.25)],
                _ => vec![],
            };
            Case::new(operator, vec![Given::floats(&shape)], attributes)
        };
        (shapes(1..4), any::<bool>()).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let slope = (self.slope)(node, &node.output(0)?.value, emit)?;
        Ok(vec![Some(emit.mul(outputs.only()?, &slope))])
    }
}

/// `PRelu`, whose slope below 0 is an input.
pub(super) struct PRelu;

impl Rule for PRelu {
    fn operators(&self) -> &'static [&'static str] {
        &["PRelu"]
    }

    fn equation(&self) -> &'static str {
        "dx = g where x > 0, else g ∘ slope; dslope = Σ g ∘ min(x, 0)"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let given = shapes(1..4).prop_flat_map(|shape| {
            axes(shape.len())
                .prop_map(move |ones| vec![Given::floats(&shape), Given::Floats(with_ones(&shape, &ones), 0.1, 0.9)])
        });
        given.prop_map(|given| Case::new("PRelu", given, vec![]).open(&[])).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, x, slope) = (outputs.only()?, node.input(0)?, node.input(1)?);
        let above = is_above(&x.value, 0.0, emit);
        let of_x = node.needs(0).then(|| {
            // slope + (1 − slope) above
            let one = emit.number(1.0, x.value.element);
            let rest = emit.sub(&one, &slope.value);
            let more = emit.mul(&rest, &above);
            let factor = emit.add(&slope.value, &more);
            emit.mul(g, &factor)
        });
        let of_slope = node.needs(1).then(|| {
            let zero = emit.number(0.0, x.value.element);
            let below = emit.node("Min", &[&x.value, &zero], vec![]);
            let full = emit.mul(g, &below);
            emit.unbroadcast(&full, &x.shape, slope)
        });
        Ok(vec![of_x, of_slope])
    }
}
