//! The data on which models are compared, and the data on which they are only reported.

use super::job::{Job, Validation};
use super::prepared::Prepared;
use crate::data::{Perturbation, Quarantined, Spec};
use crate::error::Error;
use crate::evidence::{BadLimit, Forward, Scores, predict};
use crate::model::Classifier;
use crate::progress::Observer;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Validation and test data of a run.
pub(super) struct HeldOut<'a> {
    validation: ValidationData<'a>,
    test: Option<Prepared>,
    batch: Option<usize>,
    limit: BadLimit,
    /// The training samples that are perturbed.
    perturbed: Vec<usize>,
}

enum ValidationData<'a> {
    /// Held out from training.
    Separate(Box<Prepared>),
    /// Training images, flipped and shifted.
    Perturbed { training: &'a Prepared, perturbation: Perturbation },
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
            ValidationData::Perturbed { training, perturbation }
        };
        let test = job.test.as_ref().map(open).transpose()?;
        Ok(Self { validation, test, batch: job.runner.batch, limit: job.limit, perturbed: Vec::new() })
    }

    /// Settles which training images are perturbed, if any are, once it is known which of them are usable.
    pub(super) fn settle(&mut self, usable: &[usize]) {
        if let ValidationData::Perturbed { perturbation, .. } = self.validation {
            self.perturbed = drawn(usable, perturbation.seed);
        }
    }

    /// The data sets besides the training set.
    pub(super) fn sets(&self) -> impl Iterator<Item = &Prepared> {
        let validation = match &self.validation {
            ValidationData::Separate(data) => Some(data.as_ref()),
            ValidationData::Perturbed { .. } => None,
        };
        validation.into_iter().chain(&self.test)
    }

    /// What the original could not be judged on, by the specification of its set. Of perturbed images nothing is said:
    /// they are those that were scored.
    pub(super) fn quarantined(&self, validation: Scores, test: Option<Scores>) -> BTreeMap<String, Vec<Quarantined>> {
        let validation = match &self.validation {
            ValidationData::Separate(data) => Some((data.as_ref(), validation)),
            ValidationData::Perturbed { .. } => None,
        };
        let sets = validation.into_iter().chain(self.test.as_ref().zip(test));
        let bad = sets.map(|(data, scores)| (data.spec.to_string(), scores.quarantined));
        bad.filter(|(_, quarantined)| !quarantined.is_empty()).collect()
    }

    /// What the report and the table call the validation data.
    pub(super) fn describe(&self) -> String {
        match &self.validation {
            ValidationData::Separate(data) => format!("{} ({} samples)", data.spec, data.set.len()),
            ValidationData::Perturbed { .. } => format!("{} perturbed training images", self.perturbed.len()),
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
            ValidationData::Perturbed { .. } => self.perturbed.len(),
        }
    }

    /// The number of test samples.
    pub(super) fn test_samples(&self) -> usize {
        self.test.as_ref().map_or(0, |data| data.set.len())
    }

    /// How a model predicts the validation labels.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn validate(&self, forward: &mut Forward, observer: &dyn Observer) -> Result<Scores, Error> {
        match &self.validation {
            ValidationData::Separate(data) => self.predict(data, &data.all(), None, forward, observer),
            ValidationData::Perturbed { training, perturbation } => {
                self.predict(training, &self.perturbed, Some(*perturbation), forward, observer)
            }
        }
    }

    /// How a model predicts the test labels, where there is test data.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn test(&self, forward: &mut Forward, observer: &dyn Observer) -> Result<Option<Scores>, Error> {
        self.test.as_ref().map(|data| self.predict(data, &data.all(), None, forward, observer)).transpose()
    }

    fn predict(
        &self,
        data: &Prepared,
        samples: &[usize],
        perturbation: Option<Perturbation>,
        forward: &mut Forward,
        observer: &dyn Observer,
    ) -> Result<Scores, Error> {
        let batch = data.batch(self.batch);
        Ok(predict(forward, &data.stream(perturbation), (samples, batch), self.limit, observer)?)
    }
}

/// Samples that stand for the training set where candidates are compared on perturbed images: with them the standard
/// error of an accuracy is at most half a point.
const PERTURBED_SAMPLES: usize = 10_000;

/// All of the samples, or so many drawn by the seed, in order.
fn drawn(usable: &[usize], seed: u64) -> Vec<usize> {
    if usable.len() <= PERTURBED_SAMPLES {
        return usable.to_vec();
    }
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut positions = rand::seq::index::sample(&mut generator, usable.len(), PERTURBED_SAMPLES).into_vec();
    positions.sort_unstable();
    positions.into_iter().map(|position| usable[position]).collect()
}
