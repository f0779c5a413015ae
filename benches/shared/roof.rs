//! What a device can do at most, measured through the engine that uses it: matrix products and the way to its memory.

use bytes::Bytes;
use ndarray::ArrayD;
use onnx_sap::engine::{Computes, Engine, EngineError, Runnable};
use onnx_sap::model::Fragment;
use onnx_sap::model::fragment::{int, ints};
use onnx_sap::model::proto::{AttributeProto, GraphProto, ModelProto, OperatorSetIdProto};
use onnx_sap::tensor::{ElementType, Tensor};
use prost::Message;
use std::path::Path;
use std::time::Instant;

/// The numbers above which nothing on the device can get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roof {
    /// Operations a second of a float32 matrix product.
    pub(crate) float32: f64,
    /// The same in float64.
    pub(crate) float64: f64,
    /// Bytes a second that are read or written.
    pub(crate) bandwidth: f64,
}

/// Operators in a row: what a long chain takes more than a short one is what its operators take.
const CHAINS: [usize; 2] = [2, 10];

/// A run takes the best of so many.
const ROUNDS: usize = 3;

impl Roof {
    /// Of the device of an engine; `order`: that of the matrices, which must be large enough to fill the device.
    ///
    /// # Errors
    /// Those of the engine.
    pub(crate) fn of(engine: &dyn Engine, order: usize) -> Result<Self, EngineError> {
        let operations = 2.0 * (order as f64).powi(3);
        let bytes = 2.0 * 4.0 * (order as f64).powi(2);
        Ok(Self {
            float32: operations / seconds(engine, order, "MatMul", ElementType::Float32)?,
            float64: operations / seconds(engine, order, "MatMul", ElementType::Float64)?,
            bandwidth: bytes / seconds(engine, order, "Mul", ElementType::Float32)?,
        })
    }
}

/// How long one operator on matrices of noise takes.
fn seconds(engine: &dyn Engine, order: usize, op: &str, element: ElementType) -> Result<f64, EngineError> {
    let mut times = [f64::INFINITY; 2];
    for (length, best) in CHAINS.into_iter().zip(&mut times) {
        let (model, seed, output) = chain(order, op, element, length);
        let mut session =
            engine.load(Runnable { bytes: model, folder: Path::new("."), computes: Computes::Outputs })?;
        for _ in 0..=ROUNDS {
            let fed = Tensor::Float32(ArrayD::ones(vec![1]));
            let begun = Instant::now();
            session.run(&[(&seed, &fed)], &[&output])?;
            *best = best.min(begun.elapsed().as_secs_f64());
        }
    }
    Ok((times[1] - times[0]) / (CHAINS[1] - CHAINS[0]) as f64)
}

/// A model with a chain of operators, its input and its output.
fn chain(order: usize, op: &str, element: ElementType, length: usize) -> (Bytes, String, String) {
    let mut fragment = Fragment::default();
    let seed = fragment.input(ElementType::Float32, 1);
    let factor = fragment.node("Cast", &[&seed], vec![int("to", i64::from(element.onnx()))]);
    // Products of such matrices keep their size.
    let deviation = (order as f64).sqrt().recip() as f32;
    let mut value = noise(&mut fragment, order, element, 1.0);
    let other = if op == "MatMul" { noise(&mut fragment, order, element, deviation) } else { factor.clone() };
    for _ in 0..length {
        value = fragment.node(op, &[&value, &other], vec![]);
    }
    let largest = fragment.node("ReduceMax", &[&value], vec![]);
    let scaled = fragment.node("Mul", &[&largest, &factor], vec![]);
    fragment.output(&scaled, element);
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
    let graph = Some(GraphProto { name: "chain".into(), ..GraphProto::default() });
    let head = ModelProto { ir_version: 8, opset_import, graph, ..ModelProto::default() };
    (fragment.append_to(&head.encode_to_vec()).into(), seed, scaled)
}

fn noise(fragment: &mut Fragment, order: usize, element: ElementType, deviation: f32) -> String {
    const FLOAT: i32 = 1;
    let scale = AttributeProto { name: "scale".into(), f: deviation, r#type: FLOAT, ..AttributeProto::default() };
    let shape = ints("shape", [order as i64; 2]);
    fragment.node("RandomNormal", &[], vec![int("dtype", i64::from(element.onnx())), scale, shape])
}
