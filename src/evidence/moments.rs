//! The second moments `Σ aᵢaᵢᵀ` of every layer's inputs over the trusted samples, in float64.

use super::feed::Feed;
use super::instrument::{Instrumented, Measured, Plan, Source, with_shapes};
use super::sums::{MomentSums, SumsKeeper, sources};
use super::{EvidenceError, Shard};
use crate::data::{Batch, DataDigest, Stream};
use crate::engine::{Engine, Runnable, Session};
use crate::layers::Layer;
use crate::model::{Classifier, GraphIndex};
use crate::progress::Observer;
use crate::tensor::{NamedTensor, Tensor};
use ndarray::{Array1, Array3, Ix3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// How many rows of a layer's inputs enter its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowLimit {
    /// Every row.
    All,
    /// So many, drawn without replacement by the seed; the same rows on every engine.
    AtMost(usize),
}

/// What a moments pass needs besides the model.
pub struct Pass<'a> {
    /// The data.
    pub stream: Stream<'a>,
    /// The samples whose rows count.
    pub samples: &'a [usize],
    /// Which part of them is measured.
    pub shard: Shard,
    /// How many rows enter.
    pub rows: RowLimit,
    /// Draws the rows, where they are limited.
    pub seed: u64,
    /// The batch size, where the user chose it.
    pub batch: Option<usize>,
}

/// Peak memory that a batch of the moments pass may take by default, in bytes: about what the engine itself needs for
/// a large model.
const MEMORY_BUDGET: usize = 1 << 30;

/// No larger batch is chosen by default: beyond, nothing gets faster.
const LARGEST_BATCH: usize = 128;

/// Measures the moments of `layers`, or goes on with it.
///
/// # Errors
/// [`EvidenceError`], where data or engine fail, a layer's input does not fit its weight, or the run is stopped.
pub fn collect(
    engine: &dyn Engine,
    graph: &GraphIndex<'_>,
    classifier: &Classifier,
    layers: &[Layer],
    pass: &Pass<'_>,
    keeper: &mut dyn SumsKeeper,
    observer: &dyn Observer,
) -> Result<MomentSums, EvidenceError> {
    if pass.samples.is_empty() {
        return Err(EvidenceError::NoneTrusted);
    }
    let (sources, _) = sources(layers);
    let probing = Probing { engine, graph, classifier, layers, sources: &sources, pass };
    let probe = probing.run()?;
    let samples = pass.samples.len();
    let picked = pick_rows(&probe, samples, pass);
    if picked.iter().any(Option::is_some) {
        probing.check_rows_are_by_sample(&probe, &picked)?;
    }
    let plan = |(shape, picked): (&Option<Vec<usize>>, &Option<Vec<usize>>)| Plan {
        shape: shape.clone(),
        masked: picked.is_some(),
    };
    let plans: Vec<Plan> = probe.shapes.iter().zip(&picked).map(plan).collect();
    let instrumented = Instrumented::new(graph, &sources, &plans)?;
    let session = engine.load(Runnable { bytes: &instrumented.bytes, folder: graph.model().folder() })?;
    let batch = classifier.batch.unwrap_or_else(|| pass.batch.unwrap_or(probe.batch_that_fits).min(samples));
    let own = pass.shard.range(samples, batch);
    observer.begin("second moments", own.len(), "samples");
    let total = begin(&sources, pass, &own, keeper)?;
    observer.advance(total.range.len());
    let rest = &pass.samples[total.range.end..own.end];
    let (measured, rows_per_sample) = (&instrumented.measured, &probe.rows_per_sample);
    let mut run = Run { session, classifier, sources: &sources, measured, picked: &picked, rows_per_sample, total };
    pass.stream.for_each(rest, batch, |batch: Batch| {
        if let Some(signal) = observer.stopped() {
            keeper.keep(&run.total, true)?;
            return Err(EvidenceError::Stopped(signal));
        }
        run.add(&batch)?;
        keeper.keep(&run.total, false)?;
        observer.advance(batch.indices.len());
        Ok::<(), EvidenceError>(())
    })?;
    observer.end();
    Ok(run.total)
}

