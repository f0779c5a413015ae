//! Pruning neurons that answer to noise, then learning from samples of high quality (Jin et al., "Machine Unlearning for Robust DNNs:
//! Attribution-Guided Partitioning and Neuron Pruning in Noisy Environments", arXiv 2506.11615).

use super::neurons::Neuron;
use super::{Ground, HiddenLayer, Inspection, NamedNeuron, Quality, Tuned, Tuning, training};
use crate::autodiff::CrossEntropy;
use crate::data::SampleId;
use crate::error::Error;
use crate::tensor::{NamedTensor, Tensor};
use crate::train::{Examples, Lesson, Masked, Plan, Schedule, Sgd};
use ndarray::ArrayD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Partition, regression, pruning, fine-tuning.
#[derive(Clone, Debug)]
pub struct Prune {
    /// The quality of the samples, where it was given: then only these are looked at.
    pub quality: Option<Arc<[(SampleId, f64)]>>,
    /// The neurons to prune first, where they were given.
    pub neurons: Option<Arc<[NamedNeuron]>>,
    /// The shares of all neurons that are tried.
    pub shares: Vec<f64>,
    /// The learning rates that are tried.
    pub rates: Vec<f64>,
    /// Epochs of learning afterwards at most; none leaves what was pruned.
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
        let inspection = Inspection::of(ground, self.batch);
        let Some(quality) = self.quality(&inspection)? else { return Ok(Vec::new()) };
        let good = quality.high();
        ground.observer.note(&format!("{} of {} samples are of high quality", good.len(), quality.samples.len()));
        let neurons = match &self.neurons {
            Some(given) => inspection.named(given)?,
            None => inspection.neurons(&quality)?,
        };
        let hidden = inspection.hidden;
        let Some((masks, pruned)) = self.pruned(ground, &hidden, &neurons)? else {
            ground.observer.warn("the model has no hidden neurons that can be pruned");
            return Ok(Vec::new());
        };
        let mut tried = Vec::new();
        if self.epochs > 0 {
            for &rate in &self.rates {
                tried.extend(self.learn(ground, (&masks, &pruned), (&good, rate))?);
            }
        }
        tried.push(pruned);
        Ok(tried)
    }

    fn params(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("quality", json!(self.quality.as_ref().map(|given| given.len()))),
            ("neurons", json!(self.neurons.as_ref().map(|given| given.len()))),
            ("prune", json!(self.shares)),
            ("lr", json!(self.rates)),
            ("epochs", json!(self.epochs)),
            ("weight_decay", json!(self.weight_decay)),
            ("shift", json!(self.shifted)),
            ("train_batch", json!(self.batch)),
        ]
    }
}

impl Prune {
    /// The method that it is.
    pub const NAME: &str = "prune";

    /// The quality of samples as it was given, or by attributions, where these tell.
    fn quality(&self, inspection: &Inspection<'_>) -> Result<Option<Quality>, Error> {
        if let Some(given) = &self.quality {
            return Quality::given(given, inspection.stream.set, &inspection.said.samples).map(Some);
        }
        let found = inspection.partition()?;
        if let Some(doubt) = found.doubt() {
            inspection.observer.warn(&format!("{doubt}, so nothing is pruned"));
            return Ok(None);
        }
        inspection.observer.note(&format!("losses are attributed to {}", found.measured_in));
        Ok(Some(found.quality))
    }

    /// The model without some neurons, with the largest share of them that validation puts up with.
    fn pruned(
        &self,
        ground: &mut Ground<'_>,
        hidden: &[HiddenLayer<'_>],
        neurons: &[Neuron],
    ) -> Result<Option<(Masks, Tuned)>, Error> {
        let mut best: Option<(Masks, Tuned)> = None;
        for &share in &self.shares {
            let masks = masks(hidden, neurons, share);
            if masks.is_empty() {
                continue;
            }
            let parameters = masked(ground, &masks)?;
            let scores = ground.judge(&parameters)?;
            let accuracy = scores.quality().accuracy;
            if best.as_ref().is_none_or(|(_, best)| accuracy >= best.scores.quality().accuracy) {
                best = Some((masks, Tuned { by: Self::NAME, settings: vec![("share", share)], parameters, scores }));
            }
        }
        Ok(best)
    }

    /// The pruned model after learning from some samples.
    fn learn(
        &self,
        ground: &mut Ground<'_>,
        (masks, pruned): (&Masks, &Tuned),
        (samples, rate): (&[usize], f64),
    ) -> Result<Option<Tuned>, Error> {
        let sgd = Sgd { momentum: super::MOMENTUM, weight_decay: self.weight_decay, nesterov: false };
        let optimizer = Masked { of: &sgd, masks };
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
            mixing: None,
        };
        trainer.begin_with(&pruned.parameters);
        let settings = pruned.settings.iter().copied().chain([("lr", rate)]).collect();
        training::judged(ground, &mut trainer, (&plan, examples), (Self::NAME, settings))
    }
}

