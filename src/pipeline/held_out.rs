//! The data on which models are compared, and the data on which they are only reported.

use super::job::{Job, Validation};
use super::prepared::Prepared;
use crate::data::{Perturbation, Spec};
use crate::error::Error;
use crate::evidence::{Forward, Quality, predict};
use crate::model::Classifier;
use crate::progress::Observer;

/// Validation and test data of a run.
pub(super) struct HeldOut<'a> {
    validation: ValidationData<'a>,
    test: Option<Prepared>,
    batch: Option<usize>,
}

enum ValidationData<'a> {
    /// Held out from training.
    Separate(Box<Prepared>),
    /// Training images, flipped and shifted.
    Perturbed { training: &'a Prepared, samples: Vec<usize>, perturbation: Perturbation },
}

impl<'a> HeldOut<'a> {
    /// Opens what the job names; without a name the training set's own validation split, else perturbed images.
    ///
    /// # Errors
    /// Those of opening a data set; training data that are no images and have no validation split.
    pub(super) fn open(
        job: &Job,
        training: &'a Prepared,
        classifier: &Classifier,
        observer: &dyn Observer,
    ) -> Result<Self, Error> {
        let open = |spec: &Spec| Prepared::open(spec, &job.preprocessing, classifier, observer);
        let separate = match &job.validation {
            Validation::Given(spec) => Some(spec.clone()),
            Validation::Own => job.data.validation(),
            Validation::Perturb => None,
        };
        let validation = if let Some(spec) = separate {
            ValidationData::Separate(Box::new(open(&spec)?))
        } else {
            Perturbation::check(&training.routes)?;
            let perturbation = Perturbation { seed: job.seed };
            ValidationData::Perturbed { training, samples: training.perturbed(job.seed), perturbation }
        };
        Ok(Self { validation, test: job.test.as_ref().map(open).transpose()?, batch: job.runner.batch })
    }

    /// The data sets besides the training set.
    pub(super) fn sets(&self) -> impl Iterator<Item = &Prepared> {
        let validation = match &self.validation {
            ValidationData::Separate(data) => Some(data.as_ref()),
            ValidationData::Perturbed { .. } => None,
        };
        validation.into_iter().chain(&self.test)
    }

    /// What the report and the table call the validation data.
    pub(super) fn describe(&self) -> String {
        match &self.validation {
            ValidationData::Separate(data) => format!("{} ({} samples)", data.spec, data.set.len()),
            ValidationData::Perturbed { samples, .. } => format!("{} perturbed training images", samples.len()),
        }
    }

    /// The validation data as the command line names it.
    pub(super) fn spec(&self) -> String {
        match &self.validation {
            ValidationData::Separate(data) => data.spec.to_string(),
            ValidationData::Perturbed { .. } => "perturb".to_owned(),
        }
    }

    /// What the table calls the test data.
    pub(super) fn describe_test(&self) -> Option<String> {
        self.test.as_ref().map(|data| format!("{} ({} samples)", data.spec, data.set.len()))
    }

    /// The number of validation samples.
    pub(super) fn validation_samples(&self) -> usize {
        match &self.validation {
            ValidationData::Separate(data) => data.set.len(),
            ValidationData::Perturbed { samples, .. } => samples.len(),
        }
    }

    /// The number of test samples.
    pub(super) fn test_samples(&self) -> usize {
        self.test.as_ref().map_or(0, |data| data.set.len())
    }

    /// How well a model predicts the validation labels.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn validate(&self, forward: &mut Forward, observer: &dyn Observer) -> Result<Quality, Error> {
        let predictions = match &self.validation {
            ValidationData::Separate(data) => {
                predict(forward, &data.stream(None), &data.all(), data.batch(self.batch), observer)?
            }
            ValidationData::Perturbed { training, samples, perturbation } => {
                let stream = training.stream(Some(*perturbation));
                predict(forward, &stream, samples, training.batch(self.batch), observer)?
            }
        };
        Ok(Quality::of(&predictions))
    }

    /// How well a model predicts the test labels, where there is test data.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn test(&self, forward: &mut Forward, observer: &dyn Observer) -> Result<Option<Quality>, Error> {
        let Some(data) = &self.test else { return Ok(None) };
        let predictions = predict(forward, &data.stream(None), &data.all(), data.batch(self.batch), observer)?;
        Ok(Some(Quality::of(&predictions)))
    }
}
