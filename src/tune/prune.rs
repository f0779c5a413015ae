//! Pruning neurons that answer to noise, then learning from samples of high quality (Jin et al., "Machine Unlearning for Robust DNNs:
//! Attribution-Guided Partitioning and Neuron Pruning in Noisy Environments", arXiv 2506.11615).

use super::attribution::partition;
use super::neurons::{Neuron, sensitivities};
use super::{Ground, Tuned, Tuning, training};
use crate::autodiff::CrossEntropy;
use crate::error::Error;
use crate::evidence::activations;
use crate::layers::{Layer, Output, Shift};
use crate::tensor::{NamedTensor, Tensor};
use crate::train::{Examples, Lesson, Masked, Plan, Schedule, Sgd};
use ndarray::ArrayD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Partition, regression, pruning, fine-tuning.
#[derive(Clone, Debug)]
pub struct Prune {
    /// The shares of all neurons that are tried.
    pub shares: Vec<f64>,
    /// The learning rates that are tried.
    pub rates: Vec<f64>,
    /// Epochs of learning afterwards at most.
    pub epochs: usize,
    /// The weight decay.
    pub weight_decay: f64,
    /// Whether images are shifted.
    pub shifted: bool,
    /// Samples of a step, where they were given.
    pub batch: Option<usize>,
}

/// Masks of 0 and 1 by the names of parameters.
type Masks = BTreeMap<String, ArrayD<f64>>;

impl Tuning for Prune {
    fn tune(&self, ground: &mut Ground<'_>) -> Result<Vec<Tuned>, Error> {
        let found = partition(ground)?;
        if !found.mixture.has_two_humps() {
            ground.observer.warn(&format!(
                "attributions do not tell right labels from wrong ones (their mixture in {} is {:.1} deviations apart, 2 would do), so \
                 nothing is pruned",
                found.measured_in, found.mixture.distance
            ));
            return Ok(Vec::new());
        }
        let good = found.high_quality();
        ground.observer.note(&format!(
            "{} of {} samples are of high quality, by gradients in {}",
            good.len(),
            found.samples.len(),
            found.measured_in
        ));
        let neurons = self.neurons(ground, &found.quality)?;
        let Some((share, pruned)) = self.pruned(ground, &neurons)? else {
            ground.observer.warn("the model has no hidden neurons that can be pruned");
            return Ok(Vec::new());
        };
        let mut tried = Vec::new();
        for &rate in &self.rates {
            tried.extend(self.learn(ground, (share, &neurons), (&good, rate))?);
        }
        tried.push(pruned);
        Ok(tried)
    }

    fn params(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("prune", json!(self.shares)),
            ("lr", json!(self.rates)),
            ("epochs", json!(self.epochs)),
            ("weight_decay", json!(self.weight_decay)),
            ("shift", json!(self.shifted)),
            ("train_batch", json!(self.batch)),
        ]
    }
}

/// A layer whose outputs are hidden neurons, and where they are.
fn hidden<'a>(ground: &Ground<'a>) -> Vec<(&'a Layer, &'a Output)> {
    let scores = &ground.classifier.head.value;
    let of_layer = |layer: &'a Layer| {
        let output = layer.output.as_ref().filter(|output| output.value.name != *scores)?;
        ground.parameters.contains(&layer.weight.name).then_some((layer, output))
    };
    ground.layers.iter().filter_map(of_layer).collect()
}

impl Prune {
    /// All hidden neurons, those that answer to noise the most first.
    fn neurons(&self, ground: &Ground<'_>, quality: &[f64]) -> Result<Vec<Neuron>, Error> {
        let layers = hidden(ground);
        let outputs: Vec<&Output> = layers.iter().map(|(_, output)| *output).collect();
        let samples = ground.opinions.samples.as_slice();
        ground.observer.begin("activations", samples.len(), "samples");
        let runs = (ground.engine, ground.classifier);
        let batches = (samples, ground.batch(self.batch));
        let found = activations(ground.model, &outputs, runs, &ground.stream, batches, ground.observer)?;
        ground.observer.end();
        sensitivities(&found, quality).map_err(|(layer, reason)| {
            Error::Usage(format!("weight {}: its neurons cannot be ranked: {reason}", layers[layer].0.weight.name))
        })
    }

