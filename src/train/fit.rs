//! Epochs over a data set: shuffled by a seed, validated after each, the best kept, ended when nothing gets better.

use super::checkpoint::Checkpoint;
use super::schedule::Schedule;
use super::trainer::Trainer;
use crate::data::{Batch, Stream};
use crate::error::Error;
use crate::evidence::{EvidenceError, Feed};
use crate::model::Classifier;
use crate::partial::WorkFolder;
use crate::progress::Observer;
use crate::tensor::{NamedTensor, Tensor};
use ndarray::Array1;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// How a training goes.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// How often every sample is seen at most.
    pub epochs: usize,
    /// Samples of a step. What is left over at the end of an epoch takes none.
    pub batch: usize,
    /// The largest learning rate.
    pub rate: f64,
    /// How it goes over the steps of all epochs.
    pub schedule: Schedule,
    /// Draws the order of the samples.
    pub seed: u64,
    /// The epochs without a better validation after which it ends; to the last one where not given.
    pub patience: Option<usize>,
    /// Where what is done is kept after every epoch, so that the same training goes on from there.
    pub work: Option<&'a WorkFolder>,
}

/// What is learnt from.
#[derive(Clone, Copy)]
pub struct Examples<'a> {
    /// How samples become inputs.
    pub stream: Stream<'a>,
    /// The samples, which can all be used.
    pub samples: &'a [usize],
    /// How the model is fed.
    pub classifier: &'a Classifier,
}

/// What came of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// The mean loss of its steps, each before its update.
    pub loss: f64,
    /// What validation said after it: the larger, the better.
    pub validation: f64,
}

/// What came of a training.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// The parameters after the best epoch.
    pub parameters: Vec<NamedTensor>,
    /// Which one that was, from 0 on.
    pub best: usize,
    /// Every epoch.
    pub epochs: Vec<Epoch>,
}

/// How good parameters are: the larger, the better.
pub type Validate<'v> = dyn FnMut(&[NamedTensor]) -> Result<f64, Error> + 'v;

/// Trains. The first epoch is always one that counts as the best so far.
///
/// # Errors
/// Those of data, engine, validation and the work folder; an interruption; too few samples for a step.
pub fn fit(
    trainer: &mut Trainer,
    plan: &Plan<'_>,
    examples: &Examples<'_>,
    validate: &mut Validate<'_>,
    observer: &dyn Observer,
) -> Result<Fitted, Error> {
    let steps = examples.samples.len() / plan.batch.max(1);
    if steps == 0 || plan.epochs == 0 {
        let (samples, batch) = (examples.samples.len(), plan.batch);
        return Err(Error::Usage(format!(
            "{samples} samples give no step of {batch}; train on more, or in smaller batches"
        )));
    }
    let mut course = Course { trainer, plan, examples, steps, observer };
    let mut so_far = plan.work.map(Checkpoint::read).transpose()?.flatten();
    if let Some(found) = &mut so_far {
        course.trainer.go_on_from(std::mem::take(&mut found.state));
    }
    let mut fitted = so_far.map(|found| found.fitted);
    for epoch in fitted.as_ref().map_or(0, |fitted| fitted.epochs.len())..plan.epochs {
        if fitted.as_ref().is_some_and(|fitted| course.is_over(fitted)) {
            break;
        }
        let loss = course.epoch(epoch)?;
        let parameters = course.trainer.parameters()?;
        let found = Epoch { loss, validation: validate(&parameters)? };
        fitted = Some(match fitted {
            None => Fitted { parameters, best: epoch, epochs: vec![found] },
            Some(fitted) => fitted.with(found, parameters),
        });
        if let (Some(work), Some(fitted)) = (plan.work, &fitted) {
            Checkpoint { state: course.trainer.state()?, fitted: fitted.clone() }.write(work)?;
        }
    }
    fitted.ok_or_else(|| Error::Usage("no epoch was trained".to_owned()))
}

impl Fitted {
    fn with(mut self, epoch: Epoch, parameters: Vec<NamedTensor>) -> Self {
        if epoch.validation > self.epochs[self.best].validation {
            self.best = self.epochs.len();
            self.parameters = parameters;
        }
        self.epochs.push(epoch);
        self
    }
}

/// A training under way.
struct Course<'a> {
    trainer: &'a mut Trainer,
    plan: &'a Plan<'a>,
    examples: &'a Examples<'a>,
    /// Of an epoch.
    steps: usize,
    observer: &'a dyn Observer,
}

impl Course<'_> {
    fn is_over(&self, fitted: &Fitted) -> bool {
        self.plan.patience.is_some_and(|patience| fitted.epochs.len() - 1 - fitted.best >= patience)
    }

    /// The mean loss of one epoch.
    fn epoch(&mut self, epoch: usize) -> Result<f64, Error> {
        let Self { trainer, plan, examples, steps, observer } = self;
        let mut order = examples.samples.to_vec();
        let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
        random.set_stream(epoch as u64);
        order.shuffle(&mut random);
        order.truncate(*steps * plan.batch);
        let (mut step, all, mut sum) = (epoch * *steps, plan.epochs * *steps, 0.0);
        observer.begin(&format!("epoch {}", epoch + 1), *steps, "steps");
        examples.stream.for_each(&order, plan.batch, |batch: Batch| {
            if let Some(signal) = observer.stopped() {
                return Err(Error::from(EvidenceError::Stopped(signal)));
            }
            let labels =
                Tensor::Int64(batch.labels.iter().map(|&label| label as i64).collect::<Array1<i64>>().into_dyn());
            let feed = Feed::new(examples.classifier, &batch.inputs)?;
            let rate = plan.rate * plan.schedule.at(step, all);
            sum += trainer.step(&feed.inputs(), &labels, None, rate as f32)?;
            step += 1;
            observer.advance(1);
            Ok(())
        })?;
        observer.end();
        Ok(sum / *steps as f64)
    }
}
