//! Batches, prepared ahead of whoever consumes them.
//!
//! One scoped thread reads and prepares; a channel of one batch lets it run ahead, so at most three batches are in
//! memory: one in use, one waiting, one in the making. An error on either side ends both.

use super::{DataDigest, DataError, DataSet, Perturbation, Quarantined, Route, SampleValues};
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
    /// What was asked for as well, and cannot be used: its indices and why.
    pub quarantined: Vec<(usize, Quarantined)>,
    /// What each sample is.
    pub digests: Vec<DataDigest>,
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

/// Whether samples that cannot be used end the stream or are left out of their batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unusable {
    Fail,
    LeaveOut,
}

/// One sample as it enters a batch.
struct Prepared {
    values: Vec<SampleValues>,
    digest: DataDigest,
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
        consume: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        self.deliver(indices, batch, Unusable::Fail, consume)
    }

    /// The same, but samples that cannot be read or prepared are left out of their batch, which says so. A batch may be
    /// empty then.
    ///
    /// # Errors
    /// Those that concern more than a sample, or of `consume`.
    pub fn for_each_usable<E: From<DataError>>(
        &self,
        indices: &[usize],
        batch: usize,
        consume: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        self.deliver(indices, batch, Unusable::LeaveOut, consume)
    }

    fn deliver<E: From<DataError>>(
        &self,
        indices: &[usize],
        batch: usize,
        unusable: Unusable,
        mut consume: impl FnMut(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check(indices, batch)?;
        std::thread::scope(|scope| {
            // The receiver is dropped when this closure returns, before the scope waits: that stops the producer.
            let (sender, receiver) = sync_channel(1);
            scope.spawn(move || self.produce(indices, batch, unusable, &sender));
            receiver.into_iter().try_for_each(|prepared| consume(prepared?))
        })
    }

    fn check(&self, indices: &[usize], batch: usize) -> Result<(), DataError> {
        if batch == 0 {
            return Err(DataError::request("batches of 0 samples were asked for", "give --batch 1 or more"));
        }
        let length = self.set.len();
        if let Some(index) = indices.iter().find(|index| **index >= length) {
            return Err(DataError::beyond(*index, length));
        }
        self.perturbation.map_or(Ok(()), |_| Perturbation::check(self.routes))
    }

    fn produce(
        &self,
        indices: &[usize],
        batch: usize,
        unusable: Unusable,
        sender: &SyncSender<Result<Batch, DataError>>,
    ) {
        for indices in indices.chunks(batch) {
            let prepared = self.prepare(indices, unusable);
            let failed = prepared.is_err();
            // Where nobody receives any more, the consumer has failed and its error is what counts.
            if sender.send(prepared).is_err() || failed {
                return;
            }
        }
    }

    /// One batch; its samples are prepared in parallel.
    fn prepare(&self, asked: &[usize], unusable: Unusable) -> Result<Batch, DataError> {
        let prepared: Vec<_> = asked.par_iter().map(|index| self.sample(*index)).collect();
        let (mut indices, mut samples, mut quarantined) = (Vec::new(), Vec::new(), Vec::new());
        let mut digests = Vec::new();
        // The first error in the order of the samples counts, not the first in time.
        for (&index, sample) in asked.iter().zip(prepared) {
            match sample {
                Ok(sample) => {
                    digests.push(sample.digest);
                    indices.push(index);
                    samples.push(sample.values);
                }
                Err(DataError::Sample { reason, .. }) if unusable == Unusable::LeaveOut => {
                    quarantined.push((index, Quarantined { id: self.set.id(index), reason }));
                }
                Err(error) => return Err(error),
            }
        }
        let mut inputs = Vec::new();
        for (position, route) in self.routes.iter().enumerate() {
            inputs.push(stack(route, samples.iter().filter_map(|values| values.get(position)), indices.len())?);
        }
        let labels = indices.iter().map(|index| self.set.label(*index)).collect();
        Ok(Batch { indices, labels, inputs, quarantined, digests })
    }

    fn sample(&self, index: usize) -> Result<Prepared, DataError> {
        let values = self.routes.iter().map(|route| self.input(route, index)).collect::<Result<Vec<_>, _>>()?;
        let digest = DataDigest::of_sample(&self.set.id(index), self.set.label(index), self.routes, &values);
        Ok(Prepared { values, digest })
    }

    fn input(&self, route: &Route, index: usize) -> Result<SampleValues, DataError> {
        let values = route.sample(self.set, index)?;
        match (self.perturbation, values) {
            (Some(perturbation), SampleValues::Floats(values)) if route.transform.is_image() => {
                perturbation.apply(index, &values, &route.transform).map(SampleValues::Floats)
            }
            (_, values) => Ok(values),
        }
    }
}

/// The values of one input for all samples of a batch.
fn stack<'a>(
    route: &Route,
    samples: impl Iterator<Item = &'a SampleValues>,
    count: usize,
) -> Result<NamedTensor, DataError> {
    let shape: Vec<_> = std::iter::once(count).chain(route.transform.shape().iter().copied()).collect();
    let (mut floats, mut integers) = (Vec::new(), Vec::new());
    for sample in samples {
        match sample {
            SampleValues::Floats(values) => append(&mut floats, values),
            SampleValues::Integers(values) => append(&mut integers, values),
        }
    }
    let tensor = match route.element {
        element if floats.is_empty() => Tensor::from_i64(&stacked(&shape, integers)?, element),
        ElementType::Float32 => Tensor::Float32(stacked(&shape, floats)?),
        element => Tensor::from_f32(&stacked(&shape, floats)?, element),
    };
    Ok(NamedTensor { name: route.input.clone(), tensor })
}

fn append<T: Copy>(all: &mut Vec<T>, values: &ArrayD<T>) {
    match values.as_slice() {
        Some(values) => all.extend_from_slice(values),
        None => all.extend(values.iter().copied()),
    }
}

fn stacked<T>(shape: &[usize], values: Vec<T>) -> Result<ArrayD<T>, DataError> {
    ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|error| DataError::request(error, "give samples of one shape"))
}

#[cfg(test)]
#[path = "batches_tests.rs"]
mod tests;
