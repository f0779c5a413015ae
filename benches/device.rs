//! How long the phases of a correction take on a device, on data in memory, in seconds and against the roof: what the arithmetic
//! alone would take at the peak of the device, which is measured in the same run.
//!
//! ```text
//! cargo bench --bench device -- DEVICE SAMPLES MODEL.onnx...
//! ```
//!
//! DEVICE is as in `--device`. The forward pass is the bare session on tensors that are ready; scoring is the same through the
//! program; moments are those of every row, in float64; the solve is one α of every layer, on the CPU. Every number is the
//! best of three. Each model ends with a line of JSON.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "shared/noise.rs"]
mod noise;
#[path = "shared/roof.rs"]
mod roof;

use noise::Noise;
use onnx_sap::data::{Batch, DataSet, Preprocessing, Route, Stream};
use onnx_sap::engine::{Computes, Engine, EngineName, Runnable, Session};
use onnx_sap::error::Error;
use onnx_sap::evidence::{
    BadLimit, EvidenceError, Forward, Inputs, MomentSums, Moments, NoJournal, NoKeeper, Pass, Precision, RowLimit,
    Scoring, Shard, collect, score,
};
use onnx_sap::layers::{Layer, Ledger, Selection};
use onnx_sap::linalg::{Alpha, SCALINGS, cheapest};
use onnx_sap::methods::{Evidence, METHODS, PROJECTIONS};
use onnx_sap::model::{Classifier, GraphIndex, Interface, Model};
use onnx_sap::pipeline::Runner;
use onnx_sap::progress::Silent;
use roof::Roof;
use std::path::Path;
use std::time::Instant;

/// Samples of a batch of the forward pass and of scoring.
const BATCH: usize = 64;

const ROUNDS: usize = 3;

fn main() -> Result<(), Error> {
    // As the program does it.
    onnx_sap::heap::keep_freed();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [device, samples, models @ ..] = arguments.as_slice() else {
        println!("usage: cargo bench --bench device -- DEVICE SAMPLES MODEL.onnx...");
        return Ok(());
    };
    let device = device.parse().map_err(Error::Usage)?;
    let samples = samples.parse().map_err(|_| Error::Usage("SAMPLES is a number".into()))?;
    let runner = Runner { engine: EngineName::Ort, device, batch: None, threads: None };
    let mut roof = None;
    for model in models {
        measure(&runner, Path::new(model), samples, &mut roof)?;
    }
    Ok(())
}

fn measure(runner: &Runner, path: &Path, samples: usize, roof: &mut Option<Roof>) -> Result<(), Error> {
    let model = Model::open(path)?;
    let graph = GraphIndex::new(&model)?;
    let classifier = Classifier::of(&graph, &Interface::default())?;
    let ledger = Ledger::survey(&graph, &Selection::default()).map_err(Error::Usage)?;
    let (engine, forward) = runner.start(&model, &classifier, &Silent)?;
    let engine = engine.as_ref();
    let roof = match roof {
        Some(roof) => *roof,
        None => *roof.insert(look_up(engine)?),
    };

    let input = &classifier.data[0];
    let shape: Vec<usize> = input.sample.iter().map(|extent| extent.unwrap_or(224)).collect();
    let set = Noise::new(&shape, samples);
    let declared = (input.name.as_str(), input.element, input.sample.as_slice());
    let routes = [Route::resolve(declared, &Preprocessing::default(), 0, &set.content(0)?)?];
    let subject = Phases {
        engine,
        graph: &graph,
        classifier: &classifier,
        layers: &ledger.layers,
        stream: Stream { set: &set, routes: &routes, perturbation: None },
        samples: (0..samples).collect(),
    };
    subject.show(path, forward, roof)
}

fn look_up(engine: &dyn Engine) -> Result<Roof, Error> {
    let info = engine.info();
    let roof = Roof::of(engine, if info.is_at_hand() { 2048 } else { 8192 })?;
    println!(
        "{} {} on {}: float32 {:.2} Tflop/s, float64 {:.2} Tflop/s, memory {:.0} GB/s",
        info.name,
        info.version,
        info.device,
        roof.float32 / 1e12,
        roof.float64 / 1e12,
        roof.bandwidth / 1e9
    );
    Ok(roof)
}

struct Phases<'a> {
    engine: &'a dyn Engine,
    graph: &'a GraphIndex<'a>,
    classifier: &'a Classifier,
    layers: &'a [Layer],
    stream: Stream<'a>,
    samples: Vec<usize>,
}

