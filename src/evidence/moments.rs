//! The second moments `Σ aᵢaᵢᵀ` of every layer's inputs over the trusted samples, in float64.

use super::EvidenceError;
use super::feed::Feed;
use super::instrument::{Instrumented, Measured, Source, with_shapes};
use crate::data::{Batch, Stream};
use crate::engine::{Engine, Runnable, Session};
use crate::layers::Layer;
use crate::model::{Classifier, Model};
use crate::progress::Observer;
use crate::tensor::Tensor;
use ndarray::{Array1, Array2, Array3, Axis, Ix3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

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
    /// How many rows enter.
    pub rows: RowLimit,
    /// Draws the rows, where they are limited.
    pub seed: u64,
    /// The batch size, where the user chose it.
    pub batch: Option<usize>,
}

/// The moments of all layers. Layers that share an input share its moment.
#[derive(Debug)]
pub struct Moments {
    sums: Vec<Array3<f64>>,
    rows: Vec<usize>,
    /// For each layer the sources of its sites.
    layers: Vec<Vec<usize>>,
}

impl Moments {
    /// `Σ aᵢaᵢᵀ` of a layer, one matrix `[d, d]` for each group, added up over the layer's sites.
    pub fn sums(&self, layer: usize) -> Vec<Array2<f64>> {
        let sources = &self.layers[layer];
        let mut total = self.sums[sources[0]].clone();
        for &source in &sources[1..] {
            total += &self.sums[source];
        }
        total.axis_iter(Axis(0)).map(|group| group.to_owned()).collect()
    }

    /// The number of rows that entered a layer's moment (of each group).
    pub fn rows(&self, layer: usize) -> usize {
        self.layers[layer].iter().map(|&source| self.rows[source]).sum()
    }
}

/// Peak memory that a batch of the moments pass may take by default, in bytes: about what the engine itself needs for
/// a large model.
const MEMORY_BUDGET: usize = 1 << 30;

/// No larger batch is chosen by default: beyond, nothing gets faster.
const LARGEST_BATCH: usize = 128;

/// Measures the moments of `layers`.
///
/// # Errors
/// [`EvidenceError`], where data or engine fail or a layer's input does not fit its weight.
pub fn collect(
    engine: &dyn Engine,
    model: &Model,
    classifier: &Classifier,
    layers: &[Layer],
    pass: &Pass<'_>,
    observer: &dyn Observer,
) -> Result<Moments, EvidenceError> {
    if pass.samples.is_empty() {
        return Err(EvidenceError::NoneTrusted);
    }
    let (sources, by_layer) = sources(layers);
    let probe = probe(engine, model, classifier, layers, &sources, pass)?;
    let samples = pass.samples.len();
    let rows_in_all: Vec<usize> = probe.rows_per_sample.iter().map(|rows| rows * samples).collect();
    let picked = pick_rows(&rows_in_all, pass);
    let batch = classifier.batch.unwrap_or_else(|| pass.batch.unwrap_or(probe.batch_that_fits).min(samples));
    let masked =
        picked.iter().any(Option::is_some) || classifier.batch.is_some_and(|size| !samples.is_multiple_of(size));
    if masked {
        probe.check_rows_are_by_sample(layers, &sources)?;
    }
    let ranks: Vec<usize> = probe.shapes.iter().map(Vec::len).collect();
    let instrumented = Instrumented::new(model.bytes(), &sources, &ranks, masked);
    let session = engine.load(Runnable { bytes: &instrumented.bytes, folder: model.folder() })?;
    let zeros = |source: &Source| {
        let dim = source.unfold.dim();
        Array3::zeros((source.unfold.groups(), dim, dim))
    };
    let mut run = Run {
        session,
        classifier,
        sources: &sources,
        measured: &instrumented.measured,
        picked: &picked,
        rows_per_sample: &probe.rows_per_sample,
        sums: sources.iter().map(zeros).collect(),
        done: 0,
    };
    observer.begin("second moments", samples, "samples");
    pass.stream.for_each(pass.samples, batch, |batch: Batch| {
        run.add(&batch)?;
        observer.advance(batch.indices.len());
        Ok::<(), EvidenceError>(())
    })?;
    observer.end();
    let rows = rows_in_all.iter().zip(&picked).map(|(&all, picked)| picked.as_ref().map_or(all, Vec::len)).collect();
    Ok(Moments { sums: run.sums, rows, layers: by_layer })
}

/// The distinct sources of all sites, and for each layer which of them are its own.
fn sources(layers: &[Layer]) -> (Vec<Source>, Vec<Vec<usize>>) {
    let mut known: BTreeMap<Source, usize> = BTreeMap::new();
    let mut sources = Vec::new();
    let mut by_layer = Vec::new();
    for layer in layers {
        let mut own = Vec::new();
        for site in &layer.sites {
            let source = Source { input: site.input.clone(), unfold: site.unfold.clone(), element: site.element };
            let next = sources.len();
            let index = *known.entry(source.clone()).or_insert(next);
            if index == next {
                sources.push(source);
            }
            own.push(index);
        }
        by_layer.push(own);
    }
    (sources, by_layer)
}

/// What one small run tells about the sources.
struct Probe {
    shapes: Vec<Vec<usize>>,
    batch: usize,
    rows_per_sample: Vec<usize>,
    batch_that_fits: usize,
}

