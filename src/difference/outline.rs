//! The structure of a model as named parts with named facts, so that two models are compared as two maps.

use crate::model::Model;
use crate::model::proto::{
    AttributeProto, DimensionProto, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto, TensorTypeProto,
    TypeProto, ValueInfoProto, operator_set,
};
use crate::tensor::ElementType;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A fact that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is a fact of, such as `node conv1_out` or `opset ai.onnx`.
    pub part: String,
    /// In the first model; nothing where it has no such part.
    pub a: Option<String>,
    /// In the second.
    pub b: Option<String>,
}

/// What the structures of two models differ in. Nodes are known by their first output, whatever their order and place.
pub fn structure(a: &Model, b: &Model) -> Vec<Difference> {
    all_differences(&Outline::of(a), &Outline::of(b))
}

/// What two models say of themselves that differs: who made them, and their metadata.
pub fn metadata(a: &Model, b: &Model) -> Vec<Difference> {
    all_differences(&Outline::of_metadata(a), &Outline::of_metadata(b))
}

fn all_differences(a: &Outline, b: &Outline) -> Vec<Difference> {
    let parts: BTreeSet<&String> = a.0.keys().chain(b.0.keys()).collect();
    parts.into_iter().flat_map(|part| differences(part, a.0.get(part), b.0.get(part))).collect()
}

/// The facts of a part: one is enough for a version, a node has its operator, its inputs and more.
type Facts = BTreeMap<String, String>;

/// The fact that a part with only one has.
const ONLY: &str = "";

/// What every node has.
const OPERATOR: &str = "operator";
const INPUTS: &str = "inputs";

fn differences(part: &str, a: Option<&Facts>, b: Option<&Facts>) -> Vec<Difference> {
    let whole = |facts: Option<&Facts>| facts.map(summary);
    let difference = |part: String, a, b| Difference { part, a, b };
    let (Some(a), Some(b)) = (a, b) else { return vec![difference(part.to_owned(), whole(a), whole(b))] };
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let differing = names.into_iter().filter(|name| a.get(*name) != b.get(*name));
    differing
        .map(|name| {
            let part = if name == ONLY { part.to_owned() } else { format!("{part}: {name}") };
            difference(part, a.get(name).cloned(), b.get(name).cloned())
        })
        .collect()
}

/// A part on one line: of a node what it computes of what.
fn summary(facts: &Facts) -> String {
    match (facts.get(ONLY), facts.get(OPERATOR), facts.get(INPUTS)) {
        (Some(only), ..) => only.clone(),
        (None, Some(operator), Some(inputs)) => format!("{operator}({inputs})"),
        _ => facts.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join("; "),
    }
}

/// The parts of a model.
#[derive(Default)]
struct Outline(BTreeMap<String, Facts>);

impl Outline {
    fn of(model: &Model) -> Self {
        let (header, graph) = (model.header(), model.graph());
        let mut outline = Self::default();
        outline.only("IR version", header.ir_version.to_string());
        outline.operator_sets("", &header.opset_import);
        outline.graph("", graph);
        for function in &header.functions {
            outline.function(function);
        }
        outline
    }

    fn of_metadata(model: &Model) -> Self {
        let header = model.header();
        let mut outline = Self::default();
        outline.only("producer", format!("{} {}", header.producer_name, header.producer_version).trim().to_owned());
        for entry in &header.metadata_props {
            outline.only(&entry.key, entry.value.clone());
        }
        outline
    }

    fn part(&mut self, part: &str, facts: impl IntoIterator<Item = (String, String)>) {
        // Nothing forbids two parts of one name: both stand.
        let facts: Facts = facts.into_iter().collect();
        let mut name = part.to_owned();
        for number in 2.. {
            if !self.0.contains_key(&name) {
                break;
            }
            name = format!("{part} ({number})");
        }
        self.0.insert(name, facts);
    }

    fn only(&mut self, part: &str, value: String) {
        self.part(part, [(ONLY.to_owned(), value)]);
    }

    fn operator_sets(&mut self, within: &str, sets: &[OperatorSetIdProto]) {
        for set in sets {
            let domain = operator_set(&set.domain);
            let domain = if domain.is_empty() { "ai.onnx" } else { domain };
            self.only(&format!("{within}opset {domain}"), set.version.to_string());
        }
    }

    /// A graph, and the bodies in it; `within` says where it is.
    fn graph(&mut self, within: &str, graph: &GraphProto) {
        for (kind, ports) in [("input", &graph.input), ("output", &graph.output)] {
            self.only(&format!("{within}{kind}s"), names(ports.iter().map(|port| port.name.as_str())));
            for port in ports {
                self.only(&format!("{within}{kind} {}", port.name), type_of(port));
            }
        }
        self.nodes(within, &graph.node);
    }

