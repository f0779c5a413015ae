//! The cross-entropy of every sample, in float64 and computed from logits.

use super::{EvidenceError, Forward};
use crate::data::{Batch, Stream};
use crate::model::hexadecimal;
use crate::progress::Observer;
use crate::tensor::Tensor;
use ndarray::ArrayView1;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// What the model says of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The sample's (possibly wrong) label.
    pub label: usize,
    /// The class of the largest logit; of several equal ones the first.
    pub predicted: usize,
    /// The probability of that class.
    pub confidence: f64,
    /// The cross-entropy of the label, in nats.
    pub loss: f64,
}

impl Prediction {
    /// From one sample's logits: `loss = log Σ exp(zⱼ) − z_label`, shifted by the largest logit so that nothing
    /// overflows.
    pub fn of(logits: &ArrayView1<'_, f64>, label: usize) -> Self {
        let first = (0, f64::NEG_INFINITY);
        let (predicted, largest) = logits
            .iter()
            .enumerate()
            .fold(first, |best, (class, &logit)| if logit > best.1 { (class, logit) } else { best });
        let total: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        Self { label, predicted, confidence: 1.0 / total, loss: total.ln() - (logits[label] - largest) }
    }
}

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
    forward: &mut Forward<'_>,
    stream: &Stream<'_>,
    batch: usize,
    observer: &dyn Observer,
) -> Result<Scores, EvidenceError> {
    let all: Vec<usize> = (0..stream.set.len()).collect();
    let mut digest = Sha256::new();
    let mut classes = 0;
    observer.begin("scoring", all.len(), "samples");
    let predictions = run(forward, stream, &all, batch, |batch, logits_width| {
        classes = logits_width;
        for (&index, &label) in batch.indices.iter().zip(&batch.labels) {
            digest.update(format!("{}\0{label}\0", stream.set.id(index)));
        }
        digest_values(&mut digest, &batch.input);
        observer.advance(batch.indices.len());
    })?;
    observer.end();
    Ok(Scores { predictions, classes, data_sha256: hexadecimal(&digest.finalize()) })
}

/// The predictions for some samples of a set, as steps of whatever phase the observer is in.
///
/// # Errors
/// As [`score`].
pub fn predict(
    forward: &mut Forward<'_>,
    stream: &Stream<'_>,
    samples: &[usize],
    batch: usize,
    observer: &dyn Observer,
) -> Result<Vec<Prediction>, EvidenceError> {
    run(forward, stream, samples, batch, |batch, _| observer.advance(batch.indices.len()))
}

fn run(
    forward: &mut Forward<'_>,
    stream: &Stream<'_>,
    samples: &[usize],
    batch: usize,
    mut each: impl FnMut(&Batch, usize),
) -> Result<Vec<Prediction>, EvidenceError> {
    let mut predictions = Vec::with_capacity(samples.len());
    stream.for_each(samples, batch, |batch: Batch| {
        let logits = forward.logits(&batch.input)?;
        for ((&index, &label), row) in batch.indices.iter().zip(&batch.labels).zip(logits.rows()) {
            if label >= row.len() {
                return Err(EvidenceError::Label { sample: stream.set.id(index), label, classes: row.len() });
            }
            if !row.iter().all(|logit| logit.is_finite()) {
                return Err(EvidenceError::NotFinite { sample: stream.set.id(index) });
            }
            predictions.push(Prediction::of(&row, label));
        }
        each(&batch, logits.ncols());
        Ok::<(), EvidenceError>(())
    })?;
    Ok(predictions)
}

fn digest_values(digest: &mut Sha256, input: &Tensor) {
    // Every input was prepared as float32 or can hold one exactly, so the digest does not depend on the batch's type.
    let bytes: Vec<u8> = input.to_f64().iter().flat_map(|&value| (value as f32).to_le_bytes()).collect();
    digest.update(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_loss_is_the_cross_entropy_of_the_softmax() {
        let prediction = Prediction::of(&array![0.0, 3.0_f64.ln()].view(), 0);
        assert!((prediction.loss - 4.0_f64.ln()).abs() < 1e-15);
        assert_eq!(prediction.predicted, 1);
        assert!((prediction.confidence - 0.75).abs() < 1e-15);
    }

    #[test]
    fn huge_logits_do_not_overflow() {
        let prediction = Prediction::of(&array![1e6, 0.0].view(), 1);
        assert_eq!(prediction.loss, 1e6);
    }

    #[test]
    fn of_equal_logits_the_first_wins() {
        assert_eq!(Prediction::of(&array![1.0, 1.0, 1.0].view(), 2).predicted, 0);
    }
}
