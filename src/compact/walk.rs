//! From what makes channels to all that reads them.

use super::channels::{Crossing, Followed, Goes, Obstacle};
use super::rules::{Made, made, rule};
use super::{Compaction, CutChannels, Cuts};
use crate::model::{GraphIndex, MAIN, NodeIndex, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// What can be cut out of a model.
pub(crate) fn compaction(graph: &GraphIndex<'_>) -> Compaction {
    let mut all = Compaction::default();
    for (at, _) in graph.nodes().filter(|(at, node)| node.is_standard() && is_plain(graph, *at)) {
        if let Some(made) = made(graph, at).filter(|made| !made.zero.is_empty()) {
            all.take(graph, at, &made);
        }
    }
    all
}

/// Whether a node stands in the main graph itself.
fn is_plain(graph: &GraphIndex<'_>, at: NodeIndex) -> bool {
    let node = graph.flat_node(at);
    node.scope == MAIN && !node.place.is_in_function()
}

impl Compaction {
    /// Cuts out what a node makes for nothing.
    fn take(&mut self, graph: &GraphIndex<'_>, at: NodeIndex, made: &Made) {
        let mut gone = made.zero.clone();
        let (weight, channels, zero) = (made.weight.name.clone(), made.channels, gone.len());
        // A tensor without entries is more than engines put up with.
        if gone.len() == channels {
            gone.pop_first();
        }
        let mut why = None;
        while !gone.is_empty() {
            match walk(graph, at, made, &gone) {
                Ok((cuts, values)) => {
                    self.cuts.join(cuts);
                    self.values.extend(values);
                    break;
                }
                Err(Obstacle::Alive(alive)) => {
                    gone.retain(|channel| !alive.contains(channel));
                    why = Some("behind the weight they become something else than 0".to_owned());
                }
                Err(Obstacle::Node(reason)) => {
                    gone.clear();
                    why = Some(reason);
                }
            }
        }
        let cut = gone.len();
        let kept_because = why.filter(|_| cut == 0);
        self.channels.push(CutChannels { weight, channels, zero, cut, kept_because });
    }
}

/// What is cut where these channels are, and the values that are smaller then.
fn walk(
    graph: &GraphIndex<'_>,
    from: NodeIndex,
    made: &Made,
    gone: &BTreeSet<usize>,
) -> Result<(Cuts, BTreeSet<String>), Obstacle> {
    let mut cuts = Cuts::default();
    made.cut(gone, &mut cuts);
    let first = graph.node(from).output.first().cloned().unwrap_or_default();
    let mut followed = BTreeMap::from([(first, Followed { along: made.along, zero: true })]);
    // Nodes come in the order in which they run.
    for (at, node) in graph.nodes() {
        let reads = |input: usize| {
            graph.value(at, input).is_some_and(|value| value.scope == MAIN && followed.contains_key(&value.name))
        };
        if at == from || !(0..node.input.len()).any(reads) {
            continue;
        }
        let mut crossing = Crossing { graph, at, gone, channels: made.channels, followed: &followed, cuts: &mut cuts };
        let rule = rule(&node.op_type).filter(|_| node.is_standard() && is_plain(graph, at));
        let rule = rule.ok_or_else(|| crossing.refused("has no rule for single channels"))?;
        if let (Goes::On(on), [output, others @ ..]) = (rule(&mut crossing)?, node.output.as_slice()) {
            if others.iter().any(|other| is_read(graph, other)) {
                return Err(crossing.refused("gives more than one value that is read"));
            }
            followed.insert(output.clone(), on);
        }
    }
    let outputs = &graph.model().graph().output;
    match outputs.iter().find(|output| followed.contains_key(&output.name)) {
        Some(output) => Err(Obstacle::Node(format!("{} is an output of the model", output.name))),
        None => Ok((cuts, followed.into_keys().collect())),
    }
}

/// Whether anything reads a value of the main graph, or it is an output.
fn is_read(graph: &GraphIndex<'_>, name: &str) -> bool {
    let is_output = graph.model().graph().output.iter().any(|output| output.name == name);
    let value = ValueId { scope: MAIN, name: name.to_owned() };
    !name.is_empty() && (is_output || !graph.readers(&value).is_empty())
}
