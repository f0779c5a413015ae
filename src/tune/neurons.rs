//! Which neurons answer to noise: a ridge regression of the samples' quality on what each output of a layer is (after Jin et al., arXiv
//! 2506.11615).

use crate::linalg::solve_rows;
use ndarray::{Array1, Array2, Axis};

/// A neuron: an output of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Neuron {
    /// The position of the layer.
    pub(super) layer: usize,
    /// Which of its outputs.
    pub(super) output: usize,
    /// How much lower the quality of a sample is, in deviations of both, where this neuron is a deviation more active, all others of
    /// its layer being the same. Negative where it is higher.
    pub(super) sensitivity: f64,
}

/// What is added to the diagonal of the correlations: neurons of a layer repeat each other.
const RIDGE: f64 = 0.1;

/// All neurons, those that answer to noise the most first. `activations`: those of each layer, `[samples, outputs]`; `quality`: one for each
/// sample.
///
/// # Errors
/// A layer whose system cannot be solved, with the reason.
pub(super) fn sensitivities(activations: &[Array2<f64>], quality: &[f64]) -> Result<Vec<Neuron>, (usize, String)> {
    let quality = standardized(Array1::from(quality.to_vec()).insert_axis(Axis(1)));
    let mut neurons = Vec::new();
    for (layer, of_layer) in activations.iter().enumerate() {
        let inputs = standardized(of_layer.clone());
        let samples = inputs.nrows().max(1) as f64;
        let mut system = inputs.t().dot(&inputs) / samples;
        system.diag_mut().mapv_inplace(|entry| entry + RIDGE);
        let answers = quality.t().dot(&inputs) / samples;
        let solved = solve_rows(system, answers).map_err(|reason| (layer, reason))?;
        let of_output = |(output, &coefficient): (usize, &f64)| Neuron { layer, output, sensitivity: -coefficient };
        neurons.extend(solved.row(0).iter().enumerate().map(of_output));
    }
    neurons.sort_by(|a, b| b.sensitivity.total_cmp(&a.sensitivity).then((a.layer, a.output).cmp(&(b.layer, b.output))));
    Ok(neurons)
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
        let found = sensitivities(&[first, second], &quality).unwrap();
        assert_eq!((found[0].layer, found[0].output), (0, 1), "{found:?}");
        assert!(found[0].sensitivity > 0.8, "{found:?}");
        let of = |layer, output| found.iter().find(|neuron| (neuron.layer, neuron.output) == (layer, output)).unwrap();
        assert_eq!(of(0, 2).sensitivity, 0.0);
        assert!(of(1, 0).sensitivity < -0.8, "it is the most active where samples are good: {found:?}");
    }
}
