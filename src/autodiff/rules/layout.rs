//! The same elements in another shape, order or type.

#[cfg(test)]
use super::super::tests::{Case, Given, shapes};
use super::super::{Applied, Emit, Gradients, OutputGradients, Refusal, Rule};
#[cfg(test)]
use crate::model::fragment::{int, ints};
#[cfg(test)]
use crate::tensor::ElementType;
#[cfg(test)]
use proptest::prelude::*;

/// Operators that give another shape to the same elements in the same order.
pub(super) struct Reshape;

impl Rule for Reshape {
    fn operators(&self) -> &'static [&'static str] {
        &["Reshape", "Flatten", "Squeeze", "Unsqueeze"]
    }

    fn equation(&self) -> &'static str {
        "dx = g in the shape of x"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |(operator, mut shape, old): (&'static str, Vec<usize>, bool)| {
            let x = |shape: &[usize]| Given::floats(shape);
            let opset = if old { 12 } else { 20 };
            match operator {
                "Reshape" => {
                    Case::new("Reshape", vec![x(&shape), Given::integers(&[-1, shape[0] as i64])], vec![]).open(&[])
                }
                "Flatten" => Case::new("Flatten", vec![x(&shape)], if old { vec![int("axis", 2)] } else { vec![] }),
                "Squeeze" => {
                    shape.insert(1, 1);
                    if old {
                        Case::new("Squeeze", vec![x(&shape)], vec![ints("axes", [1])]).opset(opset)
                    } else {
                        Case::new("Squeeze", vec![x(&shape), Given::integers(&[1])], vec![])
                    }
                }
                _ if old => Case::new("Unsqueeze", vec![x(&shape)], vec![ints("axes", [0, 2])]).opset(opset),
                _ => Case::new("Unsqueeze", vec![x(&shape), Given::integers(&[-1, 1])], vec![]),
            }
        };
        let operators = prop_oneof![Just("Reshape"), Just("Flatten"), Just("Squeeze"), Just("Unsqueeze")];
        (operators, shapes(2..4), any::<bool>()).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        Ok(vec![Some(emit.reshape_as(outputs.only()?, node.input(0)?))])
    }
}

/// Transpose.
pub(super) struct Transpose;

impl Rule for Transpose {
    fn operators(&self) -> &'static [&'static str] {
        &["Transpose"]
    }

    fn equation(&self) -> &'static str {
        "dx = g with the axes in their old order"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let given = shapes(1..4).prop_flat_map(|shape| {
            let order: Vec<i64> = (0..shape.len() as i64).collect();
            (Just(shape), Just(order).prop_shuffle(), any::<bool>())
        });
        let case = |(shape, order, named): (Vec<usize>, Vec<i64>, bool)| {
            let attributes = if named { vec![ints("perm", order)] } else { vec![] };
            Case::new("Transpose", vec![Given::floats(&shape)], attributes)
        };
        given.prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let shape = &node.input(0)?.shape;
        let order: Option<Vec<usize>> = match node.proto().ints("perm") {
            Some(order) => order.iter().map(|&axis| shape.axis(axis)).collect(),
            None => Some((0..shape.rank()).rev().collect()),
        };
        let order = order.ok_or_else(|| Refusal::new("it names an axis that its input lacks"))?;
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
        Ok(vec![Some(emit.transpose(outputs.only()?, &back))])
    }
}

/// Operators that give their input as it is.
pub(super) struct Identity;

impl Rule for Identity {
    fn operators(&self) -> &'static [&'static str] {
        &["Identity", "Cast", "Dropout"]
    }

    fn equation(&self) -> &'static str {
        "dx = g, in the type of x"
    }

    fn limits(&self) -> &'static str {
        "Dropout as in inference; through integers nothing passes"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |(operator, shape): (&'static str, Vec<usize>)| {
            let attributes = match operator {
                "Cast" => vec![int("to", i64::from(ElementType::Float32.onnx()))],
                _ => vec![],
            };
            let mut given = vec![Given::floats(&shape)];
            if operator == "Dropout" {
                given.extend([Given::Number(0.5), Given::Truths(vec![], vec![false])]);
            }
            Case::new(operator, given, attributes).single(operator == "Cast")
        };
        (prop_oneof![Just("Identity"), Just("Cast"), Just("Dropout")], shapes(1..4)).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        if node.operator() == "Dropout" && node.truth(2)? {
            return Err(Refusal::new("it is in training mode"));
        }
        Ok(vec![Some(emit.cast(outputs.only()?, node.element()?))])
    }
}
