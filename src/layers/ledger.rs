//! Every weight of a model: in a layer that is rewritten, or skipped with its reason.

use super::selection::{Divided, Found, Selection};
use super::sharing::{self, Layer};
use super::{Finding, LayerRule, NodeView, RULES, Skip};
use crate::model::proto::NodeProto;
use crate::model::{Constant, FlatNode, GraphIndex, NodeIndex, Place};
use crate::tensor::ElementType;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A line of the ledger.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Entry {
    /// The weight's name, where the node has one; behind the function or body that it is stored in.
    pub weight: Option<String>,
    /// What messages call the (first) node that uses it.
    pub node: String,
    /// The node's operator.
    pub op: String,
    /// Where the weight was found, and through which operators it is read.
    pub found: Option<String>,
    /// The element type in which the weight is stored.
    pub dtype: Option<String>,
    /// The shape in which the weight is stored.
    pub shape: Option<Vec<usize>>,
    /// d, the dimension of a row of inputs of one group.
    pub dim: Option<usize>,
    /// Groups with moments of their own.
    pub groups: Option<usize>,
    /// How many nodes use the weight as this line says.
    pub users: usize,
    /// The new initializer that these nodes read, where the weight itself stays for others.
    pub copy: Option<String>,
    /// Why it is left as it is; nothing where it is rewritten.
    pub reason: Option<String>,
}

/// What becomes of every weight of a model.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The weights to rewrite, in graph order.
    pub layers: Vec<Layer>,
    /// The weights that stay, and the nodes without one.
    pub skipped: Vec<Entry>,
}

impl Ledger {
    /// Surveys a model.
    ///
    /// # Errors
    /// The first pattern of `selection` that matches no layer.
    pub fn survey(graph: &GraphIndex<'_>, selection: &Selection) -> Result<Self, String> {
        let mut surveyor = Surveyor { graph, found: Vec::new(), skipped: Vec::new() };
        for (at, _) in graph.nodes().filter(|(at, _)| !graph.is_shown(*at)) {
            surveyor.examine(at, selection.requantize);
        }
        surveyor.look_at_the_rest();
        let Divided { kept, left } = selection.divide(graph, std::mem::take(&mut surveyor.found))?;
        for ((at, finding), option) in left {
            surveyor.skip_layer(at, &finding, &Skip::LeftOut(option));
        }
        let mut layers = Vec::new();
        for found in by_weight(kept) {
            let resolved = sharing::resolve(graph, found, selection.on_shared);
            layers.extend(resolved.layers);
            for ((at, finding), reason) in resolved.skipped {
                surveyor.skip_layer(at, &finding, &reason);
            }
        }
        Ok(Self { layers, skipped: surveyor.skipped })
    }

    /// Leaves all layers but one as they are, for that reason.
    pub fn keep_only(&mut self, layer: usize, reason: &str) {
        let kept = self.layers.remove(layer);
        let left = std::mem::replace(&mut self.layers, vec![kept]);
        let skipped = left.iter().map(|layer| Entry { reason: Some(reason.to_owned()), ..layer.entry() });
        self.skipped.splice(0..0, skipped);
    }

    /// The whole ledger: rewritten weights first, in graph order.
    pub fn entries(&self) -> Vec<Entry> {
        self.layers.iter().map(Layer::entry).chain(self.skipped.iter().cloned()).collect()
    }
}

/// The layers of each stored weight, in the order of their first nodes.
fn by_weight(found: Vec<Found>) -> Vec<Vec<Found>> {
    let mut order: Vec<Vec<Found>> = Vec::new();
    let mut known: BTreeMap<Place, usize> = BTreeMap::new();
    for layer in found {
        let at = *known.entry(layer.1.weight.constant.place.clone()).or_insert(order.len());
        if at == order.len() {
            order.push(Vec::new());
        }
        order[at].push(layer);
    }
    order
}

