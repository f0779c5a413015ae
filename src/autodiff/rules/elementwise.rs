//! Functions of each element by itself: `dx = g ∘ f'(x)`.

#[cfg(test)]
use super::super::tests::{Case, Given, Kind, shapes};
use super::super::{Applied, Emit, Gradients, OutputGradients, Refusal, Rule, Value};
#[cfg(test)]
use crate::model::fragment::{float, string};
#[cfg(test)]
use proptest::prelude::*;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

/// A function of one value, element by element.
pub(super) struct Elementwise {
    operators: &'static [&'static str],
    equation: &'static str,
    /// `f'`, from the node's input or output.
    slope: fn(&Applied<'_>, &mut Emit<'_>) -> Result<Value, Refusal>,
}

pub(super) const EXP: Elementwise =
    Elementwise { operators: &["Exp"], equation: "dx = g ∘ y", slope: |node, _| Ok(node.output(0)?.value.clone()) };

pub(super) const LOG: Elementwise = Elementwise {
    operators: &["Log"],
    equation: "dx = g / x",
    slope: |node, emit| Ok(emit.unary("Reciprocal", &node.input(0)?.value)),
};

pub(super) const SQRT: Elementwise = Elementwise {
    operators: &["Sqrt"],
    equation: "dx = g / 2y",
    slope: |node, emit| {
        let twice = emit.scaled(&node.output(0)?.value, 2.0);
        Ok(emit.unary("Reciprocal", &twice))
    },
};

pub(super) const NEG: Elementwise = Elementwise {
    operators: &["Neg"],
    equation: "dx = −g",
    slope: |node, emit| Ok(emit.number(-1.0, node.element()?)),
};

pub(super) const RECIPROCAL: Elementwise = Elementwise {
    operators: &["Reciprocal"],
    equation: "dx = −g ∘ y²",
    slope: |node, emit| {
        let y = &node.output(0)?.value;
        let square = emit.mul(y, y);
        Ok(emit.unary("Neg", &square))
    },
};

pub(super) const ABS: Elementwise = Elementwise {
    operators: &["Abs"],
    equation: "dx = g ∘ sign x",
    slope: |node, emit| Ok(emit.unary("Sign", &node.input(0)?.value)),
};

pub(super) const SIN: Elementwise = Elementwise {
    operators: &["Sin"],
    equation: "dx = g ∘ cos x",
    slope: |node, emit| Ok(emit.unary("Cos", &node.input(0)?.value)),
};

pub(super) const COS: Elementwise = Elementwise {
    operators: &["Cos"],
    equation: "dx = −g ∘ sin x",
    slope: |node, emit| {
        let sine = emit.unary("Sin", &node.input(0)?.value);
        Ok(emit.unary("Neg", &sine))
    },
};

pub(super) const TANH: Elementwise = Elementwise {
    operators: &["Tanh"],
    equation: "dx = g ∘ (1 − y²)",
    slope: |node, emit| {
        let y = &node.output(0)?.value;
        Ok(one_less_square(y, emit))
    },
};

pub(super) const SIGMOID: Elementwise = Elementwise {
    operators: &["Sigmoid"],
    equation: "dx = g ∘ y (1 − y)",
    slope: |node, emit| {
        let y = &node.output(0)?.value;
        Ok(times_rest(y, emit))
    },
};

pub(super) const SOFTPLUS: Elementwise = Elementwise {
    operators: &["Softplus"],
    equation: "dx = g ∘ sigmoid x",
    slope: |node, emit| Ok(emit.unary("Sigmoid", &node.input(0)?.value)),
};

pub(super) const SOFTSIGN: Elementwise = Elementwise {
    operators: &["Softsign"],
    equation: "dx = g / (1 + |x|)²",
    slope: |node, emit| {
        let size = emit.unary("Abs", &node.input(0)?.value);
        let more = emit.shifted(&size, 1.0);
        let square = emit.mul(&more, &more);
        Ok(emit.unary("Reciprocal", &square))
    },
};

pub(super) const ERF: Elementwise = Elementwise {
    operators: &["Erf"],
    equation: "dx = g ∘ 2/√π e^(−x²)",
    slope: |node, emit| {
        let x = &node.input(0)?.value;
        let square = emit.mul(x, x);
        let negative = emit.unary("Neg", &square);
        let bell = emit.unary("Exp", &negative);
        Ok(emit.scaled(&bell, FRAC_2_SQRT_PI))
    },
};

pub(super) const GELU: Elementwise = Elementwise {
    operators: &["Gelu"],
    equation: "dx = g ∘ (Φ(x) + x φ(x)), Φ and φ of the standard normal distribution; with `approximate = tanh` the slope of that",
    slope: |node, emit| {
        let x = &node.input(0)?.value;
        match node.proto().string("approximate", "none") {
            "none" => Ok(gelu(x, emit)),
            "tanh" => Ok(gelu_by_tanh(x, emit)),
            other => Err(Refusal::new(format!("its approximation is {other}"))),
        }
    },
};

