//! Gradients beside the quotients of small differences.

use super::case::Case;
use crate::autodiff::{Wanted, differentiate};
use crate::engine::ort::OrtEngine;
use crate::engine::tract::TractEngine;
use crate::engine::{Computes, Device, Engine, EngineError, Runnable, Session, runtime};
use crate::model::{GraphIndex, Model};
use crate::progress::Silent;
use crate::tensor::{ElementType, Tensor};
use ndarray::ArrayD;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What became of a case.
pub(super) enum Outcome {
    /// Both engines agree with the differences.
    Agreed,
    /// tract cannot run it; ONNX Runtime agrees.
    NotOnTract(String),
}

pub(super) fn onnx_runtime() -> OrtEngine {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| runtime::locate(&Silent, true).expect("the tests need ONNX Runtime").path);
    OrtEngine::open(library, Device::Cpu, Some(1)).expect("ONNX Runtime opens")
}

/// Checks the gradients of a case in the types in which each engine has the kernels.
pub(super) fn check(case: &Case) -> Outcome {
    let (ort, tract) = (onnx_runtime(), TractEngine::new());
    let slopes = Slopes::of(case, &ort);
    let mut refused = None;
    for &element in types(case) {
        match analytic(case, &ort, element) {
            Ok(found) => slopes.check(case, "ONNX Runtime", &found.gradients, element),
            Err(error) if element == ElementType::Float32 => unreachable!("{case:?}: {error}"),
            Err(_) => {}
        }
        match analytic(case, &tract, element) {
            Ok(found) if (found.target - slopes.target).abs() > 1e-4 * slopes.target.abs().max(1.0) => {
                refused = Some(format!("its {} is another function: {case:?}", case.operator));
            }
            // Some of what it computes in float64, sums and exponentials, has the digits of float32.
            Ok(found) => slopes.check(case, "tract", &found.gradients, ElementType::Float32),
            // It lacks many kernels in float64.
            Err(reason) if element == ElementType::Float32 => refused = Some(reason),
            Err(_) => {}
        }
    }
    refused.map_or(Outcome::Agreed, Outcome::NotOnTract)
}

/// The types in which a case is tried.
fn types(case: &Case) -> &'static [ElementType] {
    let both = &[ElementType::Float64, ElementType::Float32];
    if case.single { &both[1..] } else { both }
}

fn load(engine: &dyn Engine, model: &[u8]) -> Result<Box<dyn Session>, EngineError> {
    engine.load(Runnable { bytes: model.to_vec().into(), folder: Path::new(""), computes: Computes::Outputs })
}

fn run(
    session: &mut dyn Session,
    inputs: &[(String, ArrayD<f64>)],
    element: ElementType,
    wanted: &[&str],
) -> Result<Vec<Tensor>, EngineError> {
    let tensors: Vec<(&str, Tensor)> =
        inputs.iter().map(|(name, values)| (name.as_str(), Tensor::from_f64(values, element))).collect();
    let fed: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    session.run(&fed, wanted)
}

/// What an engine computes of a case.
struct Analytic {
    target: f64,
    /// By the nodes that the pass has written.
    gradients: Vec<ArrayD<f64>>,
}

fn analytic(case: &Case, engine: &dyn Engine, element: ElementType) -> Result<Analytic, String> {
    let bytes = case.model(element).into();
    let model = Model::decode(Path::new("case.onnx"), PathBuf::new(), bytes).expect("a model");
    let graph = GraphIndex::new(&model).expect("a graph");
    // Whether the engine can run the node is another question than whether its gradient is right.
    let target = load(engine, model.bytes())
        .and_then(|mut session| run(session.as_mut(), &case.floats(), element, &["target"]))
        .map_err(|error| error.to_string())?;
    let target = target[0].to_f64().first().copied().unwrap_or(f64::NAN);
    let wrt: Vec<String> = case.floats().into_iter().map(|(name, _)| name).collect();
    let wanted = Wanted { target: "target", summed: false, wrt: &wrt, held: &[], extents: &BTreeMap::new() };
    let mut found = match differentiate(&graph, engine, &wanted) {
        Ok(found) => found,
        Err(crate::autodiff::AutodiffError::Engine(error)) => return Err(error.to_string()),
        Err(error) => unreachable!("{case:?}: {error}"),
    };
    let names: Vec<String> = found.gradients.iter().map(|value| value.name.clone()).collect();
    for name in &names {
        found.emit.output(name);
    }
    let bytes = found.emit.into_additions().into_bytes().expect("bytes");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = load(engine, &bytes).and_then(|mut session| run(session.as_mut(), &case.floats(), element, &names));
    let gradients = found.map_err(|error| error.to_string())?.iter().map(Tensor::to_f64).collect();
    Ok(Analytic { target, gradients })
}

/// Quotients of small differences of the target, for every entry of every input, by ONNX Runtime.
struct Slopes {
    /// The type in which they were computed.
    element: ElementType,
    target: f64,
    of_inputs: Vec<ArrayD<f64>>,
}

impl Slopes {
    /// In float64 where there is a kernel, otherwise in float32.
    fn of(case: &Case, engine: &dyn Engine) -> Self {
        for &element in types(case) {
            let Ok(mut session) = load(engine, &case.model(element)) else { continue };
            let mut target = |inputs: &[(String, ArrayD<f64>)]| -> Option<f64> {
                run(session.as_mut(), inputs, element, &["target"]).ok()?[0].to_f64().first().copied()
            };
            let mut inputs = case.floats();
            if let Some(at_rest) = target(&inputs) {
                let step = case.step(element);
                let of_inputs = (0..inputs.len()).map(|at| slopes(&mut inputs, at, step, &mut target)).collect();
                return Self { element, target: at_rest, of_inputs };
            }
        }
        unreachable!("ONNX Runtime does not run {case:?}")
    }

    fn check(&self, case: &Case, engine: &str, found: &[ArrayD<f64>], element: ElementType) {
        let tolerance = match (self.element, element) {
            (ElementType::Float32, _) => case.tolerance(),
            (_, ElementType::Float64) => 1e-7,
            _ => 2e-5,
        };
        for ((expected, found), (name, _)) in self.of_inputs.iter().zip(found).zip(case.floats()) {
            assert_eq!(expected.shape(), found.shape(), "{engine}, {element}, {name} of {case:?}");
            let size = expected.iter().fold(1.0, |most: f64, slope| most.max(slope.abs()));
            let apart = (expected - found).iter().fold(0.0, |most: f64, apart| most.max(apart.abs()));
            assert!(
                apart <= tolerance * size,
                "{engine}, {element}, {name}: off by {apart:e} of {size} in {case:?}\nexpected {expected:?}\nfound {found:?}"
            );
        }
    }
}

/// Four points a slope: `(8 (f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h` (Abramowitz and Stegun, 25.3.6).
fn slopes(
    inputs: &mut [(String, ArrayD<f64>)],
    at: usize,
    step: f64,
    target: &mut impl FnMut(&[(String, ArrayD<f64>)]) -> Option<f64>,
) -> ArrayD<f64> {
    let original = inputs[at].1.clone();
    let mut found = ArrayD::zeros(original.raw_dim());
    for (position, slope) in found.iter_mut().enumerate() {
        let mut moved = |by: f64| {
            let mut values = original.clone();
            if let Some(value) = values.iter_mut().nth(position) {
                *value += by * step;
            }
            inputs[at].1 = values;
            target(inputs).expect("it ran before")
        };
        *slope = (8.0 * (moved(1.0) - moved(-1.0)) - (moved(2.0) - moved(-2.0))) / (12.0 * step);
    }
    inputs[at].1 = original;
    found
}