impl Layer {
    /// The layer's line in the ledger.
    pub fn entry(&self) -> Entry {
        let first = &self.sites[0];
        let through =
            if self.through.is_empty() { String::new() } else { format!(", through {}", self.through.join(", ")) };
        let copies: Vec<&str> = self.copies.iter().map(|copy| copy.name.as_str()).collect();
        Entry {
            node: first.node.clone(),
            op: first.op_type.clone(),
            found: Some(format!("{}{through}", self.weight.place)),
            dim: Some(self.matrix.dim()),
            groups: Some(self.matrix.groups.extent()),
            users: self.sites.len(),
            copy: (!copies.is_empty()).then(|| copies.join(", ")),
            ..Entry::of(&self.weight)
        }
    }
}

fn rule(node: &NodeProto) -> Option<&'static dyn LayerRule> {
    RULES.iter().copied().find(|rule| rule.operators().iter().any(|operator| operator.is(node)))
}

/// A weight large enough to carry what was learnt: a matrix or more, of floats or of the small types that stand for
/// them. Biases and scales are vectors; indices and shapes are wider integers.
fn carries_weights(constant: &Constant) -> bool {
    /// No type, integers of 16 bits and more, strings, booleans, complex numbers.
    const NO_WEIGHTS: [i32; 11] = [0, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15];
    constant.dims.len() >= 2 && !NO_WEIGHTS.contains(&constant.data_type)
}

struct Surveyor<'g> {
    graph: &'g GraphIndex<'g>,
    found: Vec<Found>,
    skipped: Vec<Entry>,
}

