//! What measuring takes of the memory.

use super::instrument::{Known, Source, products};
use super::probe::Probing;
use super::side_by_side::ROOM;
use super::{Pass, sources};
use crate::engine::Engine;
use crate::evidence::EvidenceError;
use crate::layers::Layer;
use crate::model::{Classifier, GraphIndex};

/// What moments take, in bytes, besides the model and what runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The activations of a sample.
    pub sample: u64,
    /// A batch while its moments are taken, whichever inputs are measured.
    pub batch: u64,
    /// The sums of each distinct input, in the order in which the layers read them, as long as it is measured.
    pub sums: Vec<u64>,
    /// The moment of each as matrices of float64.
    pub matrices: Vec<u64>,
    /// For each layer its inputs.
    pub layers: Vec<Vec<usize>>,
}

/// What the pass over `samples` samples will need, as one sample of the pass tells.
///
/// # Errors
/// Those of data and engine; a layer's input that does not fit its weight.
pub fn needs(
    engine: &dyn Engine,
    graph: &GraphIndex<'_>,
    classifier: &Classifier,
    layers: &[Layer],
    pass: &Pass<'_>,
    samples: usize,
) -> Result<Needs, EvidenceError> {
    let (sources, by_layer) = sources(layers);
    let probe = Probing { engine, graph, classifier, layers, sources: &sources, pass }.run()?;
    let batch = probe.batch(classifier, pass.batch, samples);
    let at_hand = engine.info().is_at_hand();
    // The shapes are those of one sample, or of a batch that the model fixes.
    let times = if classifier.batch.is_some() { 1 } else { batch };
    let measured: Vec<Measured> = sources
        .iter()
        .zip(&probe.shapes)
        .map(|(source, shape)| Measured::of(source, shape.as_ref(), times, at_hand))
        .collect();
    let largest = measured.iter().map(|measured| measured.room).max().unwrap_or(0);
    let together = measured.iter().map(|measured| measured.room).fold(0, usize::saturating_add);
    Ok(Needs {
        sample: probe.bytes_per_sample as u64,
        batch: (probe.bytes_per_sample * batch + together.min(ROOM.max(largest))) as u64,
        sums: measured.iter().map(|measured| measured.sums as u64).collect(),
        matrices: sources.iter().map(|source| matrices(source) as u64).collect(),
        layers: by_layer,
    })
}

/// What the moment of a source takes while it is measured.
struct Measured {
    /// From batch to batch.
    sums: usize,
    /// While a batch is added.
    room: usize,
}

impl Measured {
    fn of(source: &Source, shape: Option<&Vec<usize>>, times: usize, at_hand: bool) -> Self {
        // Rows that are drawn are never more than all.
        let known = Known { shape: shape.cloned(), drawn: false };
        // Half of the matrix and, of each entry, what rounding lost.
        let sum = matrices(source);
        match (products(source, &known).filter(|_| at_hand), known.shape) {
            (Some(products), Some(one)) => {
                let mut shape = one;
                if let Some(samples) = shape.first_mut() {
                    *samples = samples.saturating_mul(times);
                }
                Self { sums: sum + products.kept(), room: products.room(&shape) }
            }
            // What the engine gives out is shown where it lies.
            _ => Self { sums: 2 * sum, room: 0 },
        }
    }
}

fn matrices(source: &Source) -> usize {
    let dim = source.unfold.dim();
    size_of::<f64>().saturating_mul(source.unfold.groups()).saturating_mul(dim).saturating_mul(dim)
}