    fn function(&mut self, function: &FunctionProto) {
        let within = format!("function {} / ", function_name(function));
        self.operator_sets(&within, &function.opset_import);
        self.only(&format!("{within}inputs"), names(function.input.iter().map(String::as_str)));
        self.only(&format!("{within}outputs"), names(function.output.iter().map(String::as_str)));
        for attribute in &function.attribute_proto {
            self.only(&format!("{within}attribute {}", attribute.name), attribute_text(attribute));
        }
        self.nodes(&within, &function.node);
    }

    fn nodes(&mut self, within: &str, nodes: &[NodeProto]) {
        for node in nodes {
            let name = node.output.iter().find(|output| !output.is_empty()).unwrap_or(&node.name);
            let operator = [node.domain.as_str(), node.op_type.as_str(), node.overload.as_str()];
            let operator: Vec<&str> = operator.into_iter().filter(|part| !part.is_empty()).collect();
            let facts = [
                (OPERATOR, operator.join(".")),
                (INPUTS, names(node.input.iter().map(String::as_str))),
                ("outputs", names(node.output.iter().map(String::as_str))),
                ("name", node.name.clone()),
            ];
            let facts = facts.map(|(name, value)| (name.to_owned(), value));
            let attributes = node.attribute.iter().map(|a| (format!("attribute {}", a.name), attribute_text(a)));
            self.part(&format!("{within}node {name}"), facts.into_iter().chain(attributes));
            for attribute in &node.attribute {
                for (at, graph) in attribute.g.iter().chain(&attribute.graphs).enumerate() {
                    let number = if attribute.graphs.len() > 1 { format!(" {at}") } else { String::new() };
                    self.graph(&format!("{within}{} of {name}{number} / ", attribute.name), graph);
                }
            }
        }
    }
}

fn function_name(function: &FunctionProto) -> String {
    let parts = [function.domain.as_str(), function.name.as_str(), function.overload.as_str()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// `float32 [N, 1, 28, 28]`.
fn type_of(port: &ValueInfoProto) -> String {
    match &port.r#type {
        None => "no type".to_owned(),
        Some(TypeProto { tensor_type: Some(tensor), .. }) => tensor_type(tensor),
        // Sequences, maps and the like, which nobody looks into: equal where their bytes are.
        Some(other) => format!("{other:?}"),
    }
}

fn tensor_type(tensor: &TensorTypeProto) -> String {
    let element = ElementType::from_onnx(tensor.elem_type);
    let element = element.map_or_else(|| format!("type {}", tensor.elem_type), |element| element.to_string());
    let extent = |dim: &DimensionProto| match (dim.dim_value, &dim.dim_param) {
        (Some(extent), _) => extent.to_string(),
        (None, Some(name)) if !name.is_empty() => name.clone(),
        (None, _) => "?".to_owned(),
    };
    match &tensor.shape {
        Some(shape) => format!("{element} [{}]", shape.dim.iter().map(extent).collect::<Vec<_>>().join(", ")),
        None => format!("{element} of unknown shape"),
    }
}

/// What an attribute holds, but for the values of tensors and for bodies, which are compared by themselves.
fn attribute_text(attribute: &AttributeProto) -> String {
    /// `AttributeProto.AttributeType`.
    const FLOAT: i32 = 1;
    const INT: i32 = 2;
    const STRING: i32 = 3;
    if !attribute.ref_attr_name.is_empty() {
        return format!("@{}", attribute.ref_attr_name);
    }
    let list = |values: Vec<String>| format!("[{}]", values.join(", "));
    let text = |bytes: &bytes::Bytes| format!("{:?}", String::from_utf8_lossy(bytes));
    let mut parts = Vec::new();
    match attribute.r#type {
        FLOAT => parts.push(attribute.f.to_string()),
        INT => parts.push(attribute.i.to_string()),
        STRING => parts.push(text(&attribute.s)),
        // Files of the first IR versions do not say the type.
        0 => parts.push(format!("{} {} {}", attribute.f, attribute.i, text(&attribute.s))),
        _ => {}
    }
    for values in [
        attribute.floats.iter().map(f32::to_string).collect::<Vec<_>>(),
        attribute.ints.iter().map(i64::to_string).collect(),
        attribute.strings.iter().map(text).collect(),
    ] {
        if !values.is_empty() {
            parts.push(list(values));
        }
    }
    let counted = [
        ("tensor", attribute.t.iter().len() + attribute.tensors.len()),
        ("graph", attribute.g.iter().len() + attribute.graphs.len()),
    ];
    parts.extend(counted.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}")));
    let sparse = attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors);
    parts.extend(sparse.map(|tensor| format!("sparse tensor {:?}", tensor.dims)));
    let types = attribute.tp.iter().chain(&attribute.type_protos);
    parts.extend(types.map(|bytes| format!("type {}", crate::model::hexadecimal(bytes))));
    if parts.is_empty() { "[]".to_owned() } else { parts.join(" ") }
}