impl Surveyor<'_> {
    fn examine(&mut self, at: NodeIndex, requantize: bool) {
        let graph = self.graph;
        let node = graph.node(at);
        let rule = rule(node);
        let examined = rule.map(|rule| rule.examine(NodeView { graph, at }));
        let position = examined.as_ref().and_then(|examined| examined.as_ref().ok()).map(|finding| finding.position);
        match examined {
            Some(Ok(finding)) => match self.obstacle(at, &finding, requantize) {
                Some(reason) => self.skip_layer(at, &finding, &reason),
                None => self.found.push((at, finding)),
            },
            Some(Err(reason)) => {
                let weights = self.weights(at, None);
                if weights.is_empty() {
                    self.skip(at, None, &reason);
                }
                for (_, weight) in weights {
                    self.skip(at, Some(&weight), &reason);
                }
                return;
            }
            None => self.look_at_attributes(at),
        }
        for (input, weight) in self.weights(at, position) {
            let reason = rule.map_or_else(|| Skip::NoRule(node.op_type.clone()), |rule| rule.leaves(input));
            self.skip(at, Some(&weight), &reason);
        }
    }

    /// Numbers in attributes, as the classifiers of ai.onnx.ml keep their coefficients. In ONNX's own operators such lists
    /// are parameters of the operator.
    fn look_at_attributes(&mut self, at: NodeIndex) {
        let node = self.graph.node(at);
        if node.is_standard() {
            return;
        }
        for attribute in node.attribute.iter().filter(|attribute| !attribute.floats.is_empty()) {
            let entry = Entry {
                found: Some(format!("attribute {}", attribute.name)),
                dtype: Some(ElementType::Float32.to_string()),
                shape: Some(vec![attribute.floats.len()]),
                ..stays(None, &Skip::NoRule(node.op_type.clone()))
            };
            self.add(at, entry);
        }
    }

    /// The constants of a node that carry weights, but for the one at `taken`.
    fn weights(&self, at: NodeIndex, taken: Option<usize>) -> Vec<(usize, Constant)> {
        let inputs = (0..self.graph.node(at).input.len()).filter(|input| Some(*input) != taken);
        let constants = inputs.filter_map(|input| Some((input, self.graph.operand(at, input)?.constant.clone())));
        constants.filter(|(_, constant)| carries_weights(constant)).collect()
    }

    fn obstacle(&self, at: NodeIndex, finding: &Finding, requantize: bool) -> Option<Skip> {
        if finding.weight.constant.quantization.is_some() && !requantize {
            return Some(Skip::Quantized);
        }
        let holders = self.graph.holders(at);
        let innermost = holders.first().map(|holder| self.describe(*holder))?;
        let closed = holders.iter().find(|holder| !brings_out(self.graph.node(**holder)));
        match closed {
            Some(holder) => Some(Skip::Unobserved(self.describe(*holder))),
            None => finding.unfold.has_open_rank().then_some(Skip::OpenRank(innermost)),
        }
    }

    fn describe(&self, holder: NodeIndex) -> String {
        let node = self.graph.flat_node(holder);
        format!("{} ({})", node.label, node.proto.op_type)
    }

    fn skip(&mut self, at: NodeIndex, weight: Option<&Constant>, reason: &Skip) {
        self.add(at, stays(weight, reason));
    }

    fn skip_layer(&mut self, at: NodeIndex, finding: &Finding, reason: &Skip) {
        let (dim, groups) = (Some(finding.matrix.dim()), Some(finding.matrix.groups.extent()));
        self.add(at, Entry { dim, groups, ..stays(Some(&finding.weight.constant), reason) });
    }

    fn add(&mut self, at: NodeIndex, entry: Entry) {
        let FlatNode { label, proto, .. } = self.graph.flat_node(at);
        let entry = Entry { node: label.clone(), op: proto.op_type.clone(), users: 1, ..entry };
        // Every call of a function would say the same of a weight that is stored in it.
        let said =
            |known: &Entry| known.weight.is_some() && known.weight == entry.weight && known.reason == entry.reason;
        match self.skipped.iter_mut().find(|known| said(known) && known.op == entry.op) {
            Some(known) => known.users += 1,
            None => self.skipped.push(entry),
        }
    }

    /// What no node that runs reads: unused tensors, sparse ones, and those of functions that stay calls.
    fn look_at_the_rest(&mut self) {
        let graph = self.graph;
        let constants = graph.constants();
        for constant in constants.iter().filter(|constant| carries_weights(constant)) {
            if graph.uses(&constant.place).is_empty() {
                self.skipped.push(stays(Some(constant), &Skip::Unused));
            }
        }
        for (name, dims) in graph.sparse_tensors() {
            let (op, found) = ("SparseTensor".to_owned(), Some("sparse tensor".to_owned()));
            let entry = stays(None, &Skip::Sparse);
            self.skipped.push(Entry { weight: Some(name), op, found, shape: Some(dims), ..entry });
        }
        let known: BTreeSet<&Place> = constants.iter().map(|constant| &constant.place).collect();
        for constant in graph.model().constants_of_functions() {
            if carries_weights(&constant) && !known.contains(&constant.place) {
                let name = constant.place.function_index().map_or("", |at| &graph.model().header().functions[at].name);
                let function = |reason: &str| Skip::Function { name: name.to_owned(), reason: reason.to_owned() };
                let reason = graph.flat().unseen(name).map_or(Skip::Unused, function);
                self.skipped.push(stays(Some(&constant), &reason));
            }
        }
    }
}

impl Entry {
    /// What a weight alone says.
    fn of(weight: &Constant) -> Self {
        Self {
            weight: Some(weight.name.clone()),
            found: Some(weight.place.to_string()),
            dtype: Some(weight.type_name()),
            shape: Some(weight.dims.clone()),
            ..Self::default()
        }
    }
}

fn stays(weight: Option<&Constant>, reason: &Skip) -> Entry {
    Entry { reason: Some(reason.to_string()), ..weight.map(Entry::of).unwrap_or_default() }
}

/// Whether something computed in the bodies of a node can be made an output of it.
fn brings_out(node: &NodeProto) -> bool {
    node.is_standard() && matches!(node.op_type.as_str(), "If" | "Loop" | "Scan")
}
