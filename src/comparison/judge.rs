//! Whoever judges models: outside of the runs that make them, so that judging costs no method anything, and each in the same way.

use super::forget_set::ForgetSet;
use crate::data::Spec;
use crate::detect::Opinion;
use crate::engine::Engine;
use crate::error::Error;
use crate::evidence::{BadLimit, EvidenceError, Forward, Scores, predict, predict_showing};
use crate::model::{Classifier, Model, WeightPatch};
use crate::pipeline::{Candidates, Job, Prepared, Validation};
use crate::progress::Observer;
use crate::report::Accuracies;
use std::path::{Path, PathBuf};

/// What models are judged on, and what runs them.
pub(super) struct Judge<'a> {
    model: &'a Model,
    /// The batch size, where the user chose one.
    asked_batch: Option<usize>,
    limit: BadLimit,
    classifier: Classifier,
    pub(super) engine: Box<dyn Engine>,
    pub(super) training: Prepared,
    pub(super) test: Prepared,
    /// What runs read besides: nobody is judged on it.
    others: Vec<Prepared>,
}

/// A model, as it does on all samples.
pub(super) struct Judged {
    pub(super) training: Scores,
    /// What it says of each training sample that could be used.
    opinions: Vec<Opinion>,
    test: Scores,
}

impl<'a> Judge<'a> {
    /// Opens the data and loads the original. What it is fed and read like is what the job says.
    ///
    /// # Errors
    /// Those of model, data and engine.
    pub(super) fn open(
        job: &Job,
        test: &Spec,
        (model, classifier): (&'a Model, Classifier),
        observer: &dyn Observer,
    ) -> Result<(Self, Forward), Error> {
        let open = |spec: &Spec| Prepared::open(spec, &job.preprocessing, &classifier, observer);
        let (training, test) = (open(&job.data)?, open(test)?);
        let validation = match &job.validation {
            Validation::Given(spec) => Some(spec.clone()),
            Validation::Own => job.data.validation(),
            Validation::Perturb => None,
        };
        let others = validation.iter().chain(&job.unlabeled).map(open).collect::<Result<_, _>>()?;
        let (engine, forward) = job.runner.start(model, &classifier, observer)?;
        let (asked_batch, limit) = (job.runner.batch, job.limit);
        Ok((Self { model, asked_batch, limit, classifier, engine, training, test, others }, forward))
    }

    /// Refuses outputs that are files of data sets.
    ///
    /// # Errors
    /// [`Error::Usage`], which names both.
    pub(super) fn check_outputs(&self, outputs: &[PathBuf]) -> Result<(), Error> {
        let mut sets = [&self.training, &self.test].into_iter().chain(&self.others);
        sets.try_for_each(|set| outputs.iter().try_for_each(|output| set.check_output(output)))
    }

    /// Judges the original, from which it is known what the class scores mean.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn original(&mut self, mut forward: Forward, observer: &dyn Observer) -> Result<Judged, Error> {
        let judged = self.judged(&mut forward, observer)?;
        self.classifier.clone_from(forward.classifier());
        Ok(judged)
    }

    /// The original.
    pub(super) fn model(&self) -> &'a Model {
        self.model
    }

    /// Judges the model with new weights. Files that it needs lie beside `out` meanwhile.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn corrected(
        &self,
        weights: &[WeightPatch],
        out: &Path,
        observer: &dyn Observer,
    ) -> Result<Judged, Error> {
        let candidates = Candidates::new(self.model, &self.classifier, self.engine.as_ref(), out);
        let mut candidate = candidates.open(weights)?;
        self.judged(&mut candidate.forward, observer)
    }

    /// Runs a model over the training data and the test data.
    fn judged(&self, forward: &mut Forward, observer: &dyn Observer) -> Result<Judged, Error> {
        let Self { training, test, limit, .. } = self;
        observer.begin("judging", training.set.len() + test.set.len(), "samples");
        let batch = |data: &Prepared| data.batch(self.asked_batch);
        let mut opinions = Vec::new();
        let on_training = predict_showing(
            forward,
            &training.stream(None),
            (&training.all(), batch(training)),
            *limit,
            observer,
            &mut |_| false,
            &mut |prediction, row, link| opinions.push(Opinion::of(prediction, row, link)),
        )?;
        let on_test =
            predict(forward, &test.stream(None), (&test.all(), batch(test)), *limit, observer, &mut |_| false)?;
        observer.end();
        Ok(Judged { training: on_training, opinions, test: on_test })
    }
}

impl Judged {
    /// Which samples are to be forgotten by its losses; `method`: what had corrected it.
    ///
    /// # Errors
    /// [`EvidenceError::NoneUsable`].
    pub(super) fn forget_set(&self, method: Option<&'static str>) -> Result<ForgetSet, Error> {
        let classes = self.training.meaning.ok_or(EvidenceError::NoneUsable)?.classes;
        Ok(ForgetSet::by_losses(&self.training.samples, &self.opinions, classes, method))
    }

    /// How it does on each part.
    pub(super) fn accuracies(&self, forget: &ForgetSet) -> Accuracies {
        let (forget, retain) = forget.split(&self.training);
        Accuracies { test: self.test.quality(), forget, retain }
    }
}
