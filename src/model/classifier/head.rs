//! Where the class scores are: the value behind a trailing Softmax or Sigmoid, whose own values lose the digits that a
//! loss needs, the output itself, or the value that the user names.

use crate::model::proto::NodeProto;
use crate::model::{GraphIndex, ModelError, Port};
use crate::tensor::ElementType;
use serde::{Deserialize, Serialize};

/// How class scores become probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// By a softmax over the classes: the scores are logits, or logarithms of probabilities, which serve as such.
    Softmax,
    /// By a sigmoid of each score. Several scores are each one class against the rest; a single one is class 1
    /// against class 0.
    Sigmoid,
    /// Not at all: they are the probabilities.
    Identity,
}

impl Link {
    /// The number of classes that a row of so many scores tells apart.
    pub const fn classes(self, scores: usize) -> usize {
        match (self, scores) {
            (Self::Sigmoid, 1) => 2,
            _ => scores,
        }
    }
}

/// Where a model's class scores are, and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The value that is read.
    pub value: String,
    /// Whether it lies inside the graph and has to be made an output first.
    pub inner: bool,
    /// How its scores become probabilities, where the graph says it; otherwise the first scores do.
    pub link: Option<Link>,
}

/// The longest chain of other names that is followed: a damaged graph may be a circle.
const LONGEST_CHAIN: usize = 64;

/// How many values inside the graph a message proposes.
const PROPOSED: usize = 12;

impl Head {
    /// Finds the class scores: in the value `asked` for, or in the one output that can hold them.
    pub(super) fn find(graph: &GraphIndex<'_>, asked: Option<&str>) -> Result<Self, ModelError> {
        let outputs = graph.model().outputs();
        let name = match asked {
            Some(name) => named(graph, &outputs, name)?,
            None => only(&outputs)?,
        };
        let (value, link) = behind(graph, name).map_or((name.to_owned(), None), |(value, link)| (value, Some(link)));
        let inner = !outputs.iter().any(|output| output.name == value);
        Ok(Self { value, inner, link })
    }

    /// The values that give the same probabilities by this head's link, a row for each sample: the class scores, and what they are
    /// made of by nodes that change neither, the nearest first.
    pub fn same_scores(&self, graph: &GraphIndex<'_>) -> Vec<String> {
        let mut found = vec![self.value.clone()];
        while let Some(before) = found.last().and_then(|value| self.same_before(graph, value)) {
            if found.len() == LONGEST_CHAIN {
                break;
            }
            found.push(before);
        }
        found
    }

    /// What a value is made of, where that gives the same probabilities.
    fn same_before(&self, graph: &GraphIndex<'_>, value: &str) -> Option<String> {
        let node = graph.node(graph.producer(value)?);
        let before = node.input(0).filter(|_| node.is_standard())?;
        let same = match (node.op_type.as_str(), self.link) {
            // It takes the same from all scores of a sample, which a softmax does not see.
            ("LogSoftmax", Some(Link::Softmax)) => is_over_classes(node),
            // Of a single score a sample, axes of extent 1 may come and go.
            ("Squeeze" | "Unsqueeze" | "Reshape" | "Flatten", Some(Link::Sigmoid)) | ("Identity", _) => true,
            ("Cast", _) => casts_to_float(node),
            _ => false,
        };
        same.then(|| before.to_owned())
    }
}

/// A value that the user names: an output, or what a node gives.
fn named<'n>(graph: &GraphIndex<'_>, outputs: &[Port], name: &'n str) -> Result<&'n str, ModelError> {
    match outputs.iter().find(|output| output.name == name) {
        Some(output) if cannot_score(output) => Err(not_scores(output)),
        Some(_) => Ok(name),
        None if graph.producer(name).is_some() => Ok(name),
        None => {
            let (list, before) = (list(outputs), before(graph, outputs).join(", "));
            let reason = format!("--logits {name}: the model computes no such value; its outputs are {list}");
            let before = if before.is_empty() { before } else { format!(", and before them lie {before}") };
            Err(ModelError::Graph(reason + &before))
        }
    }
}

