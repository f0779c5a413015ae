//! Normalisations: by the mean and deviation of a sample, or by numbers that training has left.
//!
//! With `x̂ = (x − m) r`, m the mean and `r = 1/√(variance + ε)` over n elements, and h the gradient in x̂ (Ioffe and Szegedy, "Batch
//! Normalization", 2015, section 3; here without the batch): `dx = r (h − mean h − x̂ mean(h ∘ x̂))`.

#[cfg(test)]
use super::super::tests::{Case, Given, Kind, shapes};
use super::super::{Applied, Emit, Gradients, Known, OutputGradients, Refusal, Rule, Value};
#[cfg(test)]
use crate::model::fragment::{float, int};
use crate::tensor::ElementType;
#[cfg(test)]
use proptest::prelude::*;

/// Since this operator set `GroupNormalization` scales channels; before, groups.
const SCALES_CHANNELS: i64 = 21;

/// A value normalised over some axes.
struct Normalized {
    axes: Vec<usize>,
    /// x̂.
    value: Value,
    /// r, with axes of one entry.
    inverse: Value,
}

impl Normalized {
    /// Computed again: the node that normalises does not give it.
    fn again(x: &Value, axes: Vec<usize>, epsilon: f64, emit: &mut Emit<'_>) -> Self {
        let mean = emit.mean(x, &axes);
        let centred = emit.sub(x, &mean);
        let square = emit.mul(&centred, &centred);
        let variance = emit.mean(&square, &axes);
        let inverse = inverse_deviation(&variance, epsilon, emit);
        let value = emit.mul(&centred, &inverse);
        Self { axes, value, inverse }
    }

    /// By a mean and an inverse deviation that are there.
    fn by(x: &Value, axes: Vec<usize>, [mean, inverse]: [Value; 2], emit: &mut Emit<'_>) -> Self {
        let centred = emit.sub(x, &mean);
        let value = emit.mul(&centred, &inverse);
        Self { axes, value, inverse }
    }

    /// The gradient in x of the gradient in x̂.
    fn gradient(&self, h: &Value, emit: &mut Emit<'_>) -> Value {
        let mean = emit.mean(h, &self.axes);
        let weighted = emit.mul(h, &self.value);
        let along = emit.mean(&weighted, &self.axes);
        let along = emit.mul(&self.value, &along);
        let rest = emit.sub(h, &mean);
        let rest = emit.sub(&rest, &along);
        emit.mul(&self.inverse, &rest)
    }
}

/// `1/√(variance + ε)`.
fn inverse_deviation(variance: &Value, epsilon: f64, emit: &mut Emit<'_>) -> Value {
    let more = emit.shifted(variance, epsilon);
    let deviation = emit.unary("Sqrt", &more);
    emit.unary("Reciprocal", &deviation)
}

fn epsilon(node: &Applied<'_>) -> f64 {
    f64::from(node.proto().float("epsilon", 1e-5))
}

/// A value of each channel, beside values with the channels as their second axis.
fn of_channels(values: &Value, rank: usize, emit: &mut Emit<'_>) -> Value {
    let mut target = vec![1; rank - 1];
    target[0] = -1;
    emit.reshape(values, &target)
}

/// `LayerNormalization`.
pub(super) struct LayerNormalization;

impl Rule for LayerNormalization {
    fn operators(&self) -> &'static [&'static str] {
        &["LayerNormalization"]
    }

    fn equation(&self) -> &'static str {
        "dx = r (h − mean h − x̂ mean(h ∘ x̂)), h = g ∘ scale; dscale = Σ g ∘ x̂; dbias = Σ g; of its Mean and InvStdDev dx = g/n and −g r² x̂/n"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |(shape, axes, bias): (Vec<usize>, usize, bool)| {
            let mut shape = shape;
            *shape.last_mut().expect("an axis") += 2;
            let axes = 1 + axes % (shape.len() - 1);
            let of_scale = &shape[shape.len() - axes..];
            let mut given = vec![Given::floats(&shape), Given::Floats(of_scale.to_vec(), 0.5, 1.5)];
            given.extend(bias.then(|| Given::floats(of_scale)));
            let mut attributes = vec![float("epsilon", 0.01)];
            attributes.extend((axes > 1).then(|| int("axis", -(axes as i64))));
            Case::new("LayerNormalization", given, attributes)
        };
        (shapes(2..4), 0..3_usize, any::<bool>()).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (x, y, scale, from) = (node.input(0)?, node.output(0)?, node.input(1)?, node.axis(-1)?);
        let axes: Vec<usize> = (from..x.shape.rank()).collect();
        let normalized = match x.value.element {
            // In other types these outputs have fewer digits.
            ElementType::Float32 => {
                let statistics = [1, 2].map(|output| emit.output_of(node.index(), output, ElementType::Float32));
                Normalized::by(&x.value, axes, statistics, emit)
            }
            _ => Normalized::again(&x.value, axes, epsilon(node), emit),
        };
        let mut found = vec![None; 3];
        if let Some(g) = &outputs.all()[0] {
            if node.needs(0) {
                let h = emit.mul(g, &scale.value);
                found[0] = Some(normalized.gradient(&h, emit));
            }
            if node.needs(1) {
                let full = emit.mul(g, &normalized.value);
                found[1] = Some(emit.unbroadcast(&full, &y.shape, scale));
            }
            if node.needs(2) {
                found[2] = Some(emit.unbroadcast(g, &y.shape, node.input(2)?));
            }
        }
        let statistics = Self::of_statistics(node, outputs, &normalized, emit)?;
        found[0] = match (found[0].take(), statistics) {
            (Some(a), Some(b)) => Some(emit.add(&a, &b)),
            (a, b) => a.or(b),
        };
        Ok(found)
    }
}

