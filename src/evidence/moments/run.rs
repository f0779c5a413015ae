//! A moments pass under way.

use super::SymmetricSum;
use super::draw::picks;
use super::instrument::{Measured, RunningSum, Source};
use super::products::Buffers;
use super::side_by_side::side_by_side;
use super::sums::MomentSums;
use crate::data::{Batch, DataDigest};
use crate::engine::{Numbers, Session, Shown};
use crate::evidence::EvidenceError;
use crate::evidence::feed::Feed;
use crate::model::Classifier;
use crate::tensor::{NamedTensor, Tensor};
use ndarray::{Array1, ArrayView3};
use rayon::prelude::*;

/// What is measured of every source, in order, and what there is of it so far.
pub(super) struct Run<'a> {
    session: Box<dyn Session>,
    classifier: &'a Classifier,
    sources: Vec<Taken<'a>>,
    /// The outputs that a run must give, each once.
    wanted: Vec<String>,
    buffers: Buffers,
    /// Everything but what is still in the sources' products.
    total: MomentSums,
    /// What the sums had lost to float32 when the run began: those that it goes on with.
    lost_before: Vec<f64>,
}

/// A source, and how its moment is taken.
pub(super) struct Taken<'a> {
    pub(super) source: &'a Source,
    pub(super) measured: Measured,
    /// The rows that are drawn, in order, where not all enter.
    pub(super) drawn: Option<Vec<usize>>,
    /// Where it is known.
    pub(super) rows_per_sample: Option<usize>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        mut session: Box<dyn Session>,
        classifier: &'a Classifier,
        sources: Vec<Taken<'a>>,
        total: MomentSums,
    ) -> Self {
        let wanted = wanted(&sources);
        let sums = sources.iter().filter_map(Taken::running_sum);
        session.carry(sums.flat_map(|sum| [sum.value.clone(), sum.rest.clone()]).collect());
        let lost_before = total.losses.clone();
        Self { session, classifier, sources, wanted, buffers: Buffers::default(), total, lost_before }
    }

    /// Adds the moments of a batch.
    ///
    /// # Errors
    /// Those of the engine; [`EvidenceError::Path`].
    pub(super) fn add(&mut self, batch: &Batch) -> Result<(), EvidenceError> {
        let feed = Feed::new(self.classifier, &batch.inputs)?;
        let (samples, size) = (feed.samples, feed.size);
        let counts = self.feed(&feed, samples, 1.0)?;
        if size > samples {
            self.fetch(1.0)?;
            // The padding repeats the first sample, and a batch of nothing else tells what its rows add.
            let first: Vec<NamedTensor> = batch.inputs.iter().map(first_sample).collect();
            let surplus = -((size - samples) as f64 / size as f64);
            if self.feed(&Feed::new(self.classifier, &first)?, 0, surplus)? != counts {
                return Err(EvidenceError::Path { batch: size });
            }
            self.fetch(surplus)?;
        }
        self.total.range.end += samples;
        self.total.digest.add(&DataDigest::sum(&batch.digests));
        Ok(())
    }

    /// Everything that was added so far.
    ///
    /// # Errors
    /// Those of the engine.
    pub(super) fn total(&mut self) -> Result<&MomentSums, EvidenceError> {
        self.fetch(1.0)?;
        let MomentSums { sums, losses, .. } = &mut self.total;
        for (((taken, sum), loss), before) in self.sources.iter_mut().zip(sums).zip(losses).zip(&self.lost_before) {
            *loss = before + taken.settle(sum);
        }
        Ok(&self.total)
    }

    /// Everything. What a source's products keep goes before the next one's are moved.
    ///
    /// # Errors
    /// Those of the engine.
    pub(super) fn finish(mut self) -> Result<MomentSums, EvidenceError> {
        self.fetch(1.0)?;
        let Self { session, sources, buffers, mut total, lost_before, .. } = self;
        drop((session, buffers));
        let sums = total.sums.iter_mut().zip(&mut total.losses).zip(lost_before);
        for (mut taken, ((sum, loss), before)) in sources.into_iter().zip(sums) {
            *loss = before + taken.settle(sum);
        }
        Ok(total)
    }

    /// Moves what the engine has added up into the sums, times `weight`.
    fn fetch(&mut self, weight: f64) -> Result<(), EvidenceError> {
        let parts = self.session.take_carried()?;
        let inside = self.sources.iter().zip(&mut self.total.sums).filter(|(taken, _)| taken.running_sum().is_some());
        for ((taken, sum), parts) in inside.zip(parts.chunks(2)) {
            for part in parts {
                let found = matrices(part, sum.shape());
                let found = found.ok_or_else(|| wrong(taken.source, part.shape().to_vec(), sum.shape()))?;
                sum.add_scaled(weight, &found);
            }
        }
        Ok(())
    }

    /// Adds the moments of one run, times `weight`. Where rows are drawn, only those of the first `samples` count. Returns
    /// the numbers of rows that bodies gave, which tell one way through them from another.
    fn feed(&mut self, feed: &Feed<'_>, samples: usize, weight: f64) -> Result<Vec<f64>, EvidenceError> {
        let done = self.total.range.end;
        let mask = |taken: &Taken<'_>| taken.mask(done, samples, feed.size);
        let masks: Vec<NamedTensor> = self.sources.iter().filter_map(mask).collect();
        let mut inputs = feed.inputs();
        inputs.extend(masks.iter().map(|mask| (mask.name.as_str(), &mask.tensor)));
        let wanted: Vec<&str> = self.wanted.iter().map(String::as_str).collect();
        let (sources, total, buffers) = (&mut self.sources, &mut self.total, &self.buffers);
        let run = EngineRun { weight, done, samples, fed: feed.size };
        let mut counts: Result<Vec<Option<f64>>, EvidenceError> = Ok(Vec::new());
        self.session.show(&inputs, &wanted, &mut |shown| {
            let output = |name: &str| wanted.iter().position(|wanted| *wanted == name).and_then(|at| shown.get(at));
            let mut all: Vec<_> = sources.iter_mut().zip(total.sums.iter_mut().zip(&mut total.rows)).collect();
            let room: Vec<usize> = all.iter().map(|(taken, _)| taken.room(&output)).collect();
            let add = |(taken, (sum, rows)): &mut (&mut Taken<'_>, (&mut SymmetricSum, &mut f64))| {
                let counted = taken.add(&run, &output, sum, buffers)?;
                **rows += taken.count(&run, counted);
                Ok(counted)
            };
            counts = side_by_side(&room).try_fold(Vec::new(), |mut counts, sources| {
                let added: Result<Vec<Option<f64>>, EvidenceError> = all[sources].par_iter_mut().map(add).collect();
                counts.extend(added?);
                Ok(counts)
            });
        })?;
        Ok(counts?.into_iter().flatten().collect())
    }
}

