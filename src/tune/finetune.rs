//! Fine-tuning: a model goes on learning, from samples and with a loss that hold wrong labels back.

use super::{Ground, Opinions, Tuned, Tuning, training};
use crate::autodiff::{Criterion, Targets};
use crate::error::Error;
use crate::evidence::Forward;
use crate::model::GraphIndex;
use crate::train::{
    Averaged, Examples, Follow, Lesson, Memory, Mixing, NamedCriterion, OfMixed, Optimizer, Plan, Says, Schedule, Sgd,
    Trainer, patches,
};
use rand_distr::Beta;
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// Which training samples are learnt from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LearnFrom {
    /// Those that were trusted.
    Trusted,
    /// Those whose label the corrected model predicts.
    Agreed,
    /// All that can be used.
    All,
}

impl LearnFrom {
    const ALL: [Self; 3] = [Self::Trusted, Self::Agreed, Self::All];
}

impl fmt::Display for LearnFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Trusted => "trusted",
            Self::Agreed => "agreed",
            Self::All => "all",
        })
    }
}

impl FromStr for LearnFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|from| from.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is neither trusted nor agreed nor all"))
    }
}

/// Fine-tuning, by stochastic gradient descent with momentum.
#[derive(Clone, Copy, Debug)]
pub struct FineTune {
    /// The method that it is.
    pub name: &'static str,
    /// What is made small.
    pub criterion: &'static NamedCriterion,
    /// What is learnt from.
    pub from: LearnFrom,
    /// The learning rate; nothing where it is searched for.
    pub rate: Option<f64>,
    /// How often every sample is seen at most.
    pub epochs: usize,
    /// The weight decay.
    pub weight_decay: f64,
    /// The most that the norm of a step's gradients may be, all together; longer ones are shortened to it. Without, networks whose
    /// normalizations were folded into their weights lose all they know in the first steps.
    pub clip: f64,
    /// The share of the average of the parameters that stays in a step, where one is kept and counts in the end.
    pub averaging: Option<f64>,
    /// What the shares of mixed samples are drawn from, both parameters of it, where samples are mixed.
    pub mixup: Option<f64>,
    /// Whether images are shifted.
    pub shifted: bool,
    /// Samples of a step, where they were given.
    pub batch: Option<usize>,
}

/// Learning rates that are tried where none is given, each by a whole training: after few epochs a small rate is ahead of one that ends
/// higher.
const RATES: [f64; 2] = [0.06, 0.02];

/// Those that are tried then, one by one, while no training is better than what it began with.
const SMALLER: [f64; 2] = [0.006, 0.002];

impl Tuning for FineTune {
    fn tune(&self, ground: &mut Ground<'_>) -> Result<Vec<Tuned>, Error> {
        let samples = self.samples(ground);
        let sgd = Sgd { momentum: super::MOMENTUM, weight_decay: self.weight_decay, nesterov: false };
        let averaged = self.averaging.map(|decay| Averaged { of: &sgd, decay });
        let optimizer: &dyn Optimizer = averaged.as_ref().map_or(&sgd, |averaged| averaged);
        let targets = if self.mixup.is_some() { Targets::Probabilities } else { Targets::Labels };
        let trainer = ground.trainer_against(targets, self.loss(), optimizer, Some(self.clip))?;
        let mut course = Course { tuning: self, ground, samples: &samples, trainer };
        let tried = match self.rate {
            Some(rate) => course.train(rate)?.into_iter().collect(),
            None => course.search()?,
        };
        if tried.is_empty() {
            let diverged = format!("{} diverges, so the model stays as it was; give a smaller --lr", self.name);
            course.ground.observer.warn(&diverged);
        }
        Ok(tried)
    }

    /// By docs/accuracy.md.
    fn helps_as_a_rule(&self) -> bool {
        true
    }

    fn params(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("loss", json!(self.criterion.name)),
            ("learn_from", json!(self.from.to_string())),
            ("lr", self.rate.map_or_else(|| json!("auto"), |rate| json!(rate))),
            ("epochs", json!(self.epochs)),
            ("weight_decay", json!(self.weight_decay)),
            ("clip", json!(self.clip)),
            ("ema", json!(self.averaging)),
            ("mixup", json!(self.mixup)),
            ("shift", json!(self.shifted)),
            ("train_batch", json!(self.batch)),
        ]
    }
}

