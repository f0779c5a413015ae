//! Who makes a value, who uses it, and which values are constants that hold weights.

use super::chain;
use super::flat::{Flat, FlatNode, MAIN, Scope, ScopeIndex};
use super::place::Place;
use super::proto::{NodeProto, SparseTensorProto, TensorProto, field};
use super::quantized::Quantization;
use super::view::View;
use super::{Model, ModelError, tensors};
use crate::tensor::ElementType;
use ndarray::ArrayD;
use std::collections::BTreeMap;

/// A node, counted over all graphs of the model and the bodies of functions where they are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub usize);

/// A value: names need only be unique within a graph.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId {
    /// The graph that defines it.
    pub scope: ScopeIndex,
    /// Its name there.
    pub name: String,
}

/// A constant tensor as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// What the ledger calls it: its name, behind the function or the body that it is stored in.
    pub name: String,
    /// Where it is stored.
    pub place: Place,
    /// The extent of each axis.
    pub dims: Vec<usize>,
    /// The number of its element type in ONNX.
    pub data_type: i32,
    /// Its element type, where this crate knows it.
    pub element: Option<ElementType>,
    /// How its integers stand for floats, where they do.
    pub quantization: Option<Quantization>,
}

/// A constant as a node reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// The stored tensor.
    pub constant: Constant,
    /// Its elements as the node sees them.
    pub view: View,
    /// Their type there, where this crate knows it.
    pub element: Option<ElementType>,
    /// The operators between the tensor and the node.
    pub through: Vec<String>,
}

/// A use of a stored tensor, under whatever name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// An input of a node.
    Input {
        /// The node.
        node: NodeIndex,
        /// Which of its inputs.
        input: usize,
    },
    /// An output of a graph.
    Output,
}

/// What a name stands for.
#[derive(Debug)]
enum Definition {
    /// What the graph takes.
    Given,
    /// A constant.
    Constant(Operand),
    /// What a node computes.
    Computed(NodeIndex),
}

/// All graphs of a model, indexed by value name. A node that only shows a constant in another way, a Transpose say,
/// counts as another name of it.
#[derive(Debug)]
pub struct GraphIndex<'m> {
    model: &'m Model,
    flat: Flat<'m>,
    definitions: Vec<BTreeMap<String, Definition>>,
    uses: BTreeMap<Place, Vec<Use>>,
}

impl<'m> GraphIndex<'m> {
    /// Indexes a model.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] for a constant whose shape is impossible.
    pub fn new(model: &'m Model) -> Result<Self, ModelError> {
        let flat = Flat::of(model);
        let definitions = flat.scopes.iter().map(|_| BTreeMap::new()).collect();
        let mut index = Self { model, flat, definitions, uses: BTreeMap::new() };
        for scope in 0..index.flat.scopes.len() {
            index.declare(ScopeIndex(scope))?;
        }
        for node in 0..index.flat.nodes.len() {
            index.define(NodeIndex(node))?;
        }
        index.find_uses();
        Ok(index)
    }

    fn declare(&mut self, at: ScopeIndex) -> Result<(), ModelError> {
        let scope = &self.flat.scopes[at.0];
        let given = scope.proto.input.iter().map(|input| (input.name.clone(), Definition::Given));
        let mut declared: BTreeMap<String, Definition> = given.collect();
        for (position, (tensor, stored)) in scope.proto.initializer.iter().zip(&scope.stored.initializer).enumerate() {
            let name = format!("{}{}", scope.path, stored.name);
            let operand = Operand::stored(name, scope.place.initializer(position), tensor)?;
            declared.insert(tensor.name.clone(), Definition::Constant(operand));
        }
        self.definitions[at.0].extend(declared);
        Ok(())
    }

    /// Nodes come in the order in which they run, so what they read is defined already.
    fn define(&mut self, at: NodeIndex) -> Result<(), ModelError> {
        let node = &self.flat.nodes[at.0];
        let mut seen = match self.constant_node(node)? {
            Some(operand) => Some(operand),
            None => chain::seen_through(self, at),
        };
        let scope = node.scope;
        let outputs: Vec<String> = node.proto.output.iter().filter(|name| !name.is_empty()).cloned().collect();
        for output in outputs {
            let definition = seen.take().map_or(Definition::Computed(at), Definition::Constant);
            self.definitions[scope.0].insert(output, definition);
        }
        Ok(())
    }

    fn constant_node(&self, node: &FlatNode<'_>) -> Result<Option<Operand>, ModelError> {
        if node.proto.op_type != "Constant" || !node.proto.is_standard() {
            return Ok(None);
        }
        let tensor = node.proto.attribute("value").and_then(|value| value.t.as_ref());
        let Some((tensor, place)) = tensor.zip(node.attributes.get("value")) else { return Ok(None) };
        let own_name = node.stored.and_then(|stored| stored.output.first()).map_or("", String::as_str);
        let name = format!("{}{own_name}", self.flat.path(node));
        Operand::stored(name, place.tensor(), tensor).map(Some)
    }