/// What is there already: nothing, or what an interrupted pass has kept. Its samples are read again: they must be what
/// they were.
fn begin(
    sources: &[Source],
    pass: &Pass<'_>,
    own: &Range<usize>,
    keeper: &mut dyn SumsKeeper,
) -> Result<MomentSums, EvidenceError> {
    let none = MomentSums::none(sources, own.start);
    let Some(kept) = keeper.finished() else { return Ok(none) };
    if !kept.is_like(&none) || kept.range.start != own.start || kept.range.end > own.end {
        return Err(EvidenceError::Changed { first: own.start, last: kept.range.end });
    }
    let mut found = DataDigest::default();
    pass.stream.for_each(&pass.samples[kept.range.clone()], 1, |batch| {
        found.add(&DataDigest::sum(&batch.digests));
        Ok::<(), EvidenceError>(())
    })?;
    match pass.samples[kept.range.clone()] {
        [first, .., last] | [first @ last] if found != kept.digest => Err(EvidenceError::Changed { first, last }),
        _ => Ok(kept),
    }
}

/// What one small run tells about the sources of the main graph; those of bodies are unknown until they run.
struct Probe {
    shapes: Vec<Option<Vec<usize>>>,
    rows_per_sample: Vec<Option<usize>>,
    batch_that_fits: usize,
}

/// What a small run needs.
struct Probing<'a> {
    engine: &'a dyn Engine,
    graph: &'a GraphIndex<'a>,
    classifier: &'a Classifier,
    layers: &'a [Layer],
    sources: &'a [Source],
    pass: &'a Pass<'a>,
}

