//! A small run before the moments are taken: the shapes of what is measured.

use super::Pass;
use super::instrument::{Source, with_shapes};
use crate::data::Batch;
use crate::engine::{Computes, Engine, Runnable};
use crate::evidence::EvidenceError;
use crate::evidence::feed::Feed;
use crate::layers::Layer;
use crate::model::{Classifier, GraphIndex};

/// What the activations of a batch may take by default, in bytes: about what the engine itself needs for a large model.
const MEMORY_BUDGET: usize = 3 << 28;

/// The share of a device's free memory that the activations of a batch and the sums may take by default: kernels need room to
/// work in, and what is freed is not always of the size that is needed next.
const SHARE_OF_DEVICE: f64 = 0.5;

/// No larger batch is chosen by default: beyond, nothing gets faster.
const LARGEST_BATCH: usize = 128;

/// What one small run tells about the sources of the main graph; those of bodies are unknown until they run.
pub(super) struct Probe {
    pub(super) shapes: Vec<Option<Vec<usize>>>,
    pub(super) rows_per_sample: Vec<Option<usize>>,
    /// About what the activations of a sample take.
    pub(super) bytes_per_sample: usize,
    /// What those of a batch may take by default.
    pub(super) budget: usize,
}

impl Probe {
    /// How many samples run at once: the model's own number, the user's, or what fits, and no more than there are.
    pub(super) fn batch(&self, classifier: &Classifier, asked: Option<usize>, samples: usize) -> usize {
        let fits = (self.budget / self.bytes_per_sample.max(1)).clamp(1, LARGEST_BATCH);
        classifier.batch.unwrap_or_else(|| asked.unwrap_or(fits).min(samples))
    }
}

/// What a small run needs.
pub(super) struct Probing<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) graph: &'a GraphIndex<'a>,
    pub(super) classifier: &'a Classifier,
    pub(super) layers: &'a [Layer],
    pub(super) sources: &'a [Source],
    pub(super) pass: &'a Pass<'a>,
}

impl Probing<'_> {
    pub(super) fn run(&self) -> Result<Probe, EvidenceError> {
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
        let bytes_per_sample = self.bytes(&shapes, &rows_per_sample, batch);
        Ok(Probe { shapes, rows_per_sample, bytes_per_sample, budget: self.budget() })
    }

    /// What the activations of a batch may take by default. A device of its own holds the sums, too: their values and rests
    /// before and after a run, and a term and what was lost while they are added.
    fn budget(&self) -> usize {
        let Some(free) = self.engine.info().free_memory else { return MEMORY_BUDGET };
        let entries = |source: &Source| source.unfold.groups() * source.unfold.dim().pow(2);
        let sums: usize = self.sources.iter().map(entries).sum();
        let largest = self.sources.iter().map(entries).max().unwrap_or(0);
        ((free as f64 * SHARE_OF_DEVICE) as usize).saturating_sub((4 * sums + 5 * largest) * size_of::<f64>())
    }

    /// About what the activations of a sample take while its moments are taken. They all stay alive until then; in an engine,
    /// the largest unfolding exists as float32, float64 and transposed.
    fn bytes(&self, shapes: &[Option<Vec<usize>>], rows_per_sample: &[Option<usize>], batch: usize) -> usize {
        let values: usize = shapes.iter().flatten().map(|shape| shape.iter().product::<usize>()).sum();
        let unfolded = |(source, rows): (&Source, &Option<usize>)| {
            source.unfold.groups().saturating_mul(source.unfold.dim()).saturating_mul(rows.unwrap_or(0))
        };
        let unfolded = self.sources.iter().zip(rows_per_sample).map(unfolded);
        let inside = if self.engine.info().is_at_hand() { 0 } else { unfolded.max().unwrap_or(0).saturating_mul(20) };
        inside.saturating_add(4 * values / batch)
    }

    /// The shapes of the sources of the main graph when so many samples are fed.
    fn shapes(&self, samples: usize) -> Result<Vec<Option<Vec<usize>>>, EvidenceError> {
        let values: Vec<&str> =
            self.sources.iter().filter(|source| !source.is_in_body()).map(|source| source.input.as_str()).collect();
        let (bytes, outputs) = with_shapes(self.graph, &values)?;
        let mut session = self.engine.load(Runnable {
            bytes: bytes.into(),
            folder: self.graph.model().folder(),
            computes: Computes::Outputs,
        })?;
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
    pub(super) fn check_rows_are_by_sample(
        &self,
        probe: &Probe,
        picked: &[Option<Vec<usize>>],
    ) -> Result<(), EvidenceError> {
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
