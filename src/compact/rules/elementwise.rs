//! Operators that work on each entry by itself.

use crate::compact::channels::{Along, Crossing, Followed, Goes, Obstacle};
use ndarray::ArrayD;
use std::collections::BTreeSet;

/// Functions that are 0 at 0.
pub(super) const OF_ZERO: &[&str] = &[
    "Abs",
    "Cast",
    "Celu",
    "Ceil",
    "Dropout",
    "Elu",
    "Erf",
    "Floor",
    "Gelu",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Mish",
    "Neg",
    "Relu",
    "Round",
    "Selu",
    "Sign",
    "Sin",
    "Softsign",
    "Sqrt",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
];

/// Functions that are something else there.
pub(super) const OF_ANY: &[&str] = &["Cos", "Exp", "HardSigmoid", "Log", "Reciprocal", "Sigmoid", "Softplus"];

pub(super) fn keeps_zero(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    Ok(Goes::On(crossing.only()?))
}

pub(super) fn gives_anything(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    Ok(Goes::On(Followed { zero: false, ..crossing.only()? }))
}

/// 0 stays 0 where the bounds, which are constants, lie around it.
pub(super) fn clip(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    let followed = crossing.only()?;
    let node = crossing.node();
    let bound = |input: usize, name: &str, none: f64| match node.input(input) {
        Some(_) => crossing
            .graph
            .operand(crossing.at, input)
            .and_then(|operand| crossing.graph.model().values(&operand.constant).ok()?.first().copied()),
        None => Some(node.attribute(name).map_or(none, |attribute| f64::from(attribute.f))),
    };
    let bounds = bound(1, "min", f64::NEG_INFINITY).zip(bound(2, "max", f64::INFINITY));
    let around = bounds.is_some_and(|(least, most)| least <= 0.0 && most >= 0.0);
    Ok(Goes::On(Followed { zero: followed.zero && around, ..followed }))
}

/// 0 to a constant power above 0 is 0.
pub(super) fn power(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    let followed = crossing.only()?;
    let exponents = crossing.graph.operand(crossing.at, 1).map(|operand| crossing.values(&operand.constant));
    let Some(exponents) = exponents.transpose()? else {
        return Err(crossing.refused("has an exponent that is computed"));
    };
    if exponents.len() != 1 {
        return Err(crossing.refused("has several exponents"));
    }
    Ok(Goes::On(Followed { zero: followed.zero && exponents.iter().all(|&exponent| exponent > 0.0), ..followed }))
}

/// A product is 0 where either factor is; what is divided, where it is 0 itself.
pub(super) fn product(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    let divides = crossing.node().op_type == "Div";
    match sides(crossing)? {
        Sides::Both(a, b) if divides => Ok(Goes::On(Followed { zero: false, ..merged(crossing, a, b)? })),
        Sides::Both(a, b) => Ok(Goes::On(Followed { zero: a.zero || b.zero, ..merged(crossing, a, b)? })),
        Sides::Constant { followed, at, .. } => {
            let values = beside(crossing, at, followed.along)?;
            // 0 times infinity, and 0 divided by 0, are no numbers.
            let usual = values.iter().all(|value| value.is_finite() && (!divides || *value != 0.0));
            Ok(Goes::On(Followed { zero: followed.zero && usual && (!divides || at == 1), ..followed }))
        }
    }
}

/// Channels stay 0 where 0 is added to them.
pub(super) fn sum(crossing: &mut Crossing<'_, '_>) -> Result<Goes, Obstacle> {
    match sides(crossing)? {
        Sides::Both(a, b) => Ok(Goes::On(Followed { zero: a.zero && b.zero, ..merged(crossing, a, b)? })),
        Sides::Constant { followed, at } => {
            let values = beside(crossing, at, followed.along)?;
            if !followed.zero {
                return Ok(Goes::On(followed));
            }
            if values.len() <= 1 {
                return Ok(Goes::On(Followed { zero: values.iter().all(|value| *value == 0.0), ..followed }));
            }
            let alive = alive(&values, channel_axis(&values, followed.along, crossing.channels), crossing.gone);
            if alive.is_empty() { Ok(Goes::On(followed)) } else { Err(Obstacle::Alive(alive)) }
        }
    }
}

/// What an operator of two inputs works on.
enum Sides {
    Both(Followed, Followed),
    Constant {
        followed: Followed,
        /// The input that is the constant.
        at: usize,
    },
}

fn sides(crossing: &Crossing<'_, '_>) -> Result<Sides, Obstacle> {
    match (crossing.input(0), crossing.input(1)) {
        (Some(a), Some(b)) => Ok(Sides::Both(a, b)),
        (Some(followed), None) => Ok(Sides::Constant { followed, at: 1 }),
        (None, Some(followed)) => Ok(Sides::Constant { followed, at: 0 }),
        (None, None) => Err(crossing.refused("reads no channels")),
    }
}

fn merged(crossing: &Crossing<'_, '_>, a: Followed, b: Followed) -> Result<Followed, Obstacle> {
    if a.along == b.along { Ok(a) } else { Err(crossing.refused("puts channels together that lie on different axes")) }
}

/// The constant beside the channels; it is cut where it has an entry for each.
fn beside(crossing: &mut Crossing<'_, '_>, input: usize, along: Along) -> Result<ArrayD<f64>, Obstacle> {
    let operand = crossing.graph.operand(crossing.at, input);
    let operand = operand.ok_or_else(|| crossing.refused("puts channels together with what is computed elsewhere"))?;
    let values = crossing.values(&operand.constant)?;
    if values.len() == 1 {
        return Ok(values);
    }
    let fits = match along {
        Along::Second { rank } => values.ndim() <= rank,
        Along::Last => true,
        Along::Blocks => false,
    };
    if !fits {
        return Err(crossing.refused("puts a constant of other axes beside channels"));
    }
    if let Some(axis) = channel_axis(&values, along, crossing.channels) {
        let constant = crossing.own(input)?;
        let gone = crossing.gone.iter().copied();
        crossing.cuts.cut(constant, axis, gone);
    }
    Ok(values)
}

/// The axis of a constant that is broadcast along the channels, where it has one entry for each.
fn channel_axis(values: &ArrayD<f64>, along: Along, channels: usize) -> Option<usize> {
    let behind = match along {
        Along::Second { rank } => rank - 2,
        Along::Last | Along::Blocks => 0,
    };
    values.ndim().checked_sub(behind + 1).filter(|&axis| values.shape()[axis] == channels && channels > 1)
}

/// Those of some channels beside which anything but 0 stands.
fn alive(values: &ArrayD<f64>, axis: Option<usize>, gone: &BTreeSet<usize>) -> BTreeSet<usize> {
    let is_alive = |&channel: &usize| match axis {
        Some(axis) => values.index_axis(ndarray::Axis(axis), channel).iter().any(|value| *value != 0.0),
        None => values.iter().any(|value| *value != 0.0),
    };
    gone.iter().copied().filter(is_alive).collect()
}
