//! The pass over what it has written: second derivatives.

use super::differences::onnx_runtime;
use crate::autodiff::{GradientModel, Objective, Respect, Value, Wanted, differentiate};
use crate::engine::{Computes, Engine, Runnable, Session};
use crate::model::fragment::{Fragment, int};
use crate::model::proto::{DimensionProto, ModelProto, OperatorSetIdProto, TensorShapeProto};
use crate::model::{Additions, GraphIndex, MAIN, Model};
use crate::tensor::{ElementType, Tensor};
use ndarray::{ArrayD, IxDyn};
use prost::Message;
use regex::Regex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const DOUBLE: ElementType = ElementType::Float64;

fn numbers(shape: &[usize], factor: f64) -> Tensor {
    let count: usize = shape.iter().product();
    let values = (0..count).map(|at| (factor * (at + 1) as f64).sin()).collect();
    Tensor::Float64(ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many as the shape"))
}

/// `f = Σ softmax(tanh(norm(x W)))²` of `x [samples, 3]` and `W [3, 4]`.
fn model() -> Vec<u8> {
    let opset = OperatorSetIdProto { domain: String::new(), version: 20 };
    let header = ModelProto { ir_version: 9, opset_import: vec![opset], ..ModelProto::default() };
    let mut fragment = Fragment::default();
    for (name, extent) in [("x", 3), ("w", 4)] {
        let first = if name == "x" { None } else { Some(3) };
        let dim = [first, Some(extent)].map(|dim_value| DimensionProto { dim_value, dim_param: None });
        fragment.named_input(name, DOUBLE, TensorShapeProto { dim: dim.to_vec() });
    }
    let scale = fragment.numbers(&[4], [1.0, 0.5, 2.0, -1.0]);
    let product = fragment.node("MatMul", &["x", "w"], vec![]);
    let normal = fragment.node("LayerNormalization", &[&product, &scale], vec![]);
    let tanh = fragment.node("Tanh", &[&normal], vec![]);
    let soft = fragment.node("Softmax", &[&tanh], vec![]);
    let square = fragment.node("Mul", &[&soft, &soft], vec![]);
    fragment.node_giving("ReduceSum", &[&square], &["f".to_owned()], vec![int("keepdims", 0)]);
    fragment.output("f", DOUBLE);
    fragment.append_to(&header.encode_to_vec())
}

fn decoded(bytes: Vec<u8>) -> Model {
    Model::decode(Path::new("model.onnx"), PathBuf::new(), bytes.into()).expect("a model")
}

#[test]
fn a_gradient_can_be_differentiated_again() {
    let engine = onnx_runtime();
    let respect = Respect::Named(Regex::new("^w$").expect("a pattern"));
    let first = GradientModel::of(&decoded(model()), &engine, Objective::Value("f"), &respect, &BTreeMap::new());
    let first = decoded(first.expect("a gradient").bytes);
    let graph = GraphIndex::new(&first).expect("a graph");
    // The Hessian times a direction: the gradient of `Σ v ∘ df/dw`.
    let mut additions = Additions::new(&graph);
    let fragment = additions.to(MAIN);
    let v = numbers(&[3, 4], 2.3);
    let direction = fragment.initializer(&[3, 4], DOUBLE, v.to_little_endian());
    let product = fragment.node("Mul", &["w_grad", &direction], vec![]);
    fragment.node_giving("ReduceSum", &[&product], &["along".to_owned()], vec![int("keepdims", 0)]);
    let along = decoded(additions.into_bytes().expect("bytes"));
    let graph = GraphIndex::new(&along).expect("a graph");
    let wanted =
        Wanted { target: "along", summed: false, wrt: &["w".to_owned()], held: &[], extents: &BTreeMap::new() };
    let mut found = differentiate(&graph, &engine, &wanted).expect("a second gradient");
    let Value { name, .. } = found.gradients[0].clone();
    found.emit.output(&name);
    let bytes = found.emit.into_additions().into_bytes().expect("bytes");

    let load = |bytes: Vec<u8>| {
        engine
            .load(Runnable { bytes: bytes.into(), folder: Path::new(""), computes: Computes::Gradients })
            .expect("it loads")
    };
    let run = |session: &mut dyn Session, w: &ArrayD<f64>, wanted: &str| {
        let (x, w) = (numbers(&[5, 3], 0.7), Tensor::Float64(w.clone()));
        session.run(&[("x", &x), ("w", &w)], &[wanted]).expect("it runs").remove(0).to_f64()
    };
    let w = numbers(&[3, 4], 1.1).to_f64();
    let product = run(load(bytes).as_mut(), &w, &name);
    let mut gradient = load(first.bytes().to_vec());
    let step = 1e-5;
    let mut moved = |by: f64| run(gradient.as_mut(), &(&w + &(v.to_f64() * by)), "w_grad");
    let slope = (moved(step) - moved(-step)) / (2.0 * step);
    let apart = (&product - &slope).iter().fold(0.0, |most: f64, apart| most.max(apart.abs()));
    assert!(apart < 1e-7, "off by {apart:e}: {product:?} for {slope:?}");
}
