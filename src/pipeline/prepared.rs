//! A data set together with how its samples become inputs of the model.

use super::job::TrustedCount;
use super::routes::routes;
use crate::data::{DataError, DataSet, Perturbation, Preprocessing, Route, Spec, Stream};
use crate::error::Error;
use crate::model::Classifier;
use crate::progress::Observer;
use std::path::Path;

/// Floats that a scoring batch holds by default: large enough to keep the engine busy, small enough for any machine.
const FLOATS_IN_A_BATCH: usize = 1 << 22;

/// Floats of an image of 64 × 64 in colour.
const SMALL_SAMPLE: usize = 3 << 12;

/// A data set that is ready to be fed to a model.
pub struct Prepared {
    /// As it was named.
    pub spec: Spec,
    /// The samples.
    pub set: Box<dyn DataSet>,
    /// How each becomes the inputs of the model, of which there is at least one.
    pub routes: Vec<Route>,
    fixed_batch: Option<usize>,
}

impl Prepared {
    /// Opens a data set and settles its preprocessing for a model.
    ///
    /// # Errors
    /// Those of the reader, inputs that nothing feeds, and contradictions between data, options and model.
    pub fn open(
        spec: &Spec,
        options: &Preprocessing,
        classifier: &Classifier,
        observer: &dyn Observer,
    ) -> Result<Self, Error> {
        let inputs: Vec<&str> = classifier.data.iter().map(|input| input.name.as_str()).collect();
        let set = spec.open_for(&inputs)?;
        let routes = routes(spec, set.as_ref(), options, classifier, observer)?;
        Ok(Self { spec: spec.clone(), set, routes, fixed_batch: classifier.batch })
    }

    /// Refuses an output that would take the place of a file of this set.
    ///
    /// # Errors
    /// [`Error::Usage`], which names both.
    pub fn check_output(&self, out: &Path) -> Result<(), Error> {
        if self.set.reads(out) {
            let out = out.display();
            return Err(Error::Usage(format!("{out} is a file of the data {}; name another output", self.spec)));
        }
        Ok(())
    }

    /// The samples as inputs of the model.
    pub fn stream(&self, perturbation: Option<Perturbation>) -> Stream<'_> {
        Stream { set: self.set.as_ref(), routes: &self.routes, perturbation }
    }

    /// The batch size for plain runs: the model's own, the user's, or one that suits the size of a sample.
    pub fn batch(&self, asked: Option<usize>) -> usize {
        let floats = self.floats_in_a_sample();
        let suitable = (FLOATS_IN_A_BATCH / floats.max(1)).clamp(8, 256);
        self.fixed_batch.unwrap_or_else(|| asked.unwrap_or(suitable))
    }

    /// How many samples are trusted. `auto`: more than the published 1,000 give half a point to a point of accuracy where a sample
    /// is small, as one row of it then reaches the last layers; where samples are large, their moments take hours. Never more than
    /// half of the set, as losses rank labels.
    pub fn trusted(&self, count: TrustedCount) -> usize {
        match count {
            TrustedCount::Count(count) => count,
            TrustedCount::All => self.set.len(),
            TrustedCount::Auto => {
                let most = if self.has_small_samples() { 5000 } else { 1000 };
                most.min(self.set.len().div_ceil(2))
            }
        }
    }

    /// Whether a sample is no larger than an image of 64 × 64 in colour.
    pub(super) fn has_small_samples(&self) -> bool {
        self.floats_in_a_sample() <= SMALL_SAMPLE
    }

    fn floats_in_a_sample(&self) -> usize {
        let values = |route: &Route| {
            route.transform.shape().iter().fold(1, |product: usize, extent| product.saturating_mul(*extent))
        };
        self.routes.iter().map(values).fold(0, usize::saturating_add)
    }

    /// The first sample that can be used, if there is one.
    ///
    /// # Errors
    /// Those that concern more than a sample.
    pub fn first_usable(&self) -> Result<Option<usize>, DataError> {
        for index in 0..self.set.len() {
            match self.stream(None).for_each(&[index], 1, |_| Ok(())) {
                Err(DataError::Sample { .. }) => {}
                result => return result.map(|()| Some(index)),
            }
        }
        Ok(None)
    }

    /// The indices of all samples.
    pub fn all(&self) -> Vec<usize> {
        (0..self.set.len()).collect()
    }
}
