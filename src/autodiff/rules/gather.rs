//! Gather: entries by their places along an axis, each as often as it is named.

#[cfg(test)]
use super::super::tests::{Case, Given, shapes};
use super::super::{Applied, Emit, Gradients, Known, OutputGradients, Rule, Value};
use crate::model::fragment::{int, string};
#[cfg(test)]
use proptest::prelude::*;

/// Gather.
pub(super) struct Gather;

impl Rule for Gather {
    fn operators(&self) -> &'static [&'static str] {
        &["Gather"]
    }

    fn equation(&self) -> &'static str {
        "dx = Σ of g over the entries that x gave, and 0 where it gave none"
    }

    fn limits(&self) -> &'static str {
        "before opset 16 constant indices, each once"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |(shape, axis, indices, how): (Vec<usize>, usize, Vec<i64>, usize)| {
            let axis = axis % shape.len();
            let extent = shape[axis] as i64;
            let within = |index: i64| if index < 0 { -1 - (-1 - index) % extent } else { index % extent };
            let indices: Vec<i64> = indices.into_iter().map(within).collect();
            let given = match how {
                // One, whose axis goes; all, backwards; some, possibly twice; a table of them.
                0 => Given::Integers(vec![], vec![indices[0]]),
                1 => Given::integers(&(0..extent).rev().collect::<Vec<_>>()),
                2 => Given::integers(&indices),
                _ => Given::Integers(vec![2, 2], indices[..4].to_vec()),
            };
            let open: &[usize] = if axis == 0 { &[] } else { &[0] };
            Case::new("Gather", vec![Given::floats(&shape), given], vec![int("axis", axis as i64)]).open(open)
        };
        (shapes(1..4), 0..4_usize, proptest::collection::vec(-4..4_i64, 4..6), 0..4_usize).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, axis) = (outputs.only()?, node.axis(0)?);
        let (x, indices) = (node.input(0)?, node.input(1)?);
        if let Some(places) = Places::of(node, x, axis) {
            return Ok(vec![Some(places.put_back(g, indices, (axis, x), emit))]);
        }
        emit.since(16, "ScatterND that adds")?;
        Ok(vec![Some(added_up(g, indices, (axis, x), emit))])
    }
}

/// Constant indices, each once: for every place of the axis, which of the entries came from there.
struct Places(Vec<Option<usize>>);

impl Places {
    fn of(node: &Applied<'_>, x: &Known, axis: usize) -> Option<Self> {
        let extent = x.shape[axis].fixed()?;
        let mut places = vec![None; extent];
        for (entry, index) in node.integers(1).ok()?.into_iter().enumerate() {
            let place = usize::try_from(if index < 0 { index + extent as i64 } else { index }).ok()?;
            if places.get_mut(place)?.replace(entry).is_some() {
                return None;
            }
        }
        Some(Self(places))
    }

    /// A place that gave nothing takes an entry of zeros, which stands behind the others.
    fn put_back(&self, g: &Value, indices: &Known, (axis, x): (usize, &Known), emit: &mut Emit<'_>) -> Value {
        let rank = x.shape.rank();
        let mut g = g.clone();
        match indices.shape.rank() {
            0 => g = emit.unsqueeze(&g, &[axis as i64]),
            further => {
                for _ in 1..further {
                    g = emit.merge_axes(&g, axis, rank + further - 1);
                }
            }
        }
        let entries = self.0.iter().flatten().count();
        if let [Some(_)] = self.0[..] {
            return g;
        }
        let one_run = entries == 1;
        let mut pads = vec![0; 2 * rank];
        if let Some(place) = self.0.iter().position(Option::is_some).filter(|_| one_run) {
            (pads[axis], pads[rank + axis]) = (place as i64, (self.0.len() - 1 - place) as i64);
            return emit.pad(&g, &pads);
        }
        pads[rank + axis] = i64::from(entries < self.0.len());
        let padded = emit.pad(&g, &pads);
        let inverse: Vec<i64> = self.0.iter().map(|entry| entry.unwrap_or(entries) as i64).collect();
        let inverse = emit.integers(&inverse);
        emit.node("Gather", &[&padded, &inverse], vec![int("axis", axis as i64)])
    }
}

/// Added up by `ScatterND`, which takes places along the first axes.
fn added_up(g: &Value, indices: &Known, (axis, x): (usize, &Known), emit: &mut Emit<'_>) -> Value {
    let (rank, of_indices) = (x.shape.rank(), indices.shape.rank());
    // The axis first in x, and the axes of the indices first in g.
    let order: Vec<usize> = std::iter::once(axis).chain((0..rank).filter(|other| *other != axis)).collect();
    let of_g = axis..axis + of_indices;
    let g_order: Vec<usize> =
        of_g.clone().chain((0..rank + of_indices - 1).filter(|other| !of_g.contains(other))).collect();
    let updates = emit.transpose(g, &g_order);
    let extents = emit.extents(x);
    let order_value = emit.integers(&order.iter().map(|&axis| axis as i64).collect::<Vec<_>>());
    let extents = emit.node("Gather", &[&extents, &order_value], vec![int("axis", 0)]);
    let zero = emit.number(0.0, x.value.element);
    let zeros = emit.node("Expand", &[&zero, &extents], vec![]);
    let places = emit.unsqueeze(&indices.value, &[-1]);
    let places = emit.cast(&places, crate::tensor::ElementType::Int64);
    let sums = emit.node("ScatterND", &[&zeros, &places, &updates], vec![string("reduction", "add")]);
    let mut back = vec![0; rank];
    order.iter().enumerate().for_each(|(to, &from)| back[from] = to);
    emit.transpose(&sums, &back)
}