    fn find_uses(&mut self) {
        let mut found: Vec<(Place, Use)> = Vec::new();
        for (at, node) in self.nodes() {
            if self.is_shown(at) {
                continue;
            }
            for input in 0..node.input.len() {
                found.extend(
                    self.operand(at, input).map(|o| (o.constant.place.clone(), Use::Input { node: at, input })),
                );
            }
        }
        for (index, scope) in self.flat.scopes.iter().enumerate() {
            let operands =
                scope.proto.output.iter().filter_map(|output| self.constant_named(ScopeIndex(index), &output.name));
            found.extend(operands.map(|operand| (operand.constant.place.clone(), Use::Output)));
        }
        for (place, used) in found {
            self.uses.entry(place).or_default().push(used);
        }
    }

    /// The model that is indexed.
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// The nodes and graphs behind the index.
    pub fn flat(&self) -> &Flat<'m> {
        &self.flat
    }

    /// The node at that position.
    pub fn node(&self, at: NodeIndex) -> &NodeProto {
        &self.flat.nodes[at.0].proto
    }

    /// The node at that position with its surroundings.
    pub fn flat_node(&self, at: NodeIndex) -> &FlatNode<'m> {
        &self.flat.nodes[at.0]
    }

    /// The graph at that position.
    pub fn scope(&self, at: ScopeIndex) -> &Scope<'m> {
        &self.flat.scopes[at.0]
    }

    /// Every node, in the order in which they are stored; bodies behind the nodes that hold them.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &NodeProto)> {
        self.flat.nodes.iter().enumerate().map(|(position, node)| (NodeIndex(position), node.proto.as_ref()))
    }

    /// The graph that a name comes from, seen from `scope`: that one or one around it.
    fn defining(&self, scope: ScopeIndex, name: &str) -> Option<(ScopeIndex, &Definition)> {
        let mut at = scope;
        loop {
            if let Some(definition) = self.definitions[at.0].get(name) {
                return Some((at, definition));
            }
            let holder = self.flat.scopes[at.0].holder.as_ref()?;
            at = self.flat.nodes[holder.node.0].scope;
        }
    }

    fn constant_named(&self, scope: ScopeIndex, name: &str) -> Option<&Operand> {
        match self.defining(scope, name)? {
            (_, Definition::Constant(operand)) => Some(operand),
            _ => None,
        }
    }

    /// The constant that a node reads at an input.
    pub fn operand(&self, at: NodeIndex, input: usize) -> Option<&Operand> {
        let node = &self.flat.nodes[at.0];
        self.constant_named(node.scope, node.proto.input(input)?)
    }

    /// The value that a node reads at an input.
    pub fn value(&self, at: NodeIndex, input: usize) -> Option<ValueId> {
        let node = &self.flat.nodes[at.0];
        let name = node.proto.input(input)?;
        let scope = self.defining(node.scope, name).map_or(MAIN, |(scope, _)| scope);
        Some(ValueId { scope, name: name.to_owned() })
    }

    /// The constant of that name in the main graph.
    pub fn constant(&self, name: &str) -> Option<&Constant> {
        self.constant_named(MAIN, name).map(|operand| &operand.constant)
    }

    /// The nodes whose bodies a node is in, the innermost first.
    pub fn holders(&self, at: NodeIndex) -> Vec<NodeIndex> {
        let holder = |at: NodeIndex| self.flat.scopes[self.flat.nodes[at.0].scope.0].holder.as_ref().map(|h| h.node);
        std::iter::successors(holder(at), |&at| holder(at)).collect()
    }

    /// Whether any graph of the model has a value of that name.
    pub fn defines(&self, name: &str) -> bool {
        self.definitions.iter().any(|definitions| definitions.contains_key(name))
    }

    /// Every stored tensor that the index knows, each once, in the order of their places.
    pub fn constants(&self) -> Vec<&Constant> {
        let defined = self.definitions.iter().flat_map(BTreeMap::values);
        let operands = defined.filter_map(|definition| match definition {
            Definition::Constant(operand) => Some(&operand.constant),
            _ => None,
        });
        let by_place: BTreeMap<&Place, &Constant> = operands.map(|constant| (&constant.place, constant)).collect();
        by_place.into_values().collect()
    }

    /// The uses of a stored tensor under any name; nodes that only show it in another way are none.
    pub fn uses(&self, place: &Place) -> &[Use] {
        self.uses.get(place).map_or(&[], Vec::as_slice)
    }

    /// The node of the main graph that makes a value.
    pub fn producer(&self, name: &str) -> Option<NodeIndex> {
        match self.definitions[MAIN.0].get(name)? {
            Definition::Computed(at) => Some(*at),
            _ => None,
        }
    }

    /// The nodes that read a value, and at which of their inputs; nothing where it leaves the graph as well.
    pub fn readers(&self, value: &ValueId) -> Vec<(NodeIndex, usize)> {
        if self.flat.scopes[value.scope.0].proto.output.iter().any(|output| output.name == value.name) {
            return Vec::new();
        }
        let inputs = self.nodes().flat_map(|(at, node)| (0..node.input.len()).map(move |input| (at, input)));
        inputs.filter(|&(at, input)| self.value(at, input).as_ref() == Some(value)).collect()
    }

    /// Whether a node only holds a constant or shows one in another way.
    pub fn is_shown(&self, at: NodeIndex) -> bool {
        let node = &self.flat.nodes[at.0];
        let output = node.proto.output.first();
        output.is_some_and(|name| matches!(self.definitions[node.scope.0].get(name), Some(Definition::Constant(_))))
    }

    /// The integers of a small constant, such as a shape, that a node reads at an input.
    pub fn integers(&self, at: NodeIndex, input: usize) -> Option<Vec<i64>> {
        let node = &self.flat.nodes[at.0];
        match self.defining(node.scope, node.proto.input(input)?)?.1 {
            Definition::Constant(operand) => self.model.integers(&operand.constant),
            Definition::Computed(maker) => {
                let maker = self.node(*maker);
                let list = maker.ints("value_ints").map(<[i64]>::to_vec);
                list.or_else(|| maker.attribute("value_int").map(|value| vec![value.i]))
                    .filter(|_| maker.op_type == "Constant")
            }
            Definition::Given => None,
        }
    }
}

