//! Which neurons answer to noise: a ridge regression of the samples' quality on what each output of a layer is (after Jin et al., arXiv
//! 2506.11615).

use super::{HiddenLayer, Inspection, Quality};
use crate::error::Error;
use crate::evidence::activations;
use crate::layers::Output;
use crate::linalg::solve_rows;
use ndarray::{Array1, Array2, Axis};
use serde::Serialize;

/// A neuron: an output of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neuron {
    /// The position of its layer among those that have hidden neurons.
    pub layer: usize,
    /// Which of its outputs.
    pub output: usize,
    /// How much lower the quality of a sample is, in deviations of both, where this neuron is a deviation more active, all others of
    /// its layer being the same. Negative where it is higher.
    pub sensitivity: f64,
}

/// What is added to the diagonal of the correlations: neurons of a layer repeat each other.
const RIDGE: f64 = 0.1;

/// A neuron by the name of its layer's weight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedNeuron {
    /// The name of the weight.
    pub weight: String,
    /// Which of its outputs.
    #[serde(rename = "neuron")]
    pub output: usize,
    /// As [`Neuron::sensitivity`].
    pub sensitivity: f64,
}

impl Inspection<'_> {
    /// Neurons that were given, those that answer to noise the most first.
    ///
    /// # Errors
    /// One that is no hidden neuron.
    pub fn named(&self, given: &[NamedNeuron]) -> Result<Vec<Neuron>, Error> {
        let found = |NamedNeuron { weight, output, sensitivity }: &NamedNeuron| {
            let is_meant = |hidden: &HiddenLayer<'_>| hidden.layer.weight.name == *weight;
            let layer = self.hidden.iter().position(is_meant);
            let layer = layer.filter(|&layer| *output < self.hidden[layer].output.outputs);
            let missing = || Error::Usage(format!("--neurons names {output} of {weight}, which is no hidden neuron"));
            Ok(Neuron { layer: layer.ok_or_else(missing)?, output: *output, sensitivity: *sensitivity })
        };
        let neurons: Result<Vec<Neuron>, Error> = given.iter().map(found).collect();
        neurons.map(ranked)
    }

    /// A neuron by its name.
    pub fn name(&self, neuron: Neuron) -> NamedNeuron {
        let weight = self.hidden[neuron.layer].layer.weight.name.clone();
        NamedNeuron { weight, output: neuron.output, sensitivity: neuron.sensitivity }
    }

    /// All hidden neurons, those that answer to noise the most first.
    ///
    /// # Errors
    /// Those of data and engine; a layer whose neurons cannot be ranked.
    pub fn neurons(&self, quality: &Quality) -> Result<Vec<Neuron>, Error> {
        if self.hidden.is_empty() {
            return Ok(Vec::new());
        }
        let outputs: Vec<&Output> = self.hidden.iter().map(|hidden| hidden.output).collect();
        self.observer.begin("activations", quality.samples.len(), "samples");
        let runs = (self.engine, self.classifier);
        let batches = (quality.samples.as_slice(), self.batch);
        let found = activations(self.model, &outputs, runs, &self.stream, batches, self.observer)?;
        self.observer.end();
        let untold = self.hidden.iter().zip(&found).filter(|(_, rows)| rows.is_none());
        let untold: Vec<&str> = untold.map(|(hidden, _)| hidden.layer.weight.name.as_str()).collect();
        if !untold.is_empty() {
            let names = untold.join(", ");
            self.observer.warn(&format!("outputs do not tell samples apart, so their neurons are not ranked: {names}"));
        }
        sensitivities(&found, &quality.probabilities).map_err(|(layer, reason)| {
            let weight = &self.hidden[layer].layer.weight.name;
            Error::Usage(format!("weight {weight}: its neurons cannot be ranked: {reason}"))
        })
    }
}

/// All neurons, those that answer to noise the most first. `activations`: those of each layer that has some, `[samples, outputs]`; `quality`:
/// one for each sample.
///
/// # Errors
/// A layer whose system cannot be solved, with the reason.
fn sensitivities(activations: &[Option<Array2<f64>>], quality: &[f64]) -> Result<Vec<Neuron>, (usize, String)> {
    let quality = standardized(Array1::from(quality.to_vec()).insert_axis(Axis(1)));
    let mut neurons = Vec::new();
    let layers = activations.iter().enumerate().filter_map(|(layer, rows)| Some((layer, rows.as_ref()?)));
    for (layer, of_layer) in layers {
        let inputs = standardized(of_layer.clone());
        let samples = inputs.nrows().max(1) as f64;
        let mut system = inputs.t().dot(&inputs) / samples;
        system.diag_mut().mapv_inplace(|entry| entry + RIDGE);
        let answers = quality.t().dot(&inputs) / samples;
        let solved = solve_rows(system, answers).map_err(|reason| (layer, reason))?;
        let of_output = |(output, &coefficient): (usize, &f64)| Neuron { layer, output, sensitivity: -coefficient };
        neurons.extend(solved.row(0).iter().enumerate().map(of_output));
    }
    Ok(ranked(neurons))
}

/// Those that answer to noise the most first.
fn ranked(mut neurons: Vec<Neuron>) -> Vec<Neuron> {
    neurons.sort_by(|a, b| b.sensitivity.total_cmp(&a.sensitivity).then((a.layer, a.output).cmp(&(b.layer, b.output))));
    neurons
}

/// Columns of mean 0 and deviation 1; those that are the same for all samples are 0.
fn standardized(mut columns: Array2<f64>) -> Array2<f64> {
    for mut column in columns.axis_iter_mut(Axis(1)) {
        let mean = column.mean().unwrap_or(0.0);
        let deviation = column.std(0.0);
        let least = 1e-12 * mean.abs().max(f64::MIN_POSITIVE);
        column.mapv_inplace(|entry| if deviation > least { (entry - mean) / deviation } else { 0.0 });
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neuron_that_answers_to_noise_comes_first_and_one_that_is_always_the_same_tells_nothing() {
        let noisy = |sample: usize| f64::from(u8::from(sample.is_multiple_of(4)));
        let quality: Vec<f64> = (0..200).map(|sample| 1.0 - noisy(sample)).collect();
        let first = Array2::from_shape_fn((200, 3), |(sample, output)| match output {
            0 => ((sample * 37) % 101) as f64,
            1 => 7.0 + 3.0 * noisy(sample) + 0.1 * ((sample * 53) % 7) as f64,
            _ => 5.0,
        });
        let second = Array2::from_shape_fn((200, 1), |(sample, _)| -noisy(sample));
        let found = sensitivities(&[None, Some(first), Some(second)], &quality).unwrap();
        assert_eq!((found[0].layer, found[0].output), (1, 1), "{found:?}");
        assert!(found[0].sensitivity > 0.8, "{found:?}");
        let of = |layer, output| found.iter().find(|neuron| (neuron.layer, neuron.output) == (layer, output)).unwrap();
        assert_eq!(of(1, 2).sensitivity, 0.0);
        assert!(of(2, 0).sensitivity < -0.8, "it is the most active where samples are good: {found:?}");
    }
}
