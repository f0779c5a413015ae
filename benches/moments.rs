//! How long second moments take, against the plain forward pass of the same engine over the same samples. Both are measured
//! in turns, since machines are noisy; what counts is their ratio. Samples are noise in memory.
//!
//! ```text
//! cargo bench --bench moments -- MODEL.onnx [SAMPLES] [ROUNDS] [ALPHA]
//! ```
//!
//! Moments are taken in float64, which any α can be computed from, and as precisely as ALPHA needs.
//!
//! `fixtures/large_models.py` makes a ResNet-50 and a ViT-B/16. The last line is JSON: the ratios of both.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use noise::Noise;
use onnx_sap::data::{DataSet, Preprocessing, Route, Stream};
use onnx_sap::engine::{Device, EngineName};
use onnx_sap::error::Error;
use onnx_sap::evidence::{EvidenceError, Inputs, NoKeeper, Pass, Precision, RowLimit, Shard, collect};
use onnx_sap::layers::{Ledger, Selection};
use onnx_sap::linalg::Alpha;
use onnx_sap::model::{Classifier, GraphIndex, Interface, Model};
use onnx_sap::pipeline::Runner;
use onnx_sap::progress::Silent;
use std::path::Path;
use std::time::Instant;

#[path = "shared/noise.rs"]
mod noise;

fn main() -> Result<(), Error> {
    // As the program does it.
    onnx_sap::heap::keep_freed();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [model, numbers @ ..] = arguments.as_slice() else {
        println!("usage: cargo bench --bench moments -- MODEL.onnx [SAMPLES] [ROUNDS] [ALPHA]");
        return Ok(());
    };
    let number = |at: usize, default| numbers.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (samples, rounds): (usize, usize) = (number(0, 64), number(1, 3));
    let alpha: Alpha = numbers.get(2).map_or("1000", String::as_str).parse().map_err(Error::Usage)?;
    let model = Model::open(Path::new(model))?;
    let graph = GraphIndex::new(&model)?;
    let classifier = Classifier::of(&graph, &Interface::default())?;
    let ledger = Ledger::survey(&graph, &Selection::default()).map_err(Error::Usage)?;
    let runner = Runner { engine: EngineName::Auto, device: Device::Auto, batch: None, threads: None };
    let (engine, mut forward) = runner.start(&model, &classifier, &Silent)?;

    let input = &classifier.data[0];
    let shape: Vec<usize> = input.sample.iter().map(|extent| extent.unwrap_or(224)).collect();
    let set = Noise::new(&shape, samples);
    let declared = (input.name.as_str(), input.element, input.sample.as_slice());
    let routes = [Route::resolve(declared, &Preprocessing::default(), 0, &set.content(0)?)?];
    let stream = Stream { set: &set, routes: &routes, perturbation: None };
    let all: Vec<usize> = (0..samples).collect();
    let (rows, shard, inputs) = (RowLimit::All, Shard::WHOLE, Inputs::All);
    let precisions = [Precision::Float64, Precision::SufficientFor(alpha)];
    let passes = precisions.map(|precision| Pass {
        stream,
        samples: &all,
        shard,
        rows,
        seed: 0,
        precision,
        batch: None,
        inputs,
    });

    println!("milliseconds a sample, and the ratio to the forward pass; {samples} samples");
    println!("{:>9} {:>18} {:>18}", "forward", "float64", format!("for α = {alpha}"));
    let mut ratios = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let plain = timed(|| {
            stream.for_each(&all, 16, |batch| {
                forward.scores(&batch.inputs)?;
                Ok::<(), EvidenceError>(())
            })
        })?;
        let each = |seconds: f64| 1000.0 * seconds / samples as f64;
        print!("{:9.1}", each(plain));
        for (pass, ratios) in passes.iter().zip(&mut ratios) {
            let moments = timed(|| {
                collect(engine.as_ref(), &graph, &classifier, &ledger.layers, pass, &mut NoKeeper, &Silent)?;
                Ok(())
            })?;
            ratios.push(moments / plain);
            print!(" {:11.1} {:6.2}", each(moments), moments / plain);
        }
        println!();
    }
    let [float64, sufficient] = ratios.map(median);
    println!("median ratio {float64:.2} in float64, {sufficient:.2} for α = {alpha}");
    println!("{}", serde_json::json!({ "float64": float64, "alpha": alpha, "sufficient": sufficient }));
    Ok(())
}

fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

fn timed(work: impl FnOnce() -> Result<(), EvidenceError>) -> Result<f64, Error> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64())
}
