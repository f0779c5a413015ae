//! Epochs over a data set: shuffled by a seed, validated after each, the best kept, ended when nothing gets better.

use super::checkpoint::Checkpoint;
use super::memory::Memory;
use super::mixing::Mixing;
use super::schedule::Schedule;
use super::trainer::{HeldAgainst, Trainer};
use crate::data::{Batch, Perturbation, Stream};
use crate::error::Error;
use crate::evidence::{EvidenceError, Feed};
use crate::model::Classifier;
use crate::partial::{Identity, WorkFolder};
use crate::progress::Observer;
use crate::tensor::{NamedTensor, Tensor};
use ndarray::Array1;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::borrow::Cow;

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
    pub work: Option<Kept<'a>>,
}

/// A training that is kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// Where.
    pub folder: &'a WorkFolder,
    /// Everything that decides what comes of it: what is kept of another one is refused.
    pub identity: &'a Identity,
}

/// What is learnt from.
pub struct Examples<'a> {
    /// How samples become inputs.
    pub stream: Stream<'a>,
    /// How the model is fed.
    pub classifier: &'a Classifier,
    /// What an epoch goes through, one after the other.
    pub lessons: Vec<Lesson<'a>>,
    /// Whether images are shifted, every time in another way.
    pub shifted: bool,
    /// What is remembered of the samples, where the criterion asks for it.
    pub memory: Option<Memory>,
    /// How samples are mixed, where they are: then the loss is one against probabilities.
    pub mixing: Option<Mixing<'a>>,
}

/// Samples that an epoch goes through.
#[derive(Clone, Debug)]
pub struct Lesson<'a> {
    /// The samples, which can all be used.
    pub samples: &'a [usize],
    /// The criterion's numbers meanwhile.
    pub dials: Vec<f64>,
    /// Only in so many epochs, the first ones; in all where not given.
    pub epochs: Option<usize>,
}

impl<'a> Lesson<'a> {
    /// Samples for every epoch, of a criterion without numbers.
    pub fn of(samples: &'a [usize]) -> Self {
        Self { samples, dials: Vec::new(), epochs: None }
    }
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
    /// The parameters after the best epoch; none where no epoch came to its end.
    pub parameters: Vec<NamedTensor>,
    /// Which one that was, from 0 on.
    pub best: usize,
    /// Every epoch that came to its end.
    pub epochs: Vec<Epoch>,
    /// Whether the training ended because a loss was no number any more.
    pub diverged: bool,
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
    examples: Examples<'_>,
    validate: &mut Validate<'_>,
    observer: &dyn Observer,
) -> Result<Fitted, Error> {
    let mut course = Course::of(trainer, plan, examples, observer)?;
    let mut fitted = course.begin()?;
    while fitted.epochs.len() < plan.epochs && !course.is_over(&fitted) {
        let epoch = fitted.epochs.len();
        let loss = course.epoch(epoch)?;
        if !loss.is_finite() {
            fitted.diverged = true;
            break;
        }
        let parameters = course.trainer.parameters()?;
        let found = Epoch { loss, validation: validate(&parameters)? };
        course.follow(&parameters)?;
        fitted = fitted.with(found, parameters);
        if let Some(kept) = plan.work {
            course.keep(kept, &fitted)?;
        }
    }
    Ok(fitted)
}

/// Goes through the samples once, in their order, with a learning rate of 0, and returns how many steps that took: for optimisers that
/// only look.
///
/// # Errors
/// Those of data and engine; an interruption; too few samples for a step.
pub fn pass(
    trainer: &mut Trainer,
    examples: &Examples<'_>,
    batch: usize,
    observer: &dyn Observer,
) -> Result<usize, Error> {
    let mut steps = 0;
    for lesson in &examples.lessons {
        // A model that takes so many samples only would be shown some of them twice.
        let whole = lesson.samples.len() / batch * batch;
        let samples = if examples.classifier.batch.is_some() { &lesson.samples[..whole] } else { lesson.samples };
        observer.begin("gradients", samples.len(), "samples");
        examples.stream.for_each(samples, batch, |batch: Batch| {
            stop_where_asked(observer)?;
            let labels = labels(&batch);
            let feed = Feed::new(examples.classifier, &batch.inputs)?;
            trainer.step(
                &feed.inputs(),
                &HeldAgainst { dials: &lesson.dials, ..HeldAgainst::targets(&labels) },
                0.0,
            )?;
            steps += 1;
            observer.advance(batch.indices.len());
            Ok::<_, Error>(())
        })?;
        observer.end();
    }
    if steps == 0 { Err(too_few(0, batch)) } else { Ok(steps) }
}

