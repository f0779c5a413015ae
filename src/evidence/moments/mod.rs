//! The second moments `Σ aᵢaᵢᵀ` of every layer's inputs over the trusted samples, in float64.

mod by_layer;
mod draw;
mod instrument;
mod needs;
mod probe;
mod products;
mod run;
mod side_by_side;
mod sums;
mod symmetric_sum;
mod tiles;

pub use by_layer::{Moments, Shelf};
pub use needs::{Needs, needs};
pub use sums::{MomentSums, NoKeeper, SumsKeeper};
pub use symmetric_sum::SymmetricSum;

use super::{EvidenceError, Shard};
use crate::data::{Batch, DataDigest, Stream};
use crate::engine::{Computes, Engine, Runnable};
use crate::layers::Layer;
use crate::linalg::{Alpha, suffices};
use crate::model::{Classifier, GraphIndex};
use crate::progress::Observer;
use crate::tensor::ElementType;
use by_layer::sources;
use draw::pick_rows;
use instrument::{Instrumented, Known, Measured, Source};
use probe::{Probe, Probing};
use run::{Run, Taken};
use std::fmt;
use std::ops::Range;

/// How many rows of a layer's inputs enter its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowLimit {
    /// Every row.
    All,
    /// So many, drawn without replacement by the seed; the same rows on every engine.
    AtMost(usize),
}

/// How precisely the products of float32 activations are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Precision {
    /// In float64: whatever the sums are used for.
    Float64,
    /// In float32 and summed in float64, where what is lost does not show in weights that are projected with this α or a
    /// smaller one.
    SufficientFor(Alpha),
}

/// Which of the distinct inputs of layers a pass measures, by their place in the order in which the layers read them.
#[derive(Clone, Copy, Debug)]
pub enum Inputs<'a> {
    /// Every one.
    All,
    /// These, in ascending order.
    These(&'a [usize]),
}

impl fmt::Display for Inputs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::These(inputs) => f.write_str(&inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl Inputs<'_> {
    fn contain(self, input: usize) -> bool {
        match self {
            Self::All => true,
            Self::These(inputs) => inputs.contains(&input),
        }
    }

    /// Of something for every input, what belongs to those that are measured.
    fn of<T>(self, all: impl IntoIterator<Item = T>) -> Vec<T> {
        all.into_iter().enumerate().filter(|(input, _)| self.contain(*input)).map(|(_, of_input)| of_input).collect()
    }
}

/// What a moments pass needs besides the model.
#[derive(Clone, Copy)]
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
    /// How precise the products are.
    pub precision: Precision,
    /// The batch size, where the user chose it.
    pub batch: Option<usize>,
    /// What is measured. Batches, drawn rows and what the engine computes are the same whatever it is, and so every sum is.
    pub inputs: Inputs<'a>,
}

/// Measures the moments of `layers`, or goes on with it: of every distinct input that the pass is for one sum, in order.
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
    let drawn = pick_rows(&probe, samples, pass);
    if drawn.iter().any(Option::is_some) {
        probing.check_rows_are_by_sample(&probe, &drawn)?;
    }
    let batch = probe.batch(classifier, pass.batch, samples);
    let own = pass.shard.range(samples, batch);
    observer.begin("second moments", own.len(), "samples");
    let total = begin(&pass.inputs.of(&sources), pass, &own, keeper)?;
    observer.advance(total.range.len());
    let rest = &pass.samples[total.range.end..own.end];
    let at_hand = engine.info().is_at_hand();
    let Instrumented { bytes, mut measured } =
        Instrumented::new(graph, &sources, &known(&probe, &drawn), at_hand, pass.inputs)?;
    if let Precision::SufficientFor(alpha) = pass.precision {
        allow_float32(alpha, (&sources, pass.inputs), &probe, &total, own.len(), &mut measured);
    }
    let session =
        engine.load(Runnable { bytes: bytes.into(), folder: graph.model().folder(), computes: Computes::Outputs })?;
    let taken = taken(&sources, measured, drawn, &probe, pass.inputs);
    let mut run = Run::new(session, classifier, taken, total);
    pass.stream.for_each(rest, batch, |batch: Batch| {
        if let Some(signal) = observer.stopped() {
            keeper.keep(run.total()?)?;
            return Err(EvidenceError::Stopped(signal));
        }
        run.add(&batch)?;
        if keeper.is_due() {
            keeper.keep(run.total()?)?;
        }
        observer.advance(batch.indices.len());
        Ok::<(), EvidenceError>(())
    })?;
    observer.end();
    run.finish()
}

