//! Training step by step: what goes from one step to the next stays where the engine computes.

use super::step::{Training, TrainingStep};
use crate::autodiff::AutodiffError;
use crate::engine::{Carried, Computes, Engine, First, Runnable, Session};
use crate::model::{GraphIndex, Model, WeightPatch};
use crate::tensor::{NamedTensor, Tensor};
use ndarray::{ArrayD, IxDyn};

/// Parameters as patches of the model that they are of.
///
/// # Errors
/// [`AutodiffError::Target`] where one is no stored tensor of it.
pub fn patches(graph: &GraphIndex<'_>, parameters: &[NamedTensor]) -> Result<Vec<WeightPatch>, AutodiffError> {
    let patch = |parameter: &NamedTensor| {
        let missing = || AutodiffError::Target(format!("the model stores no tensor {}", parameter.name));
        let constant = graph.constant(&parameter.name).ok_or_else(missing)?.clone();
        Ok(WeightPatch { constant, values: parameter.tensor.to_f64(), copies: Vec::new() })
    };
    parameters.iter().map(patch).collect()
}

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
        let mut session = engine.load(Runnable { bytes, folder: model.folder(), computes: Computes::Gradients })?;
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
        let state = self.state()?;
        let named = |(name, tensor): (&String, Tensor)| NamedTensor { name: name.clone(), tensor };
        Ok(self.step.parameters.iter().zip(state).map(named).collect())
    }

    /// All that goes from step to step: the parameters, in their order, what the optimiser keeps, and the number of steps. Training
    /// can go on.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn state(&mut self) -> Result<Vec<Tensor>, AutodiffError> {
        let state = self.session.take_carried()?;
        self.go_on_from(state.clone());
        Ok(state)
    }

    /// Goes on from a state of the same training.
    pub fn go_on_from(&mut self, state: Vec<Tensor>) {
        for (carried, now) in self.carried.iter_mut().zip(state) {
            carried.first = First::Values(now);
        }
        self.session.carry(self.carried.clone());
    }
}
