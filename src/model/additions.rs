//! Nodes added to any graph of a model, bodies of If, Loop and Scan included, and their results brought out.
//!
//! The main graph is extended by appending (`fragment.rs`). Only nodes that hold an extended body, or that call a local
//! function, are encoded anew; this is the copy that is measured, never the one that is written for the user.

use super::flat::{FlatNode, MAIN, ScopeIndex};
use super::fragment::{self, Fragment};
use super::place::Place;
use super::proto::{GraphProto, ModelProto, NodeProto, TensorShapeProto, field};
use super::wire::{self, Edit};
use super::{GraphIndex, Model, ModelError, NodeIndex};
use crate::tensor::ElementType;
use bytes::Bytes;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Additions to the graphs of one model.
pub struct Additions<'g> {
    graph: &'g GraphIndex<'g>,
    fragments: BTreeMap<ScopeIndex, Fragment>,
    outputs: BTreeMap<NodeIndex, Vec<String>>,
    interposed: BTreeMap<NodeIndex, Interposed>,
    named: BTreeMap<NodeIndex, BTreeMap<usize, String>>,
    fed: BTreeSet<String>,
    /// The number of the last name that earlier additions gave to values of the main graph.
    last: usize,
}

/// What stands between a node and the readers of its first output.
struct Interposed {
    /// What that output is called now.
    raw: String,
    /// What makes the old value of it.
    nodes: Vec<NodeProto>,
}

impl<'g> Additions<'g> {
    /// Nothing yet.
    pub fn new(graph: &'g GraphIndex<'g>) -> Self {
        let declared = graph.model().graph();
        let outputs = declared.node.iter().flat_map(|node| &node.output);
        let initializers = declared.initializer.iter().map(|tensor| &tensor.name);
        let names = outputs.chain(initializers).chain(declared.input.iter().map(|input| &input.name));
        let last = names.filter_map(|name| Fragment::number(name)).max().unwrap_or(0);
        Self {
            graph,
            fragments: BTreeMap::new(),
            outputs: BTreeMap::new(),
            interposed: BTreeMap::new(),
            named: BTreeMap::new(),
            fed: BTreeSet::new(),
            last,
        }
    }

    /// What is added to a graph.
    pub fn to(&mut self, scope: ScopeIndex) -> &mut Fragment {
        let last = if scope == MAIN { self.last } else { 0 };
        self.fragments.entry(scope).or_insert_with(|| Fragment::of_scope(scope.0).after(last))
    }

    /// The name of an output of a node of the main graph, which it is given where the node leaves that output out.
    pub fn output_of(&mut self, at: NodeIndex, output: usize) -> String {
        if let Some(name) = self.graph.node(at).output.get(output).filter(|name| !name.is_empty()) {
            return name.clone();
        }
        if let Some(name) = self.named.get(&at).and_then(|named| named.get(&output)) {
            return name.clone();
        }
        let name = self.to(MAIN).fresh();
        self.named.entry(at).or_default().insert(output, name.clone());
        name
    }

    /// Makes a stored tensor of the main graph an input, which must be fed.
    pub fn feed_stored(&mut self, name: &str, shape: &[usize], element: ElementType) {
        let shape = TensorShapeProto::fixed(&shape.iter().map(|&extent| extent as i64).collect::<Vec<_>>());
        let declared = self.graph.model().graph().input.iter().any(|input| input.name == name);
        if !declared {
            self.to(MAIN).named_input(name, element, shape);
        }
        self.fed.insert(name.to_owned());
    }

    /// Lets everything that reads the first output of a node of the main graph, the model's own output included, read what
    /// `nodes` make of it. They are given its new name, and return the name of what they made last.
    pub fn interpose(&mut self, at: NodeIndex, nodes: impl FnOnce(&mut Fragment, &str) -> String) {
        let Some(value) = self.graph.node(at).output.first().cloned() else { return };
        let fragment = self.to(MAIN);
        let (raw, first) = (fragment.fresh(), fragment.graph().node.len());
        let made = nodes(fragment, &raw);
        let mut nodes = fragment.take_nodes(first);
        for output in nodes.iter_mut().flat_map(|node| &mut node.output).filter(|output| **output == made) {
            output.clone_from(&value);
        }
        self.interposed.insert(at, Interposed { raw, nodes });
    }

