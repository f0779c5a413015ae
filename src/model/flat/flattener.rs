//! Makes the list: each call of a local function is replaced by a copy of the function's body.

use super::{Flat, FlatNode, Holder, Scope, ScopeIndex};
use crate::model::place::{Place, bodies};
use crate::model::proto::{
    AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto, TensorProto, field, operator_set,
};
use crate::model::{Model, NodeIndex};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// More nodes than any model has: functions that call each other can unfold without bound.
const MOST_NODES: usize = 1 << 20;

type FunctionKey = (String, String, String);

/// Names of a function's body as its caller knows them: one map for the body, one for each graph inside it.
type Renames = Vec<BTreeMap<String, String>>;

/// The list as it grows.
pub(super) struct Flattener<'m> {
    functions: BTreeMap<FunctionKey, (usize, &'m FunctionProto)>,
    versions: BTreeMap<String, i64>,
    names: BTreeSet<String>,
    flat: Flat<'m>,
}

/// Where nodes come from and go to.
#[derive(Clone, Copy)]
struct Spot<'a> {
    scope: ScopeIndex,
    label: &'a str,
    function: Option<&'a str>,
    position: Option<usize>,
}

impl<'m> Flattener<'m> {
    /// The nodes of a model.
    pub(super) fn run(model: &'m Model) -> Flat<'m> {
        let key = |function: &FunctionProto| {
            (operator_set(&function.domain).to_owned(), function.name.clone(), function.overload.clone())
        };
        let functions = model.proto.functions.iter().enumerate();
        let imports = model.proto.opset_import.iter();
        let mut flattener = Self {
            functions: functions.map(|(index, function)| (key(function), (index, function))).collect(),
            versions: imports.map(|set| (operator_set(&set.domain).to_owned(), set.version)).collect(),
            names: BTreeSet::new(),
            flat: Flat {
                nodes: Vec::new(),
                scopes: Vec::new(),
                imports: Vec::new(),
                followed: BTreeSet::new(),
                opaque: BTreeMap::new(),
            },
        };
        if !flattener.functions.is_empty() {
            names_of(&model.graph, &mut flattener.names);
        }
        flattener.graph(&model.graph, &Place::main_graph(), "", None);
        flattener.flat
    }

    fn scope(
        &mut self,
        (stored, proto): (&'m GraphProto, Cow<'m, GraphProto>),
        place: Place,
        path: String,
        holder: Option<Holder>,
    ) -> ScopeIndex {
        self.flat.scopes.push(Scope { proto, stored, place, path, holder, nodes: Vec::new() });
        ScopeIndex(self.flat.scopes.len() - 1)
    }

    /// A graph outside of functions: nothing in it is renamed.
    fn graph(&mut self, graph: &'m GraphProto, place: &Place, path: &str, holder: Option<Holder>) -> ScopeIndex {
        let scope = self.scope((graph, Cow::Borrowed(graph)), place.clone(), path.to_owned(), holder);
        for (position, node) in graph.node.iter().enumerate() {
            let place = place.child(field::GRAPH_NODE, position);
            let spot = Spot { scope, label: path, function: None, position: Some(position) };
            let attributes = attribute_places(node, &place);
            if !self.call(node, &attributes, spot, &mut Vec::new()) {
                let stored = (place.clone(), attributes);
                let index = self.push((Some(node), Cow::Borrowed(node)), stored, spot, position);
                for (at, attribute) in node.attribute.iter().enumerate() {
                    for (body, of_list) in bodies(attribute) {
                        let path = self.body_path(index, &attribute.name, of_list);
                        let holder = Holder { node: index, attribute: attribute.name.clone(), of_list };
                        let body = self.graph(body, &place.attribute_graph(at, of_list), &path, Some(holder));
                        self.flat.nodes[index.0].bodies.push(body);
                    }
                }
            }
        }
        scope
    }

    fn push(
        &mut self,
        (stored, proto): (Option<&'m NodeProto>, Cow<'m, NodeProto>),
        (place, attributes): (Place, BTreeMap<String, Place>),
        spot: Spot<'_>,
        position: usize,
    ) -> NodeIndex {
        let index = NodeIndex(self.flat.nodes.len());
        let label = format!("{}{}", spot.label, stored.unwrap_or(&proto).label());
        let (scope, function, bodies) = (spot.scope, spot.function.map(str::to_owned), Vec::new());
        self.flat.nodes.push(FlatNode { proto, stored, place, attributes, scope, label, function, position, bodies });
        self.flat.scopes[spot.scope.0].nodes.push(index);
        index
    }

    fn body_path(&self, holder: NodeIndex, attribute: &str, of_list: Option<usize>) -> String {
        let node = &self.flat.nodes[holder.0];
        let position = of_list.map(|index| format!("{index}/")).unwrap_or_default();
        let label = node.stored.map_or("", NodeProto::label);
        format!("{}{label}/{attribute}/{position}", self.flat.path(node))
    }

    /// Puts a function's body in the place of a call, if that is what the node is and if it can be done.
    fn call(
        &mut self,
        call: &NodeProto,
        attributes: &BTreeMap<String, Place>,
        spot: Spot<'_>,
        calling: &mut Vec<usize>,
    ) -> bool {
        let key = (call.operator_set().to_owned(), call.op_type.clone(), call.overload.clone());
        let Some(&(index, function)) = self.functions.get(&key) else { return false };
        if let Some(reason) = self.obstacle(call, function, calling.contains(&index)) {
            self.flat.opaque.insert(function.name.clone(), reason);
            return false;
        }
        self.import(function);
        self.flat.followed.insert(function.name.clone());
        let label = format!("{}{}/", spot.label, call.label());
        let inside = Spot { label: &label, function: Some(&function.name), ..spot };
        let mut renames = vec![self.parameters(call, function, &label)];
        calling.push(index);
        let position = spot.position.unwrap_or(0);
        let place = Place::function(index);
        let origin = Origin { place: &place, number: field::FUNCTION_NODE, call, attributes, index, function };
        self.body(&function.node, &origin, inside, &mut renames, calling);
        calling.pop();
        self.pass_through(call, function, &renames, inside, position);
        true
    }

    fn obstacle(&self, call: &NodeProto, function: &FunctionProto, recursive: bool) -> Option<String> {
        if recursive {
            return Some("calls itself".into());
        }
        if self.flat.nodes.len() + function.node.len() > MOST_NODES {
            return Some("is called too often".into());
        }
        if call.attribute.iter().any(|attribute| bodies(attribute).next().is_some()) {
            return Some("takes a graph as an attribute".into());
        }
        let used = used_domains(&function.node);
        let differs = |set: &&OperatorSetIdProto| {
            let name = operator_set(&set.domain);
            used.contains(name) && self.versions.get(name).is_some_and(|&version| version != set.version)
        };
        let set = function.opset_import.iter().find(differs)?;
        Some(format!("uses version {} of the operator set {:?}, and the model another", set.version, set.domain))
    }

    fn import(&mut self, function: &FunctionProto) {
        for set in &function.opset_import {
            if !self.versions.contains_key(operator_set(&set.domain)) {
                self.versions.insert(operator_set(&set.domain).to_owned(), set.version);
                self.flat.imports.push(set.clone());
            }
        }
    }

    /// The function's parameters and results under the names that the caller gives them.
    fn parameters(&mut self, call: &NodeProto, function: &FunctionProto, label: &str) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        for (index, parameter) in function.input.iter().enumerate() {
            map.insert(parameter.clone(), call.input(index).unwrap_or_default().to_owned());
        }
        for (index, result) in function.output.iter().enumerate() {
            if !map.contains_key(result) {
                let given = call.output.get(index).filter(|name| !name.is_empty()).cloned();
                let name = given.unwrap_or_else(|| self.fresh(label, result));
                map.insert(result.clone(), name);
            }
        }
        map
    }