/// Masks without the first neurons, a share of all hidden ones: rows of weights, and what a bias or a normalization makes of their outputs.
fn masks(hidden: &[HiddenLayer<'_>], neurons: &[Neuron], share: f64) -> Masks {
    let all: usize = hidden.iter().map(|hidden| hidden.output.outputs).sum();
    let count = (share * all as f64).round() as usize;
    let answering = neurons.iter().take(count).filter(|neuron| neuron.sensitivity > 0.0);
    let mut of_layer: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for neuron in answering {
        of_layer.entry(neuron.layer).or_default().insert(neuron.output);
    }
    let mut masks = Masks::new();
    for (at, HiddenLayer { layer, output }) in hidden.iter().enumerate() {
        let Some(gone) = of_layer.get(&at) else { continue };
        let mut matrices = layer.matrix.matrices(&ArrayD::ones(layer.weight.dims.clone()));
        let rows = matrices.iter_mut().flat_map(|matrix| matrix.rows_mut());
        for (_, mut row) in rows.enumerate().filter(|(row, _)| gone.contains(row)) {
            row.fill(0.0);
        }
        masks.insert(layer.weight.name.clone(), layer.matrix.tensor(&matrices, &layer.weight.dims));
        for constant in output.shift.silenced() {
            let mut mask = ArrayD::ones(constant.dims.clone());
            let entries = mask.iter_mut().enumerate().filter(|(entry, _)| gone.contains(entry));
            entries.for_each(|(_, entry)| *entry = 0.0);
            masks.insert(constant.name.clone(), mask);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compact::compaction;
    use crate::layers::{Ledger, Selection};
    use crate::model::proto::{ModelProto, TensorProto};
    use crate::model::{Classifier, GraphIndex, Interface, Model, WeightPatch};
    use prost::Message;
    use std::path::Path;

    /// A convolution and its normalization, with or without a bias between them.
    fn normalized(has_bias: bool) -> ModelProto {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/weights-everywhere/opset7-ir3.onnx");
        let mut proto = ModelProto::decode(std::fs::read(path).unwrap().as_slice()).unwrap();
        let graph = proto.graph.as_mut().unwrap();
        // What is listed as an input of the graph could be given other values, and is not cut.
        graph.input.truncate(1);
        if has_bias {
            let norm = graph.initializer.iter().find(|tensor| tensor.name == "norm.b").unwrap();
            let bias = TensorProto { name: "conv.bias".to_owned(), ..norm.clone() };
            graph.initializer.push(bias);
            graph.node[0].input.push("conv.bias".to_owned());
        }
        proto
    }

    /// Which channels are 0 and which can be cut out after one neuron of the first layer is pruned, and how many tensors that changes.
    fn pruned(proto: &ModelProto) -> (Vec<(usize, usize)>, usize) {
        let decoded = |bytes: Vec<u8>| Model::decode(Path::new("model.onnx"), ".".into(), bytes.into()).unwrap();
        let model = decoded(proto.encode_to_vec());
        let graph = GraphIndex::new(&model).unwrap();
        let classifier = Classifier::of(&graph, &Interface::default()).unwrap();
        let layers = Ledger::survey(&graph, &Selection::default()).unwrap().layers;
        let parameters: Vec<String> = layers.iter().map(|layer| layer.weight.name.clone()).collect();
        let hidden = HiddenLayer::of(&layers, &parameters, &classifier);
        let neurons = hidden.iter().map(|of| of.output.outputs).sum::<usize>();
        let masks = masks(&hidden, &[Neuron { layer: 0, output: 1, sensitivity: 1.0 }], 1.0 / neurons as f64);
        let masked = |(name, mask): (&String, &ArrayD<f64>)| {
            let constant = graph.constant(name).unwrap().clone();
            let values = model.values(&constant).unwrap() * mask;
            WeightPatch { constant, values, copies: Vec::new() }
        };
        let patches: Vec<WeightPatch> = masks.iter().map(masked).collect();
        let pruned = decoded(model.with_patches(&patches).unwrap());
        let cut = compaction(&GraphIndex::new(&pruned).unwrap()).channels;
        (cut.iter().map(|of| (of.zero, of.cut)).collect(), masks.len())
    }

    #[test]
    fn a_pruned_neuron_gives_nothing_but_0_behind_its_normalization_too() {
        assert_eq!(pruned(&normalized(false)), (vec![(1, 1)], 3), "its weight, and scale and bias behind it");
        assert_eq!(pruned(&normalized(true)), (vec![(1, 1)], 4), "its bias, too");
    }
}