impl LayerNormalization {
    /// The gradient in x of what depends on the mean and the inverse deviation: in a gradient that is differentiated again.
    fn of_statistics(
        node: &Applied<'_>,
        outputs: &OutputGradients,
        normalized: &Normalized,
        emit: &mut Emit<'_>,
    ) -> Result<Option<Value>, Refusal> {
        let x = node.input(0)?;
        let given = |output: usize| outputs.all().get(output).cloned().flatten();
        let (mean, inverse) = (given(1), given(2));
        if !node.needs(0) || mean.is_none() && inverse.is_none() {
            return Ok(None);
        }
        let count: Option<usize> = normalized.axes.iter().map(|&axis| x.shape[axis].fixed()).product();
        let count = count.ok_or_else(|| Refusal::new("the extent of its axes is not always the same"))?;
        let share = 1.0 / count as f64;
        let of_mean = mean.map(|g| {
            let share = emit.scaled(&g, share);
            emit.expand_as(&share, x)
        });
        let of_inverse = inverse.map(|g| {
            let square = emit.mul(&normalized.inverse, &normalized.inverse);
            let share = emit.scaled(&square, -share);
            let share = emit.mul(&g, &share);
            emit.mul(&share, &normalized.value)
        });
        Ok(match (of_mean, of_inverse) {
            (Some(a), Some(b)) => Some(emit.add(&a, &b)),
            (a, b) => a.or(b),
        })
    }
}

/// `BatchNormalization` as in inference.
pub(super) struct BatchNormalization;

impl Rule for BatchNormalization {
    fn operators(&self) -> &'static [&'static str] {
        &["BatchNormalization"]
    }

    fn equation(&self) -> &'static str {
        "dx = g ∘ scale r; dscale = Σ g ∘ x̂; dbias = Σ g; dmean = −Σ g scale r; dvar = −½ Σ g ∘ x̂ scale r²"
    }

    fn limits(&self) -> &'static str {
        "as in inference: mean and variance are inputs"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |mut shape: Vec<usize>| {
            shape[0] += 1;
            let channels = vec![shape[1]];
            let positive = Given::Floats(channels.clone(), 0.5, 1.5);
            let given = vec![
                Given::floats(&shape),
                positive.clone(),
                Given::floats(&channels),
                Given::floats(&channels),
                positive,
            ];
            Case::new("BatchNormalization", given, vec![float("epsilon", 0.01)])
        };
        shapes(2..5).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        if node.proto().int("training_mode", 0) != 0 {
            return Err(Refusal::new("it is in training mode"));
        }
        let (g, x) = (outputs.only()?, node.input(0)?);
        let (scale, mean, variance) = (&node.input(1)?.value, &node.input(3)?.value, &node.input(4)?.value);
        let rank = x.shape.rank();
        let inverse = inverse_deviation(variance, epsilon(node), emit);
        let factor = emit.mul(scale, &inverse);
        let others: Vec<usize> = (0..rank).filter(|axis| *axis != 1).collect();
        let mut found = vec![None; 5];
        if node.needs(0) {
            let factor = of_channels(&factor, rank, emit);
            found[0] = Some(emit.mul(g, &factor));
        }
        let of_g = (node.needs(2) || node.needs(3)).then(|| emit.sum(g, &others, false));
        let of_normalized = (node.needs(1) || node.needs(4)).then(|| {
            let mean = of_channels(mean, rank, emit);
            let centred = emit.sub(&x.value, &mean);
            let product = emit.mul(g, &centred);
            let sum = emit.sum(&product, &others, false);
            emit.mul(&sum, &inverse)
        });
        if node.needs(3) {
            let sum = of_g.as_ref().map(|sum| emit.mul(sum, &factor));
            found[3] = sum.map(|sum| emit.unary("Neg", &sum));
        }
        if node.needs(4) {
            let slope = emit.mul(&factor, &inverse);
            let half = emit.scaled(&slope, -0.5);
            found[4] = of_normalized.as_ref().map(|sum| emit.mul(sum, &half));
        }
        found[1] = of_normalized.filter(|_| node.needs(1));
        found[2] = of_g.filter(|_| node.needs(2));
        Ok(found)
    }
}

