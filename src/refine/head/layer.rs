//! The linear layer whose outputs are the class scores: which one it is, and new values for it.

use super::LinearHead;
use crate::layers::{Layer, OutputAxis, Shift, Unfold};
use crate::model::{Classifier, Constant, GraphIndex, Model, ModelError, WeightPatch};
use crate::refine::Loss;
use crate::refine::vector::{patch, values};
use ndarray::{Array1, ArrayD};

/// Features that a closed form may see: their second moment takes half a gigabyte then.
const MOST_FEATURES: usize = 8192;

/// A last layer whose values can be seen and replaced.
#[derive(Clone, Copy, Debug)]
pub struct HeadLayer<'a> {
    /// Its place in the list of layers.
    pub index: usize,
    layer: &'a Layer,
    bias: Option<&'a Constant>,
    loss: Loss,
}

/// Whether a value may hold a row for each sample: an input of the model says it.
fn has_rows(graph: &GraphIndex<'_>, classifier: &Classifier, value: &str) -> bool {
    let fed = classifier.data.iter().find(|input| input.name == value);
    fed.map_or_else(|| graph.producer(value).is_some(), |input| input.sample.len() == 1)
}

impl<'a> HeadLayer<'a> {
    /// That of a model.
    ///
    /// # Errors
    /// Why there is none.
    pub fn find(graph: &GraphIndex<'_>, classifier: &Classifier, layers: &'a [Layer]) -> Result<Self, String> {
        let scores = &classifier.head.value;
        let same = classifier.head.same_scores(graph);
        let gives = |layer: &Layer| layer.output.as_ref().is_some_and(|output| same.contains(&output.value.name));
        let Some((index, layer)) = layers.iter().enumerate().find(|(_, layer)| gives(layer)) else {
            return Err(format!("no layer that is rewritten gives the class scores {scores} as they are"));
        };
        let Some(loss) = Loss::of(classifier.head.link) else {
            return Err(format!("the class scores {scores} are probabilities, and no logits"));
        };
        let (name, site) = (&layer.weight.name, &layer.sites[0]);
        let by_row = matches!(&site.unfold, Unfold::Vectors(vectors) if vectors.is_last_axis());
        // A bias that others read, too, is added and cannot be changed: then the products are not the scores.
        let adds_nothing = layer.output.as_ref().is_some_and(|output| graph.node(output.node).input(2).is_none());
        match layer.output.as_ref().map(|output| (output.axis, &output.shift)) {
            _ if !by_row || !has_rows(graph, classifier, &site.input.name) => {
                Err(format!("{name} is not fed with a row for each sample"))
            }
            Some((OutputAxis::Features, Shift::Bias(bias))) => Ok(Self { index, layer, bias: Some(bias), loss }),
            Some((OutputAxis::Features, Shift::Fixed)) if adds_nothing => Ok(Self { index, layer, bias: None, loss }),
            _ => Err(format!("what is added to the products of {name} is not its own")),
        }
    }

    /// The loss of its scores.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// Why no closed form can take its place, if so: they are of the softmax, and hold the second moment of the features.
    pub fn without_fit(&self) -> Option<String> {
        let features = self.layer.matrix.dim();
        if features > MOST_FEATURES {
            let name = &self.layer.weight.name;
            return Some(format!("{name} sees {features} features, more than {MOST_FEATURES}"));
        }
        let scores = self.layer.output.as_ref().map_or("", |output| output.value.name.as_str());
        (self.loss != Loss::Softmax).then(|| format!("the class scores {scores} are no logits of a softmax"))
    }

    /// Why it has no bias that could change, if so.
    pub fn without_bias(&self) -> Option<String> {
        let name = &self.layer.weight.name;
        self.bias.is_none().then(|| format!("nothing of its own is added to the products of {name}"))
    }

    /// The value that it sees.
    pub fn features(&self) -> &'a str {
        &self.layer.sites[0].input.name
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.layer.matrix.outputs.extent()
    }

    /// The head of the original model.
    ///
    /// # Errors
    /// A weight that cannot be read.
    pub fn original(&self, model: &Model) -> Result<LinearHead, ModelError> {
        self.with_weight(model, &model.values(&self.layer.weight)?)
    }

    /// The head of a correction, whose bias is the original's.
    ///
    /// # Errors
    /// A bias that cannot be read.
    pub fn corrected(&self, model: &Model, patches: &[WeightPatch]) -> Result<LinearHead, ModelError> {
        self.with_weight(model, &patches[self.index].values)
    }

    fn with_weight(&self, model: &Model, weight: &ArrayD<f64>) -> Result<LinearHead, ModelError> {
        let weight = self.layer.matrix.matrices(weight).swap_remove(0);
        let bias = self.bias.map(|bias| values(model, bias)).transpose()?;
        Ok(LinearHead { bias: bias.unwrap_or_else(|| Array1::zeros(weight.nrows())), weight })
    }

    /// Puts a head into a correction; `with_bias`: its bias, too, where the layer has one.
    pub fn replace(&self, head: &LinearHead, with_bias: bool, patches: &mut Vec<WeightPatch>) {
        let layer = self.layer;
        patches[self.index].values = layer.matrix.tensor(std::slice::from_ref(&head.weight), &layer.weight.dims);
        patches.extend(self.bias.filter(|_| with_bias).map(|bias| patch(bias, &head.bias)));
    }
}