    /// Makes a value of any graph an output of the model, and returns its name there. A body may run several times or
    /// not at all: what comes out is the sum over its runs. `shape`: the value's own, the same in every run.
    pub fn bring_out(&mut self, scope: ScopeIndex, value: String, shape: &[i64], element: ElementType) -> String {
        let Some(holder) = self.graph.scope(scope).holder.clone() else {
            self.to(scope).output(&value, element);
            return value;
        };
        let node = self.graph.flat_node(holder.node);
        let outer = node.scope;
        let result = self.to(outer).fresh();
        self.outputs.entry(holder.node).or_default().push(result.clone());
        if node.proto.op_type == "If" {
            for &body in &node.bodies {
                let held = if body == scope { value.clone() } else { self.zeros(body, shape, element) };
                self.to(body).output(&held, element);
            }
            return self.bring_out(outer, result, shape, element);
        }
        // Loop and Scan stack what each run gives.
        self.to(scope).output(&value, element);
        let opset = self.graph.model().opset();
        let sum = sum_of_first_axis(self.to(outer), &result, opset);
        self.bring_out(outer, sum, shape, element)
    }

    fn zeros(&mut self, scope: ScopeIndex, shape: &[i64], element: ElementType) -> String {
        let fragment = self.to(scope);
        let shape = fragment.integers(shape);
        fragment.node("ConstantOfShape", &[&shape], vec![fragment::zero("value", element)])
    }

    /// The model with these additions, and with function bodies in the place of their calls.
    ///
    /// # Errors
    /// [`ModelError`] where the model's bytes cannot be edited.
    pub fn into_bytes(self) -> Result<Vec<u8>, ModelError> {
        let model = self.graph.model();
        let mut edits = Vec::new();
        let mut by_position: BTreeMap<usize, Vec<NodeIndex>> = BTreeMap::new();
        for &at in &self.graph.scope(MAIN).nodes {
            by_position.entry(self.graph.flat_node(at).position).or_default().push(at);
        }
        for (position, nodes) in by_position {
            if nodes.iter().any(|at| self.changes(*at)) {
                let place = Place::main_graph().child(field::GRAPH_NODE, position);
                let encoded = |node: &NodeProto| wire::delimited(field::GRAPH_NODE, &node.encode_to_vec());
                let both = |at: &NodeIndex| {
                    let behind = self.interposed.get(at).map_or_else(Vec::new, |interposed| interposed.nodes.clone());
                    std::iter::once(self.node(*at)).chain(behind)
                };
                let bytes = nodes.iter().flat_map(both).flat_map(|node| encoded(&node)).collect::<Vec<u8>>().into();
                edits.push(Edit { range: model.message(&place)?.whole, bytes });
            }
        }
        let stored = model.graph().initializer.iter().enumerate();
        for (position, _) in stored.filter(|(_, tensor)| self.fed.contains(&tensor.name)) {
            let range = model.message(&Place::main_graph().initializer(position))?.whole;
            edits.push(Edit { range, bytes: Bytes::new() });
        }
        let mut bytes = wire::spliced(model.bytes(), &wire::splices(model.bytes(), edits)?);
        let graph = self.fragments.get(&MAIN).map(|fragment| fragment.graph().clone());
        let addition = ModelProto { graph, opset_import: self.graph.flat().imports.clone(), ..ModelProto::default() };
        bytes.extend(addition.encode_to_vec());
        Ok(bytes)
    }

