//! What pruning looks at before it changes anything: a model, its samples, and the neurons that it may take away.

use super::{Ground, Opinions};
use crate::data::Stream;
use crate::engine::Engine;
use crate::layers::{Layer, Output};
use crate::model::{Classifier, Model};
use crate::progress::Observer;

/// A model that is looked at.
pub struct Inspection<'a> {
    /// The model.
    pub model: &'a Model,
    /// How it is fed and read.
    pub classifier: &'a Classifier,
    /// What runs it.
    pub engine: &'a dyn Engine,
    /// The training data.
    pub stream: Stream<'a>,
    /// What the model says of the samples.
    pub said: &'a Opinions,
    /// The layers whose outputs are hidden neurons.
    pub hidden: Vec<HiddenLayer<'a>>,
    /// Samples that run at once.
    pub batch: usize,
    /// Hears how far it is.
    pub observer: &'a dyn Observer,
}

/// A layer whose outputs are hidden neurons, and where they are.
#[derive(Clone, Copy, Debug)]
pub struct HiddenLayer<'a> {
    /// The layer.
    pub layer: &'a Layer,
    /// Its outputs.
    pub output: &'a Output,
}

impl<'a> HiddenLayer<'a> {
    /// Those of some layers: whose outputs can be seen, are not the scores, and whose weight may be changed.
    pub fn of(layers: &'a [Layer], parameters: &[String], classifier: &Classifier) -> Vec<Self> {
        let of_layer = |layer: &'a Layer| {
            let output = layer.output.as_ref().filter(|output| output.value.name != classifier.head.value)?;
            parameters.contains(&layer.weight.name).then_some(Self { layer, output })
        };
        layers.iter().filter_map(of_layer).collect()
    }
}

impl<'a> Inspection<'a> {
    /// Of the model that is tuned.
    pub(super) fn of(ground: &Ground<'a>, batch: Option<usize>) -> Self {
        Self {
            model: ground.model,
            classifier: ground.classifier,
            engine: ground.engine,
            stream: ground.stream,
            said: ground.before,
            hidden: HiddenLayer::of(ground.layers, ground.parameters, ground.classifier),
            batch: ground.batch(batch),
            observer: ground.observer,
        }
    }
}