impl Probing<'_> {
    fn run(&self) -> Result<Probe, EvidenceError> {
        let batch = self.classifier.batch.unwrap_or(1);
        let shapes = self.shapes(1)?;
        let mut rows_per_sample = Vec::new();
        for (source, shape) in self.sources.iter().zip(&shapes) {
            let rows = match shape {
                Some(shape) => Some(source.unfold.rows(shape).ok_or_else(|| self.does_not_fit(source, shape))? / batch),
                None => None,
            };
            rows_per_sample.push(rows);
        }
        let values: usize = shapes.iter().flatten().map(|shape| shape.iter().product::<usize>()).sum();
        let unfolded = self.sources.iter().zip(&rows_per_sample).map(|(source, rows)| {
            let rows = rows.unwrap_or(0);
            source.unfold.groups().saturating_mul(source.unfold.dim()).saturating_mul(rows)
        });
        // Activations stay alive until their moment is taken; the largest unfolding exists as float32, float64 and
        // transposed.
        let bytes_per_sample = 4 * values / batch + unfolded.max().unwrap_or(0).saturating_mul(20);
        let batch_that_fits = (MEMORY_BUDGET / bytes_per_sample.max(1)).clamp(1, LARGEST_BATCH);
        Ok(Probe { shapes, rows_per_sample, batch_that_fits })
    }

    /// The shapes of the sources of the main graph when so many samples are fed.
    fn shapes(&self, samples: usize) -> Result<Vec<Option<Vec<usize>>>, EvidenceError> {
        let values: Vec<&str> =
            self.sources.iter().filter(|source| !source.is_in_body()).map(|source| source.input.as_str()).collect();
        let (bytes, outputs) = with_shapes(self.graph, &values)?;
        let mut session = self.engine.load(Runnable { bytes: &bytes, folder: self.graph.model().folder() })?;
        let mut found: Vec<Vec<usize>> = Vec::new();
        self.pass.stream.for_each(&self.pass.samples[..samples], samples, |batch: Batch| {
            let names: Vec<&str> = outputs.iter().map(String::as_str).collect();
            let shapes = session.run(&Feed::new(self.classifier, &batch.inputs)?.inputs(), &names)?;
            found = shapes.iter().map(|shape| shape.to_f64().iter().map(|&extent| extent as usize).collect()).collect();
            Ok::<(), EvidenceError>(())
        })?;
        let mut found = found.into_iter();
        Ok(self.sources.iter().map(|source| if source.is_in_body() { None } else { found.next() }).collect())
    }

    /// Rows can be picked by sample only where samples are an axis of a layer's input, and nothing else grows with them.
    fn check_rows_are_by_sample(&self, probe: &Probe, picked: &[Option<Vec<usize>>]) -> Result<(), EvidenceError> {
        let fixed = self.classifier.batch;
        let several = fixed.unwrap_or(self.pass.samples.len().min(2));
        let of_several = if fixed.is_none() { self.shapes(several)? } else { probe.shapes.clone() };
        for (index, source) in self.sources.iter().enumerate().filter(|(index, _)| picked[*index].is_some()) {
            let (Some(one), Some(more)) = (&probe.shapes[index], &of_several[index]) else { continue };
            let samples = source.unfold.sample_axis(one);
            let grows = |axis: usize| match fixed {
                Some(batch) => Some(axis) == samples && one[axis].is_multiple_of(batch),
                None => one[axis] != more[axis],
            };
            let wanted = |axis: usize| Some(axis) == samples && several > 1;
            if one.len() != more.len() || (0..one.len()).any(|axis| grows(axis) != wanted(axis)) {
                let node = self.user(source).0.to_owned();
                let (input, shape) = (source.input.clone(), more.clone());
                return Err(EvidenceError::Batch { node, input, shape, batch: several });
            }
        }
        Ok(())
    }

    fn user(&self, source: &Source) -> (&str, &str) {
        let uses = self.layers.iter().flat_map(|layer| layer.sites.iter().map(move |site| (layer, site)));
        let of_source = |site: &crate::layers::Site| {
            (site.scope, &site.input.name, &site.unfold) == (source.scope, &source.input, &source.unfold)
        };
        let mut readers = uses.filter(|(_, site)| of_source(site));
        readers.next().map_or(("", ""), |(layer, site)| (site.node.as_str(), layer.weight.name.as_str()))
    }

    fn does_not_fit(&self, source: &Source, shape: &[usize]) -> EvidenceError {
        let (node, weight) = self.user(source);
        EvidenceError::Shape {
            node: node.to_owned(),
            input: source.input.clone(),
            shape: shape.to_vec(),
            weight: weight.to_owned(),
        }
    }
}

/// For each source the rows that are drawn, in order, or `None` where all of them enter. Those of bodies all enter.
fn pick_rows(probe: &Probe, samples: usize, pass: &Pass<'_>) -> Vec<Option<Vec<usize>>> {
    let RowLimit::AtMost(limit) = pass.rows else { return vec![None; probe.shapes.len()] };
    let draw = |(source, rows): (usize, &Option<usize>)| {
        let rows = rows.map(|rows| rows * samples).filter(|&rows| limit < rows)?;
        let mut generator = ChaCha8Rng::seed_from_u64(pass.seed);
        generator.set_stream(source as u64);
        let mut picked = rand::seq::index::sample(&mut generator, rows, limit).into_vec();
        picked.sort_unstable();
        Some(picked)
    };
    probe.rows_per_sample.iter().enumerate().map(draw).collect()
}

/// A moments pass under way.
struct Run<'a> {
    session: Box<dyn Session>,
    classifier: &'a Classifier,
    sources: &'a [Source],
    measured: &'a [Measured],
    picked: &'a [Option<Vec<usize>>],
    rows_per_sample: &'a [Option<usize>],
    total: MomentSums,
}