impl Operand {
    fn stored(name: String, place: Place, tensor: &TensorProto) -> Result<Self, ModelError> {
        let constant = Constant::of(name, place, tensor)?;
        Ok(Self { view: View::of(&constant.dims), element: constant.element, constant, through: Vec::new() })
    }
}

impl Constant {
    fn of(name: String, place: Place, tensor: &TensorProto) -> Result<Self, ModelError> {
        let (dims, data_type) = (tensors::dims(tensor)?, tensor.data_type);
        let element = ElementType::from_onnx(data_type);
        Ok(Self { name, place, dims, data_type, element, quantization: None })
    }

    /// The element type in which it is stored, in ONNX's words.
    pub fn type_name(&self) -> String {
        tensors::type_name(self.data_type)
    }
}

/// A sparse tensor of a graph: its name, and the shape that it stands for.
fn sparse(name: String, tensor: &SparseTensorProto) -> (String, Vec<usize>) {
    (name, tensor.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect())
}

impl GraphIndex<'_> {
    /// The names and shapes of sparse tensors: initializers of any graph, and values of Constant nodes.
    pub fn sparse_tensors(&self) -> Vec<(String, Vec<usize>)> {
        let initializers = self.flat.scopes.iter().flat_map(|scope| {
            let name = |tensor: &SparseTensorProto| tensor.values.as_ref().map_or("", |values| &values.name).to_owned();
            let stored = scope.stored.sparse_initializer.iter();
            stored.map(move |tensor| sparse(format!("{}{}", scope.path, name(tensor)), tensor))
        });
        let nodes = self.flat.nodes.iter().filter(|node| node.proto.is_standard() && node.proto.op_type == "Constant");
        let values = nodes.filter_map(|node| {
            let tensor = node.proto.attribute("sparse_value")?.sparse_tensor.as_ref()?;
            let stored = node.stored.unwrap_or(&node.proto);
            Some(sparse(format!("{}{}", self.flat.path(node), stored.output.first()?), tensor))
        });
        initializers.chain(values).collect()
    }
}

impl Model {
    /// The Constant nodes in the bodies of local functions, whether those are called or not. (Exporters leave tensors in
    /// attributes of calls, too, which the called functions do not read.)
    pub fn constants_of_functions(&self) -> Vec<Constant> {
        let mut found = Vec::new();
        for (index, function) in self.header().functions.iter().enumerate() {
            let constants =
                function.node.iter().enumerate().filter(|(_, node)| node.is_standard() && node.op_type == "Constant");
            for (position, node) in constants {
                let place = Place::function(index).child(field::FUNCTION_NODE, position);
                for (attribute, tensor) in
                    node.attribute.iter().enumerate().filter_map(|(at, a)| Some((at, a.t.as_ref()?)))
                {
                    let name = format!("{}/{}", function.name, node.output.first().map_or("", String::as_str));
                    found.extend(Constant::of(name, place.attribute(attribute).tensor(), tensor));
                }
            }
        }
        found
    }

    /// The values of a constant, exactly, as float64.
    ///
    /// # Errors
    /// A tensor that is not of a float type or whose bytes cannot be read.
    pub fn values(&self, constant: &Constant) -> Result<ArrayD<f64>, ModelError> {
        let tensor = self.tensor(&constant.place)?;
        match &constant.quantization {
            Some(quantization) => Ok(quantization.decode(&self.bytes_of(&tensor)?, &constant.dims)),
            None => self.decoded(&tensor),
        }
    }
}
