//! Training step by step: what goes from one step to the next stays where the engine computes.

use super::step::{Training, TrainingStep};
use crate::autodiff::AutodiffError;
use crate::engine::{Carried, Computes, Engine, First, Runnable, Session};
use crate::model::{GraphIndex, Model, WeightPatch};
use crate::tensor::{ElementType, NamedTensor, Tensor};
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

/// What the scores of a batch are held against.
#[derive(Clone, Copy, Debug)]
pub struct HeldAgainst<'a> {
    /// int64 labels `[samples]`, or float probabilities `[samples, classes]`.
    pub targets: &'a Tensor,
    /// `[samples]`, where the loss has any.
    pub weights: Option<&'a Tensor>,
    /// What is remembered of the samples, `[samples, classes]`, where the criterion asks for it.
    pub memory: Option<&'a Tensor>,
    /// The criterion's numbers.
    pub dials: &'a [f64],
}

impl<'a> HeldAgainst<'a> {
    /// Labels or probabilities alone.
    pub fn targets(targets: &'a Tensor) -> Self {
        Self { targets, weights: None, memory: None, dials: &[] }
    }
}

/// What a step has found before it changed the parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// The mean loss of the batch.
    pub loss: f64,
    /// What is to be remembered of its samples.
    pub remembered: Option<Tensor>,
}

/// A model in training.
pub struct Trainer {
    session: Box<dyn Session>,
    step: TrainingStep,
    /// Everything that is carried, so that a fresh step can go on from where the last one ended.
    carried: Vec<Carried>,
    /// The same as it was before the first step.
    first: Vec<Carried>,
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
        Ok(Self { session, step, first: carried.clone(), carried })
    }

    /// Takes one step on a batch, and says what was found before it.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn step(
        &mut self,
        inputs: &[(&str, &Tensor)],
        held: &HeldAgainst<'_>,
        rate: f32,
    ) -> Result<Taken, AutodiffError> {
        let ports = &self.step.ports;
        let number = |value: f64, element| Tensor::from_f64(&ArrayD::from_elem(IxDyn(&[]), value), element);
        let rate = Tensor::Float32(ArrayD::from_elem(IxDyn(&[]), rate));
        let dials: Vec<Tensor> = held.dials.iter().map(|&dial| number(dial, ports.element)).collect();
        let mut fed = inputs.to_vec();
        fed.push((&ports.targets, held.targets));
        fed.extend(ports.weights.as_deref().zip(held.weights));
        fed.extend(ports.memory.as_deref().zip(held.memory));
        fed.extend(ports.dials.iter().map(String::as_str).zip(&dials));
        fed.push((&self.step.rate, &rate));
        let wanted: Vec<&str> = std::iter::once(&*ports.loss).chain(ports.remembered.as_deref()).collect();
        let mut found = self.session.run(&fed, &wanted)?.into_iter();
        let loss = found.next().and_then(|loss| loss.to_f64().first().copied()).unwrap_or(f64::NAN);
        Ok(Taken { loss, remembered: found.next() })
    }

    /// In which type probabilities, weights and what is remembered are fed.
    pub fn element(&self) -> ElementType {
        self.step.ports.element
    }

    /// How many scores a sample has, where the model says so.
    pub fn scores(&self) -> Option<usize> {
        self.step.ports.scores
    }

    /// The parameters as they are now, or their averages, where the optimiser keeps these. Training can go on.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn parameters(&mut self) -> Result<Vec<NamedTensor>, AutodiffError> {
        let state = self.state()?;
        let all = &self.step.parameters;
        let counts = |at: usize| {
            let now = &state[at];
            let lag = self.step.lag.map(|lag| &state[all.len() + at * self.step.kept + lag]);
            lag.map_or_else(|| now.clone(), |lag| Tensor::from_f64(&(now.to_f64() + lag.to_f64()), now.element_type()))
        };
        let named = |(at, name): (usize, &String)| NamedTensor { name: name.clone(), tensor: counts(at) };
        Ok(all.iter().enumerate().map(named).collect())
    }

    /// What the optimiser keeps of each parameter under that number.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn kept(&mut self, number: usize) -> Result<Vec<NamedTensor>, AutodiffError> {
        let state = self.state()?;
        let all = &self.step.parameters;
        let of = |at: usize| state[all.len() + at * self.step.kept + number].clone();
        let named = |(at, name): (usize, &String)| NamedTensor { name: name.clone(), tensor: of(at) };
        Ok(all.iter().enumerate().map(named).collect())
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

    /// Forgets every step that was taken.
    pub fn start_anew(&mut self) {
        self.carried.clone_from(&self.first);
        self.session.carry(self.carried.clone());
    }

    /// Forgets every step that was taken, and begins with these values of some parameters from now on.
    pub fn begin_with(&mut self, parameters: &[NamedTensor]) {
        for (carried, name) in self.first.iter_mut().zip(&self.step.parameters) {
            if let Some(given) = parameters.iter().find(|given| given.name == *name) {
                carried.first = First::Values(given.tensor.clone());
            }
        }
        self.start_anew();
    }

    /// Goes on from a state of the same training.
    pub fn go_on_from(&mut self, state: Vec<Tensor>) {
        for (carried, now) in self.carried.iter_mut().zip(state) {
            carried.first = First::Values(now);
        }
        self.session.carry(self.carried.clone());
    }
}