    /// A result that is a parameter, or another result, has no node of its own.
    fn pass_through(
        &mut self,
        call: &NodeProto,
        function: &FunctionProto,
        renames: &Renames,
        spot: Spot<'_>,
        at: usize,
    ) {
        for (result, output) in function.output.iter().zip(&call.output).filter(|(_, output)| !output.is_empty()) {
            let Some(held) = renames[0].get(result).filter(|held| *held != output) else { continue };
            let identity = NodeProto {
                input: vec![held.clone()],
                output: vec![output.clone()],
                op_type: "Identity".into(),
                ..NodeProto::default()
            };
            self.push((None, Cow::Owned(identity)), (Place::default(), BTreeMap::new()), spot, at);
        }
    }

    fn fresh(&mut self, label: &str, name: &str) -> String {
        let mut fresh = format!("{label}{name}");
        while !self.names.insert(fresh.clone()) {
            fresh.push('\'');
        }
        fresh
    }

    /// The nodes of a function's body, or of a graph inside it, under their callers' names.
    fn body(
        &mut self,
        nodes: &'m [NodeProto],
        origin: &Origin<'_>,
        spot: Spot<'_>,
        renames: &mut Renames,
        calling: &mut Vec<usize>,
    ) {
        for (position, node) in nodes.iter().enumerate() {
            let place = origin.place.child(origin.number, position);
            let copied = self.copied(node, origin, spot.label, renames);
            let attributes = origin.places(node, &place);
            let at = spot.position.unwrap_or(position);
            if self.call(&copied, &attributes, Spot { position: Some(at), ..spot }, calling) {
                continue;
            }
            let stored = (place.clone(), attributes);
            let index = self.push((Some(node), Cow::Owned(copied)), stored, spot, at);
            for (at, attribute) in node.attribute.iter().enumerate() {
                for (body, of_list) in bodies(attribute) {
                    let path = self.body_path(index, &attribute.name, of_list);
                    let holder = Holder { node: index, attribute: attribute.name.clone(), of_list };
                    let place = place.attribute_graph(at, of_list);
                    renames.push(self.declared_names(body, spot.label));
                    let declared = renamed_graph(body, renames);
                    let scope = self.scope((body, Cow::Owned(declared)), place.clone(), path, Some(holder));
                    let inside = Spot { scope, position: None, ..spot };
                    let origin = Origin { place: &place, number: field::GRAPH_NODE, ..*origin };
                    self.body(&body.node, &origin, inside, renames, calling);
                    for output in &mut self.flat.scopes[scope.0].proto.to_mut().output {
                        output.name = known(renames, &output.name);
                    }
                    renames.pop();
                    self.flat.nodes[index.0].bodies.push(scope);
                }
            }
        }
    }

