//! Values put together and taken apart along axes: Concat, Split, Slice, Pad, Expand.

use super::super::emit::TO_THE_END;
#[cfg(test)]
use super::super::tests::{Case, Given, axes, shapes, with_ones};
use super::super::{Applied, Emit, Extent, Gradients, Known, OutputGradients, Refusal, Rule, Value};
#[cfg(test)]
use crate::model::fragment::{int, ints, string};
#[cfg(test)]
use proptest::prelude::*;

/// Concat.
pub(super) struct Concat;

impl Rule for Concat {
    fn operators(&self) -> &'static [&'static str] {
        &["Concat"]
    }

    fn equation(&self) -> &'static str {
        "dxᵢ = the part of g that xᵢ is"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |(shape, axis, lengths): (Vec<usize>, usize, Vec<usize>)| {
            let axis = axis % shape.len();
            let given = lengths.iter().map(|&length| {
                let mut shape = shape.clone();
                shape[axis] = length;
                Given::floats(&shape)
            });
            let open: Vec<usize> = if axis == 0 { vec![] } else { (0..lengths.len()).collect() };
            Case::new("Concat", given.collect(), vec![int("axis", axis as i64 - shape.len() as i64)]).open(&open)
        };
        (shapes(1..4), 0..4_usize, shapes(1..4)).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, axis, count) = (outputs.only()?, node.axis(0)?, node.proto().input.len());
        let mut start = 0;
        let mut found = Vec::with_capacity(count);
        for input in 0..count {
            let extent = node.input(input)?.shape[axis].fixed();
            let extent =
                extent.ok_or_else(|| Refusal::new(format!("the extent of input {input} is not always the same")))?;
            let end = start + extent as i64;
            found.push(node.needs(input).then(|| emit.slice(g, axis, [start, end], 1)));
            start = end;
        }
        Ok(found)
    }
}

/// Split.
pub(super) struct Split;

impl Rule for Split {
    fn operators(&self) -> &'static [&'static str] {
        &["Split"]
    }

    fn equation(&self) -> &'static str {
        "dx = the gradients of the parts, one behind the other"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |(shape, lengths, how): (Vec<usize>, Vec<usize>, usize)| {
            let mut shape = shape;
            let even = vec![2; lengths.len()];
            let lengths = if how == 2 { &even } else { &lengths };
            shape[1] = lengths.iter().sum();
            let parts: Vec<i64> = lengths.iter().map(|&length| length as i64).collect();
            let (mut given, mut attributes) = (vec![Given::floats(&shape)], vec![int("axis", 1)]);
            let opset = match how {
                0 => {
                    given.push(Given::integers(&parts));
                    20
                }
                1 => {
                    attributes.push(ints("split", parts));
                    12
                }
                _ => {
                    attributes.push(int("num_outputs", parts.len() as i64));
                    20
                }
            };
            Case::new("Split", given, attributes).outputs(lengths.len()).opset(opset)
        };
        (shapes(2..4), shapes(2..4), 0..3_usize).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let axis = node.axis(0)?;
        let mut parts = Vec::new();
        for (output, gradient) in outputs.all().iter().enumerate() {
            parts.push(match gradient {
                Some(gradient) => gradient.clone(),
                None => emit.zeros_as(node.output(output)?),
            });
        }
        Ok(vec![Some(emit.concat(&parts.iter().collect::<Vec<_>>(), axis as i64))])
    }
}

/// Slice.
pub(super) struct Slice;

