//! How fast samples are scored from files, against a bare loop over a session of the same engine with tensors that are
//! ready in memory. Both are measured in turns, since machines are noisy; what counts is their ratio.
//!
//! ```text
//! cargo bench --bench throughput -- MODEL.onnx SPEC [ROUNDS]
//! ```
//!
//! `benches/large_sets.py` makes photographs for it, `fixtures/large_models.py` a ResNet-50.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use onnx_sap::data::{Batch, Preprocessing, Spec};
use onnx_sap::engine::{Computes, Device, Engine, EngineName, Runnable, Session};
use onnx_sap::error::Error;
use onnx_sap::evidence::{BadLimit, EvidenceError, Forward, NoJournal, Scoring, Shard, score};
use onnx_sap::model::{Classifier, GraphIndex, Interface, Model};
use onnx_sap::pipeline::{Prepared, Runner};
use onnx_sap::progress::Silent;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [model, spec, rounds @ ..] = arguments.as_slice() else {
        println!("usage: cargo bench --bench throughput -- MODEL.onnx SPEC [ROUNDS]");
        return Ok(());
    };
    let rounds = rounds.first().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let model = Model::open(Path::new(model))?;
    let graph = GraphIndex::new(&model)?;
    let classifier = Classifier::of(&graph, &Interface::default())?;
    let spec = Spec::parse(spec, Path::new("data"))?;
    let data = Prepared::open(&spec, &Preprocessing::default(), &classifier, &Silent)?;
    let runner = Runner { engine: EngineName::Auto, device: Device::Auto, batch: None, threads: None };
    let (engine, mut forward) = runner.start(&model, &classifier, &Silent)?;
    let info = engine.info();
    let batch = data.batch(None);
    println!(
        "{} {} on {}, {spec}: {} samples in batches of {batch}",
        info.name,
        info.version,
        info.device,
        data.set.len()
    );

    let ready = ready(&data, batch)?;
    let mut bare = session(engine.as_ref(), &classifier, &model)?;
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let seconds = [
            timed(|| run_bare(bare.as_mut(), &classifier, &ready, data.set.len()))?,
            timed(|| run_scoring(&mut forward, &data, batch))?,
            timed(|| prepare(&data, batch))?,
        ];
        let [bare, scoring, preparing] = seconds.map(|seconds| data.set.len() as f64 / seconds);
        ratios.push(scoring / bare);
        println!(
            "bare loop {bare:.2}/s   scoring {scoring:.2}/s   preparing alone {preparing:.0}/s   ratio {:.3}",
            scoring / bare
        );
    }
    ratios.sort_by(f64::total_cmp);
    println!("median of the ratios of scoring and bare loop: {:.3}", ratios[ratios.len() / 2]);
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<(), Error>) -> Result<f64, Error> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64())
}

/// A few batches that lie in memory.
fn ready(data: &Prepared, batch: usize) -> Result<Vec<Batch>, Error> {
    const KEPT: usize = 4;
    let some: Vec<usize> = data.all().into_iter().take(KEPT * batch).collect();
    let mut batches = Vec::new();
    data.stream(None).for_each(&some, batch, |batch| {
        batches.push(batch);
        Ok::<(), EvidenceError>(())
    })?;
    Ok(batches)
}

fn session(engine: &dyn Engine, classifier: &Classifier, model: &Model) -> Result<Box<dyn Session>, Error> {
    let bytes = classifier.with_scores(model.bytes(), model.folder())?;
    Ok(engine.load(Runnable { bytes, folder: model.folder(), computes: Computes::Outputs })?)
}

/// As many samples as the set has, out of the batches that are ready.
fn run_bare(session: &mut dyn Session, classifier: &Classifier, ready: &[Batch], samples: usize) -> Result<(), Error> {
    let mut left = samples;
    for batch in ready.iter().cycle() {
        let inputs: Vec<_> = batch.inputs.iter().map(|input| (input.name.as_str(), &input.tensor)).collect();
        session.run(&inputs, &[&classifier.head.value])?;
        left = left.saturating_sub(batch.indices.len());
        if left == 0 {
            break;
        }
    }
    Ok(())
}

fn run_scoring(forward: &mut Forward, data: &Prepared, batch: usize) -> Result<(), Error> {
    let (stream, shard, limit) = (data.stream(None), Shard::WHOLE, BadLimit::default());
    score(forward, &Scoring { stream, batch, shard, limit }, &mut NoJournal, &Silent)?;
    Ok(())
}

/// What comes before the engine, without it.
fn prepare(data: &Prepared, batch: usize) -> Result<(), Error> {
    Ok(data.stream(None).for_each_usable(&data.all(), batch, |_| Ok::<(), EvidenceError>(()))?)
}
