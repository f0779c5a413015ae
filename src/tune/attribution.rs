//! Which samples a model was made to fit against its grain: by how much each one's loss is attributed to its input or to the last layer,
//! and which part of all of them that marks (after Jin et al., arXiv 2506.11615).

use super::Ground;
use crate::autodiff::{CrossEntropy, GradientModel, Loss, Objective, Respect, Targets};
use crate::data::Batch;
use crate::detect::Mixture;
use crate::engine::{Computes, Runnable};
use crate::error::Error;
use crate::evidence::{EvidenceError, Feed};
use crate::model::Link;
use crate::tensor::{ElementType, Tensor};
use ndarray::Array1;
use std::collections::BTreeMap;

/// Samples, and how probable it is of each that its label is right.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    /// In the order in which they were looked at.
    pub(super) samples: Vec<usize>,
    /// The probability that a sample belongs to the part of the smaller attributions.
    pub(super) quality: Vec<f64>,
    /// The mixture that tells.
    pub(super) mixture: Mixture,
    /// What attributions were measured in: the name of an input or of the last layer's weight.
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
/// input of floats and in a linear last layer, those count whose mixture of two normal distributions is the most clearly one of two.
///
/// # Errors
/// What cannot be differentiated; those of data and engine.
pub(super) fn partition(ground: &Ground<'_>) -> Result<Partition, Error> {
    let attributions = attributions(ground)?;
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
