//! A model as a classifier: the one input that is fed and the value that holds the logits.

use super::{Fragment, GraphIndex, ModelError, Port};
use crate::tensor::ElementType;
use serde::Serialize;

/// How a model is fed and read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Classifier {
    /// The name of the input.
    pub input: String,
    /// The input's element type.
    pub element: ElementType,
    /// The batch size, where the model fixes it.
    pub batch: Option<usize>,
    /// The extents of one sample, `None` where they are dynamic.
    pub sample: Vec<Option<usize>>,
    /// The value that holds the logits, or the logarithms of probabilities, which serve as logits.
    pub logits: String,
    /// The logits' element type, in which the model computes.
    pub computed: ElementType,
    /// Whether that value has to be made an output first: the model's own output is a Softmax of it.
    pub before_softmax: bool,
}

impl Classifier {
    /// Finds input and logits of a model.
    ///
    /// # Errors
    /// [`ModelError::Graph`] where there is not exactly one input to feed or one output to read, or where they are not
    /// what a classifier has.
    pub fn of(graph: &GraphIndex<'_>) -> Result<Self, ModelError> {
        let model = graph.model();
        let input = only(&model.inputs(), "input that must be fed")?;
        let (batch, sample) = match input.shape.as_deref() {
            Some([batch, sample @ ..]) if !sample.is_empty() => (*batch, sample.to_vec()),
            _ => {
                let described = input.describe();
                let reason =
                    format!("input {} is {described}; a classifier takes a batch of samples, {EXPORT}", input.name);
                return Err(ModelError::Graph(reason));
            }
        };
        let element = input.element.ok_or_else(|| {
            ModelError::Graph(format!("input {} has an element type that cannot be fed; {EXPORT_AGAIN}", input.name))
        })?;
        if batch == Some(0) || sample.contains(&Some(0)) {
            return Err(ModelError::Graph(format!(
                "input {} is {}, which is empty; {EXPORT_AGAIN}",
                input.name,
                input.describe()
            )));
        }
        let output = only(&model.outputs(), "output")?;
        let computed = output.element.unwrap_or(ElementType::Float32);
        let (logits, before_softmax) = logits(graph, &output.name);
        Ok(Self { input: input.name, element, batch, sample, logits, computed, before_softmax })
    }

    /// The model's bytes with the logits among its outputs.
    pub fn with_logits(&self, model: Vec<u8>) -> Vec<u8> {
        if !self.before_softmax {
            return model;
        }
        let mut fragment = Fragment::default();
        fragment.output(&self.logits, self.computed);
        fragment.append_to(&model)
    }
}

const EXPORT_AGAIN: &str = "export the model with an input of floats [batch, …]";
const EXPORT: &str = "export it that way";

fn only(ports: &[Port], what: &str) -> Result<Port, ModelError> {
    match ports {
        [port] => Ok(port.clone()),
        [] => Err(ModelError::Graph(format!("the model has no {what}; a classifier has one, {EXPORT}"))),
        several => {
            let names: Vec<&str> = several.iter().map(|port| port.name.as_str()).collect();
            let names = names.join(", ");
            Err(ModelError::Graph(format!(
                "the model has more than one {what}: {names}; a classifier has one, {EXPORT}"
            )))
        }
    }
}

/// The logits behind an output: the input of a trailing Softmax, whose own values would lose the digits that a loss
/// needs; otherwise the output. (A LogSoftmax has the same Softmax as its input, so it serves as it is.)
fn logits(graph: &GraphIndex<'_>, output: &str) -> (String, bool) {
    let producer = graph.producer(output).map(|at| graph.node(at));
    match producer {
        Some(node) if node.op_type == "Softmax" && node.is_standard() => {
            node.input(0).map_or((output.to_owned(), false), |before| (before.to_owned(), true))
        }
        _ => (output.to_owned(), false),
    }
}