fn too_few(samples: usize, batch: usize) -> Error {
    Error::Usage(format!("{samples} samples give no step of {batch}; train on more, or in smaller batches"))
}

fn stop_where_asked(observer: &dyn Observer) -> Result<(), Error> {
    observer.stopped().map_or(Ok(()), |signal| Err(EvidenceError::Stopped(signal).into()))
}

fn labels(batch: &Batch) -> Tensor {
    let labels: Array1<i64> = batch.labels.iter().map(|&label| label as i64).collect();
    Tensor::Int64(labels.into_dyn())
}

impl Fitted {
    fn with(mut self, epoch: Epoch, parameters: Vec<NamedTensor>) -> Self {
        let best = self.epochs.get(self.best).map(|best| best.validation);
        if best.is_none_or(|best| epoch.validation > best) {
            self.best = self.epochs.len();
            self.parameters = parameters;
        }
        self.epochs.push(epoch);
        self
    }
}

/// A training under way.
struct Course<'a, 't> {
    trainer: &'t mut Trainer,
    plan: &'a Plan<'a>,
    examples: Examples<'a>,
    /// Of all epochs.
    steps: usize,
    /// So many were taken.
    taken: usize,
    observer: &'a dyn Observer,
}

impl<'a, 't> Course<'a, 't> {
    fn of(
        trainer: &'t mut Trainer,
        plan: &'a Plan<'a>,
        examples: Examples<'a>,
        observer: &'a dyn Observer,
    ) -> Result<Self, Error> {
        let mut course = Self { trainer, plan, examples, steps: 0, taken: 0, observer };
        let idle = course.examples.lessons.iter().find(|lesson| course.steps_of(lesson) == 0);
        if idle.is_some() || course.examples.lessons.is_empty() || plan.epochs == 0 {
            return Err(too_few(idle.map_or(0, |lesson| lesson.samples.len()), plan.batch));
        }
        course.steps = (0..plan.epochs).map(|epoch| course.steps_in(epoch)).sum();
        Ok(course)
    }

    /// From where the work folder says that it ended, or from the start.
    fn begin(&mut self) -> Result<Fitted, Error> {
        let found = self.plan.work.map(Checkpoint::read).transpose()?.flatten();
        let Some(Checkpoint { mut state, fitted }) = found else {
            return Ok(Fitted { parameters: Vec::new(), best: 0, epochs: Vec::new(), diverged: false });
        };
        if let Some(memory) = &mut self.examples.memory
            && let Some(saved) = state.pop()
        {
            memory.restore(&saved);
        }
        self.trainer.go_on_from(state);
        self.taken = (0..fitted.epochs.len()).map(|epoch| self.steps_in(epoch)).sum();
        Ok(fitted)
    }

    fn keep(&mut self, kept: Kept<'_>, fitted: &Fitted) -> Result<(), Error> {
        let mut state = self.trainer.state()?;
        state.extend(self.examples.memory.as_ref().map(Memory::tensor));
        Ok(Checkpoint { state, fitted: fitted.clone() }.write(kept)?)
    }

    /// Lets what is remembered follow these parameters, where no step has moved it.
    fn follow(&mut self, parameters: &[NamedTensor]) -> Result<(), Error> {
        let follow = self.examples.mixing.as_mut().and_then(|mixing| mixing.follow.as_mut());
        follow.zip(self.examples.memory.as_mut()).map_or(Ok(()), |(follow, memory)| follow.after(parameters, memory))
    }

