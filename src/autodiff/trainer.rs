//! Training step by step: what goes from one step to the next stays where the engine computes.

use super::error::AutodiffError;
use super::training_step::{Training, TrainingStep};
use crate::engine::{Carried, Engine, First, Runnable, Session};
use crate::model::Model;
use crate::tensor::{NamedTensor, Tensor};
use ndarray::{ArrayD, IxDyn};

/// A model in training.
pub struct Trainer {
    session: Box<dyn Session>,
    step: TrainingStep,
    /// Everything that is carried, so that a fresh step can go on from where the last one ended.
    carried: Vec<Carried>,
}

impl Trainer {
    /// From the stored values of its parameters on.
    ///
    /// # Errors
    /// [`AutodiffError`]: what has no gradient; those of the engine.
    pub fn new(model: &Model, engine: &dyn Engine, training: &Training<'_>) -> Result<Self, AutodiffError> {
        let mut step = TrainingStep::of(model, engine, training)?;
        let bytes = std::mem::take(&mut step.bytes).into();
        let mut session = engine.load(Runnable { bytes, folder: model.folder() })?;
        let carried = std::mem::take(&mut step.carried);
        session.carry(carried.clone());
        Ok(Self { session, step, carried })
    }

    /// Takes one step on a batch, and returns its loss before. `targets`: int64 labels `[samples]`, or float probabilities
    /// `[samples, classes]`; `weights` `[samples]`, where the loss has any.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn step(
        &mut self,
        inputs: &[(&str, &Tensor)],
        targets: &Tensor,
        weights: Option<&Tensor>,
        rate: f32,
    ) -> Result<f64, AutodiffError> {
        let rate = Tensor::Float32(ArrayD::from_elem(IxDyn(&[]), rate));
        let ports = &self.step.ports;
        let mut fed = inputs.to_vec();
        fed.push((&ports.targets, targets));
        fed.extend(ports.weights.as_deref().zip(weights));
        fed.push((&self.step.rate, &rate));
        let loss = self.session.run(&fed, &[&ports.loss])?;
        Ok(loss.first().and_then(|loss| loss.to_f64().first().copied()).unwrap_or(f64::NAN))
    }

    /// The parameters as they are now. Training can go on.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn parameters(&mut self) -> Result<Vec<NamedTensor>, AutodiffError> {
        let now = self.session.take_carried()?;
        for (carried, now) in self.carried.iter_mut().zip(now) {
            carried.first = First::Values(now);
        }
        self.session.carry(self.carried.clone());
        let of = |(name, carried): (&String, &Carried)| match &carried.first {
            First::Values(tensor) => Some(NamedTensor { name: name.clone(), tensor: tensor.clone() }),
            First::Zeros(..) => None,
        };
        Ok(self.step.parameters.iter().zip(&self.carried).filter_map(of).collect())
    }
}
