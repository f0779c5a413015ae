//! The predictions for a set of samples, and how good they are.

use super::{EvidenceError, Forward, Prediction};
use crate::data::{Batch, Stream};
use crate::model::hexadecimal;
use crate::progress::Observer;
use crate::tensor::{NamedTensor, Tensor};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// How well predictions agree with labels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// The share of samples whose label is predicted.
    pub accuracy: f64,
    /// The mean cross-entropy, in nats.
    pub mean_loss: f64,
    /// The number of samples.
    pub samples: usize,
}

impl Quality {
    /// Over a set of predictions, which must not be empty.
    pub fn of(predictions: &[Prediction]) -> Self {
        let samples = predictions.len();
        let right = predictions.iter().filter(|prediction| prediction.label == prediction.predicted).count();
        let loss: f64 = predictions.iter().map(|prediction| prediction.loss).sum();
        Self { accuracy: right as f64 / samples as f64, mean_loss: loss / samples as f64, samples }
    }

    /// The standard error of the accuracy, that of a binomial share.
    pub fn standard_error(&self) -> f64 {
        (self.accuracy * (1.0 - self.accuracy) / self.samples as f64).sqrt()
    }
}

/// The predictions for a whole set.
#[derive(Clone, Debug)]
pub struct Scores {
    /// One for each sample, in the set's order.
    pub predictions: Vec<Prediction>,
    /// The number of classes that the model knows.
    pub classes: usize,
    /// SHA-256 over ids, labels and prepared inputs, in order: what the model was judged on.
    pub data_sha256: String,
}

impl Scores {
    /// How well the model fits the (noisy) labels.
    pub fn quality(&self) -> Quality {
        Quality::of(&self.predictions)
    }
}

/// Scores every sample of a set.
///
/// # Errors
/// [`EvidenceError`]; a label that the model does not know names its sample.
pub fn score(
    forward: &mut Forward,
    stream: &Stream<'_>,
    batch: usize,
    observer: &dyn Observer,
) -> Result<Scores, EvidenceError> {
    let all: Vec<usize> = (0..stream.set.len()).collect();
    let mut digest = Sha256::new();
    let mut classes = 0;
    observer.begin("scoring", all.len(), "samples");
    let predictions = run(forward, stream, &all, batch, observer, |batch, known| {
        classes = known;
        for (&index, &label) in batch.indices.iter().zip(&batch.labels) {
            digest.update(format!("{}\0{label}\0", stream.set.id(index)));
        }
        digest_inputs(&mut digest, &batch.inputs);
        observer.advance(batch.indices.len());
    })?;
    observer.end();
    for constant in &forward.classifier().constants {
        digest.update(format!("{}\0", constant.assignment()));
    }
    Ok(Scores { predictions, classes, data_sha256: hexadecimal(&digest.finalize()) })
}

/// The predictions for some samples of a set, as steps of whatever phase the observer is in.
///
/// # Errors
/// As [`score`].
pub fn predict(
    forward: &mut Forward,
    stream: &Stream<'_>,
    samples: &[usize],
    batch: usize,
    observer: &dyn Observer,
) -> Result<Vec<Prediction>, EvidenceError> {
    run(forward, stream, samples, batch, observer, |batch, _| observer.advance(batch.indices.len()))
}

fn run(
    forward: &mut Forward,
    stream: &Stream<'_>,
    samples: &[usize],
    batch: usize,
    observer: &dyn Observer,
    mut each: impl FnMut(&Batch, usize),
) -> Result<Vec<Prediction>, EvidenceError> {
    let mut predictions = Vec::with_capacity(samples.len());
    stream.for_each(samples, batch, |batch: Batch| {
        let scores = forward.scores(&batch.inputs)?;
        let link = forward.link(&scores, observer)?;
        let classes = link.classes(scores.rows.ncols());
        for ((&index, &label), row) in batch.indices.iter().zip(&batch.labels).zip(scores.rows.rows()) {
            if label >= classes {
                return Err(EvidenceError::Label { sample: stream.set.id(index), label, classes });
            }
            if !row.iter().all(|score| score.is_finite()) {
                return Err(EvidenceError::NotFinite { sample: stream.set.id(index) });
            }
            predictions.push(Prediction::of(&row, link, label));
        }
        each(&batch, classes);
        Ok::<(), EvidenceError>(())
    })?;
    Ok(predictions)
}

/// One input counts by its values alone, several by their names as well.
fn digest_inputs(digest: &mut Sha256, inputs: &[NamedTensor]) {
    for NamedTensor { name, tensor } in inputs {
        if inputs.len() > 1 {
            digest.update(format!("{name}\0"));
        }
        digest_values(digest, tensor);
    }
}

/// Floats were prepared as float32, so the digest does not depend on the type that the model takes. Integers that
/// float32 rounds count with what it leaves out.
fn digest_values(digest: &mut Sha256, tensor: &Tensor) {
    let bytes: Vec<u8> = match tensor {
        Tensor::Int64(values) => values.iter().flat_map(|&value| whole(value)).collect(),
        Tensor::Int32(values) => values.iter().flat_map(|&value| whole(value.into())).collect(),
        other => other.to_f64().iter().flat_map(|&value| (value as f32).to_le_bytes()).collect(),
    };
    digest.update(&bytes);
}

fn whole(value: i64) -> Vec<u8> {
    let rounded = value as f32;
    let left_out = i128::from(value) - rounded as i128;
    let mut bytes = rounded.to_le_bytes().to_vec();
    if left_out != 0 {
        bytes.extend(left_out.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::ElementType;
    use ndarray::{ArrayD, IxDyn};
    use std::collections::BTreeSet;

    fn digest_of(inputs: &[NamedTensor]) -> String {
        let mut digest = Sha256::new();
        digest_inputs(&mut digest, inputs);
        hexadecimal(&digest.finalize())
    }

    fn input(name: &str, values: &[i64], element: ElementType) -> NamedTensor {
        let values = ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.to_vec()).unwrap();
        NamedTensor { name: name.into(), tensor: Tensor::from_i64(&values, element) }
    }

    #[test]
    fn the_digest_of_one_input_is_that_of_its_values_in_any_type_and_under_any_name() {
        let expected = hexadecimal(&Sha256::digest([1.0_f32.to_le_bytes(), 7.0_f32.to_le_bytes()].concat()));
        for element in [ElementType::Float32, ElementType::Float64, ElementType::Int64, ElementType::Uint8] {
            assert_eq!(digest_of(&[input("a", &[1, 7], element)]), expected, "{element}");
        }
        assert_eq!(digest_of(&[input("b", &[1, 7], ElementType::Int32)]), expected);
    }

    #[test]
    fn the_digest_tells_names_order_and_every_digit_apart() {
        let large = 1_i64 << 40;
        let (a, b) = (input("a", &[1], ElementType::Int64), input("b", &[2], ElementType::Int64));
        let sets = [
            vec![a.clone(), b.clone()],
            vec![b.clone(), a.clone()],
            vec![a.clone(), input("c", &[2], ElementType::Int64)],
            vec![input("a", &[large], ElementType::Int64)],
            vec![input("a", &[large + 1], ElementType::Int64)],
            vec![input("a", &[i64::MAX], ElementType::Int64)],
            vec![input("a", &[i64::MIN], ElementType::Int64)],
        ];
        assert_eq!(sets.iter().map(|inputs| digest_of(inputs)).collect::<BTreeSet<_>>().len(), sets.len());
    }
}