impl Phases<'_> {
    fn show(&self, path: &Path, mut forward: Forward, roof: Roof) -> Result<(), Error> {
        let ready = self.ready()?;
        let mut bare = self.session()?;
        let bare = best(|| self.run_bare(bare.as_mut(), &ready))?;
        let scoring = best(|| self.score(&mut forward))?;
        drop(forward);
        let mut sums = None;
        let moments = best(|| {
            sums = Some(self.moments()?);
            Ok(())
        })?;
        let sums = sums.and_then(|sums| Moments::of(self.layers, sums)).ok_or(EvidenceError::NoneTrusted)?;
        let work = self.work(&sums);
        let begun = Instant::now();
        self.solve(sums)?;
        let solve = begun.elapsed().as_secs_f64();

        println!("\n{}, {} samples", path.display(), self.samples.len());
        println!("{:<8} {:>9} {:>11} {:>11} {:>6}", "phase", "seconds", "samples/s", "roof", "share");
        let line = |phase: &str, seconds: f64, roof: f64| {
            let rate = self.samples.len() as f64 / seconds;
            println!("{phase:<8} {seconds:>9.3} {rate:>11.1} {roof:>10.3}s {:>5.1}%", 100.0 * roof / seconds);
        };
        let least = |operations: f64, peak: f64, bytes: f64| (operations / peak).max(bytes / roof.bandwidth);
        line("forward", bare, least(work.forward, roof.float32, work.bytes));
        line("scoring", scoring, least(work.forward, roof.float32, work.bytes));
        line("moments", moments, least(work.moments, roof.float64, work.bytes));
        println!("{:<8} {solve:>9.3}   scoring is {:.3} of the bare session", "solve", bare / scoring);
        let json = serde_json::json!({
            "model": path.file_stem().map(|stem| stem.to_string_lossy()), "device": self.engine.info().device,
            "samples": self.samples.len(), "forward": bare, "scoring": scoring, "moments": moments, "solve": solve,
            "float32_flops": roof.float32, "float64_flops": roof.float64, "bandwidth": roof.bandwidth,
            "forward_operations": work.forward, "moments_operations": work.moments, "bytes": work.bytes,
        });
        println!("{json}");
        Ok(())
    }

    /// Operations of the layers and of their moments, and the bytes of the layers' inputs, which are written once and read once.
    fn work(&self, moments: &Moments<'_>) -> Work {
        let mut work = Work::default();
        for (index, layer) in self.layers.iter().enumerate() {
            let rows = moments.rows(index) as f64;
            let matrix = &layer.matrix;
            let (groups, dim) = (matrix.groups.extent() as f64, matrix.dim() as f64);
            work.forward += 2.0 * rows * groups * dim * matrix.outputs.extent() as f64;
            work.moments += 2.0 * rows * groups * dim * dim;
            work.bytes += 2.0 * 4.0 * rows * groups * matrix.outputs.extent() as f64;
        }
        work
    }

    fn ready(&self) -> Result<Vec<Batch>, Error> {
        let mut batches = Vec::new();
        self.stream.for_each(&self.samples[..self.samples.len().min(4 * BATCH)], BATCH, |batch| {
            batches.push(batch);
            Ok::<(), EvidenceError>(())
        })?;
        Ok(batches)
    }

    fn session(&self) -> Result<Box<dyn Session>, Error> {
        let model = self.graph.model();
        let bytes = self.classifier.with_scores(model.bytes(), model.folder())?;
        Ok(self.engine.load(Runnable { bytes, folder: model.folder(), computes: Computes::Outputs })?)
    }

    fn run_bare(&self, session: &mut dyn Session, ready: &[Batch]) -> Result<(), Error> {
        let mut left = self.samples.len();
        for batch in ready.iter().cycle() {
            let inputs: Vec<_> = batch.inputs.iter().map(|input| (input.name.as_str(), &input.tensor)).collect();
            session.run(&inputs, &[&self.classifier.head.value])?;
            left = left.saturating_sub(batch.indices.len());
            if left == 0 {
                break;
            }
        }
        Ok(())
    }

    fn score(&self, forward: &mut Forward) -> Result<(), Error> {
        let scoring = Scoring { stream: self.stream, batch: BATCH, shard: Shard::WHOLE, limit: BadLimit::default() };
        score(forward, &scoring, &mut NoJournal, &Silent)?;
        Ok(())
    }

    fn moments(&self) -> Result<MomentSums, Error> {
        let pass = Pass {
            stream: self.stream,
            samples: &self.samples,
            shard: Shard::WHOLE,
            rows: RowLimit::All,
            seed: 0,
            precision: Precision::Float64,
            batch: None,
            inputs: Inputs::All,
        };
        Ok(collect(self.engine, self.graph, self.classifier, self.layers, &pass, &mut NoKeeper, &Silent)?)
    }

    fn solve(&self, moments: Moments<'_>) -> Result<(), Error> {
        let alpha: Alpha = "3000".parse().map_err(Error::Usage)?;
        let evidence = Evidence {
            model: self.graph.model(),
            layers: self.layers,
            moments,
            solver: cheapest(1, SCALINGS[0]),
            scaling: SCALINGS[0],
            projection: PROJECTIONS[0],
            unwanted: None,
            at_once: std::thread::available_parallelism().map_or(1, usize::from),
            observer: &Silent,
            energies: false,
        };
        let method =
            METHODS[0].of_layers().ok_or_else(|| Error::Usage("the default method needs no moments".into()))?;
        let family = method.prepare(evidence)?;
        family.correction(&self.layers.iter().map(|_| Some(alpha)).collect())?;
        Ok(())
    }
}

#[derive(Default)]
struct Work {
    forward: f64,
    moments: f64,
    bytes: f64,
}

fn best(mut work: impl FnMut() -> Result<(), Error>) -> Result<f64, Error> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        work()?;
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(best)
}
