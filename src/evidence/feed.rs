//! What a session is fed for a batch: the data, filled up to the model's batch size, and the constants.

use super::EvidenceError;
use crate::model::Classifier;
use crate::tensor::{NamedTensor, Tensor};
use std::borrow::Cow;

/// The tensors of one run.
pub(crate) struct Feed<'a> {
    tensors: Vec<(&'a str, Cow<'a, Tensor>)>,
    /// The number of samples of the batch.
    pub(crate) samples: usize,
    /// The number of samples that are fed: with those that fill the batch up.
    pub(crate) size: usize,
}

impl<'a> Feed<'a> {
    /// Of a batch of samples, one tensor for each input that data feeds.
    ///
    /// # Errors
    /// [`EvidenceError::Model`] where a constant does not fit beside them.
    pub(crate) fn new(classifier: &'a Classifier, batch: &'a [NamedTensor]) -> Result<Self, EvidenceError> {
        let samples = batch.iter().find_map(|input| input.tensor.shape().first().copied()).unwrap_or(0);
        let size = classifier.batch.unwrap_or(samples);
        let mut tensors: Vec<(&str, Cow<'_, Tensor>)> = Vec::new();
        for NamedTensor { name, tensor } in batch {
            let filled = if samples < size { Cow::Owned(tensor.padded(size)) } else { Cow::Borrowed(tensor) };
            tensors.push((name, filled));
        }
        let shapes: Vec<Vec<usize>> = tensors.iter().map(|(_, tensor)| tensor.shape().to_vec()).collect();
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let size = size.max(samples);
        for constant in &classifier.constants {
            tensors.push((constant.name(), Cow::Owned(constant.tensor(size, &shapes)?)));
        }
        Ok(Self { tensors, samples, size })
    }

    /// As a session takes them.
    pub(crate) fn inputs(&self) -> Vec<(&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (*name, tensor.as_ref())).collect()
    }
}
