//! Builds small ONNX models for the tests, as the bytes of a `ModelProto`.

use crate::tensor::{ElementType, Tensor};
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

/// A graph under construction.
#[derive(Default)]
pub(super) struct Graph {
    proto: GraphProto,
}

impl Graph {
    pub(super) fn new() -> Self {
        Self { proto: GraphProto { name: "test".into(), ..GraphProto::default() } }
    }

    /// An input; an extent is a number or a symbol.
    pub(super) fn input(mut self, name: &str, element: ElementType, shape: &[&str]) -> Self {
        self.proto.input.push(value(name, element.onnx(), shape));
        self
    }

    /// An output, whose shape is left to the engine.
    pub(super) fn output(self, name: &str, element: ElementType) -> Self {
        self.output_code(name, element.onnx())
    }

    /// An output of any type by ONNX's number.
    pub(super) fn output_code(mut self, name: &str, code: i32) -> Self {
        let mut output = value(name, code, &[]);
        if let Some(type_proto::Value::TensorType(tensor)) = output.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        {
            tensor.shape = None;
        }
        self.proto.output.push(output);
        self
    }

    pub(super) fn weight(mut self, name: &str, tensor: &Tensor) -> Self {
        let proto = weight(name, tensor);
        self.proto.initializer.push(TensorProto { raw_data: raw(tensor), ..proto });
        self
    }

    /// A weight whose bytes, [`raw`], lie at the start of a file.
    pub(super) fn external(mut self, name: &str, tensor: &Tensor, location: &str) -> Self {
        let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
        let external_data = vec![
            entry("location", location.into()),
            entry("offset", "0".into()),
            entry("length", raw(tensor).len().to_string()),
        ];
        let proto = weight(name, tensor);
        self.proto.initializer.push(TensorProto { data_location: Some(1), external_data, ..proto });
        self
    }

    pub(super) fn node(mut self, op: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> Self {
        self.proto.node.push(NodeProto {
            name: format!("node_{output}"),
            op_type: op.into(),
            input: inputs.iter().map(ToString::to_string).collect(),
            output: vec![output.into()],
            attribute: attributes,
            ..NodeProto::default()
        });
        self
    }

    /// The last node is of another domain than ONNX's own.
    pub(super) fn of_domain(mut self, domain: &str) -> Self {
        if let Some(node) = self.proto.node.last_mut() {
            node.domain = domain.into();
        }
        self
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
        let model =
            ModelProto { ir_version: 8, graph: Some(self.proto), opset_import: vec![opset], ..ModelProto::default() };
        prost::Message::encode_to_vec(&model)
    }
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let kind = AttributeType::Ints as i32;
    AttributeProto { name: name.into(), r#type: kind, ints: values.to_vec(), ..AttributeProto::default() }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i: value, ..AttributeProto::default() }
}

pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    let kind = AttributeType::String as i32;
    AttributeProto { name: name.into(), r#type: kind, s: value.as_bytes().to_vec(), ..AttributeProto::default() }
}

/// The bytes of a tensor as ONNX stores them.
pub(super) fn raw(tensor: &Tensor) -> Vec<u8> {
    match tensor {
        Tensor::Float32(array) => array.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Tensor::Uint8(array) => array.iter().copied().collect(),
        Tensor::Int32(array) => array.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Tensor::Int64(array) => array.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Tensor::Bool(array) => array.iter().map(|&value| u8::from(value)).collect(),
        Tensor::Float16(array) => array.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Tensor::Float64(array) => array.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Tensor::Bfloat16(array) => array.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

fn weight(name: &str, tensor: &Tensor) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: tensor.element_type().onnx(),
        dims: tensor.shape().iter().map(|extent| *extent as i64).collect(),
        ..TensorProto::default()
    }
}

fn value(name: &str, code: i32, shape: &[&str]) -> ValueInfoProto {
    let dimension = |extent: &&str| {
        let value = match extent.parse() {
            Ok(number) => dimension::Value::DimValue(number),
            Err(_) => dimension::Value::DimParam(extent.to_string()),
        };
        Dimension { value: Some(value), ..Dimension::default() }
    };
    let shape = TensorShapeProto { dim: shape.iter().map(dimension).collect() };
    let tensor = type_proto::Tensor { elem_type: code, shape: Some(shape) };
    let kind = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(kind), ..ValueInfoProto::default() }
}
