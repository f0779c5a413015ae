//! Predictions for inputs that are at hand as tensors, such as those of a golden record.

use super::feed::Feed;
use super::scores::score_batch;
use super::{EvidenceError, Forward, Scores};
use crate::data::{Batch, DataDigest, SampleId};
use crate::model::Classifier;
use crate::progress::Observer;
use crate::tensor::NamedTensor;

/// All that a model is fed for a batch of samples: they, filled up to its batch size, and its constants.
///
/// # Errors
/// [`EvidenceError::Model`] where a constant does not fit beside the samples.
pub fn fed(classifier: &Classifier, batch: &[NamedTensor]) -> Result<Vec<NamedTensor>, EvidenceError> {
    let feed = Feed::new(classifier, batch)?;
    let named = |(name, tensor): (&str, &_)| NamedTensor { name: name.to_owned(), tensor: Clone::clone(tensor) };
    Ok(feed.inputs().into_iter().map(named).collect())
}

/// The predictions for batches of inputs, each with the labels of its first rows: rows that only fill a batch up have none. The
/// samples are counted from 0 over all batches.
///
/// # Errors
/// Those of the engine; [`EvidenceError::Stopped`].
pub fn predict_inputs<'a>(
    forward: &mut Forward,
    batches: impl IntoIterator<Item = (&'a [NamedTensor], Vec<usize>)>,
    observer: &dyn Observer,
) -> Result<Scores, EvidenceError> {
    let mut scores = Scores::default();
    let mut first = 0;
    for (inputs, labels) in batches {
        if let Some(signal) = observer.stopped() {
            return Err(EvidenceError::Stopped(signal));
        }
        let is_data = |input: &&NamedTensor| forward.classifier().data.iter().any(|data| data.name == input.name);
        let indices: Vec<usize> = (first..first + labels.len()).collect();
        first += labels.len();
        let inputs = inputs.iter().filter(is_data).cloned().collect();
        let digests = vec![DataDigest::default(); labels.len()];
        let batch = Batch { indices, labels, inputs, quarantined: Vec::new(), digests };
        let id = |index: usize| SampleId(index.to_string());
        let done = score_batch(forward, &id, batch, observer, &mut |_, _, _| ())?;
        scores.samples.extend(done.samples);
        scores.predictions.extend(done.predictions);
        scores.meaning = scores.meaning.or(done.meaning);
        scores.quarantined.extend(done.quarantined.into_iter().map(|(_, bad)| bad));
    }
    Ok(scores)
}
