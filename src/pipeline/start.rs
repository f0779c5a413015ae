//! The engine that runs a given model: the one that was asked for, or the one that can.

use super::job::Runner;
use crate::engine::tract::TractEngine;
use crate::engine::{Counted, Engine, EngineError, EngineName, Tally, choose, may_fall_back};
use crate::error::Error;
use crate::evidence::{EvidenceError, Forward};
use crate::model::{Classifier, Model};
use crate::progress::Observer;
use std::sync::Arc;

impl Runner {
    /// Opens the engine and loads the model. With `--engine auto` a model that ONNX Runtime cannot run, such as a
    /// float64 network with convolutions, is given to tract, and a warning says so; never where a library or a CUDA
    /// device was named.
    ///
    /// # Errors
    /// Those of the engine; ONNX Runtime's where neither can load the model.
    pub fn start(
        &self,
        model: &Model,
        classifier: &Classifier,
        observer: &dyn Observer,
    ) -> Result<(Box<dyn Engine>, Forward), Error> {
        self.start_as(|engine| engine, model, classifier, observer)
    }

    /// The same, and counts the samples that go through the network from now on.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub fn start_counted(
        &self,
        tally: &Arc<Tally>,
        model: &Model,
        classifier: &Classifier,
        observer: &dyn Observer,
    ) -> Result<(Box<dyn Engine>, Forward), Error> {
        let counted = |engine| -> Box<dyn Engine> { Box::new(Counted::new(engine, Arc::clone(tally))) };
        self.start_as(counted, model, classifier, observer)
    }

    fn start_as(
        &self,
        wrapped: impl Fn(Box<dyn Engine>) -> Box<dyn Engine>,
        model: &Model,
        classifier: &Classifier,
        observer: &dyn Observer,
    ) -> Result<(Box<dyn Engine>, Forward), Error> {
        let choice = choose(self.engine, self.device, self.threads, observer)?;
        observer.note(&choice.why);
        let load = |engine: &dyn Engine| Forward::load(engine, classifier, model.bytes(), model.folder());
        let engine = wrapped(choice.engine);
        let error = match load(engine.as_ref()) {
            Ok(forward) => return Ok((engine, forward)),
            Err(error) => error,
        };
        let tract = wrapped(Box::new(TractEngine::new()));
        let EvidenceError::Engine(EngineError::Unsupported { reason, .. }) = &error else { return Err(error.into()) };
        let asked = self.engine != EngineName::Auto || !may_fall_back(self.device);
        if asked || engine.info().name == tract.info().name {
            return Err(error.into());
        }
        let Ok(forward) = load(tract.as_ref()) else { return Err(error.into()) };
        observer.warn(&format!("tract runs the model, more slowly: onnxruntime cannot: {reason}"));
        Ok((tract, forward))
    }
}