    /// A node of a body with its caller's names and attributes; its graphs are left to their scopes.
    fn copied(&mut self, node: &NodeProto, origin: &Origin<'_>, label: &str, renames: &mut Renames) -> NodeProto {
        let input = node.input.iter().map(|name| known(renames, name)).collect();
        let mut output = Vec::with_capacity(node.output.len());
        for name in &node.output {
            let innermost = renames.last().is_some_and(|map| map.contains_key(name));
            if !innermost && !name.is_empty() {
                let fresh = self.fresh(label, name);
                if let Some(map) = renames.last_mut() {
                    map.insert(name.clone(), fresh);
                }
            }
            output.push(known(renames, name));
        }
        let attribute = node.attribute.iter().filter_map(|attribute| origin.resolve(attribute)).collect();
        // ONNX Runtime refuses a model whose nodes share a name, as the copies of two calls would.
        let name = if node.name.is_empty() { String::new() } else { self.fresh(label, &node.name) };
        NodeProto { input, output, name, attribute, ..node.clone() }
    }

    /// Fresh names for what a graph inside a function declares.
    fn declared_names(&mut self, graph: &GraphProto, label: &str) -> BTreeMap<String, String> {
        let inputs = graph.input.iter().map(|input| &input.name);
        let names = inputs.chain(graph.initializer.iter().map(|tensor| &tensor.name));
        names.map(|name| (name.clone(), self.fresh(label, name))).collect()
    }
}