/// The one output that can hold class scores.
fn only(outputs: &[Port]) -> Result<&str, ModelError> {
    let [output] = outputs else {
        let mut candidates = outputs.iter().filter(|output| is_scores(output));
        return match (candidates.next(), candidates.next()) {
            (Some(output), None) => Ok(&output.name),
            _ if outputs.is_empty() => {
                Err(ModelError::Graph("the model has no output; a classifier has one, export it that way".into()))
            }
            _ => Err(ModelError::Graph(format!(
                "the model has several outputs: {}; say with --logits NAME which of them, or which value before them, \
                 holds the class scores",
                list(outputs)
            ))),
        };
    };
    if cannot_score(output) { Err(not_scores(output)) } else { Ok(&output.name) }
}

/// Whether one of several outputs may hold a row of scores a sample, as far as it is declared.
fn is_scores(output: &Port) -> bool {
    output.element.is_some_and(ElementType::is_float) && output.shape.as_ref().is_none_or(|shape| shape.len() >= 2)
}

fn cannot_score(output: &Port) -> bool {
    output.element.is_some_and(|element| !element.is_float())
}

fn not_scores(output: &Port) -> ModelError {
    ModelError::Graph(format!(
        "output {} is {}, and class scores are floats; say with --logits NAME which value holds them",
        output.name,
        output.describe()
    ))
}

fn list(outputs: &[Port]) -> String {
    outputs.iter().map(|output| format!("{}: {}", output.name, output.describe())).collect::<Vec<_>>().join(", ")
}

/// Names of values inside the graph, those nearest the outputs first.
fn before(graph: &GraphIndex<'_>, outputs: &[Port]) -> Vec<String> {
    let mut found: Vec<String> = outputs.iter().map(|output| output.name.clone()).collect();
    let mut at = 0;
    while at < found.len() && found.len() < outputs.len() + PROPOSED {
        let node = graph.producer(&found[at]).map(|producer| graph.node(producer));
        for input in node.iter().flat_map(|node| &node.input) {
            if graph.producer(input).is_some() && !found.contains(input) {
                found.push(input.clone());
            }
        }
        at += 1;
    }
    found.split_off(outputs.len())
}

/// The value before a Softmax or Sigmoid that an output is, possibly under another name, and the link in between. (A
/// LogSoftmax has the same Softmax as its input, so it serves as it is.)
fn behind(graph: &GraphIndex<'_>, output: &str) -> Option<(String, Link)> {
    let mut value = output.to_owned();
    for _ in 0..LONGEST_CHAIN {
        let node = graph.node(graph.producer(&value)?);
        let before = node.input(0).filter(|before| node.is_standard() && graph.producer(before).is_some())?;
        match node.op_type.as_str() {
            "Softmax" if is_over_classes(node) => return Some((before.to_owned(), Link::Softmax)),
            "LogSoftmax" if is_over_classes(node) => return Some((output.to_owned(), Link::Softmax)),
            "Sigmoid" => return Some((before.to_owned(), Link::Sigmoid)),
            "Identity" => before.clone_into(&mut value),
            "Cast" if casts_to_float(node) => before.clone_into(&mut value),
            _ => return None,
        }
    }
    None
}

/// Scores are `[samples, classes]` or `[samples, classes, 1, …]`, so the classes are the second axis or the last. (Where
/// no axis is given it is one of these in every opset.)
fn is_over_classes(node: &NodeProto) -> bool {
    matches!(node.int("axis", -1), 1 | -1)
}

fn casts_to_float(node: &NodeProto) -> bool {
    let to = i32::try_from(node.int("to", 0)).ok().and_then(ElementType::from_onnx);
    to.is_some_and(ElementType::is_float)
}