impl Rule for Slice {
    fn operators(&self) -> &'static [&'static str] {
        &["Slice"]
    }

    fn equation(&self) -> &'static str {
        "dx = g where it was taken from, and 0 elsewhere"
    }

    fn limits(&self) -> &'static str {
        "bounds that are the same in every run, on axes whose extent is"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let axis = (1..7_usize, -8..8_i64, -8..8_i64, prop_oneof![Just(1), Just(2), Just(3), Just(-1), Just(-2)]);
        let case = |(batch, [first, second]): (usize, [(usize, i64, i64, i64); 2])| {
            let part = |(extent, start, end, step): (usize, i64, i64, i64)| {
                let taken = Taken::of(extent, start, end, step);
                // Where nothing would be left: all, backwards.
                if taken.count == 0 { (extent, -1, i64::MIN, -1) } else { (extent, start, end, step) }
            };
            let (first, second) = (part(first), part(second));
            let list = |number: fn((usize, i64, i64, i64)) -> i64| Given::integers(&[number(first), number(second)]);
            let given = vec![
                Given::floats(&[batch, first.0, second.0]),
                list(|part| part.1),
                list(|part| part.2),
                Given::integers(&[1, -1]),
                list(|part| part.3),
            ];
            Case::new("Slice", given, vec![])
        };
        (1..3_usize, [axis.clone(), axis]).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let x = node.input(0)?;
        let (starts, ends) = (node.integers(1)?, node.integers(2)?);
        let along = if node.has(3) { node.integers(3)? } else { (0..starts.len() as i64).collect() };
        let steps = if node.has(4) { node.integers(4)? } else { vec![1; starts.len()] };
        let mut gradient = outputs.only()?.clone();
        for (((&axis, start), end), step) in along.iter().zip(starts).zip(ends).zip(steps) {
            let axis = x.shape.axis(axis).ok_or_else(|| Refusal::new("it names an axis that its input lacks"))?;
            gradient = match x.shape[axis] {
                Extent::Fixed(extent) => Taken::of(extent, start, end, step).put_back(&gradient, (axis, x), emit),
                // All of it, whatever it is.
                Extent::Dynamic if start == 0 && step == 1 && end >= TO_THE_END => gradient,
                Extent::Dynamic => {
                    return Err(Refusal::new(format!("the extent of axis {axis} is not always the same")));
                }
            };
        }
        Ok(vec![Some(gradient)])
    }
}

/// What a slice takes of an axis.
struct Taken {
    extent: i64,
    first: i64,
    step: i64,
    count: i64,
}

impl Taken {
    /// By ONNX's rules, which clamp.
    fn of(extent: usize, start: i64, end: i64, step: i64) -> Self {
        let extent = extent as i64;
        let from_end = |at: i64| if at < 0 { at.saturating_add(extent) } else { at };
        let (least, most) = if step > 0 { (0, extent) } else { (-1, extent - 1) };
        let first = from_end(start).clamp(if step > 0 { 0 } else { -1 }, most);
        let end = from_end(end).clamp(least, most.max(least));
        let distance = if step > 0 { end - first } else { first - end };
        let count = if distance > 0 { (distance - 1) / step.abs() + 1 } else { 0 };
        Self { extent, first, step, count }
    }

    /// A gradient of what was taken as one of the whole axis.
    fn put_back(&self, gradient: &Value, (axis, x): (usize, &Known), emit: &mut Emit<'_>) -> Value {
        let stride = self.step.abs();
        let (mut lowest, mut found) = (self.first, gradient.clone());
        if self.step < 0 {
            lowest = self.first - (self.count - 1) * stride;
            found = emit.reverse(&found, axis);
        }
        let (rank, mut length) = (x.shape.rank(), self.count);
        if stride > 1 {
            found = spread(&found, axis, rank, stride, emit);
            length = self.count * stride;
            // Behind the last entry that was taken no zeros are needed.
            let needed = self.extent - lowest;
            if length > needed {
                found = emit.slice(&found, axis, [0, needed], 1);
                length = needed;
            }
        }
        let mut pads = vec![0; 2 * rank];
        (pads[axis], pads[rank + axis]) = (lowest, self.extent - lowest - length);
        emit.pad(&found, &pads)
    }
}

/// With `stride − 1` zeros behind every entry along an axis.
fn spread(value: &Value, axis: usize, rank: usize, stride: i64, emit: &mut Emit<'_>) -> Value {
    let apart = emit.unsqueeze(value, &[axis as i64 + 1]);
    let mut pads = vec![0; 2 * (rank + 1)];
    pads[rank + 1 + axis + 1] = stride - 1;
    let padded = emit.pad(&apart, &pads);
    emit.merge_axes(&padded, axis, rank + 1)
}

