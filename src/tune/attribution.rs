//! Which samples a model was made to fit against its grain: by how much each one's loss is attributed to its input or to the last layer,
//! and which part of all of them that marks (after Jin et al., arXiv 2506.11615).

use super::{Ground, Opinions};
use crate::autodiff::{CrossEntropy, GradientModel, Loss, Objective, Respect, Targets};
use crate::data::Batch;
use crate::detect::{Mixture, Opinion};
use crate::engine::{Computes, Runnable};
use crate::error::Error;
use crate::evidence::{EvidenceError, Feed};
use crate::model::Link;
use crate::tensor::{ElementType, Tensor};
use ndarray::{Array1, ArrayView1};
use std::collections::BTreeMap;
use std::f64::consts::SQRT_2;

/// Samples, and how probable it is of each that its label is right.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    /// In the order in which they were looked at.
    pub(super) samples: Vec<usize>,
    /// The probability that a sample belongs to the part of the smaller attributions.
    pub(super) quality: Vec<f64>,
    /// The mixture that tells.
    pub(super) mixture: Mixture,
    /// What attributions were measured in: the name of an input, of the last layer's weight, or of the scores.
    pub(super) measured_in: String,
}

impl Partition {
    /// The samples that are likelier right than not.
    pub(super) fn high_quality(&self) -> Vec<usize> {
        let good = self.samples.iter().zip(&self.quality).filter(|(_, quality)| **quality > 0.5);
        good.map(|(sample, _)| *sample).collect()
    }
}

/// Divides the training samples by the logarithms of the norms of the gradients of their own losses. Of the norms that there are, in each
/// input of floats, in a linear last layer and in the scores, those count whose mixture of two normal distributions is the most clearly
/// one of two.
///
/// # Errors
/// What cannot be differentiated; those of data and engine.
pub(super) fn partition(ground: &Ground<'_>) -> Result<Partition, Error> {
    let mut attributions = attributions(ground)?;
    attributions.insert(ground.classifier.head.value.clone(), in_scores(ground.before));
    let samples = &ground.opinions.samples;
    let mixtures = attributions.into_iter().map(|(name, logarithms)| {
        let mixture = Mixture::of(logarithms.iter().copied());
        (name, logarithms, mixture)
    });
    let clearest = mixtures.reduce(|best, next| if next.2.distance > best.2.distance { next } else { best });
    let (measured_in, logarithms, mixture) = clearest.ok_or(EvidenceError::NoneUsable)?;
    let quality = logarithms.iter().map(|&logarithm| 1.0 - mixture.upper(logarithm)).collect();
    Ok(Partition { samples: samples.clone(), quality, mixture, measured_in })
}

/// Of each sample how long the gradient `p − y` in its scores is, between 0 and √2, as the logarithm of `n / (√2 − n)`: right labels gather
/// on one side of 0, and wrong ones on the other.
fn in_scores(said: &Opinions) -> Vec<f64> {
    let of_sample = |(row, opinion): (ArrayView1<'_, f32>, &Opinion)| {
        let differences = row.iter().enumerate().map(|(class, &probability)| {
            let target = f64::from(u8::from(class == opinion.label));
            (f64::from(probability) - target).powi(2)
        });
        let norm = differences.sum::<f64>().sqrt();
        (norm.max(1e-300) / (SQRT_2 - norm).max(1e-300)).ln()
    };
    said.probabilities.rows().into_iter().zip(&said.opinions).map(of_sample).collect()
}

/// The logarithms of the norms for each of the samples, by what they are in.
fn attributions(ground: &Ground<'_>) -> Result<BTreeMap<String, Vec<f64>>, Error> {
    let link = ground.classifier.head.link.unwrap_or(Link::Softmax);
    let loss = Loss { link, targets: Targets::Labels, weighted: false, criterion: &CrossEntropy };
    let objective = Objective::Loss { scores: &ground.classifier.head.value, loss, norms: true };
    // What is looked at is the norms, but a gradient has to be asked for: the one that they take in any case, where there is one.
    let of_floats = ground.model.inputs().iter().any(|input| input.element.is_some_and(ElementType::is_float));
    let respect = if of_floats { Respect::Inputs } else { Respect::Weights };
    let made = GradientModel::of(ground.model, ground.engine, objective, &respect, &BTreeMap::new())?;
    let labels = made.ports.as_ref().map(|ports| ports.targets.clone()).unwrap_or_default();
    let mut session = ground.engine.load(Runnable {
        bytes: made.bytes.into(),
        folder: ground.model.folder(),
        computes: Computes::Gradients,
    })?;
    let wanted: Vec<&str> = made.norms.iter().map(|(_, output)| output.as_str()).collect();
    let mut found: BTreeMap<String, Vec<f64>> = made.norms.iter().map(|(of, _)| (of.clone(), Vec::new())).collect();
    let (samples, observer) = (&ground.opinions.samples, ground.observer);
    observer.begin("attributions", samples.len(), "samples");
    ground.stream.for_each(samples, ground.batch(None), |batch: Batch| {
        if let Some(signal) = observer.stopped() {
            return Err(Error::from(EvidenceError::Stopped(signal)));
        }
        let feed = Feed::new(ground.classifier, &batch.inputs)?;
        let mut of_batch: Vec<i64> = batch.labels.iter().map(|&label| label as i64).collect();
        of_batch.resize(feed.size, 0);
        let of_batch = Tensor::Int64(Array1::from(of_batch).into_dyn());
        let mut inputs = feed.inputs();
        inputs.push((&labels, &of_batch));
        let norms = session.run(&inputs, &wanted)?;
        for ((of, _), norms) in made.norms.iter().zip(&norms) {
            let logarithms = norms.to_f64().into_iter().take(feed.samples).map(|norm| norm.max(1e-300).ln());
            found.entry(of.clone()).or_default().extend(logarithms);
        }
        observer.advance(feed.samples);
        Ok(())
    })?;
    observer.end();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn attributions_to_scores_lie_on_either_side_of_nothing_by_whether_the_label_is_believed() {
        let opinion =
            |label| Opinion { label, predicted: 0, loss: 0.0, self_confidence: 0.0, margin: 0.0, likely: Vec::new() };
        let said = Opinions {
            samples: vec![0, 1, 2],
            opinions: vec![opinion(0), opinion(1), opinion(1)],
            probabilities: array![[0.99, 0.01], [0.99, 0.01], [0.5, 0.5]],
        };
        let found = in_scores(&said);
        assert!(found[0] < -4.0 && found[1] > 4.0 && found[2].abs() < 1e-6, "{found:?}");
    }
}