    fn changes(&self, at: NodeIndex) -> bool {
        let node = self.graph.flat_node(at);
        let body = |scope: &ScopeIndex| {
            self.fragments.contains_key(scope) || self.graph.scope(*scope).nodes.iter().any(|at| self.changes(*at))
        };
        let itself = node.function.is_some() || self.interposed.contains_key(&at) || self.named.contains_key(&at);
        itself || node.bodies.iter().any(body)
    }

    /// A node with its bodies as they have become.
    fn node(&self, at: NodeIndex) -> NodeProto {
        let node = self.graph.flat_node(at);
        let mut proto = node.proto.clone().into_owned();
        if let Some((interposed, output)) = self.interposed.get(&at).zip(proto.output.first_mut()) {
            output.clone_from(&interposed.raw);
        }
        for (&output, name) in self.named.get(&at).into_iter().flatten() {
            proto.output.resize(proto.output.len().max(output + 1), String::new());
            proto.output[output].clone_from(name);
        }
        if let Some(added) = self.outputs.get(&at) {
            add_outputs(&mut proto, self.stacked_or_carried(node), added);
        }
        for &body in &node.bodies {
            let Some(holder) = &self.graph.scope(body).holder else { continue };
            let held = self.body(body);
            if let Some(attribute) = proto.attribute.iter_mut().find(|attribute| attribute.name == holder.attribute) {
                match holder.of_list {
                    None => attribute.g = Some(held),
                    Some(index) => attribute.graphs[index] = held,
                }
            }
        }
        proto
    }

    fn body(&self, scope: ScopeIndex) -> GraphProto {
        let body = self.graph.scope(scope);
        let mut graph = body.proto.clone().into_owned();
        graph.node = body.nodes.iter().map(|at| self.node(*at)).collect();
        if let Some(fragment) = self.fragments.get(&scope) {
            let added = fragment.graph();
            graph.node.extend(added.node.iter().cloned());
            graph.initializer.extend(added.initializer.iter().cloned());
            graph.output.extend(added.output.iter().cloned());
        }
        graph
    }

    /// The number of outputs that a node has by its bodies, some of which it may not name.
    fn stacked_or_carried(&self, node: &FlatNode<'_>) -> usize {
        let of_body = node.bodies.first().map_or(0, |body| self.graph.scope(*body).proto.output.len());
        // The first output of a Loop's body is its condition.
        if node.proto.op_type == "Loop" { of_body.saturating_sub(1) } else { of_body }
    }
}

/// A serialised model with the bodies of its local functions in the place of their calls, for engines that know no
/// functions.
///
/// # Errors
/// [`ModelError`] where the bytes are no model.
pub fn inlined(bytes: &Bytes, folder: &Path) -> Result<Bytes, ModelError> {
    let fields = wire::fields(bytes, 0..bytes.len())?;
    if !fields.iter().any(|message| message.number == field::MODEL_FUNCTIONS) {
        return Ok(bytes.clone());
    }
    let model = Model::decode(Path::new(""), folder.to_path_buf(), bytes.clone())?;
    let graph = GraphIndex::new(&model)?;
    Additions::new(&graph).into_bytes().map(Bytes::from)
}

fn add_outputs(node: &mut NodeProto, present: usize, added: &[String]) {
    node.output.resize(present, String::new());
    node.output.extend(added.iter().cloned());
    for attribute in &mut node.attribute {
        if matches!(attribute.name.as_str(), "scan_output_axes" | "scan_output_directions") {
            attribute.ints.extend(added.iter().map(|_| 0));
        }
    }
}

/// Since opset 13 the axes of a ReduceSum are an input.
fn sum_of_first_axis(fragment: &mut Fragment, value: &str, opset: i64) -> String {
    let mut attributes = vec![fragment::int("keepdims", 0)];
    if opset < 13 {
        attributes.push(fragment::ints("axes", [0]));
        return fragment.node("ReduceSum", &[value], attributes);
    }
    let axes = fragment.integers(&[0]);
    fragment.node("ReduceSum", &[value, &axes], attributes)
}