/// `InstanceNormalization`.
pub(super) struct InstanceNormalization;

impl Rule for InstanceNormalization {
    fn operators(&self) -> &'static [&'static str] {
        &["InstanceNormalization"]
    }

    fn equation(&self) -> &'static str {
        "dx = r (h − mean h − x̂ mean(h ∘ x̂)), h = g ∘ scale; dscale = Σ g ∘ x̂; dbias = Σ g"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |mut shape: Vec<usize>| {
            *shape.last_mut().expect("an axis") += 2;
            let channels = vec![shape[1]];
            let given =
                vec![Given::floats(&shape), Given::Floats(channels.clone(), 0.5, 1.5), Given::floats(&channels)];
            Case::new("InstanceNormalization", given, vec![float("epsilon", 0.01)]).kind(Kind::Smooth)
        };
        shapes(3..5).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, x) = (outputs.only()?, node.input(0)?);
        let rank = x.shape.rank();
        let normalized = Normalized::again(&x.value, (2..rank).collect(), epsilon(node), emit);
        let others: Vec<usize> = (0..rank).filter(|axis| *axis != 1).collect();
        let mut found = vec![None; 3];
        if node.needs(0) {
            let scale = of_channels(&node.input(1)?.value, rank, emit);
            let h = emit.mul(g, &scale);
            found[0] = Some(normalized.gradient(&h, emit));
        }
        if node.needs(1) {
            let product = emit.mul(g, &normalized.value);
            found[1] = Some(emit.sum(&product, &others, false));
        }
        if node.needs(2) {
            found[2] = Some(emit.sum(g, &others, false));
        }
        Ok(found)
    }
}

/// `GroupNormalization`.
pub(super) struct GroupNormalization;

impl Rule for GroupNormalization {
    fn operators(&self) -> &'static [&'static str] {
        &["GroupNormalization"]
    }

    fn equation(&self) -> &'static str {
        "as InstanceNormalization's, the mean over the channels of a group"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let case = |(mut shape, of_channels): (Vec<usize>, bool)| {
            *shape.last_mut().expect("an axis") += 2;
            let groups = 2;
            shape[1] *= groups;
            let scaled = vec![if of_channels { shape[1] } else { groups }];
            let given = vec![Given::floats(&shape), Given::Floats(scaled.clone(), 0.5, 1.5), Given::floats(&scaled)];
            let attributes = vec![float("epsilon", 0.01), int("num_groups", groups as i64)];
            Case::new("GroupNormalization", given, attributes)
                .opset(if of_channels { 21 } else { 20 })
                .kind(Kind::Smooth)
                // It normalises in float32, whatever the type.
                .single(true)
        };
        (shapes(3..5), any::<bool>()).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        let (g, x) = (outputs.only()?, node.input(0)?);
        let grouped = Grouped { x, groups: node.proto().int("num_groups", 1) };
        let by_group = grouped.split(&x.value, emit);
        let normalized = Normalized::again(&by_group, vec![2], epsilon(node), emit);
        let scale = &node.input(1)?.value;
        let channels = emit.opset() >= SCALES_CHANNELS;
        let mut found = vec![None; 3];
        if node.needs(0) {
            let h = grouped.scaled(g, scale, channels, emit);
            let gradient = normalized.gradient(&h, emit);
            found[0] = Some(emit.reshape_as(&gradient, x));
        }
        if node.needs(1) {
            let g = grouped.split(g, emit);
            let product = emit.mul(&g, &normalized.value);
            found[1] = Some(grouped.summed(&product, channels, emit));
        }
        if node.needs(2) {
            let g = grouped.split(g, emit);
            found[2] = Some(grouped.summed(&g, channels, emit));
        }
        Ok(found)
    }
}

/// A value as `[samples, groups, elements of a group]`.
struct Grouped<'a> {
    x: &'a Known,
    groups: i64,
}

impl Grouped<'_> {
    fn split(&self, value: &Value, emit: &mut Emit<'_>) -> Value {
        emit.reshape(value, &[0, self.groups, -1])
    }

    fn scaled(&self, g: &Value, scale: &Value, channels: bool, emit: &mut Emit<'_>) -> Value {
        if channels {
            let scale = of_channels(scale, self.x.shape.rank(), emit);
            let h = emit.mul(g, &scale);
            return self.split(&h, emit);
        }
        let (g, scale) = (self.split(g, emit), of_channels(scale, 3, emit));
        emit.mul(&g, &scale)
    }

    /// Summed for each channel, or for each group.
    fn summed(&self, value: &Value, channels: bool, emit: &mut Emit<'_>) -> Value {
        if !channels {
            return emit.sum(value, &[0, 2], false);
        }
        let full = emit.reshape_as(value, self.x);
        let others: Vec<usize> = (0..self.x.shape.rank()).filter(|axis| *axis != 1).collect();
        emit.sum(&full, &others, false)
    }
}
