//! Batches, prepared ahead of whoever consumes them.
//!
//! One scoped thread reads and prepares; a channel of one batch lets it run ahead, so at most three batches are in
//! memory: one in use, one waiting, one in the making. An error on either side ends both.

use super::{DataError, DataSet, Perturbation, Route, SampleValues};
use crate::tensor::{ElementType, NamedTensor, Tensor};
use ndarray::{ArrayD, IxDyn};
use rayon::prelude::*;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Samples of one run of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The indices of the samples in their set.
    pub indices: Vec<usize>,
    /// Their labels.
    pub labels: Vec<usize>,
    /// What each input of the model takes, with the batch as its first axis, in the order of the routes.
    pub inputs: Vec<NamedTensor>,
}

/// Where batches come from, and what happens to them on the way.
#[derive(Clone, Copy)]
pub struct Stream<'a> {
    /// The samples.
    pub set: &'a dyn DataSet,
    /// How each becomes the inputs of the model.
    pub routes: &'a [Route],
    /// Whether images are perturbed.
    pub perturbation: Option<Perturbation>,
}

impl Stream<'_> {
    /// Calls `consume` on this thread with the samples `indices` in batches of `batch`, in order; the last one may be
    /// smaller.
    ///
    /// Samples are prepared on rayon's pool, so call this from outside of it: a worker that waits here prepares nothing.
    ///
    /// # Errors
    /// The first error of a sample in that order, or of `consume`.
    pub fn for_each<E: From<DataError>>(
        &self,
        indices: &[usize],
        batch: usize,
        mut consume: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check(indices, batch)?;
        std::thread::scope(|scope| {
            // The receiver is dropped when this closure returns, before the scope waits: that stops the producer.
            let (sender, receiver) = sync_channel(1);
            scope.spawn(move || self.produce(indices, batch, &sender));
            receiver.into_iter().try_for_each(|prepared| consume(prepared?))
        })
    }

    fn check(&self, indices: &[usize], batch: usize) -> Result<(), DataError> {
        if batch == 0 {
            return Err(DataError::request("batches of 0 samples were asked for", "give --batch 1 or more"));
        }
        let length = self.set.len();
        if let Some(index) = indices.iter().find(|index| **index >= length) {
            let reason = format!("sample {index} was asked for, and the set has {length}");
            return Err(DataError::request(reason, "name samples that are in the set"));
        }
        self.perturbation.map_or(Ok(()), |_| Perturbation::check(self.routes))
    }

    fn produce(&self, indices: &[usize], batch: usize, sender: &SyncSender<Result<Batch, DataError>>) {
        for indices in indices.chunks(batch) {
            let prepared = self.prepare(indices);
            let failed = prepared.is_err();
            // Where nobody receives any more, the consumer has failed and its error is what counts.
            if sender.send(prepared).is_err() || failed {
                return;
            }
        }
    }

    /// One batch; its samples are prepared in parallel.
    fn prepare(&self, indices: &[usize]) -> Result<Batch, DataError> {
        let inputs = self.routes.iter().map(|route| self.input(route, indices)).collect::<Result<_, _>>()?;
        let labels = indices.iter().map(|index| self.set.label(*index)).collect();
        Ok(Batch { indices: indices.to_vec(), labels, inputs })
    }

    fn input(&self, route: &Route, indices: &[usize]) -> Result<NamedTensor, DataError> {
        let samples: Vec<_> = indices.par_iter().map(|index| self.sample(route, *index)).collect();
        // The first error in the order of the samples counts, not the first in time.
        let samples: Vec<SampleValues> = samples.into_iter().collect::<Result<_, _>>()?;
        let shape: Vec<_> = std::iter::once(indices.len()).chain(route.transform.shape().iter().copied()).collect();
        let (mut floats, mut integers) = (Vec::new(), Vec::new());
        for sample in samples {
            match sample {
                SampleValues::Floats(values) => floats.extend(values),
                SampleValues::Integers(values) => integers.extend(values),
            }
        }
        let tensor = match route.element {
            element if floats.is_empty() => Tensor::from_i64(&stacked(&shape, integers)?, element),
            ElementType::Float32 => Tensor::Float32(stacked(&shape, floats)?),
            element => Tensor::from_f32(&stacked(&shape, floats)?, element),
        };
        Ok(NamedTensor { name: route.input.clone(), tensor })
    }

    fn sample(&self, route: &Route, index: usize) -> Result<SampleValues, DataError> {
        let values = route.sample(self.set, index)?;
        match (self.perturbation, values) {
            (Some(perturbation), SampleValues::Floats(values)) if route.transform.is_image() => {
                perturbation.apply(index, &values, &route.transform).map(SampleValues::Floats)
            }
            (_, values) => Ok(values),
        }
    }
}

fn stacked<T>(shape: &[usize], values: Vec<T>) -> Result<ArrayD<T>, DataError> {
    ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|error| DataError::request(error, "give samples of one shape"))
}

#[cfg(test)]
#[path = "batches_tests.rs"]
mod tests;
