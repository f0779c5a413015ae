//! Weights that several nodes use: one correction for all where it can be, copies where it cannot.

use super::selection::Found;
use super::{Finding, OnShared, Output, Skip, Unfold};
use crate::model::{Constant, GraphIndex, MatrixView, NodeIndex, ScopeIndex, Use, ValueId, WeightCopy};
use crate::tensor::ElementType;
use std::collections::BTreeSet;

/// A weight that is rewritten, and where it is used.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The stored weight.
    pub weight: Constant,
    /// The operators between it and the (first) node that uses it.
    pub through: Vec<String>,
    /// How it is matrices.
    pub matrix: MatrixView,
    /// Where the stored weight must stay: what these layers get instead. All hold the same values, each with the axes
    /// that its nodes see.
    pub copies: Vec<WeightCopy>,
    /// The nodes that use it, in graph order; the moments of their inputs add up.
    pub sites: Vec<Site>,
    /// Its outputs, where one node alone uses it and gives them as they are, and the weight can be scaled.
    pub output: Option<Output>,
}

/// One use of a layer's weight.
#[derive(Clone, Debug)]
pub struct Site {
    /// What messages call the node.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// The graph in which the node runs.
    pub scope: ScopeIndex,
    /// The value that meets the weight.
    pub input: ValueId,
    /// That value's element type.
    pub element: ElementType,
    /// How that value becomes rows.
    pub unfold: Unfold,
}

/// What becomes of the layers that use one stored weight.
pub(super) struct Resolved {
    pub(super) layers: Vec<Layer>,
    pub(super) skipped: Vec<(Found, Skip)>,
}

/// Settles one stored weight. `found`: the layers to rewrite that use it, at least one, in graph order.
pub(super) fn resolve(graph: &GraphIndex<'_>, found: Vec<Found>, on_shared: OnShared) -> Resolved {
    let uses = graph.uses(&found[0].1.weight.constant.place);
    if on_shared == OnShared::Skip && uses.len() > 1 {
        let reason = Skip::Shared(uses.len());
        return Resolved {
            layers: Vec::new(),
            skipped: found.into_iter().map(|layer| (layer, reason.clone())).collect(),
        };
    }
    let ours: BTreeSet<Use> = found.iter().map(|(at, f)| Use::Input { node: *at, input: f.position }).collect();
    let others: Vec<Use> = uses.iter().filter(|used| !ours.contains(used)).copied().collect();
    let mut classes: Vec<Vec<Found>> = Vec::new();
    for layer in found {
        let joins = |class: &&mut Vec<Found>| {
            let (first, this) = (&class[0], &layer);
            // Several calls of a function run one stored node, which cannot have several weights.
            let same_node = graph.flat_node(first.0).place == graph.flat_node(this.0).place;
            first.1.matrix.agrees_with(&this.1.matrix) && (on_shared == OnShared::Sum || same_node)
        };
        match classes.iter_mut().find(joins) {
            Some(class) => class.push(layer),
            None => classes.push(vec![layer]),
        }
    }
    // Where only one class cannot have a copy and nobody else uses the weight, the stored one is its own.
    let mut stuck = classes.iter().enumerate().filter(|(_, class)| obstacle(graph, class).is_some());
    let owner = match (stuck.next(), stuck.next()) {
        _ if !others.is_empty() => None,
        (None, _) => Some(0),
        (Some((only, _)), None) => Some(only),
        (Some(_), Some(_)) => None,
    };
    let names: Vec<String> = classes.iter().map(|class| graph.flat_node(class[0].0).label.clone()).collect();
    let mut resolved = Resolved { layers: Vec::new(), skipped: Vec::new() };
    for (index, class) in classes.into_iter().enumerate() {
        if owner == Some(index) {
            resolved.layers.push(layer(graph, class, Vec::new()));
        } else if let Some(obstacle) = obstacle(graph, &class) {
            let beside = names.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, name)| name.clone());
            let others: Vec<String> = others.iter().map(|other| describe(graph, *other)).chain(beside).collect();
            let reason = Skip::NotToBeCopied { others: others.join(", "), obstacle };
            resolved.skipped.extend(class.into_iter().map(|layer| (layer, reason.clone())));
        } else {
            let copies = copies(graph, &class);
            resolved.layers.push(layer(graph, class, copies));
        }
    }
    resolved
}

/// Why layers cannot have a weight of their own.
fn obstacle(graph: &GraphIndex<'_>, class: &[Found]) -> Option<String> {
    let in_function = class.iter().map(|(at, _)| graph.flat_node(*at)).find(|node| node.place.is_in_function());
    if let Some(node) = in_function {
        let function = node.function.as_deref().unwrap_or_default();
        return Some(format!("a node of the local function {function} cannot be given one of its own"));
    }
    let quantised = class[0].1.weight.constant.quantization.is_some();
    quantised.then(|| "it is quantised and cannot be copied".to_owned())
}

fn describe(graph: &GraphIndex<'_>, used: Use) -> String {
    match used {
        Use::Input { node, .. } => format!("{} ({})", graph.flat_node(node).label, graph.node(node).op_type),
        Use::Output => "an output of the graph".to_owned(),
    }
}

/// One copy for each way in which the nodes see the weight.
fn copies(graph: &GraphIndex<'_>, class: &[Found]) -> Vec<WeightCopy> {
    let mut copies: Vec<WeightCopy> = Vec::new();
    for (at, finding) in class {
        let node = graph.flat_node(*at);
        let reader = node.place.node_input(finding.position);
        let (view, element) = (&finding.weight.view, finding.weight.element.unwrap_or(ElementType::Float32));
        if let Some(copy) = copies.iter_mut().find(|copy| copy.view == *view && copy.element == element) {
            copy.readers.push(reader);
            continue;
        }
        let output = node.proto.output.first().map_or("", String::as_str);
        let mut name = format!("{}@{output}", finding.weight.constant.name);
        while graph.defines(&name) {
            name.push('\'');
        }
        copies.push(WeightCopy { name, view: view.clone(), element, readers: vec![reader] });
    }
    copies
}

fn layer(graph: &GraphIndex<'_>, class: Vec<Found>, copies: Vec<WeightCopy>) -> Layer {
    let Finding { weight, matrix, .. } = class[0].1.clone();
    let output = match &class[..] {
        // Integers have a scale of their own, beyond which nothing can be scaled.
        [(at, Finding { produced: Some(produced), .. })] if weight.constant.quantization.is_none() => {
            Output::of(graph, *at, *produced)
        }
        _ => None,
    };
    let sites = class.into_iter().map(|(at, finding)| site(graph, at, finding)).collect();
    Layer { weight: weight.constant, through: weight.through, matrix, copies, sites, output }
}

fn site(graph: &GraphIndex<'_>, at: NodeIndex, finding: Finding) -> Site {
    let node = graph.flat_node(at);
    Site {
        node: node.label.clone(),
        op_type: node.proto.op_type.clone(),
        scope: node.scope,
        input: finding.input,
        element: finding.weight.element.unwrap_or(ElementType::Float32),
        unfold: finding.unfold,
    }
}