fn probe(
    engine: &dyn Engine,
    model: &Model,
    classifier: &Classifier,
    layers: &[Layer],
    sources: &[Source],
    pass: &Pass<'_>,
) -> Result<Probe, EvidenceError> {
    let batch = classifier.batch.unwrap_or(1);
    let (bytes, outputs) = with_shapes(model.bytes(), sources);
    let mut session = engine.load(Runnable { bytes: &bytes, folder: model.folder() })?;
    let mut shapes: Vec<Vec<usize>> = Vec::new();
    pass.stream.for_each(&pass.samples[..1], 1, |sample: Batch| {
        let names: Vec<&str> = outputs.iter().map(String::as_str).collect();
        let found = session.run(&Feed::new(classifier, &sample.inputs)?.inputs(), &names)?;
        shapes = found.iter().map(|shape| shape.to_f64().iter().map(|&extent| extent as usize).collect()).collect();
        Ok::<(), EvidenceError>(())
    })?;
    let mut rows_per_sample = Vec::new();
    for (source, shape) in sources.iter().zip(&shapes) {
        let rows = source.unfold.rows(shape).ok_or_else(|| does_not_fit(layers, source, shape))?;
        rows_per_sample.push(rows / batch);
    }
    let values: usize = shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
    let unfolded =
        sources.iter().zip(&rows_per_sample).map(|(source, rows)| source.unfold.groups() * source.unfold.dim() * rows);
    // Activations stay alive until their moment is taken; the largest unfolding exists as float32, float64 and transposed.
    let bytes_per_sample = 4 * values / batch + 20 * unfolded.max().unwrap_or(0);
    let batch_that_fits = (MEMORY_BUDGET / bytes_per_sample.max(1)).clamp(1, LARGEST_BATCH);
    Ok(Probe { shapes, batch, rows_per_sample, batch_that_fits })
}

fn user<'l>(layers: &'l [Layer], source: &Source) -> (&'l str, &'l str) {
    let uses = layers.iter().flat_map(|layer| layer.sites.iter().map(move |site| (layer, site)));
    let mut of_source = uses.filter(|(_, site)| site.input == source.input && site.unfold == source.unfold);
    of_source.next().map_or(("", ""), |(layer, site)| (site.node.as_str(), layer.weight.name.as_str()))
}

fn does_not_fit(layers: &[Layer], source: &Source, shape: &[usize]) -> EvidenceError {
    let (node, weight) = user(layers, source);
    EvidenceError::Shape {
        node: node.to_owned(),
        input: source.input.clone(),
        shape: shape.to_vec(),
        weight: weight.to_owned(),
    }
}

impl Probe {
    /// Rows can be told apart by sample only where the batch is the outermost axis of a layer's input.
    fn check_rows_are_by_sample(&self, layers: &[Layer], sources: &[Source]) -> Result<(), EvidenceError> {
        let strange = self.shapes.iter().position(|shape| !shape.first().is_some_and(|n| n.is_multiple_of(self.batch)));
        let Some(at) = strange else { return Ok(()) };
        Err(EvidenceError::Batch {
            node: user(layers, &sources[at]).0.to_owned(),
            input: sources[at].input.clone(),
            shape: self.shapes[at].clone(),
            batch: self.batch,
        })
    }
}

/// For each source the rows that are drawn, in order, or `None` where all of them enter.
fn pick_rows(rows: &[usize], pass: &Pass<'_>) -> Vec<Option<Vec<usize>>> {
    let RowLimit::AtMost(limit) = pass.rows else { return vec![None; rows.len()] };
    let draw = |(source, &rows): (usize, &usize)| {
        (limit < rows).then(|| {
            let mut generator = ChaCha8Rng::seed_from_u64(pass.seed);
            generator.set_stream(source as u64);
            let mut picked = rand::seq::index::sample(&mut generator, rows, limit).into_vec();
            picked.sort_unstable();
            picked
        })
    };
    rows.iter().enumerate().map(draw).collect()
}

/// A moments pass under way.
struct Run<'a> {
    session: Box<dyn Session>,
    classifier: &'a Classifier,
    sources: &'a [Source],
    measured: &'a [Measured],
    picked: &'a [Option<Vec<usize>>],
    rows_per_sample: &'a [usize],
    sums: Vec<Array3<f64>>,
    done: usize,
}

impl Run<'_> {
    fn add(&mut self, batch: &Batch) -> Result<(), EvidenceError> {
        let feed = Feed::new(self.classifier, &batch.inputs)?;
        let samples = feed.samples;
        let masks: Vec<Tensor> = (0..self.sources.len()).map(|source| self.mask(source, samples, feed.size)).collect();
        let mut inputs = feed.inputs();
        for (measured, mask) in self.measured.iter().zip(&masks) {
            inputs.extend(measured.mask.as_deref().map(|name| (name, mask)));
        }
        let wanted: Vec<&str> = self.measured.iter().map(|measured| measured.moment.as_str()).collect();
        let outputs = self.session.run(&inputs, &wanted)?;
        for ((sum, source), output) in self.sums.iter_mut().zip(self.sources).zip(outputs) {
            *sum += &moment(output, source, sum.shape())?;
        }
        self.done += samples;
        Ok(())
    }

    /// Which rows of a batch of `fed` samples count, of which only the first `samples` are no padding.
    fn mask(&self, source: usize, samples: usize, fed: usize) -> Tensor {
        let per_sample = self.rows_per_sample[source];
        let mut mask = Array1::<f64>::zeros(fed * per_sample);
        match &self.picked[source] {
            None => mask.slice_mut(ndarray::s![..samples * per_sample]).fill(1.0),
            Some(picked) => {
                let (from, to) = (self.done * per_sample, (self.done + samples) * per_sample);
                let in_batch = picked.partition_point(|&row| row < from)..picked.partition_point(|&row| row < to);
                for &row in &picked[in_batch] {
                    mask[row - from] = 1.0;
                }
            }
        }
        Tensor::Float64(mask.into_dyn())
    }
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
