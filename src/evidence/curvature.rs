//! How sharply the gradient of a sample's loss turns around it: the score by which SAP's public code picks trusted samples
//! (`--use-curvature`), after Garg and Roy, "Samples with Low Loss Curvature Improve Data Efficiency", CVPR 2023.
//!
//! ```text
//! c(x) = 1/K Σₖ |∇ℓ(x + h vₖ) − ∇ℓ(x)| / h        vₖ of random signs, K = 10, h = 10⁻³
//! ```
//!
//! with the gradient of the sample's own loss in its inputs, and the Euclidean norm over all of them. What a network has memorised
//! against its neighbours lies in a sharp bend of the loss. The public code takes the gradient of a batch's mean and does not
//! divide by h, which changes no order but that of a last, smaller batch.

use super::{EvidenceError, Feed};
use crate::autodiff::{CrossEntropy, GradientModel, Loss, Objective, Respect, Targets};
use crate::data::{Batch, Stream};
use crate::engine::{Computes, Engine, Runnable, Session};
use crate::model::{Classifier, GraphIndex, Link};
use crate::progress::Observer;
use crate::tensor::{ElementType, NamedTensor, Tensor};
use ndarray::{ArrayD, Axis, arr1};
use std::collections::BTreeMap;

/// K.
const DIRECTIONS: u64 = 10;

/// h, in the units of the model's inputs.
const STEP: f64 = 1e-3;

/// A model that gives the gradients of samples' losses in its inputs.
pub struct Curvature {
    session: Box<dyn Session>,
    classifier: Classifier,
    /// The input that takes the labels.
    labels: String,
    /// The output of the gradient in each input that the loss depends on.
    gradients: Vec<String>,
    seed: u64,
}

impl Curvature {
    /// Of a model whose scores were seen, so that their link is settled. The seed draws directions.
    ///
    /// # Errors
    /// [`EvidenceError::CurvatureInput`] where an input is fed with numbers that cannot be moved a little;
    /// [`EvidenceError::NoCurvature`] where the model cannot be differentiated.
    pub fn load(
        engine: &dyn Engine,
        graph: &GraphIndex<'_>,
        classifier: &Classifier,
        stream: &Stream<'_>,
        seed: u64,
    ) -> Result<Self, EvidenceError> {
        let precise = [ElementType::Float32, ElementType::Float64];
        if let Some(input) = classifier.data.iter().find(|input| !precise.contains(&input.element)) {
            return Err(EvidenceError::CurvatureInput { input: input.name.clone(), element: input.element });
        }
        let model = graph.model();
        let head = &classifier.head;
        let link = head.link.unwrap_or(Link::Softmax);
        let loss = Loss { link, targets: Targets::Labels, weighted: false, criterion: &CrossEntropy };
        let objective = Objective::Loss { scores: &head.value, loss, norms: false };
        let extents = extents(graph, stream);
        let made = GradientModel::of(model, engine, objective, &Respect::Inputs, &extents)
            .map_err(|source| EvidenceError::NoCurvature(Box::new(source)))?;
        let fed = |name: &String| classifier.data.iter().any(|input| input.name == *name);
        let gradients: Vec<String> =
            made.gradients.into_iter().filter(|(input, _)| fed(input)).map(|(_, output)| output).collect();
        let Some(ports) = made.ports.filter(|_| !gradients.is_empty()) else {
            return Err(EvidenceError::NoneUsable);
        };
        let session = engine.load(Runnable {
            bytes: made.bytes.into(),
            folder: model.folder(),
            computes: Computes::Gradients,
        })?;
        Ok(Self { session, classifier: classifier.clone(), labels: ports.targets, gradients, seed })
    }

    /// That of each sample, in their order; all of them can be used.
    ///
    /// # Errors
    /// Those of data and engine; an interruption.
    pub fn of_samples(
        &mut self,
        stream: &Stream<'_>,
        (samples, batch): (&[usize], usize),
        observer: &dyn Observer,
    ) -> Result<Vec<f64>, EvidenceError> {
        let mut found = Vec::with_capacity(samples.len());
        observer.begin("curvature", samples.len(), "samples");
        stream.for_each(samples, batch, |batch: Batch| {
            if let Some(signal) = observer.stopped() {
                return Err(EvidenceError::Stopped(signal));
            }
            found.extend(self.of_batch(&batch)?);
            observer.advance(batch.indices.len());
            Ok(())
        })?;
        observer.end();
        Ok(found)
    }

