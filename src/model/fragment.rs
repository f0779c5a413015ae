//! Extra nodes for a model, appended to its bytes.
//!
//! Two serialised messages, one after the other, are the merge of both (Protocol Buffers, "Last One Wins": repeated
//! fields concatenate, messages merge). So `model ++ fragment` is the model with more nodes, initializers, inputs and
//! outputs, and not one byte of the model is decoded, copied field by field, or lost.

use super::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};
use crate::tensor::{ElementType, Tensor};
use bytes::Bytes;
use ndarray::{ArrayD, IxDyn};
use prost::Message;

/// What separates the names that a fragment makes from those of any model.
const PREFIX: &str = "onnx_sap/";

/// Nodes that read values of a graph and add outputs to it.
#[derive(Debug, Default)]
pub struct Fragment {
    graph: GraphProto,
    /// What its names begin with besides [`PREFIX`].
    scope: String,
    names: usize,
}

/// `AttributeProto.AttributeType`.
const FLOAT: i32 = 1;
const INT: i32 = 2;
const INTS: i32 = 7;
const STRING: i32 = 3;
const TENSOR: i32 = 4;

impl Fragment {
    /// A fragment for the graph at that position: names of a body must differ from those around it.
    pub(super) fn of_scope(scope: usize) -> Self {
        let scope = if scope == 0 { String::new() } else { format!("{scope}/") };
        Self { scope, ..Self::default() }
    }

    /// The same for a graph that has names of earlier fragments already, of which the last is that number.
    pub(super) fn after(self, last: usize) -> Self {
        Self { names: last, ..self }
    }

    /// The number of a name that a fragment has made for a main graph.
    pub(super) fn number(name: &str) -> Option<usize> {
        name.strip_prefix(PREFIX)?.parse().ok()
    }

    /// A name that nothing has.
    pub(super) fn fresh(&mut self) -> String {
        self.names += 1;
        format!("{PREFIX}{}{}", self.scope, self.names)
    }

    /// What is added to the graph.
    pub(super) fn graph(&self) -> &GraphProto {
        &self.graph
    }

    /// Takes the nodes from that one on out again, to be put elsewhere.
    pub(super) fn take_nodes(&mut self, first: usize) -> Vec<NodeProto> {
        self.graph.node.split_off(first)
    }

    /// Adds a node with one output, and returns the output's name.
    pub fn node(&mut self, op_type: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = self.fresh();
        self.node_giving(op_type, inputs, std::slice::from_ref(&output), attributes);
        output
    }

    /// Adds a node whose outputs have these names, which nothing has.
    pub fn node_giving(&mut self, op_type: &str, inputs: &[&str], outputs: &[String], attributes: Vec<AttributeProto>) {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: outputs.to_vec(),
            name: outputs.first().cloned().unwrap_or_default(),
            op_type: op_type.to_owned(),
            attribute: attributes,
            ..NodeProto::default()
        });
    }

    /// Adds a constant vector of integers, as shapes are given to Reshape.
    pub fn integers(&mut self, values: &[i64]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(&[values.len()], ElementType::Int64, raw)
    }

    /// Adds a constant from its little-endian bytes.
    pub fn initializer(&mut self, dims: &[usize], element: ElementType, raw: Vec<u8>) -> String {
        let name = self.fresh();
        self.graph.initializer.push(TensorProto {
            dims: dims.iter().map(|&dim| dim as i64).collect(),
            data_type: element.onnx(),
            name: name.clone(),
            raw_data: Bytes::from(raw),
            ..TensorProto::default()
        });
        name
    }

    /// Adds a constant of float64 numbers.
    pub fn numbers(&mut self, dims: &[usize], values: impl IntoIterator<Item = f64>) -> String {
        let raw = values.into_iter().flat_map(f64::to_le_bytes).collect();
        self.initializer(dims, ElementType::Float64, raw)
    }

    /// Adds an input of unknown extents that must be fed.
    pub fn input(&mut self, element: ElementType, rank: usize) -> String {
        let name = self.fresh();
        let shape = TensorShapeProto { dim: vec![DimensionProto::default(); rank] };
        self.graph.input.push(value_info(&name, element.onnx(), Some(shape)));
        name
    }

    /// Adds an input of that name; extents are numbers or symbols. Named as an initializer, it makes that one a default which can
    /// be fed instead.
    pub fn named_input(&mut self, name: &str, element: ElementType, shape: TensorShapeProto) {
        self.graph.input.push(value_info(name, element.onnx(), Some(shape)));
    }

    /// Makes a value an output; the engines work out its shape.
    pub fn output(&mut self, name: &str, element: ElementType) {
        self.graph.output.push(value_info(name, element.onnx(), None));
    }

    /// Makes a value an output whose type the engines work out, too.
    pub fn untyped_output(&mut self, name: &str) {
        self.graph.output.push(ValueInfoProto { name: name.to_owned(), r#type: None });
    }

    /// The model with this fragment.
    pub fn append_to(self, model: &[u8]) -> Vec<u8> {
        let addition = ModelProto { graph: Some(self.graph), ..ModelProto::default() }.encode_to_vec();
        [model, &addition].concat()
    }
}

/// The declaration of a tensor; `elem_type` as ONNX numbers element types.
pub(super) fn value_info(name: &str, elem_type: i32, shape: Option<TensorShapeProto>) -> ValueInfoProto {
    let tensor_type = Some(TensorTypeProto { elem_type, shape });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type, ..TypeProto::default() }) }
}

/// A one-element tensor attribute of zero.
pub fn zero(name: &str, element: ElementType) -> AttributeProto {
    number(name, 0.0, element)
}

/// A one-element tensor attribute of one.
pub fn one(name: &str, element: ElementType) -> AttributeProto {
    number(name, 1.0, element)
}

fn number(name: &str, number: f64, element: ElementType) -> AttributeProto {
    let values = Tensor::from_f64(&ArrayD::from_elem(IxDyn(&[1]), number), element);
    let raw_data = Bytes::from(values.to_little_endian());
    let tensor = TensorProto { dims: vec![1], data_type: element.onnx(), raw_data, ..TensorProto::default() };
    AttributeProto { name: name.to_owned(), t: Some(tensor), r#type: TENSOR, ..AttributeProto::default() }
}

/// An integer attribute.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i: value, r#type: INT, ..AttributeProto::default() }
}

/// An attribute that is a number.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f: value, r#type: FLOAT, ..AttributeProto::default() }
}

/// An attribute that is a list of integers.
pub fn ints(name: &str, values: impl IntoIterator<Item = i64>) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        ints: values.into_iter().collect(),
        r#type: INTS,
        ..AttributeProto::default()
    }
}

/// A string attribute.
pub fn string(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        s: Bytes::copy_from_slice(value.as_bytes()),
        r#type: STRING,
        ..AttributeProto::default()
    }
}
