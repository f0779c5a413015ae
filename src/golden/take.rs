//! Making a record: a model is run on some samples of a data set, and what goes in and comes out is kept.

use super::{Environment, Manifest, Record, RecordedSample, TestSet};
use crate::data::{Batch, SampleId};
use crate::engine::{Computes, Engine, EngineError, Runnable};
use crate::error::Error;
use crate::evidence::{BadLimit, EvidenceError, Forward, Scores, fed, predict};
use crate::model::{Classifier, Model};
use crate::pipeline::Prepared;
use crate::progress::Observer;
use crate::tensor::{NamedTensor, Tensor};
use std::collections::BTreeMap;

/// Of what a record is made.
pub struct Taking<'a> {
    /// The model.
    pub model: &'a Model,
    /// How it is fed and read.
    pub classifier: &'a Classifier,
    /// The samples.
    pub data: &'a Prepared,
    /// How many of them are recorded.
    pub samples: usize,
    /// The samples of a test set, where the user chose a number.
    pub batch: Option<usize>,
    /// How many samples may be unusable.
    pub limit: BadLimit,
}

/// So many positions of `length`, evenly spread, as sets are often sorted by class.
pub fn spread(length: usize, count: usize) -> Vec<usize> {
    let count = count.min(length);
    (0..count).map(|at| at * length / count).collect()
}

/// Runs a model on some samples and keeps what goes in and comes out.
///
/// # Errors
/// Those of data and engine.
pub fn take(taking: &Taking<'_>, engine: &dyn Engine, observer: &dyn Observer) -> Result<Record, Error> {
    let Taking { model, classifier, data, .. } = *taking;
    let (stream, batch) = (data.stream(None), data.batch(taking.batch));
    let samples = spread(data.set.len(), taking.samples);
    let mut forward = Forward::load(engine, classifier, model.bytes(), model.folder())?;
    observer.begin("golden samples", 2 * samples.len(), "samples");
    let scores = predict(&mut forward, &stream, (&samples, batch), taking.limit, observer, &mut |_| false)?;
    let predictions: BTreeMap<usize, RecordedSample> = recorded(&scores, |sample| data.set.id(sample));
    let (mut sets, mut of_sets) = (Vec::new(), Vec::new());
    let mut session = Running::open(model, engine)?;
    stream.for_each(&scores.samples, batch, |batch: Batch| -> Result<(), EvidenceError> {
        if let Some(signal) = observer.stopped() {
            return Err(EvidenceError::Stopped(signal));
        }
        let inputs = fed(classifier, &batch.inputs)?;
        let outputs = session.run(&inputs)?;
        sets.push(TestSet { inputs, outputs });
        of_sets.push(batch.indices.iter().filter_map(|index| predictions.get(index).cloned()).collect());
        observer.advance(batch.indices.len());
        Ok(())
    })?;
    observer.end();
    let environment = Environment::here(engine.info());
    let manifest = Manifest::new(model.sha256(), data.spec.to_string(), environment, of_sets);
    Ok(Record { sets, manifest: Some(manifest) })
}

fn recorded(scores: &Scores, id: impl Fn(usize) -> SampleId) -> BTreeMap<usize, RecordedSample> {
    let pairs = scores.samples.iter().zip(&scores.predictions);
    let sample = |sample: usize, prediction: &crate::evidence::Prediction| RecordedSample {
        id: id(sample).0,
        label: prediction.label,
        predicted: prediction.predicted,
        confidence: prediction.confidence,
        loss: prediction.loss,
    };
    pairs.map(|(&index, prediction)| (index, sample(index, prediction))).collect()
}

/// What a model gives for the inputs of test sets.
///
/// # Errors
/// Those of the engine; [`EvidenceError::Stopped`].
pub fn run_sets(
    model: &Model,
    engine: &dyn Engine,
    sets: &[TestSet],
    observer: &dyn Observer,
) -> Result<Vec<Vec<NamedTensor>>, EvidenceError> {
    let mut session = Running::open(model, engine)?;
    let mut run = |set: &TestSet| match observer.stopped() {
        Some(signal) => Err(EvidenceError::Stopped(signal)),
        None => Ok(session.run(&set.inputs)?),
    };
    sets.iter().map(&mut run).collect()
}

/// A model that gives all of its outputs that are tensors of a known type.
struct Running {
    session: Box<dyn crate::engine::Session>,
    outputs: Vec<String>,
}

impl Running {
    fn open(model: &Model, engine: &dyn Engine) -> Result<Self, EngineError> {
        let outputs = model.outputs().into_iter().filter(|port| port.element.is_some()).map(|port| port.name).collect();
        let session = engine.load(Runnable {
            bytes: model.bytes().clone(),
            folder: model.folder(),
            computes: Computes::Outputs,
        })?;
        Ok(Self { session, outputs })
    }

    fn run(&mut self, inputs: &[NamedTensor]) -> Result<Vec<NamedTensor>, EngineError> {
        let inputs: Vec<(&str, &Tensor)> = inputs.iter().map(|input| (input.name.as_str(), &input.tensor)).collect();
        let wanted: Vec<&str> = self.outputs.iter().map(String::as_str).collect();
        let outputs = self.session.run(&inputs, &wanted)?;
        Ok(self.outputs.iter().cloned().zip(outputs).map(|(name, tensor)| NamedTensor { name, tensor }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_over_the_set() {
        assert_eq!(spread(10, 4), [0, 2, 5, 7]);
        assert_eq!(spread(3, 10), [0, 1, 2]);
        assert_eq!(spread(0, 10), [0_usize; 0]);
    }
}