    fn of_batch(&mut self, batch: &Batch) -> Result<Vec<f64>, EvidenceError> {
        let here = self.gradients(&batch.inputs, &batch.labels)?;
        let mut sums = vec![0.0; batch.indices.len()];
        for direction in 0..DIRECTIONS {
            let moved = moved(&batch.inputs, &batch.indices, self.seed, direction);
            let there = self.gradients(&moved, &batch.labels)?;
            for (sample, sum) in sums.iter_mut().enumerate() {
                let squares = here.iter().zip(&there).map(|(here, there)| {
                    let of = |gradient: &ArrayD<f64>| gradient.index_axis(Axis(0), sample).to_owned();
                    (of(there) - of(here)).mapv(|difference| difference * difference).sum()
                });
                *sum += squares.sum::<f64>().sqrt() / STEP;
            }
        }
        Ok(sums.into_iter().map(|sum| sum / DIRECTIONS as f64).collect())
    }

    /// Those of each sample's own loss in each input.
    fn gradients(&mut self, inputs: &[NamedTensor], labels: &[usize]) -> Result<Vec<ArrayD<f64>>, EvidenceError> {
        let feed = Feed::new(&self.classifier, inputs)?;
        // What fills a batch up has the label of its last sample.
        let label = |at: usize| labels.get(at).or(labels.last()).map_or(0, |&label| label as i64);
        let labels: Vec<i64> = (0..feed.size).map(label).collect();
        let labels = Tensor::Int64(arr1(&labels).into_dyn());
        let mut inputs = feed.inputs();
        inputs.push((&self.labels, &labels));
        let wanted: Vec<&str> = self.gradients.iter().map(String::as_str).collect();
        let outputs = self.session.run(&inputs, &wanted)?;
        // The model's loss is the mean over what is fed.
        let size = feed.size as f64;
        Ok(outputs.iter().map(|output| output.to_f64() * size).collect())
    }
}

/// The extents of the axes that the model leaves open, by their symbols, as the data has them.
fn extents(graph: &GraphIndex<'_>, stream: &Stream<'_>) -> BTreeMap<String, usize> {
    let mut extents = BTreeMap::new();
    for input in &graph.model().graph().input {
        let Some(route) = stream.routes.iter().find(|route| route.input == input.name) else { continue };
        let dims = input.r#type.iter().filter_map(|of| of.tensor_type.as_ref()?.shape.as_ref()).flat_map(|of| &of.dim);
        let open = dims.skip(1).zip(route.transform.shape());
        extents.extend(open.filter_map(|(dim, extent)| Some((dim.dim_param.clone()?, *extent))));
    }
    extents
}

/// The inputs of samples, moved by h along a direction.
fn moved(inputs: &[NamedTensor], samples: &[usize], seed: u64, direction: u64) -> Vec<NamedTensor> {
    let mut before = 0;
    let along = |NamedTensor { name, tensor }: &NamedTensor| {
        let mut values = tensor.to_f64();
        let entries = values.len() / samples.len().max(1);
        for (mut row, &sample) in values.axis_iter_mut(Axis(0)).zip(samples) {
            let signs = Signs::of(seed, sample, direction);
            row.iter_mut().enumerate().for_each(|(at, value)| *value += STEP * signs.at(before + at));
        }
        before += entries;
        NamedTensor { name: name.clone(), tensor: Tensor::from_f64(&values, tensor.element_type()) }
    };
    inputs.iter().map(along).collect()
}

/// Random signs of the entries of a sample, counted over all of its inputs: bits of `SplitMix64` (Steele, Lea and Flood, 2014), so that
/// they are the same on every machine, in every batch and with every version of a library.
struct Signs {
    state: u64,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Signs {
    fn of(seed: u64, sample: usize, direction: u64) -> Self {
        Self { state: mixed(mixed(mixed(seed) ^ sample as u64) ^ direction) }
    }

    fn at(&self, entry: usize) -> f64 {
        let word = mixed(self.state.wrapping_add((entry as u64 / 64).wrapping_mul(GOLDEN)));
        if word >> (entry % 64) & 1 == 1 { 1.0 } else { -1.0 }
    }
}

/// A step of `SplitMix64` from that state.
fn mixed(state: u64) -> u64 {
    let z = state.wrapping_add(GOLDEN);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_the_published_numbers() {
        // The first outputs for the seed 1234567 (Vigna's reference implementation).
        assert_eq!(mixed(1_234_567), 6_457_827_717_110_365_317);
        assert_eq!(mixed(1_234_567_u64.wrapping_add(GOLDEN)), 3_203_168_211_198_807_973);
    }

    #[test]
    fn signs_are_even_and_differ_between_samples_directions_and_seeds() {
        let signs = |seed, sample, direction| {
            let signs = Signs::of(seed, sample, direction);
            (0..1000).map(|entry| signs.at(entry)).collect::<Vec<f64>>()
        };
        let one = signs(0, 0, 0);
        assert!(one.iter().sum::<f64>().abs() < 120.0);
        for other in [signs(1, 0, 0), signs(0, 1, 0), signs(0, 0, 1)] {
            let together: f64 = one.iter().zip(&other).map(|(a, b)| a * b).sum();
            assert!(together.abs() < 120.0, "{together}");
        }
    }
}