fn known(probe: &Probe, drawn: &[Option<Vec<usize>>]) -> Vec<Known> {
    let known = |(shape, drawn): (&Option<Vec<usize>>, &Option<Vec<usize>>)| Known {
        shape: shape.clone(),
        drawn: drawn.is_some(),
    };
    probe.shapes.iter().zip(drawn).map(known).collect()
}

/// Lets those sources be multiplied in float32 that can be expected to lose little enough for this α.
fn allow_float32(
    alpha: Alpha,
    (sources, inputs): (&[Source], Inputs<'_>),
    probe: &Probe,
    total: &MomentSums,
    samples: usize,
    measured: &mut [Measured],
) {
    let known = inputs.of(sources.iter().zip(&probe.shapes).zip(&probe.rows_per_sample));
    for ((measured, ((source, shape), rows)), sum) in measured.iter_mut().zip(known).zip(&total.sums) {
        let (Measured::Rows { products, .. }, Some(shape), Some(rows)) = (measured, shape, rows) else { continue };
        if source.element == ElementType::Float32 {
            let rows = (rows * samples) as f64;
            products.allow_float32((rows, shape), sum, |loss| suffices(alpha, loss, source.unfold.dim()));
        }
    }
}

fn taken<'a>(
    sources: &'a [Source],
    measured: Vec<Measured>,
    drawn: Vec<Option<Vec<usize>>>,
    probe: &Probe,
    inputs: Inputs<'_>,
) -> Vec<Taken<'a>> {
    let all = inputs.of(sources.iter().zip(drawn).zip(&probe.rows_per_sample));
    let all = all.into_iter().zip(measured);
    let taken = |(((source, drawn), &rows_per_sample), measured)| Taken { source, measured, drawn, rows_per_sample };
    all.map(taken).collect()
}

/// What is there already: nothing, or what an interrupted pass has kept. Its samples are read again: they must be what
/// they were.
fn begin(
    sources: &[&Source],
    pass: &Pass<'_>,
    own: &Range<usize>,
    keeper: &mut dyn SumsKeeper,
) -> Result<MomentSums, EvidenceError> {
    let Some(kept) = keeper.finished() else { return Ok(MomentSums::none(sources, own.start)) };
    if !kept.is_of(sources) || kept.range.start != own.start || kept.range.end > own.end {
        return Err(EvidenceError::Changed { first: own.start, last: kept.range.end });
    }
    check_unchanged(pass.stream, &pass.samples[kept.range.clone()], &kept.digest)?;
    Ok(kept)
}

/// Reads samples again, whose digest must be what it was.
///
/// # Errors
/// [`EvidenceError::Changed`]; samples that cannot be read any more.
pub fn check_unchanged(stream: Stream<'_>, samples: &[usize], digest: &DataDigest) -> Result<(), EvidenceError> {
    let mut found = DataDigest::default();
    stream.for_each(samples, 1, |batch| {
        found.add(&DataDigest::sum(&batch.digests));
        Ok::<(), EvidenceError>(())
    })?;
    match *samples {
        [first, .., last] | [first @ last] if found != *digest => Err(EvidenceError::Changed { first, last }),
        _ => Ok(()),
    }
}