impl Run<'_> {
    fn add(&mut self, batch: &Batch) -> Result<(), EvidenceError> {
        let feed = Feed::new(self.classifier, &batch.inputs)?;
        let (samples, size) = (feed.samples, feed.size);
        let counts = self.feed(&feed, samples, 1.0)?;
        if size > samples {
            // The padding repeats the first sample, and a batch of nothing else tells what its rows add.
            let first: Vec<NamedTensor> = batch.inputs.iter().map(first_sample).collect();
            let surplus = -((size - samples) as f64 / size as f64);
            if self.feed(&Feed::new(self.classifier, &first)?, 0, surplus)? != counts {
                return Err(EvidenceError::Path { batch: size });
            }
        }
        self.total.range.end += samples;
        self.total.digest.add(&DataDigest::sum(&batch.digests));
        Ok(())
    }

    /// Adds the moments of one run, times `weight`. Where rows are picked, only those of the first `samples` count. Returns
    /// the numbers of rows that bodies gave, which tell one way through them from another.
    fn feed(&mut self, feed: &Feed<'_>, samples: usize, weight: f64) -> Result<Vec<f64>, EvidenceError> {
        let masks: Vec<Option<Tensor>> =
            (0..self.sources.len()).map(|source| self.mask(source, samples, feed.size)).collect();
        let mut inputs = feed.inputs();
        for (measured, mask) in self.measured.iter().zip(&masks) {
            inputs.extend(measured.mask.as_deref().zip(mask.as_ref()));
        }
        let counts = self.measured.iter().filter_map(|measured| measured.rows.as_deref());
        let wanted: Vec<&str> = self.measured.iter().map(|measured| measured.moment.as_str()).chain(counts).collect();
        let mut outputs = self.session.run(&inputs, &wanted)?.into_iter();
        for (index, source) in self.sources.iter().enumerate() {
            let output = outputs.next().unwrap_or_else(|| Tensor::zeros(&[]));
            let moment = moment(output, source, self.total.sums[index].shape())?;
            self.total.sums[index].add_scaled(weight, &moment);
        }
        let counts: Vec<f64> = outputs.map(|count| count.to_f64().sum()).collect();
        let mut counted = counts.iter();
        for index in 0..self.sources.len() {
            self.total.rows[index] += match (&self.picked[index], self.rows_per_sample[index]) {
                (Some(picked), _) => {
                    picks(picked, self.total.range.end, samples, self.rows_per_sample[index].unwrap_or(0)).len() as f64
                }
                (None, Some(per_sample)) => weight * (feed.size * per_sample) as f64,
                (None, None) => weight * counted.next().copied().unwrap_or(0.0),
            };
        }
        Ok(counts)
    }

    /// Which rows of a batch of `fed` samples count, of which only the first `samples` are no padding.
    fn mask(&self, source: usize, samples: usize, fed: usize) -> Option<Tensor> {
        let picked = self.picked[source].as_ref()?;
        let per_sample = self.rows_per_sample[source].unwrap_or(0);
        let mut mask = Array1::<f64>::zeros(fed * per_sample);
        for &row in picks(picked, self.total.range.end, samples, per_sample) {
            mask[row - self.total.range.end * per_sample] = 1.0;
        }
        Some(Tensor::Float64(mask.into_dyn()))
    }
}

fn first_sample(input: &NamedTensor) -> NamedTensor {
    NamedTensor { name: input.name.clone(), tensor: input.tensor.first_entry() }
}

/// Those of the picked rows that belong to `samples` samples after the first `done`.
fn picks(picked: &[usize], done: usize, samples: usize, per_sample: usize) -> &[usize] {
    let (from, to) = (done * per_sample, (done + samples) * per_sample);
    &picked[picked.partition_point(|&row| row < from)..picked.partition_point(|&row| row < to)]
}

fn moment(output: Tensor, source: &Source, expected: &[usize]) -> Result<Array3<f64>, EvidenceError> {
    let wrong = |found: &[usize]| EvidenceError::Moment {
        input: source.input.clone(),
        found: found.to_vec(),
        expected: expected.to_vec(),
    };
    match output {
        Tensor::Float64(values) if values.shape() == expected => {
            values.into_dimensionality::<Ix3>().map_err(|_| wrong(expected))
        }
        other => Err(wrong(other.shape())),
    }
}
