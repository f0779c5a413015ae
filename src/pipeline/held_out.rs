//! The data on which models are compared, and the data on which they are only reported.

use super::job::{Job, Validation};
use super::prepared::Prepared;
use crate::data::{Batch, Perturbation, Quarantined, Relabelled, Spec, Stream};
use crate::error::Error;
use crate::evidence::{BadLimit, Beliefs, Forward, Scores, for_each_features, predict};
use crate::model::Classifier;
use crate::progress::Observer;
use ndarray::Array2;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Validation and test data of a run.
pub(super) struct HeldOut<'a> {
    validation: ValidationData<'a>,
    /// Which labels of the validation data are not believed.
    beliefs: Beliefs,
    test: Option<Prepared>,
    batch: Option<usize>,
    limit: BadLimit,
    /// The validation samples, in the order in which they are judged.
    order: Vec<usize>,
    seed: u64,
}

enum ValidationData<'a> {
    /// Held out from training.
    Separate(Box<Prepared>),
    /// Training images, perturbed.
    Perturbed { training: &'a Prepared, perturbation: Perturbation },
    /// There is none: training samples that are no images cannot be perturbed, and as they are they tell nothing of accuracy.
    Missing { training: &'a Prepared },
}

impl<'a> HeldOut<'a> {
    /// Opens what the job names; without a name the training set's own validation split, else perturbed images, else nothing.
    ///
    /// # Errors
    /// Those of opening a data set; training data that are no images, and were to be perturbed.
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
            match Perturbation::check(&training.routes) {
                Ok(()) => ValidationData::Perturbed { training, perturbation: Perturbation::flip_and_shift(job.seed) },
                Err(_) if job.needs_no_validation() => ValidationData::Missing { training },
                Err(error) => return Err(error.into()),
            }
        };
        let test = job.test.as_ref().map(open).transpose()?;
        let order = match &validation {
            ValidationData::Separate(data) => in_parts(data.all(), job.seed),
            ValidationData::Perturbed { .. } | ValidationData::Missing { .. } => Vec::new(),
        };
        let (beliefs, batch) = (Beliefs::default(), job.runner.batch);
        Ok(Self { validation, beliefs, test, batch, limit: job.limit, order, seed: job.seed })
    }

    /// Settles which training images are perturbed, if any are, once it is known which of them are usable.
    pub(super) fn settle(&mut self, usable: &[usize]) {
        if let ValidationData::Perturbed { .. } = self.validation {
            self.order = in_parts(drawn(usable, PERTURBED_SAMPLES, self.seed), self.seed);
        }
    }

    /// The data sets besides the training set.
    pub(super) fn sets(&self) -> impl Iterator<Item = &Prepared> {
        let validation = match &self.validation {
            ValidationData::Separate(data) => Some(data.as_ref()),
            ValidationData::Perturbed { .. } | ValidationData::Missing { .. } => None,
        };
        validation.into_iter().chain(&self.test)
    }

    /// What the original could not be judged on, by the specification of its set. Of perturbed images nothing is said:
    /// they are those that were scored.
    pub(super) fn quarantined(&self, validation: Scores, test: Option<Scores>) -> BTreeMap<String, Vec<Quarantined>> {
        let validation = match &self.validation {
            ValidationData::Separate(data) => Some((data.as_ref(), validation)),
            ValidationData::Perturbed { .. } | ValidationData::Missing { .. } => None,
        };
        let sets = validation.into_iter().chain(self.test.as_ref().zip(test));
        let bad = sets.map(|(data, scores)| (data.spec.to_string(), scores.quarantined));
        bad.filter(|(_, quarantined)| !quarantined.is_empty()).collect()
    }

    /// What the report and the table call the validation data.
    pub(super) fn describe(&self) -> String {
        match &self.validation {
            ValidationData::Separate(data) => format!("{} ({} samples)", data.spec, data.set.len()),
            ValidationData::Perturbed { .. } => {
                let (images, replaced) = (self.order.len(), self.beliefs.replaced.len());
                let labels = if replaced > 0 { format!(", {replaced} labels not believed") } else { String::new() };
                format!("{images} perturbed training images{labels}")
            }
            ValidationData::Missing { .. } => "no validation data".to_owned(),
        }
    }

    /// The validation data as the command line names it, where there is any.
    pub(super) fn spec(&self) -> Option<String> {
        match &self.validation {
            ValidationData::Separate(data) => Some(data.spec.to_string()),
            ValidationData::Perturbed { .. } => Some("perturb".to_owned()),
            ValidationData::Missing { .. } => None,
        }
    }

    /// Whether candidates are compared on perturbed training images of which enough labels are taken for wrong: where they are
    /// right, so is what the original remembers of them.
    pub(super) fn memory_misleads(&self) -> bool {
        self.beliefs.memory_misleads(self.order.len())
    }

    /// Whether candidates are compared on perturbed training images.
    pub(super) fn is_perturbed(&self) -> bool {
        matches!(self.validation, ValidationData::Perturbed { .. })
    }

    /// Whether there is nothing to compare candidates on.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.validation, ValidationData::Missing { .. })
    }

    /// What the table calls the test data.
    pub(super) fn describe_test(&self) -> Option<String> {
        self.test.as_ref().map(|data| format!("{} ({} samples)", data.spec, data.set.len()))
    }

    /// The number of validation samples.
    pub(super) fn validation_samples(&self) -> usize {
        self.order.len()
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
        self.validate_until(forward, observer, &mut |_| false)
    }

    /// The same, which ends early where `enough` says so of what there is: any part of the samples stands for all of them.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn validate_until(
        &self,
        forward: &mut Forward,
        observer: &dyn Observer,
        enough: &mut dyn FnMut(&Scores) -> bool,
    ) -> Result<Scores, Error> {
        if self.is_missing() {
            return Ok(Scores::default());
        }
        let (data, stream) = self.of_validation();
        let set = Relabelled::new(stream.set, &self.beliefs.replaced);
        let stream = Stream { set: &set, ..stream };
        Ok(predict(forward, &stream, (&self.order, data.batch(self.batch)), self.limit, observer, enough)?)
    }

    /// How a model predicts the given labels of the training images that are perturbed for validation, as they are.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn unperturbed(&self, forward: &mut Forward, observer: &dyn Observer) -> Result<Scores, Error> {
        self.predict(self.of_validation().0, &self.order, forward, observer)
    }

    /// From now on compares models on training images that are only shifted, and by these labels.
    pub(super) fn believe(&mut self, found: Beliefs) {
        if let ValidationData::Perturbed { perturbation, .. } = &mut self.validation {
            *perturbation = Perturbation::shift(self.seed);
            self.beliefs = found;
        }
    }

    /// The data, and its samples as models are shown them, with the labels that were given.
    fn of_validation(&self) -> (&Prepared, Stream<'_>) {
        match &self.validation {
            ValidationData::Separate(data) => (data, data.stream(None)),
            ValidationData::Perturbed { training, perturbation } => (training, training.stream(Some(*perturbation))),
            ValidationData::Missing { training } => (training, training.stream(None)),
        }
    }

    /// Shows the features of the validation samples and their labels, a row each.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn features(
        &self,
        forward: &mut Forward,
        observer: &dyn Observer,
        each: impl FnMut(&Batch, &Array2<f64>),
    ) -> Result<(), Error> {
        let (data, stream) = self.of_validation();
        self.features_of((data, stream), forward, observer, each)
    }

    /// The same of the validation samples as they are, which a network may have memorised.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn unperturbed_features(
        &self,
        forward: &mut Forward,
        observer: &dyn Observer,
        each: impl FnMut(&Batch, &Array2<f64>),
    ) -> Result<(), Error> {
        let data = self.of_validation().0;
        self.features_of((data, data.stream(None)), forward, observer, each)
    }

    fn features_of(
        &self,
        (data, stream): (&Prepared, Stream<'_>),
        forward: &mut Forward,
        observer: &dyn Observer,
        each: impl FnMut(&Batch, &Array2<f64>),
    ) -> Result<(), Error> {
        if self.is_missing() {
            return Ok(());
        }
        let set = Relabelled::new(stream.set, &self.beliefs.replaced);
        let stream = Stream { set: &set, ..stream };
        Ok(for_each_features(forward, &stream, (&self.order, data.batch(self.batch)), observer, each)?)
    }

    /// How a model predicts the test labels, where there is test data.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn test(&self, forward: &mut Forward, observer: &dyn Observer) -> Result<Option<Scores>, Error> {
        let predict = |data: &Prepared| self.predict(data, &data.all(), forward, observer);
        self.test.as_ref().map(predict).transpose()
    }

    fn predict(
        &self,
        data: &Prepared,
        samples: &[usize],
        forward: &mut Forward,
        observer: &dyn Observer,
    ) -> Result<Scores, Error> {
        let (stream, batch) = (data.stream(None), data.batch(self.batch));
        Ok(predict(forward, &stream, (samples, batch), self.limit, observer, &mut |_| false)?)
    }
}

/// Samples that stand for the training set where candidates are compared on perturbed images: with them the standard
/// error of an accuracy is at most half a point.
const PERTURBED_SAMPLES: usize = 10_000;

/// Parts in which validation samples are judged: each is read in order, as data sets like it.
const PARTS: usize = 8;

/// Samples shuffled into parts, so that each stands for all of them, whatever order their set has.
fn in_parts(mut samples: Vec<usize>, seed: u64) -> Vec<usize> {
    samples.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let part = samples.len().div_ceil(PARTS).max(1);
    samples.chunks_mut(part).for_each(<[usize]>::sort_unstable);
    samples
}

/// All of the samples, or `most` of them, drawn by the seed, in order.
pub(super) fn drawn(usable: &[usize], most: usize, seed: u64) -> Vec<usize> {
    if usable.len() <= most {
        return usable.to_vec();
    }
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let mut positions = rand::seq::index::sample(&mut generator, usable.len(), most).into_vec();
    positions.sort_unstable();
    positions.into_iter().map(|position| usable[position]).collect()
}
