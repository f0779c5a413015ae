//! How wrong a classifier is, as nodes behind its scores: the mean of what a [`Criterion`] says of each sample.

use super::criterion::{Criterion, Judged, Scored};
use super::emit::Emit;
use super::error::AutodiffError;
use super::known::{Knowledge, Known, Value};
use crate::engine::Engine;
use crate::model::fragment::int;
use crate::model::proto::{DimensionProto, TensorShapeProto};
use crate::model::{Additions, GraphIndex, Link, MAIN};
use crate::tensor::{ElementType, Tensor};
use ndarray::arr1;
use std::collections::{BTreeMap, BTreeSet};

/// What a sample's scores are held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Targets {
    /// A class: int64 `[samples]`.
    #[default]
    Labels,
    /// A probability of each class: float `[samples, classes]`.
    Probabilities,
}

/// A loss.
#[derive(Clone, Copy, Debug)]
pub struct Loss<'a> {
    /// How scores become probabilities.
    pub link: Link,
    /// What they are held against.
    pub targets: Targets,
    /// Whether each sample has a weight of its own: then the loss is the mean of losses times weights.
    pub weighted: bool,
    /// What the loss of a sample is.
    pub criterion: &'a dyn Criterion,
}

/// The inputs and outputs that a loss adds to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossPorts {
    /// In which type losses are computed, and all of it is fed but labels.
    pub element: ElementType,
    /// How many scores a sample has, where the model says so.
    pub scores: Option<usize>,
    /// The input for [`Targets`].
    pub targets: String,
    /// The input for weights, `[samples]`, where there are any.
    pub weights: Option<String>,
    /// The input for what the criterion remembers of samples, `[samples, classes]`, where it does.
    pub memory: Option<String>,
    /// The output of what it remembers from now on, where that is something else. No gradient goes through it.
    pub remembered: Option<String>,
    /// The inputs for the criterion's numbers, without axes.
    pub dials: Vec<String>,
    /// The output of each sample's loss, `[samples]`, without its weight.
    pub losses: String,
    /// The output of their mean, without axes.
    pub loss: String,
}

/// A model with a loss behind its scores, as bytes, and what was added to it.
///
/// # Errors
/// [`AutodiffError::Target`] where the scores are no floats; those of the engine, which tells their type.
pub fn with_loss(
    graph: &GraphIndex<'_>,
    engine: &dyn Engine,
    scores: &str,
    loss: Loss<'_>,
    extents: &BTreeMap<String, usize>,
) -> Result<(Vec<u8>, LossPorts), AutodiffError> {
    let known = Knowledge::gather(graph, engine, &BTreeSet::from([scores.to_owned()]), extents)?;
    let scores = known
        .get(scores)
        .filter(|known| known.value.element.is_float() && known.shape.rank() > 0)
        .ok_or_else(|| AutodiffError::Target(format!("{scores} holds no scores of samples")))?;
    let free = |name: &str| {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        std::iter::once(name.to_owned()).chain(numbered).find(|name| !graph.defines(name)).unwrap_or_default()
    };
    let ports = LossPorts {
        element: computed_in(scores.value.element),
        scores: scores.shape.fixed_from(1).map(|of| of.iter().product()),
        targets: free(if loss.targets == Targets::Labels { "labels" } else { "targets" }),
        weights: loss.weighted.then(|| free("weights")),
        memory: loss.criterion.remembers().then(|| free("memory")),
        remembered: None,
        dials: (0..loss.criterion.dials()).map(|at| free(&format!("dial_{at}"))).collect(),
        losses: free("losses"),
        loss: free("loss"),
    };
    let emit = Emit::new(Additions::new(graph), graph.model().opset());
    let mut writer = Writer { emit, ports };
    writer.write(scores, loss);
    Ok((writer.emit.into_additions().into_bytes()?, writer.ports))
}

/// Losses are computed in float32 at least.
fn computed_in(element: ElementType) -> ElementType {
    if element == ElementType::Float64 { element } else { ElementType::Float32 }
}

struct Writer<'g> {
    emit: Emit<'g>,
    ports: LossPorts,
}

impl Writer<'_> {
    fn write(&mut self, scores: &Known, loss: Loss<'_>) {
        let emit = &mut self.emit;
        // A score each where there is no axis of classes, and without axes behind it.
        let rows = emit.reshape(&scores.value, &[0, -1]);
        let rows = emit.cast(&rows, self.ports.element);
        let classes = self.ports.scores;
        let single = loss.link == Link::Sigmoid && classes == Some(1);
        let targets = self.targets(&rows, loss.targets, classes, single);
        let memory = self.ports.memory.clone();
        let memory =
            memory.map(|name| self.input(&name, self.ports.element, &[classes.map(|of| loss.link.classes(of))]));
        let dials = self.ports.dials.clone().iter().map(|name| self.number(name)).collect();
        let samples = Scored { rows, link: loss.link, single, targets, memory, dials };
        let Judged { losses, memory } = loss.criterion.judge(&samples, &mut self.emit);
        if let Some(memory) = memory {
            self.emit.output(&memory.name);
            self.ports.remembered = Some(memory.name);
        }
        self.name(&losses, &self.ports.losses.clone());
        let weighed = match self.ports.weights.clone() {
            Some(weights) => {
                let weights = self.input(&weights, self.ports.element, &[]);
                self.emit.mul(&losses, &weights)
            }
            None => losses,
        };
        let mean = self.emit.mean(&weighed, &[0]);
        let mean = self.emit.squeeze(&mean, &[0]);
        self.name(&mean, &self.ports.loss.clone());
    }

    /// A probability of each class for each sample.
    fn targets(&mut self, rows: &Value, targets: Targets, classes: Option<usize>, single: bool) -> Value {
        let name = self.ports.targets.clone();
        if targets == Targets::Probabilities {
            return self.input(&name, self.ports.element, &[classes]);
        }
        let labels = self.input(&name, ElementType::Int64, &[]);
        let (emit, element) = (&mut self.emit, self.ports.element);
        if single {
            let columns = emit.reshape(&labels, &[-1, 1]);
            return emit.cast(&columns, element);
        }
        let extents = emit.shape(rows);
        let one = emit.integers(&[1]);
        let classes = emit.node("Gather", &[&extents, &one], vec![int("axis", 0)]);
        // ONNX Runtime has no kernel that gives float64.
        let values = emit.constant(&Tensor::from_f64(&arr1(&[0.0, 1.0]).into_dyn(), ElementType::Float32));
        let chosen = emit.node_of("OneHot", &[&labels, &classes, &values], vec![int("axis", -1)], ElementType::Float32);
        emit.cast(&chosen, element)
    }

    /// An input with the samples as its first axis; the extents of the others, where they are known.
    fn input(&mut self, name: &str, element: ElementType, further: &[Option<usize>]) -> Value {
        let batch = DimensionProto { dim_value: None, dim_param: Some("batch".to_owned()) };
        let extent =
            |extent: &Option<usize>| DimensionProto { dim_value: extent.map(|extent| extent as i64), dim_param: None };
        let dim = std::iter::once(batch).chain(further.iter().map(extent)).collect();
        self.emit.additions().to(MAIN).named_input(name, element, TensorShapeProto { dim });
        Value { name: name.to_owned(), element }
    }

    /// An input of one number.
    fn number(&mut self, name: &str) -> Value {
        self.emit.additions().to(MAIN).named_input(name, self.ports.element, TensorShapeProto { dim: Vec::new() });
        Value { name: name.to_owned(), element: self.ports.element }
    }

    fn name(&mut self, value: &Value, name: &str) {
        self.emit.name_output(value, name);
    }
}