/// The body that nodes are copied from, and the call that they are copied for.
#[derive(Clone, Copy)]
struct Origin<'a> {
    place: &'a Place,
    number: u32,
    call: &'a NodeProto,
    /// Where the call's attributes are stored.
    attributes: &'a BTreeMap<String, Place>,
    index: usize,
    function: &'a FunctionProto,
}

fn attribute_places(node: &NodeProto, place: &Place) -> BTreeMap<String, Place> {
    let attributes = node.attribute.iter().enumerate();
    attributes.map(|(at, attribute)| (attribute.name.clone(), place.attribute(at))).collect()
}

impl Origin<'_> {
    /// An attribute of the body as the call has it; nothing where it refers to one that is given nowhere.
    fn resolve(&self, attribute: &AttributeProto) -> Option<AttributeProto> {
        if attribute.ref_attr_name.is_empty() {
            return Some(attribute.clone());
        }
        let given = self.call.attribute(&attribute.ref_attr_name);
        let default = || self.default(&attribute.ref_attr_name).map(|(_, attribute)| attribute);
        let mut resolved = given.or_else(default)?.clone();
        resolved.name.clone_from(&attribute.name);
        Some(resolved)
    }

    fn default(&self, name: &str) -> Option<(usize, &AttributeProto)> {
        self.function.attribute_proto.iter().enumerate().find(|(_, attribute)| attribute.name == name)
    }

    /// Where the attributes of a node of the body are stored.
    fn places(&self, node: &NodeProto, place: &Place) -> BTreeMap<String, Place> {
        let mut places = attribute_places(node, place);
        for attribute in node.attribute.iter().filter(|attribute| !attribute.ref_attr_name.is_empty()) {
            let given = self.attributes.get(&attribute.ref_attr_name).cloned();
            let default =
                || self.default(&attribute.ref_attr_name).map(|(at, _)| Place::default_attribute(self.index, at));
            if let Some(place) = given.or_else(default) {
                places.insert(attribute.name.clone(), place);
            }
        }
        places
    }
}

fn known(renames: &Renames, name: &str) -> String {
    renames.iter().rev().find_map(|map| map.get(name)).map_or_else(|| name.to_owned(), Clone::clone)
}

/// What a graph inside a function declares, under its new names and without its nodes.
fn renamed_graph(graph: &GraphProto, renames: &Renames) -> GraphProto {
    let tensor = |tensor: &TensorProto| TensorProto { name: known(renames, &tensor.name), ..tensor.clone() };
    let mut declared = GraphProto { node: Vec::new(), value_info: Vec::new(), ..graph.clone() };
    declared.initializer = graph.initializer.iter().map(tensor).collect();
    for info in &mut declared.input {
        info.name = known(renames, &info.name);
    }
    declared
}

fn used_domains(nodes: &[NodeProto]) -> BTreeSet<&str> {
    let inner = nodes.iter().flat_map(|node| &node.attribute).flat_map(bodies);
    let inner = inner.flat_map(|(graph, _)| used_domains(&graph.node));
    nodes.iter().map(NodeProto::operator_set).chain(inner).collect()
}

fn names_of(graph: &GraphProto, names: &mut BTreeSet<String>) {
    names.extend(graph.input.iter().map(|input| input.name.clone()));
    names.extend(graph.initializer.iter().map(|tensor| tensor.name.clone()));
    for node in &graph.node {
        names.insert(node.name.clone());
        names.extend(node.input.iter().chain(&node.output).cloned());
        for (body, _) in node.attribute.iter().flat_map(bodies) {
            names_of(body, names);
        }
    }
}
