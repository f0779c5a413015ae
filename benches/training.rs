//! How long a step of training takes, and how much memory, on made-up data.
//!
//! ```text
//! cargo bench --bench training -- MODEL.onnx BATCH STEPS THREADS
//! ```
//!
//! A step of stochastic gradient descent with momentum on every parameter, by the trainer, on the CPU. The median over the steps, after
//! three that do not count, and the peak of resident memory above what the process had before the model was read, as a line
//! of JSON. `training.py` sets it beside torch.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use ndarray::{ArrayD, IxDyn};
use onnx_sap::autodiff::{CrossEntropy, Loss, Targets, parameters};
use onnx_sap::engine::{Device, EngineName, choose};
use onnx_sap::error::Error;
use onnx_sap::model::{Classifier, GraphIndex, Interface, Link, Model};
use onnx_sap::progress::Silent;
use onnx_sap::tensor::Tensor;
use onnx_sap::train::{HeldAgainst, Sgd, Trainer, Training};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Steps before those that count: an engine's memory has grown by then.
const WARM_UP: usize = 3;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let numbers: Vec<usize> = arguments.iter().skip(1).filter_map(|number| number.parse().ok()).collect();
    let ([model, ..], [batch, steps, threads]) = (arguments.as_slice(), numbers.as_slice()) else {
        println!("usage: cargo bench --bench training -- MODEL.onnx BATCH STEPS THREADS");
        return Ok(());
    };
    let engine = choose(EngineName::Ort, Device::Cpu, Some(*threads), &Silent)?.engine;
    let before = resident("VmRSS:");
    let model = Model::open(Path::new(model))?;
    let graph = GraphIndex::new(&model)?;
    let classifier = Classifier::of(&graph, &Interface::default())?;
    let optimizer = Sgd { momentum: 0.9, weight_decay: 1e-4, nesterov: false };
    let training = Training {
        scores: &classifier.head.value,
        loss: Loss { link: Link::Softmax, targets: Targets::Labels, weighted: false, criterion: &CrossEntropy },
        optimizer: &optimizer,
        most_norm: None,
        parameters: &parameters(&graph),
        extents: &BTreeMap::new(),
    };
    let started = Instant::now();
    let mut trainer = Trainer::new(&model, engine.as_ref(), &training)?;
    let build = started.elapsed().as_secs_f64();
    let input = &classifier.data[0];
    let shape: Vec<usize> = [*batch].into_iter().chain(input.sample.iter().map(|extent| extent.unwrap_or(1))).collect();
    let values = (0..shape.iter().product::<usize>()).map(|at| ((at * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0);
    let values = Tensor::Float32(ArrayD::from_shape_vec(IxDyn(&shape), values.collect()).unwrap_or_default());
    let labels = Tensor::Int64(ArrayD::from_shape_fn(IxDyn(&[*batch]), |index| (index[0] % 10) as i64));
    let mut seconds = Vec::new();
    for step in 0..WARM_UP + steps {
        let started = Instant::now();
        trainer.step(&[(&input.name, &values)], &HeldAgainst::targets(&labels), 1e-3)?;
        seconds.extend((step >= WARM_UP).then(|| started.elapsed().as_secs_f64()));
    }
    seconds.sort_by(f64::total_cmp);
    let (median, peak) = (seconds[seconds.len() / 2], resident("VmHWM:").saturating_sub(before));
    println!("{}", serde_json::json!({ "step_ms": median * 1e3, "build_s": build, "peak_mb": peak / 1024 }));
    Ok(())
}

/// Kilobytes of resident memory, now or at most; 0 where the system does not tell.
fn resident(what: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