    /// The model without some neurons, with the largest share of them that validation puts up with.
    fn pruned(&self, ground: &mut Ground<'_>, neurons: &[Neuron]) -> Result<Option<(f64, Tuned)>, Error> {
        let mut best: Option<(f64, Tuned)> = None;
        for &share in &self.shares {
            let masks = masks(ground, neurons, share);
            if masks.is_empty() {
                continue;
            }
            let parameters = masked(ground, &masks)?;
            let scores = ground.judge(&parameters)?;
            let accuracy = scores.quality().accuracy;
            if best.as_ref().is_none_or(|(_, best)| accuracy >= best.scores.quality().accuracy) {
                best = Some((share, Tuned { settings: vec![("share", share)], parameters, scores }));
            }
        }
        Ok(best)
    }

    /// The pruned model after learning from some samples.
    fn learn(
        &self,
        ground: &mut Ground<'_>,
        (share, neurons): (f64, &[Neuron]),
        (samples, rate): (&[usize], f64),
    ) -> Result<Option<Tuned>, Error> {
        let masks = masks(ground, neurons, share);
        let sgd = Sgd { momentum: super::MOMENTUM, weight_decay: self.weight_decay, nesterov: false };
        let optimizer = Masked { of: &sgd, masks: &masks };
        let mut trainer = ground.trainer(&CrossEntropy, &optimizer)?;
        let batch = ground.batch(self.batch);
        let (epochs, seed) = (self.epochs, ground.seed);
        let plan =
            Plan { epochs, batch, rate, schedule: Schedule::Cosine, seed, patience: Some(super::PATIENCE), work: None };
        let examples = Examples {
            stream: ground.stream,
            classifier: ground.classifier,
            lessons: vec![Lesson::of(samples)],
            shifted: self.shifted && ground.images,
            memory: None,
        };
        trainer.begin_with(&masked(ground, &masks)?);
        training::judged(ground, &mut trainer, (&plan, examples), vec![("share", share), ("lr", rate)])
    }
}

/// Masks without the first neurons: rows of weights, and what is added to their outputs.
fn masks(ground: &Ground<'_>, neurons: &[Neuron], share: f64) -> Masks {
    let count = (share * neurons.len() as f64).round() as usize;
    let answering = neurons.iter().take(count).filter(|neuron| neuron.sensitivity > 0.0);
    let mut of_layer: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for neuron in answering {
        of_layer.entry(neuron.layer).or_default().insert(neuron.output);
    }
    let mut masks = Masks::new();
    for (at, (layer, output)) in hidden(ground).into_iter().enumerate() {
        let Some(gone) = of_layer.get(&at) else { continue };
        let mut matrices = layer.matrix.matrices(&ArrayD::ones(layer.weight.dims.clone()));
        let rows = matrices.iter_mut().flat_map(|matrix| matrix.rows_mut());
        for (_, mut row) in rows.enumerate().filter(|(row, _)| gone.contains(row)) {
            row.fill(0.0);
        }
        masks.insert(layer.weight.name.clone(), layer.matrix.tensor(&matrices, &layer.weight.dims));
        if let Shift::Bias(bias) = &output.shift {
            let mut mask = ArrayD::ones(bias.dims.clone());
            let entries = mask.iter_mut().enumerate().filter(|(entry, _)| gone.contains(entry));
            entries.for_each(|(_, entry)| *entry = 0.0);
            masks.insert(bias.name.clone(), mask);
        }
    }
    masks
}

/// The parameters that masks are of, as the model begins, but where masks are 0.
fn masked(ground: &Ground<'_>, masks: &Masks) -> Result<Vec<NamedTensor>, Error> {
    let graph = crate::model::GraphIndex::new(ground.model)?;
    let mut found = Vec::new();
    for (name, mask) in masks {
        let Some(constant) = graph.constant(name) else { continue };
        let element = constant.element.unwrap_or(crate::tensor::ElementType::Float32);
        let values = ground.model.values(constant)? * mask;
        found.push(NamedTensor { name: name.clone(), tensor: Tensor::from_f64(&values, element) });
    }
    Ok(found)
}
