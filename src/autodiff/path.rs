//! Which nodes lie between what gradients are taken of and what they are taken with respect to.

use crate::model::proto::{GraphProto, NodeProto};
use crate::model::{GraphIndex, MAIN, NodeIndex};
use std::collections::BTreeSet;

/// The nodes of the main graph that depend on some values and that another value depends on, in order.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) nodes: Vec<NodeIndex>,
}

impl Path {
    /// From any of those values to `target`, but not through those that are held.
    pub(super) fn between(graph: &GraphIndex<'_>, from: &[String], held: &[String], target: &str) -> Self {
        let all = &graph.scope(MAIN).nodes;
        let mut depends: BTreeSet<&str> = from.iter().map(String::as_str).collect();
        let mut behind = BTreeSet::new();
        for &at in all {
            let node = graph.node(at);
            if reads(node).iter().any(|name| depends.contains(name)) {
                let goes_on = |name: &&str| !name.is_empty() && !held.iter().any(|held| held == name);
                depends.extend(node.output.iter().map(String::as_str).filter(goes_on));
                behind.insert(at);
            }
        }
        let leads = leading_to(graph, target);
        let gives = |at: &NodeIndex| graph.node(*at).output.iter().any(|name| leads.contains(name.as_str()));
        Self { nodes: behind.into_iter().filter(gives).collect() }
    }

    /// Every value that its nodes read and give.
    pub(super) fn values(&self, graph: &GraphIndex<'_>) -> BTreeSet<String> {
        let of_node = |&at: &NodeIndex| {
            let node = graph.node(at);
            node.input.iter().chain(&node.output)
        };
        self.nodes.iter().flat_map(of_node).filter(|name| !name.is_empty()).cloned().collect()
    }
}

/// The values of the main graph that another one depends on, itself among them.
pub fn leading_to<'g>(graph: &'g GraphIndex<'_>, target: &'g str) -> BTreeSet<&'g str> {
    let mut leads = BTreeSet::from([target]);
    for &at in graph.scope(MAIN).nodes.iter().rev() {
        let node = graph.node(at);
        if node.output.iter().any(|name| leads.contains(name.as_str())) {
            leads.extend(reads(node));
        }
    }
    leads
}

/// The values that a node reads, those that its bodies take from around it among them.
fn reads(node: &NodeProto) -> Vec<&str> {
    let mut names: Vec<&str> = node.input.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    let bodies = node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
    names.extend(bodies.flat_map(taken));
    names
}

fn taken(body: &GraphProto) -> Vec<&str> {
    let own = body.input.iter().map(|input| input.name.as_str());
    let own = own.chain(body.initializer.iter().map(|tensor| tensor.name.as_str()));
    let own: BTreeSet<&str> =
        own.chain(body.node.iter().flat_map(|node| node.output.iter().map(String::as_str))).collect();
    let read = body.node.iter().flat_map(reads).chain(body.output.iter().map(|output| output.name.as_str()));
    read.filter(|name| !own.contains(name)).collect()
}
