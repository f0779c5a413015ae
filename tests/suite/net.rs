//! Tiny models with any inputs and outputs, drawn node by node.

use crate::support::npz;
use onnx_sap::model::proto::{
    AttributeProto, DimensionProto, EXTERNAL, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use onnx_sap::tensor::ElementType::{self, Float32, Int64};
use prost::Message;
use std::collections::BTreeSet;

/// How many samples the data of these tests has.
pub(crate) const SAMPLES: usize = 10;

/// The weights of `x[N,3] → z[N,4]`; the first column alone is a binary classifier.
const WEIGHT: [f32; 12] = [0.5, -1.0, 0.25, 1.5, -0.75, 2.0, 1.0, -0.5, 1.25, 0.5, -1.5, 0.75];
const BIAS: [f32; 4] = [0.25, -0.5, 0.0, 0.125];

/// A model that grows node by node.
#[derive(Clone, Default)]
pub(crate) struct Net(GraphProto);

impl Net {
    pub(crate) fn input(mut self, name: &str, element: ElementType, shape: &[&str]) -> Self {
        self.0.input.push(port(name, element, shape));
        self
    }

    pub(crate) fn output(mut self, name: &str, element: ElementType, shape: &[&str]) -> Self {
        self.0.output.push(port(name, element, shape));
        self
    }

    pub(crate) fn node(mut self, op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> Self {
        self.0.node.push(NodeProto {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.into()],
            name: format!("node_{output}"),
            op_type: op.into(),
            attribute,
            ..NodeProto::default()
        });
        self
    }

    pub(crate) fn floats(self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, dims, Float32, raw)
    }

    pub(crate) fn integers(self, name: &str, dims: &[i64], values: &[i64]) -> Self {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, dims, Int64, raw)
    }

    /// A node that runs one of two bodies; what only they use is drawn into them.
    pub(crate) fn either(self, condition: &str, then: Self, otherwise: Self, output: &str) -> Self {
        let body = |name: &str, Self(graph): Self| AttributeProto {
            name: name.into(),
            r#type: 5,
            g: Some(GraphProto { name: name.into(), ..graph }),
            ..AttributeProto::default()
        };
        self.node("If", &[condition], output, vec![body("then_branch", then), body("else_branch", otherwise)])
    }

    /// Puts the last node into another operator set.
    pub(crate) fn of_domain(mut self, domain: &str) -> Self {
        self.0.node.last_mut().unwrap().domain = domain.into();
        self
    }

    /// Floats that a file beside the model holds.
    pub(crate) fn external(mut self, name: &str, dims: &[i64], location: &str, offset: u64) -> Self {
        let length = 4 * dims.iter().product::<i64>();
        let entries = [("location", location.into()), ("offset", offset.to_string()), ("length", length.to_string())];
        let entry = |(key, value): (&str, String)| StringStringEntryProto { key: key.into(), value };
        self.0.initializer.push(TensorProto {
            dims: dims.to_vec(),
            data_type: Float32.onnx(),
            name: name.into(),
            data_location: EXTERNAL,
            external_data: entries.into_iter().map(entry).collect(),
            ..TensorProto::default()
        });
        self
    }

    fn constant(mut self, name: &str, dims: &[i64], element: ElementType, raw: Vec<u8>) -> Self {
        self.0.initializer.push(TensorProto {
            dims: dims.to_vec(),
            data_type: element.onnx(),
            name: name.into(),
            raw_data: raw.into(),
            ..TensorProto::default()
        });
        self
    }

    /// `x → z`, with `classes` of the four columns.
    pub(crate) fn linear(self, x: &str, classes: usize) -> Self {
        let columns = |row: &[f32]| row[..classes].to_vec();
        let weight: Vec<f32> = WEIGHT.chunks(4).flat_map(columns).collect();
        self.floats("w", &[3, classes as i64], &weight).floats("b", &[classes as i64], &BIAS[..classes]).node(
            "Gemm",
            &[x, "w", "b"],
            "z",
            vec![],
        )
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        let domains: BTreeSet<&str> = self.0.node.iter().map(|node| node.domain.as_str()).collect();
        let opset = |domain: &str| {
            let version = if domain.is_empty() { 17 } else { 1 };
            OperatorSetIdProto { domain: domain.into(), version }
        };
        let opset_import = domains.into_iter().map(opset).collect();
        ModelProto { ir_version: 8, graph: Some(self.0), opset_import, ..ModelProto::default() }.encode_to_vec()
    }
}

/// The usual model: `x[N,3] → z`, to which a head can be added.
pub(crate) fn net(classes: usize) -> Net {
    Net::default().input("x", Float32, &["N", "3"]).linear("x", classes)
}

fn port(name: &str, element: ElementType, shape: &[&str]) -> ValueInfoProto {
    let dim = |extent: &&str| match extent.parse() {
        Ok(number) => DimensionProto { dim_value: Some(number), dim_param: None },
        Err(_) => DimensionProto { dim_value: None, dim_param: Some((*extent).to_owned()) },
    };
    let shape = Some(TensorShapeProto { dim: shape.iter().map(dim).collect() });
    let tensor_type = TensorTypeProto { elem_type: element.onnx(), shape };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type), ..TypeProto::default() }),
    }
}

/// The samples: multiples of 1/8, which every float type holds.
pub(crate) fn x() -> Vec<f32> {
    (0..3 * SAMPLES).map(|index| ((index * 37 + 11) % 41) as f32 / 8.0 - 2.5).collect()
}

/// Labels of that many classes.
pub(crate) fn labels(classes: usize) -> Vec<u8> {
    (0..SAMPLES).map(|index| ((index * 7 + index / 3) % classes) as u8).collect()
}

/// What the linear model computes for each sample.
pub(crate) fn scores(classes: usize) -> Vec<Vec<f64>> {
    let score = |row: &[f32], class: usize| {
        let products = row.iter().enumerate().map(|(at, &value)| f64::from(value) * f64::from(WEIGHT[4 * at + class]));
        products.sum::<f64>() + f64::from(BIAS[class])
    };
    x().chunks(3).map(|row| (0..classes).map(|class| score(row, class)).collect()).collect()
}

/// An array of the archive.
pub(crate) type Array<'a> = (&'a str, &'static str, Vec<usize>, Vec<u8>);

pub(crate) fn floats<'a>(name: &'a str, shape: &[usize], values: &[f32]) -> Array<'a> {
    (name, "<f4", shape.to_vec(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

pub(crate) fn integers<'a>(name: &'a str, shape: &[usize], values: &[i64]) -> Array<'a> {
    (name, "<i8", shape.to_vec(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

pub(crate) fn bytes<'a>(name: &'a str, shape: &[usize], values: &[u8]) -> Array<'a> {
    (name, "|u1", shape.to_vec(), values.to_vec())
}

/// An archive of these arrays and labels of that many classes.
pub(crate) fn archive(arrays: &[Array<'_>], classes: usize) -> Vec<u8> {
    let labels = bytes("y", &[SAMPLES], &labels(classes));
    let all: Vec<_> = arrays.iter().chain([&labels]).collect();
    let arrays: Vec<_> =
        all.iter().map(|(name, kind, shape, data)| (*name, *kind, shape.as_slice(), data.clone())).collect();
    npz(&arrays)
}