/// Pad with a constant.
pub(super) struct Pad;

impl Rule for Pad {
    fn operators(&self) -> &'static [&'static str] {
        &["Pad"]
    }

    fn equation(&self) -> &'static str {
        "dx = the part of g that x is"
    }

    fn limits(&self) -> &'static str {
        "mode `constant`"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |(shape, before, behind, some): (Vec<usize>, Vec<i64>, Vec<i64>, bool)| {
            let mut pads = [&[0], &before[1..shape.len()], &[0], &behind[1..shape.len()]].concat();
            let mut given = vec![Given::floats(&shape)];
            if some {
                let rank = shape.len();
                pads = vec![pads[rank - 1], pads[2 * rank - 1]];
                given.extend([Given::integers(&pads), Given::Number(0.5), Given::integers(&[-1])]);
            } else {
                given.extend([Given::integers(&pads), Given::Number(0.5)]);
            }
            Case::new("Pad", given, vec![string("mode", "constant")])
        };
        // What is cut off (a negative number) leaves something of every axis.
        let pads = || proptest::collection::vec(-1..3_i64, 4);
        (proptest::collection::vec(3..5_usize, 2..4), pads(), pads(), any::<bool>()).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let mode = node.proto().string("mode", "constant");
        if mode != "constant" {
            return Err(Refusal::new(format!("its mode is {mode}")));
        }
        let (rank, given) = (node.input(0)?.shape.rank(), node.integers(1)?);
        let along = if node.has(3) { node.integers(3)? } else { (0..rank as i64).collect() };
        let mut gradient = outputs.only()?.clone();
        let mut cut = vec![0; 2 * rank];
        for (at, &axis) in along.iter().enumerate() {
            let axis =
                node.input(0)?.shape.axis(axis).ok_or_else(|| Refusal::new("it names an axis that its input lacks"))?;
            let (before, behind) = (given[at], given[along.len() + at]);
            if before > 0 || behind > 0 {
                let end = if behind > 0 { -behind } else { TO_THE_END };
                gradient = emit.slice(&gradient, axis, [before.max(0), end], 1);
            }
            (cut[axis], cut[rank + axis]) = ((-before).max(0), (-behind).max(0));
        }
        Ok(vec![Some(emit.pad(&gradient, &cut))])
    }
}

/// Expand.
pub(super) struct Expand;

impl Rule for Expand {
    fn operators(&self) -> &'static [&'static str] {
        &["Expand"]
    }

    fn equation(&self) -> &'static str {
        "dx = Σ g over what was repeated"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let given = shapes(1..4).prop_flat_map(|shape| (axes(shape.len()), 0..3_usize, Just(shape)));
        let case = |(ones, lacks, shape): (Vec<usize>, usize, Vec<usize>)| {
            let target: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
            let mut from = with_ones(&shape, &ones);
            let from = from.split_off(lacks.min(from.len()));
            Case::new("Expand", vec![Given::floats(&from), Given::integers(&target)], vec![]).open(&[])
        };
        given.prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        Ok(vec![Some(emit.unbroadcast(outputs.only()?, &node.output(0)?.shape, node.input(0)?))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_take_what_the_specification_says() {
        let taken = |extent, start, end, step| {
            let taken = Taken::of(extent, start, end, step);
            (taken.first, taken.count)
        };
        assert_eq!(taken(5, 1, 4, 1), (1, 3));
        assert_eq!(taken(5, -2, i64::MAX, 1), (3, 2));
        assert_eq!(taken(5, 0, 5, 2), (0, 3));
        assert_eq!(taken(5, -1, i64::MIN, -2), (4, 3));
        assert_eq!(taken(5, 3, 3, 1).1, 0);
        assert_eq!(taken(5, 9, 12, 1).1, 0);
    }
}