pub(super) const HARD_SIGMOID: Elementwise = Elementwise {
    operators: &["HardSigmoid"],
    equation: "dx = α g where 0 < y < 1",
    slope: |node, emit| {
        let y = &node.output(0)?.value;
        // y (1 − y) is positive just there.
        let inside = times_rest(y, emit);
        let inside = emit.unary("Sign", &inside);
        Ok(emit.scaled(&inside, f64::from(node.proto().float("alpha", 0.2))))
    },
};

pub(super) const HARD_SWISH: Elementwise = Elementwise {
    operators: &["HardSwish"],
    equation: "dx = g ∘ (h + x/6 where 0 < h < 1), h = HardSigmoid(x; 1/6, 1/2)",
    slope: |node, emit| {
        let x = &node.input(0)?.value;
        let sixth = emit.scaled(x, 1.0 / 6.0);
        let shifted = emit.shifted(&sixth, 0.5);
        let [zero, one] = [0.0, 1.0].map(|bound| emit.number(bound, x.element));
        let hard = emit.node("Min", &[&shifted, &one], vec![]);
        let hard = emit.node("Max", &[&hard, &zero], vec![]);
        let inside = times_rest(&hard, emit);
        let inside = emit.unary("Sign", &inside);
        let further = emit.mul(&sixth, &inside);
        Ok(emit.add(&hard, &further))
    },
};

pub(super) const MISH: Elementwise = Elementwise {
    operators: &["Mish"],
    equation: "dx = g ∘ (t + x s (1 − t²)), s = sigmoid x, t = tanh(softplus x)",
    slope: |node, emit| {
        let x = &node.input(0)?.value;
        let soft = emit.unary("Softplus", x);
        let t = emit.unary("Tanh", &soft);
        let s = emit.unary("Sigmoid", x);
        let rest = one_less_square(&t, emit);
        let product = emit.mul(x, &s);
        let product = emit.mul(&product, &rest);
        Ok(emit.add(&t, &product))
    },
};

/// `1 − y²`.
fn one_less_square(y: &Value, emit: &mut Emit<'_>) -> Value {
    let one = emit.number(1.0, y.element);
    let square = emit.mul(y, y);
    emit.sub(&one, &square)
}

/// `y (1 − y)`.
fn times_rest(y: &Value, emit: &mut Emit<'_>) -> Value {
    let one = emit.number(1.0, y.element);
    let rest = emit.sub(&one, y);
    emit.mul(y, &rest)
}

fn gelu(x: &Value, emit: &mut Emit<'_>) -> Value {
    let scaled = emit.scaled(x, FRAC_1_SQRT_2);
    let erf = emit.unary("Erf", &scaled);
    let more = emit.shifted(&erf, 1.0);
    let below = emit.scaled(&more, 0.5);
    let square = emit.mul(x, x);
    let exponent = emit.scaled(&square, -0.5);
    let bell = emit.unary("Exp", &exponent);
    let density = emit.scaled(&bell, 1.0 / (2.0 * PI).sqrt());
    let weighted = emit.mul(x, &density);
    emit.add(&below, &weighted)
}

/// Of `x/2 (1 + t)` with `t = tanh u`, `u = √(2/π) (x + 0.044715 x³)`: `(1 + t)/2 + x/2 (1 − t²) u'`.
fn gelu_by_tanh(x: &Value, emit: &mut Emit<'_>) -> Value {
    let factor = (2.0 / PI).sqrt();
    let square = emit.mul(x, x);
    let inner = emit.scaled(&square, 0.044_715 * factor);
    let inner = emit.shifted(&inner, factor);
    let u = emit.mul(x, &inner);
    let t = emit.unary("Tanh", &u);
    let slope = emit.scaled(&square, 3.0 * 0.044_715 * factor);
    let slope = emit.shifted(&slope, factor);
    let rest = one_less_square(&t, emit);
    let product = emit.mul(&rest, &slope);
    let product = emit.mul(&product, x);
    let more = emit.shifted(&t, 1.0);
    let sum = emit.add(&more, &product);
    emit.scaled(&sum, 0.5)
}

impl Rule for Elementwise {
    fn operators(&self) -> &'static [&'static str] {
        self.operators
    }

    fn equation(&self) -> &'static str {
        self.equation
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let operator = self.operators[0];
        let [least, most] = match operator {
            "Log" | "Sqrt" | "Reciprocal" => [0.5, 2.0],
            "HardSigmoid" | "HardSwish" => [-5.0, 5.37],
            _ => [-2.0, 2.0],
        };
        let case = move |(shape, other): (Vec<usize>, bool)| {
            let attributes = match operator {
                "Gelu" if other => vec![string("approximate", "tanh")],
                "HardSigmoid" if other => vec![float("alpha", 0.3), float("beta", 0.4)],
                _ => vec![],
            };
            let kind =
                if matches!(operator, "Abs" | "HardSigmoid" | "HardSwish") { Kind::Kinked } else { Kind::Smooth };
            Case::new(operator, vec![Given::Floats(shape, least, most)], attributes).kind(kind)
        };
        (shapes(1..4), any::<bool>()).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let slope = (self.slope)(node, emit)?;
        Ok(vec![Some(emit.mul(outputs.only()?, &slope))])
    }
}
