//! A moments pass under way.

use super::draw::picks;
use super::instrument::{Measured, Source};
use super::products::Products;
use super::sums::MomentSums;
use crate::data::{Batch, DataDigest};
use crate::engine::Session;
use crate::evidence::EvidenceError;
use crate::evidence::feed::Feed;
use crate::model::Classifier;
use crate::tensor::{NamedTensor, Tensor};
use ndarray::{Array1, Array3, Ix3};

/// What is measured of every source, in order, and what there is of it so far.
pub(super) struct Run<'a> {
    session: Box<dyn Session>,
    classifier: &'a Classifier,
    sources: Vec<Taken<'a>>,
    /// The outputs that a run must give, each once.
    wanted: Vec<String>,
    /// Everything but what is still in the sources' products.
    total: MomentSums,
}

/// A source, and how its moment is taken.
pub(super) struct Taken<'a> {
    pub(super) source: &'a Source,
    pub(super) measured: Measured,
    /// What is multiplied here.
    pub(super) products: Option<Products>,
    /// The rows that are drawn, in order, where not all enter.
    pub(super) drawn: Option<Vec<usize>>,
    /// Where it is known.
    pub(super) rows_per_sample: Option<usize>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        session: Box<dyn Session>,
        classifier: &'a Classifier,
        sources: Vec<Taken<'a>>,
        total: MomentSums,
    ) -> Self {
        let wanted = wanted(&sources);
        Self { session, classifier, sources, wanted, total }
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

    /// Everything that was added so far.
    pub(super) fn total(&mut self) -> &MomentSums {
        for (taken, sum) in self.sources.iter_mut().zip(&mut self.total.sums) {
            if let Some(products) = &mut taken.products {
                products.flush(sum);
            }
        }
        &self.total
    }

    /// Everything.
    pub(super) fn finish(mut self) -> MomentSums {
        self.total();
        self.total
    }

    /// Adds the moments of one run, times `weight`. Where rows are drawn, only those of the first `samples` count. Returns
    /// the numbers of rows that bodies gave, which tell one way through them from another.
    fn feed(&mut self, feed: &Feed<'_>, samples: usize, weight: f64) -> Result<Vec<f64>, EvidenceError> {
        let done = self.total.range.end;
        let masks: Vec<Option<Tensor>> =
            self.sources.iter().map(|taken| taken.mask(done, samples, feed.size)).collect();
        let mut inputs = feed.inputs();
        for (taken, mask) in self.sources.iter().zip(&masks) {
            if let (Measured::Inside { mask: Some(name), .. }, Some(mask)) = (&taken.measured, mask) {
                inputs.push((name, mask));
            }
        }
        let wanted: Vec<&str> = self.wanted.iter().map(String::as_str).collect();
        let outputs = self.session.run(&inputs, &wanted)?;
        let output = |name: &str| wanted.iter().position(|wanted| *wanted == name).and_then(|at| outputs.get(at));
        let empty = Tensor::zeros(&[]);
        let mut counts = Vec::new();
        for (index, taken) in self.sources.iter_mut().enumerate() {
            let sum = &mut self.total.sums[index];
            let mut counted = None;
            match (&taken.measured, &mut taken.products) {
                (Measured::Inside { moment, rows, .. }, _) => {
                    sum.add_scaled(weight, &inside(output(moment), taken.source, sum.shape())?);
                    counted = rows.as_deref().and_then(output).map(|count| count.to_f64().sum());
                    counts.extend(counted);
                }
                (Measured::Rows { output: name, .. }, Some(products)) => {
                    let per_sample = taken.rows_per_sample.unwrap_or(0);
                    let drawn = taken.drawn.as_deref().map(|drawn| {
                        picks(drawn, done, samples, per_sample).iter().map(|row| row - done * per_sample).collect()
                    });
                    let drawn: Option<Vec<usize>> = drawn;
                    let value = output(name).unwrap_or(&empty);
                    products
                        .add(weight, value, drawn.as_deref(), sum)
                        .map_err(|found| wrong(taken.source, found, sum.shape()))?;
                }
                (Measured::Rows { .. }, None) => {}
            }
            self.total.rows[index] += taken.count(done, samples, feed.size, weight, counted);
        }
        Ok(counts)
    }
}

fn wanted(sources: &[Taken<'_>]) -> Vec<String> {
    let mut wanted: Vec<String> = Vec::new();
    for taken in sources {
        let names = match &taken.measured {
            Measured::Inside { moment, rows, .. } => [Some(moment), rows.as_ref()],
            Measured::Rows { output, .. } => [Some(output), None],
        };
        for name in names.into_iter().flatten() {
            if !wanted.contains(name) {
                wanted.push(name.clone());
            }
        }
    }
    wanted
}

impl Taken<'_> {
    /// Which rows of a batch of `fed` samples count, of which only the first `samples` are no padding, where the engine
    /// weighs them.
    fn mask(&self, done: usize, samples: usize, fed: usize) -> Option<Tensor> {
        let Measured::Inside { mask: Some(_), .. } = &self.measured else { return None };
        let (drawn, per_sample) = (self.drawn.as_ref()?, self.rows_per_sample.unwrap_or(0));
        let mut mask = Array1::<f64>::zeros(fed * per_sample);
        for &row in picks(drawn, done, samples, per_sample) {
            mask[row - done * per_sample] = 1.0;
        }
        Some(Tensor::Float64(mask.into_dyn()))
    }

    /// How many rows a run added, times `weight`; `counted` by the engine where nobody else knows.
    fn count(&self, done: usize, samples: usize, fed: usize, weight: f64, counted: Option<f64>) -> f64 {
        match (&self.drawn, self.rows_per_sample) {
            (Some(drawn), per_sample) => picks(drawn, done, samples, per_sample.unwrap_or(0)).len() as f64,
            (None, Some(per_sample)) => weight * (fed * per_sample) as f64,
            (None, None) => weight * counted.unwrap_or(0.0),
        }
    }
}

fn first_sample(input: &NamedTensor) -> NamedTensor {
    NamedTensor { name: input.name.clone(), tensor: input.tensor.first_entry() }
}

fn inside(output: Option<&Tensor>, source: &Source, expected: &[usize]) -> Result<Array3<f64>, EvidenceError> {
    let shape = output.map(|output| output.shape().to_vec()).unwrap_or_default();
    match output {
        Some(Tensor::Float64(values)) if values.shape() == expected => {
            values.clone().into_dimensionality::<Ix3>().map_err(|_| wrong(source, shape, expected))
        }
        _ => Err(wrong(source, shape, expected)),
    }
}

fn wrong(source: &Source, found: Vec<usize>, expected: &[usize]) -> EvidenceError {
    EvidenceError::Moment { input: source.input.clone(), found, expected: expected.to_vec() }
}
