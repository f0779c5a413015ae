//! Recalibration: the outputs of each projected layer get back the mean and the deviation that they had.
//!
//! A projection removes energy, and the layers behind, activations and normalizations above all, then see inputs of another
//! size than those they were trained on. With `z⁰` the outputs of the original and `z` those of the corrected layer, over
//! unlabelled samples and for each output channel:
//!
//! ```text
//! s = clip(std z⁰ / std z, 0.2, 5),   W ← s W,   b ← s b + mean z⁰ − s mean z
//! ```
//!
//! front to back, each layer behind those that are recalibrated already (data-free relatives: weight equalization and bias
//! correction, Nagel et al. 2019). Where nothing is added to the outputs, they are scaled alone. Where a `BatchNormalization` reads
//! them, its mean and variance become those of `z`, which is what it was made for (Li et al. 2017).

use super::vector::{patch, values};
use crate::evidence::{Channels, LEAST_DEVIATION, Target};
use crate::layers::{Layer, Output, Shift};
use crate::model::{Model, ModelError, WeightPatch};
use ndarray::{Array1, ArrayD, Axis};

/// The least and the largest ratio of deviations: a channel that has all but vanished is not blown up.
const LIMITS: (f64, f64) = (0.2, 5.0);

/// Mean and deviation that the outputs of a layer are brought to, before and in what is patched.
#[derive(Clone, Debug)]
pub struct Recalibration<'a> {
    /// The layer.
    pub layer: &'a Layer,
    /// Its place in the list of layers.
    pub index: usize,
    output: &'a Output,
    wanted: Channels,
}

impl<'a> Recalibration<'a> {
    /// Of a layer whose outputs can be observed; `original`: what they are like in the original model.
    ///
    /// # Errors
    /// A normalization whose statistics cannot be read.
    pub fn of(
        model: &Model,
        (index, layer): (usize, &'a Layer),
        original: Channels,
    ) -> Result<Option<Self>, ModelError> {
        let Some(output) = &layer.output else { return Ok(None) };
        let wanted = match &output.shift {
            // What it does to them stays the same if they get the statistics that it stands for.
            Shift::Normalization(of) => {
                Channels { mean: values(model, &of.mean)?, deviation: values(model, &of.variance)?.mapv(f64::sqrt) }
            }
            Shift::Bias(_) | Shift::Fixed => original,
        };
        Ok(Some(Self { layer, index, output, wanted }))
    }

    /// What the outputs of the corrected layer are brought to while those behind it are observed.
    pub fn target(&self) -> Target<'_> {
        let normalized = matches!(self.output.shift, Shift::Normalization(_));
        let moves = !matches!(self.output.shift, Shift::Fixed);
        Target { channels: &self.wanted, moves, limits: (!normalized).then_some(LIMITS) }
    }

    /// Changes the layer's patch, and adds those of what moves its outputs. `corrected`: what its outputs are like now.
    ///
    /// # Errors
    /// A bias that cannot be read.
    pub fn apply(&self, model: &Model, corrected: &Channels, patches: &mut Vec<WeightPatch>) -> Result<(), ModelError> {
        if let Shift::Normalization(of) = &self.output.shift {
            patches.push(patch(&of.mean, &corrected.mean));
            patches.push(patch(&of.variance, &(&corrected.deviation * &corrected.deviation)));
            return Ok(());
        }
        let found = corrected.deviation.mapv(|deviation| deviation.max(LEAST_DEVIATION));
        let ratio = (&self.wanted.deviation / &found).mapv(|ratio| ratio.max(LIMITS.0).min(LIMITS.1));
        let of_layer = &mut patches[self.index];
        of_layer.values = scaled(self.layer, &of_layer.values, &ratio);
        if let Shift::Bias(bias) = &self.output.shift {
            let moved = &ratio * &values(model, bias)? + &self.wanted.mean - &ratio * &corrected.mean;
            patches.push(patch(bias, &moved));
        }
        Ok(())
    }
}

/// A weight whose outputs are multiplied by numbers.
fn scaled(layer: &Layer, weight: &ArrayD<f64>, ratio: &Array1<f64>) -> ArrayD<f64> {
    let mut matrices = layer.matrix.matrices(weight);
    let mut ratio = ratio.view();
    for matrix in &mut matrices {
        let (of_group, rest) = ratio.split_at(Axis(0), matrix.nrows());
        *matrix *= &of_group.insert_axis(Axis(1));
        ratio = rest;
    }
    layer.matrix.tensor(&matrices, &layer.weight.dims)
}