impl FineTune {
    /// What is made small.
    fn loss(&self) -> &'static dyn Criterion {
        let of_mixed = self.criterion.of_mixed.filter(|_| self.mixup.is_some());
        of_mixed.map_or(self.criterion.criterion, |of_mixed| of_mixed.criterion)
    }

    fn samples(&self, ground: &Ground<'_>) -> Vec<usize> {
        match self.from {
            LearnFrom::Trusted => ground.trusted.to_vec(),
            LearnFrom::Agreed => ground.opinions.agreed(),
            LearnFrom::All => ground.opinions.samples.clone(),
        }
    }
}

/// Trainings that begin with the same parameters.
struct Course<'c, 'g> {
    tuning: &'c FineTune,
    ground: &'c mut Ground<'g>,
    samples: &'c [usize],
    trainer: Trainer,
}

impl Course<'_, '_> {
    /// Trainings with several learning rates, but for those that diverge.
    fn search(&mut self) -> Result<Vec<Tuned>, Error> {
        let mut tried = Vec::new();
        for rate in RATES {
            tried.extend(self.train(rate)?);
        }
        let before = self.ground.judge(&[])?.quality().accuracy;
        for rate in SMALLER {
            if tried.iter().any(|tuned| tuned.scores.quality().accuracy > before) {
                break;
            }
            tried.extend(self.train(rate)?);
        }
        Ok(tried)
    }

    fn train(&mut self, rate: f64) -> Result<Option<Tuned>, Error> {
        let Self { tuning, ground, samples, trainer } = self;
        let batch = ground.batch(tuning.batch);
        let (epochs, seed, patience) = (tuning.epochs, ground.seed, Some(super::PATIENCE));
        let plan = Plan { epochs, batch, rate, schedule: Schedule::Cosine, seed, patience, work: None };
        let opinions = ground.opinions;
        let remembers = tuning.loss().remembers();
        let examples = Examples {
            stream: ground.stream,
            classifier: ground.classifier,
            lessons: vec![Lesson::of(samples)],
            shifted: tuning.shifted && ground.images,
            memory: remembers.then(|| Memory::new(&opinions.samples, opinions.probabilities.clone())),
            mixing: mixing(tuning, ground, samples, trainer)?,
        };
        training::judged(ground, trainer, (&plan, examples), (tuning.name, vec![("lr", rate)]))
    }
}

/// How samples are mixed, where they are; what is remembered of them follows what the model says of them as they are.
fn mixing<'s, 'a: 's>(
    tuning: &FineTune,
    ground: &Ground<'a>,
    samples: &'s [usize],
    trainer: &Trainer,
) -> Result<Option<Mixing<'s>>, Error> {
    let Some(concentration) = tuning.mixup else { return Ok(None) };
    let refused = |reason| Error::Usage(format!("--mixup {concentration} gives no distribution: {reason}"));
    let shares = Beta::new(concentration, concentration).map_err(refused)?;
    let scores = trainer.scores().unwrap_or(ground.opinions.probabilities.ncols());
    let follow = |of_mixed: OfMixed| Follow { momentum: of_mixed.momentum, says: says(ground, samples) };
    Ok(Some(Mixing { shares, scores, follow: tuning.criterion.of_mixed.map(follow) }))
}

/// What the model says of those samples as they are, with some of its parameters changed.
fn says<'s, 'a: 's>(ground: &Ground<'a>, samples: &'s [usize]) -> Box<Says<'s>> {
    let (model, engine, classifier) = (ground.model, ground.engine, ground.classifier);
    let (stream, observer, batch) = (ground.stream, ground.observer, ground.batch(None));
    Box::new(move |parameters| {
        let changed = model.with_patches(&patches(&GraphIndex::new(model)?, parameters)?)?;
        let mut forward = Forward::load(engine, classifier, &changed.into(), model.folder())?;
        let found = Opinions::of(&mut forward, &stream, (samples, batch), observer)?;
        Ok((found.samples, found.probabilities))
    })
}
