//! Where a message of the model is: the way from the model down to it.

use super::proto::{AttributeProto, GraphProto, NodeProto, SparseTensorProto, TensorProto, field};
use super::{Model, ModelError, wire};
use prost::Message;
use std::fmt;

/// The way down to a message, each step the n-th field of a number. It means the same in every model of the same
/// structure, and so outlives changes of values.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(Vec<(u32, usize)>);

impl Place {
    /// The main graph.
    pub fn main_graph() -> Self {
        Self(vec![(field::MODEL_GRAPH, 0)])
    }

    /// A local function.
    pub(super) fn function(index: usize) -> Self {
        Self(vec![(field::MODEL_FUNCTIONS, index)])
    }

    /// The `index`-th field of that number in the message here.
    pub(super) fn child(&self, number: u32, index: usize) -> Self {
        Self(self.0.iter().copied().chain([(number, index)]).collect())
    }

    /// The initializer of a graph.
    pub(super) fn initializer(&self, index: usize) -> Self {
        self.child(field::GRAPH_INITIALIZER, index)
    }

    /// An attribute of a node.
    pub(super) fn attribute(&self, index: usize) -> Self {
        self.child(field::NODE_ATTRIBUTE, index)
    }

    /// An attribute that calls of a function need not give.
    pub(super) fn default_attribute(function: usize, index: usize) -> Self {
        Self::function(function).child(field::FUNCTION_ATTRIBUTE_PROTO, index)
    }

    /// The tensor in an attribute.
    pub(super) fn tensor(&self) -> Self {
        self.child(field::ATTRIBUTE_TENSOR, 0)
    }

    /// The name of a node's input.
    #[must_use]
    pub fn node_input(&self, input: usize) -> Self {
        self.child(field::NODE_INPUT, input)
    }

    /// The graph in an attribute of a node: the only one, or one of a list.
    pub(super) fn attribute_graph(&self, attribute: usize, of_list: Option<usize>) -> Self {
        let number = of_list.map_or(field::ATTRIBUTE_GRAPH, |_| field::ATTRIBUTE_GRAPHS);
        self.attribute(attribute).child(number, of_list.unwrap_or(0))
    }

    /// The name that stands there, where the place is the input of a node of that main graph or of a body in it.
    pub fn input_of<'g>(&self, main: &'g mut GraphProto) -> Option<&'g mut String> {
        fn within<'g>(graph: &'g mut GraphProto, steps: &[(u32, usize)]) -> Option<&'g mut String> {
            let (&(number, node), steps) = steps.split_first()?;
            let node = graph.node.get_mut(node).filter(|_| number == field::GRAPH_NODE)?;
            match steps {
                [(field::NODE_INPUT, input)] => node.input.get_mut(*input),
                [(field::NODE_ATTRIBUTE, at), (field::ATTRIBUTE_GRAPH, _), deeper @ ..] => {
                    within(node.attribute.get_mut(*at)?.g.as_mut()?, deeper)
                }
                [(field::NODE_ATTRIBUTE, at), (field::ATTRIBUTE_GRAPHS, index), deeper @ ..] => {
                    within(node.attribute.get_mut(*at)?.graphs.get_mut(*index)?, deeper)
                }
                _ => None,
            }
        }
        let (first, steps) = self.0.split_first()?;
        (first.0 == field::MODEL_GRAPH).then(|| within(main, steps)).flatten()
    }

    /// The position of the local function that it is in.
    pub fn function_index(&self) -> Option<usize> {
        self.0.first().filter(|_| self.is_in_function()).map(|&(_, index)| index)
    }

    /// The steps, as `wire.rs` takes them.
    pub(super) fn steps(&self) -> &[(u32, usize)] {
        &self.0
    }

    /// Whether it is a node of a function's body, not of a graph inside it.
    pub(super) fn is_function_node(&self) -> bool {
        self.is_in_function() && self.0.len() == 2
    }

    /// Whether it is in the body of a local function.
    pub fn is_in_function(&self) -> bool {
        self.0.first().is_some_and(|&(number, _)| number == field::MODEL_FUNCTIONS)
    }
}