    fn is_over(&self, fitted: &Fitted) -> bool {
        let since = || fitted.epochs.len().saturating_sub(1) - fitted.best;
        !fitted.epochs.is_empty() && self.plan.patience.is_some_and(|patience| since() >= patience)
    }

    /// Samples of a step; fewer than asked for where there are not so many, and the model takes any number.
    fn batch(&self, lesson: &Lesson<'_>) -> usize {
        let most = if self.examples.classifier.batch.is_some() { usize::MAX } else { lesson.samples.len() };
        self.plan.batch.min(most).max(1)
    }

    fn steps_of(&self, lesson: &Lesson<'_>) -> usize {
        lesson.samples.len() / self.batch(lesson)
    }

    fn steps_in(&self, epoch: usize) -> usize {
        self.lessons(epoch).map(|(_, lesson)| self.steps_of(lesson)).sum()
    }

    fn lessons(&self, epoch: usize) -> impl Iterator<Item = (usize, &Lesson<'a>)> {
        let lessons = self.examples.lessons.iter().enumerate();
        lessons.filter(move |(_, lesson)| lesson.epochs.is_none_or(|epochs| epoch < epochs))
    }

    /// The mean loss of the steps of one epoch; no number as soon as that of one is none.
    fn epoch(&mut self, epoch: usize) -> Result<f64, Error> {
        let lessons: Vec<(usize, Lesson<'a>)> = self.lessons(epoch).map(|(at, of)| (at, of.clone())).collect();
        let steps = self.steps_in(epoch);
        self.observer.begin(&format!("epoch {}", epoch + 1), steps, "steps");
        let mut sum = 0.0;
        for (at, lesson) in &lessons {
            // A stream of random numbers for each lesson of each epoch.
            let mut random = ChaCha8Rng::seed_from_u64(self.plan.seed);
            random.set_stream((epoch + at * self.plan.epochs) as u64);
            sum += self.lesson(lesson, &mut random)?;
        }
        self.observer.end();
        Ok(sum / steps as f64)
    }

    /// The sum of the losses of its steps.
    fn lesson(&mut self, lesson: &Lesson<'_>, random: &mut ChaCha8Rng) -> Result<f64, Error> {
        let batch = self.batch(lesson);
        let mut order = lesson.samples.to_vec();
        order.shuffle(random);
        order.truncate(order.len() / batch * batch);
        let Self {
            trainer,
            plan,
            examples: Examples { stream, classifier, shifted, memory, mixing, .. },
            steps,
            taken,
            observer,
        } = self;
        let perturbation = shifted.then(|| Perturbation::shift(random.next_u64()));
        let mut sum = 0.0_f64;
        let stream = Stream { perturbation, ..*stream };
        stream.for_each(&order, batch, |batch: Batch| {
            stop_where_asked(*observer)?;
            if !sum.is_finite() {
                return Ok::<_, Error>(());
            }
            let element = trainer.element();
            let mut targets = labels(&batch);
            let mut remembered = memory.as_ref().map(|memory| memory.of(&batch.indices, element));
            let mut inputs = Cow::Borrowed(&batch.inputs);
            if let Some(mixing) = mixing {
                let mixture = mixing.draw(batch.indices.len(), random);
                inputs = Cow::Owned(mixture.inputs(&inputs)?);
                targets = mixture.targets(&batch.labels, mixing.scores, element);
                remembered = remembered.map(|rows| mixture.rows(&rows));
            }
            let held =
                HeldAgainst { targets: &targets, weights: None, memory: remembered.as_ref(), dials: &lesson.dials };
            let feed = Feed::new(classifier, &inputs)?;
            let rate = plan.rate * plan.schedule.at(*taken, *steps);
            let found = trainer.step(&feed.inputs(), &held, rate as f32)?;
            if let (Some(memory), Some(rows)) = (memory.as_mut(), &found.remembered) {
                memory.learn(&batch.indices, rows);
            }
            sum += found.loss;
            *taken += 1;
            observer.advance(1);
            Ok(())
        })?;
        Ok(sum)
    }
}