/// A run of the engine, and how its results count.
struct EngineRun {
    /// The moments are added so many times.
    weight: f64,
    /// Samples before.
    done: usize,
    /// Samples that count where rows are drawn.
    samples: usize,
    /// Samples that were fed: with those that fill the batch up.
    fed: usize,
}

fn wanted(sources: &[Taken<'_>]) -> Vec<String> {
    let mut wanted: Vec<String> = Vec::new();
    for taken in sources {
        let name = match &taken.measured {
            Measured::Inside { rows, .. } => rows.as_ref(),
            Measured::Rows { output, .. } => Some(output),
        };
        if let Some(name) = name
            && !wanted.contains(name)
        {
            wanted.push(name.clone());
        }
    }
    wanted
}

impl Taken<'_> {
    /// Where the engine adds the moment up.
    fn running_sum(&self) -> Option<&RunningSum> {
        match &self.measured {
            Measured::Inside { sum, .. } => Some(sum),
            Measured::Rows { .. } => None,
        }
    }

    /// Moves what products keep into the sum, and tells what it has lost to float32 in this run.
    fn settle(&mut self, sum: &mut SymmetricSum) -> f64 {
        let Measured::Rows { products, .. } = &mut self.measured else { return 0.0 };
        products.flush(sum);
        products.loss(sum)
    }

    /// Which rows of a batch of `fed` samples count, of which only the first `samples` are no padding, where the engine
    /// weighs them.
    fn mask(&self, done: usize, samples: usize, fed: usize) -> Option<NamedTensor> {
        let Measured::Inside { mask: Some(name), .. } = &self.measured else { return None };
        let drawn = self.drawn_of(done, samples)?;
        let mut mask = Array1::<f64>::zeros(fed * self.rows_per_sample.unwrap_or(0));
        for row in drawn {
            mask[row] = 1.0;
        }
        Some(NamedTensor { name: name.clone(), tensor: Tensor::Float64(mask.into_dyn()) })
    }

    /// The rows that are drawn of a batch of so many samples, counted from its first one.
    fn drawn_of(&self, done: usize, samples: usize) -> Option<Vec<usize>> {
        let per_sample = self.rows_per_sample.unwrap_or(0);
        let drawn = picks(self.drawn.as_ref()?, done, samples, per_sample);
        Some(drawn.iter().map(|row| row - done * per_sample).collect())
    }

    /// The bytes that adding what a run gave takes meanwhile.
    fn room<'s>(&self, output: &impl Fn(&str) -> Option<&'s Shown<'s>>) -> usize {
        match &self.measured {
            Measured::Inside { .. } => 0,
            Measured::Rows { output: name, products } => output(name).map_or(0, |shown| products.room(&shown.shape)),
        }
    }

    /// Adds what a run gave. Returns the number of rows, where the engine counted them.
    fn add<'s>(
        &mut self,
        run: &EngineRun,
        output: &(impl Fn(&str) -> Option<&'s Shown<'s>> + Sync),
        sum: &mut SymmetricSum,
        buffers: &Buffers,
    ) -> Result<Option<f64>, EvidenceError> {
        let drawn = self.drawn_of(run.done, run.samples);
        match &mut self.measured {
            Measured::Inside { rows, .. } => {
                Ok(rows.as_deref().and_then(output).and_then(|shown| match shown.values {
                    Numbers::Float64(values) => Some(values.iter().sum()),
                    _ => None,
                }))
            }
            Measured::Rows { output: name, products } => {
                let added = match output(name) {
                    Some(shown) => products.add(run.weight, shown, drawn.as_deref(), sum, buffers),
                    None => Err(Vec::new()),
                };
                added.map_err(|found| EvidenceError::Rows { input: self.source.input.clone(), found })?;
                Ok(None)
            }
        }
    }

    /// How many rows a run added, times its weight; `counted` by the engine where nobody else knows.
    fn count(&self, run: &EngineRun, counted: Option<f64>) -> f64 {
        match (self.drawn_of(run.done, run.samples), self.rows_per_sample) {
            (Some(drawn), _) => drawn.len() as f64,
            (None, Some(per_sample)) => run.weight * (run.fed * per_sample) as f64,
            (None, None) => run.weight * counted.unwrap_or(0.0),
        }
    }
}

fn first_sample(input: &NamedTensor) -> NamedTensor {
    NamedTensor { name: input.name.clone(), tensor: input.tensor.first_entry() }
}

fn matrices<'t>(tensor: &'t Tensor, expected: &[usize]) -> Option<ArrayView3<'t, f64>> {
    let Tensor::Float64(values) = tensor else { return None };
    if values.shape() != expected {
        return None;
    }
    values.view().into_dimensionality().ok()
}

fn wrong(source: &Source, found: Vec<usize>, expected: &[usize]) -> EvidenceError {
    EvidenceError::Moment { input: source.input.clone(), found, expected: expected.to_vec() }
}