/// What is stored there, as the ledger says it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<u32> = self.0.iter().map(|&(number, _)| number).collect();
        let in_body = numbers.iter().any(|number| matches!(*number, field::ATTRIBUTE_GRAPH | field::ATTRIBUTE_GRAPHS));
        f.write_str(match numbers.as_slice() {
            [.., field::NODE_ATTRIBUTE | field::FUNCTION_ATTRIBUTE_PROTO, field::ATTRIBUTE_TENSOR] => "Constant node",
            _ => "initializer",
        })?;
        match (self.is_in_function(), in_body) {
            (true, _) => f.write_str(" of a function"),
            (false, true) => f.write_str(" of a body"),
            (false, false) => Ok(()),
        }
    }
}

impl Model {
    /// The field that holds the message at a place.
    pub(super) fn message(&self, place: &Place) -> Result<wire::Field, ModelError> {
        let missing = || ModelError::Graph("a part of the model is not where it was; was the file changed?".into());
        wire::locate(&self.bytes, place.steps())?.ok_or_else(missing)
    }

    /// The tensor at a place; its data are shared with the model.
    pub(super) fn tensor(&self, place: &Place) -> Result<TensorProto, ModelError> {
        let payload = self.message(place)?.payload;
        TensorProto::decode(self.bytes.slice(payload)).map_err(|error| ModelError::NotOnnx {
            path: self.path.clone(),
            reason: format!("a tensor cannot be read: {error}"),
        })
    }

    /// Every tensor of the model, those of subgraphs and functions included, in the order of the file's lists.
    pub fn tensors(&self) -> Vec<(Place, &TensorProto)> {
        let mut found = Vec::new();
        graph_tensors(&self.graph, &Place::main_graph(), &mut found);
        for (index, function) in self.proto.functions.iter().enumerate() {
            let place = Place::function(index);
            node_tensors(&function.node, &place, field::FUNCTION_NODE, &mut found);
            let defaults = function.attribute_proto.iter().enumerate();
            let place = |at| Place::default_attribute(index, at).tensor();
            found.extend(defaults.filter_map(|(at, attribute)| Some((place(at), attribute.t.as_ref()?))));
        }
        found
    }
}

fn graph_tensors<'m>(graph: &'m GraphProto, place: &Place, found: &mut Vec<(Place, &'m TensorProto)>) {
    found.extend(graph.initializer.iter().enumerate().map(|(index, tensor)| (place.initializer(index), tensor)));
    for (index, sparse) in graph.sparse_initializer.iter().enumerate() {
        sparse_tensors(sparse, &place.child(field::GRAPH_SPARSE_INITIALIZER, index), found);
    }
    node_tensors(&graph.node, place, field::GRAPH_NODE, found);
}

fn node_tensors<'m>(nodes: &'m [NodeProto], place: &Place, number: u32, found: &mut Vec<(Place, &'m TensorProto)>) {
    for (index, node) in nodes.iter().enumerate() {
        for (at, attribute) in node.attribute.iter().enumerate() {
            attribute_tensors(attribute, &place.child(number, index), at, found);
        }
    }
}

fn attribute_tensors<'m>(
    attribute: &'m AttributeProto,
    node: &Place,
    at: usize,
    found: &mut Vec<(Place, &'m TensorProto)>,
) {
    let here = node.attribute(at);
    found.extend(attribute.t.iter().map(|tensor| (here.tensor(), tensor)));
    let list = attribute.tensors.iter().enumerate();
    found.extend(list.map(|(index, tensor)| (here.child(field::ATTRIBUTE_TENSORS, index), tensor)));
    for (graph, of_list) in bodies(attribute) {
        graph_tensors(graph, &node.attribute_graph(at, of_list), found);
    }
}

fn sparse_tensors<'m>(sparse: &'m SparseTensorProto, place: &Place, found: &mut Vec<(Place, &'m TensorProto)>) {
    let parts = [(field::SPARSE_VALUES, &sparse.values), (field::SPARSE_INDICES, &sparse.indices)];
    found.extend(parts.into_iter().filter_map(|(number, part)| Some((place.child(number, 0), part.as_ref()?))));
}

/// The graphs that an attribute holds, each with its position where they are a list.
pub(super) fn bodies(attribute: &AttributeProto) -> impl Iterator<Item = (&GraphProto, Option<usize>)> {
    let only = attribute.g.iter().map(|graph| (graph, None));
    only.chain(attribute.graphs.iter().enumerate().map(|(index, graph)| (graph, Some(index))))
}
