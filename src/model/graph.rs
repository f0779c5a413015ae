//! Who makes a value, who uses it, and which values are constants that hold weights.

use super::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};
use super::{Model, ModelError, tensors};
use crate::tensor::ElementType;
use ndarray::ArrayD;
use std::collections::{BTreeMap, BTreeSet};

/// The position of a node in the main graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub usize);

/// Where in the model a constant is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The initializer at that position.
    Initializer(usize),
    /// The tensor in an attribute of a Constant node.
    ConstantNode {
        /// The node's position in the graph.
        node: usize,
        /// The attribute's position in the node.
        attribute: usize,
    },
}

/// A constant tensor of the main graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// The name of the value.
    pub name: String,
    /// Where it is stored.
    pub place: Place,
    /// The extent of each axis.
    pub dims: Vec<usize>,
    /// The element type, where this crate knows it.
    pub element: Option<ElementType>,
}

/// Another name of a constant: the output of an Identity, or of a Cast from one float type to another.
#[derive(Clone, Copy, Debug)]
struct Alias<'a> {
    original: &'a str,
    element: ElementType,
}

/// The main graph, indexed by value name. An Identity or Cast of a constant counts as another name of it.
pub struct GraphIndex<'a> {
    model: &'a Model,
    constants: BTreeMap<&'a str, Constant>,
    aliases: BTreeMap<&'a str, Alias<'a>>,
    users: BTreeMap<&'a str, Vec<NodeIndex>>,
    producers: BTreeMap<&'a str, NodeIndex>,
    pinned: BTreeSet<&'a str>,
}

impl<'a> GraphIndex<'a> {
    /// Indexes the main graph.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] for a constant whose shape is impossible.
    pub fn new(model: &'a Model) -> Result<Self, ModelError> {
        let graph = model.graph();
        let mut index = Self {
            model,
            constants: BTreeMap::new(),
            aliases: BTreeMap::new(),
            users: BTreeMap::new(),
            producers: BTreeMap::new(),
            pinned: graph.output.iter().map(|output| output.name.as_str()).collect(),
        };
        for (position, tensor) in graph.initializer.iter().enumerate() {
            index.add_constant(&tensor.name, Place::Initializer(position), tensor)?;
        }
        for (position, node) in graph.node.iter().enumerate() {
            index.add_node(NodeIndex(position), node)?;
        }
        Ok(index)
    }

    fn add_node(&mut self, at: NodeIndex, node: &'a NodeProto) -> Result<(), ModelError> {
        if let Some((output, alias)) = self.alias(node) {
            self.aliases.insert(output, alias);
            return Ok(());
        }
        for input in node.input.iter().filter(|name| !name.is_empty()) {
            self.users.entry(self.original(input)).or_default().push(at);
        }
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            self.producers.insert(output, at);
        }
        for name in node.attribute.iter().flat_map(subgraphs).flat_map(captured) {
            self.pinned.insert(name);
        }
        if node.op_type == "Constant"
            && node.is_standard()
            && let [output] = node.output.as_slice()
            && let Some((attribute, value)) = node.attribute.iter().enumerate().find(|(_, a)| a.name == "value")
            && let Some(tensor) = &value.t
        {
            self.add_constant(output, Place::ConstantNode { node: at.0, attribute }, tensor)?;
        }
        Ok(())
    }

    fn add_constant(&mut self, name: &'a str, place: Place, tensor: &TensorProto) -> Result<(), ModelError> {
        let element = ElementType::from_onnx(tensor.data_type);
        let constant = Constant { name: name.to_owned(), place, dims: tensors::dims(tensor)?, element };
        self.constants.insert(name, constant);
        Ok(())
    }

    /// The model that is indexed.
    pub fn model(&self) -> &'a Model {
        self.model
    }

    /// The node at that position.
    pub fn node(&self, at: NodeIndex) -> &'a NodeProto {
        &self.model.graph().node[at.0]
    }

    /// Every node of the main graph with its position.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &'a NodeProto)> {
        self.model.graph().node.iter().enumerate().map(|(position, node)| (NodeIndex(position), node))
    }

    fn original<'n>(&self, name: &'n str) -> &'n str
    where
        'a: 'n,
    {
        self.aliases.get(name).map_or(name, |alias| alias.original)
    }

    /// The name that a node gives to a constant, where it does no more than that.
    fn alias(&self, node: &'a NodeProto) -> Option<(&'a str, Alias<'a>)> {
        let ([input], [output]) = (node.input.as_slice(), node.output.as_slice()) else { return None };
        let held = self.operand_element(input)?;
        let element = match node.op_type.as_str() {
            "Identity" => held,
            "Cast" => ElementType::from_onnx(i32::try_from(node.int("to", 0)).ok()?)?,
            _ => return None,
        };
        let kept = element == held || (element.is_float() && held.is_float());
        (node.is_standard() && kept).then(|| (output.as_str(), Alias { original: self.original(input), element }))
    }

    /// Whether a node does no more than give a constant another name.
    pub fn is_alias(&self, node: &NodeProto) -> bool {
        node.output.iter().any(|output| self.aliases.contains_key(output.as_str()))
    }

    /// The element type that a constant has where it is used under that name: after a Cast another than it is stored in.
    pub fn operand_element(&self, name: &str) -> Option<ElementType> {
        self.aliases.get(name).map(|alias| alias.element).or_else(|| self.constants.get(name)?.element)
    }

    /// The constant of that name, or of which the name is an Identity.
    pub fn constant(&self, name: &str) -> Option<&Constant> {
        self.constants.get(self.original(name))
    }

    /// The nodes that use a value under any name, one entry for each use.
    pub fn users(&self, name: &str) -> &[NodeIndex] {
        self.users.get(name).map_or(&[], Vec::as_slice)
    }

    /// The node that makes a value.
    pub fn producer(&self, name: &str) -> Option<NodeIndex> {
        self.producers.get(name).copied()
    }

    /// Whether a value is a graph output or used inside a subgraph, so that it must not change unseen.
    pub fn is_pinned(&self, name: &str) -> bool {
        let other_names = self.aliases.iter().filter(|(_, alias)| alias.original == name).map(|(alias, _)| *alias);
        other_names.chain([name]).any(|name| self.pinned.contains(name))
    }
}

impl Model {
    /// The stored tensor of a constant.
    pub(super) fn tensor(&self, place: Place) -> Option<&TensorProto> {
        match place {
            Place::Initializer(position) => self.graph().initializer.get(position),
            Place::ConstantNode { node, attribute } => {
                self.graph().node.get(node)?.attribute.get(attribute)?.t.as_ref()
            }
        }
    }

    /// The values of a constant, exactly, as float64.
    ///
    /// # Errors
    /// A tensor that is not of a float type or whose bytes cannot be read.
    pub fn values(&self, constant: &Constant) -> Result<ArrayD<f64>, ModelError> {
        let missing = || ModelError::Tensor { tensor: constant.name.clone(), reason: "is not in the model".into() };
        self.decode_values(self.tensor(constant.place).ok_or_else(missing)?)
    }
}

/// The graphs that an attribute holds.
pub fn subgraphs(attribute: &AttributeProto) -> impl Iterator<Item = &GraphProto> {
    attribute.g.iter().chain(&attribute.graphs)
}

/// The names that a subgraph uses, at any depth, whether its own or the outer graph's.
fn captured(graph: &GraphProto) -> Vec<&str> {
    let mut names: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
    for node in &graph.node {
        names.extend(node.input.iter().map(String::as_str));
        names.extend(node.attribute.iter().flat_map(subgraphs).flat_map(captured));
    }
    names
}
