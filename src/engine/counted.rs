//! How many samples went through a network: an engine that counts what its sessions are fed.
//!
//! A sample that a graph of outputs is run on goes forward once. One that a graph of gradients is run on goes forward and
//! backward. Samples that fill a fixed batch up count, since they are computed; what is done beside the engine does not.

use super::{Carried, Engine, EngineError, EngineInfo, Runnable, Session, Shown};
use crate::tensor::Tensor;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a graph computes of the samples that it is fed. Whoever loads one says so, as it cannot be told from the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Computes {
    /// Outputs, or any values on the way to them: a forward pass.
    Outputs,
    /// Gradients, too, whatever becomes of them: a forward and a backward pass.
    Gradients,
}

/// The samples that went through a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Passes {
    /// From inputs to outputs.
    pub forward: u64,
    /// And back, for gradients.
    pub backward: u64,
}

impl AddAssign for Passes {
    fn add_assign(&mut self, more: Self) {
        self.forward += more.forward;
        self.backward += more.backward;
    }
}

/// Counts the samples of all sessions of an engine.
#[derive(Debug)]
pub struct Tally {
    /// The inputs whose first axis is that of samples: each run feeds one of them at least.
    inputs: Vec<String>,
    forward: AtomicU64,
    backward: AtomicU64,
}

impl Tally {
    /// Of a model into which data goes by these inputs.
    pub fn of(inputs: impl IntoIterator<Item = String>) -> Arc<Self> {
        let inputs = inputs.into_iter().collect();
        Arc::new(Self { inputs, forward: AtomicU64::new(0), backward: AtomicU64::new(0) })
    }

    /// What was counted so far.
    pub fn passes(&self) -> Passes {
        Passes { forward: self.forward.load(Ordering::Relaxed), backward: self.backward.load(Ordering::Relaxed) }
    }

    fn add(&self, computes: Computes, fed: &[(&str, &Tensor)]) {
        let of_samples = fed.iter().find(|(name, _)| self.inputs.iter().any(|input| input == name));
        let samples = of_samples.and_then(|(_, tensor)| tensor.shape().first()).map_or(0, |&samples| samples as u64);
        self.forward.fetch_add(samples, Ordering::Relaxed);
        if computes == Computes::Gradients {
            self.backward.fetch_add(samples, Ordering::Relaxed);
        }
    }
}

/// An engine, and what was run on it.
pub struct Counted {
    engine: Box<dyn Engine>,
    tally: Arc<Tally>,
}

impl Counted {
    /// Whatever is loaded from now on is counted.
    pub fn new(engine: Box<dyn Engine>, tally: Arc<Tally>) -> Self {
        Self { engine, tally }
    }
}

impl Engine for Counted {
    fn info(&self) -> &EngineInfo {
        self.engine.info()
    }

    fn load(&self, model: Runnable<'_>) -> Result<Box<dyn Session>, EngineError> {
        let computes = model.computes;
        let session = self.engine.load(model)?;
        Ok(Box::new(CountedSession { session, computes, tally: Arc::clone(&self.tally) }))
    }
}

struct CountedSession {
    session: Box<dyn Session>,
    computes: Computes,
    tally: Arc<Tally>,
}

impl Session for CountedSession {
    fn prepare(&mut self, inputs: &[(&str, &Tensor)], wanted: &[&str]) -> Result<(), EngineError> {
        self.session.prepare(inputs, wanted)
    }

    fn run(&mut self, inputs: &[(&str, &Tensor)], wanted: &[&str]) -> Result<Vec<Tensor>, EngineError> {
        let outputs = self.session.run(inputs, wanted)?;
        self.tally.add(self.computes, inputs);
        Ok(outputs)
    }

    fn on_cpu(&self) -> Option<&BTreeMap<String, usize>> {
        self.session.on_cpu()
    }

    fn carry(&mut self, carried: Vec<Carried>) {
        self.session.carry(carried);
    }

    fn take_carried(&mut self) -> Result<Vec<Tensor>, EngineError> {
        self.session.take_carried()
    }

    fn show(
        &mut self,
        inputs: &[(&str, &Tensor)],
        wanted: &[&str],
        look: &mut dyn FnMut(&[Shown<'_>]),
    ) -> Result<(), EngineError> {
        self.session.show(inputs, wanted, look)?;
        self.tally.add(self.computes, inputs);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Device, Numbers};
    use ndarray::{ArrayD, IxDyn};
    use std::path::Path;

    /// Gives back what it is fed first.
    struct Echo(EngineInfo);

    struct EchoSession;

    impl Engine for Echo {
        fn info(&self) -> &EngineInfo {
            &self.0
        }

        fn load(&self, _model: Runnable<'_>) -> Result<Box<dyn Session>, EngineError> {
            Ok(Box::new(EchoSession))
        }
    }

    impl Session for EchoSession {
        fn run(&mut self, inputs: &[(&str, &Tensor)], _wanted: &[&str]) -> Result<Vec<Tensor>, EngineError> {
            let refused = EngineError::Run { engine: "echo", reason: "nothing was fed".to_owned() };
            inputs.first().map(|(_, tensor)| vec![(*tensor).clone()]).ok_or(refused)
        }

        fn carry(&mut self, _carried: Vec<Carried>) {}

        fn take_carried(&mut self) -> Result<Vec<Tensor>, EngineError> {
            Ok(Vec::new())
        }
    }

    fn echo() -> Box<dyn Engine> {
        Box::new(Echo(EngineInfo {
            name: "echo",
            version: String::new(),
            provider: String::new(),
            device: Device::Cpu.to_string(),
            library: None,
            free_memory: None,
        }))
    }

    fn batch(samples: usize) -> Tensor {
        Tensor::Float32(ArrayD::zeros(IxDyn(&[samples, 2])))
    }

    fn load(engine: &dyn Engine, computes: Computes) -> Box<dyn Session> {
        let (bytes, folder) = (bytes::Bytes::new(), Path::new(""));
        engine.load(Runnable { bytes, folder, computes }).unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[test]
    fn samples_go_forward_once_and_for_gradients_backward_too() {
        let tally = Tally::of(["x".to_owned()]);
        let engine = Counted::new(echo(), Arc::clone(&tally));
        let (rate, three, five) = (Tensor::Float32(ArrayD::zeros(IxDyn(&[]))), batch(3), batch(5));
        let mut outputs = load(&engine, Computes::Outputs);
        outputs.run(&[("rate", &rate), ("x", &three)], &["y"]).unwrap();
        outputs.run(&[("x", &five)], &["y"]).unwrap();
        assert_eq!(tally.passes(), Passes { forward: 8, backward: 0 });
        load(&engine, Computes::Gradients).run(&[("x", &three)], &["loss"]).unwrap();
        assert_eq!(tally.passes(), Passes { forward: 11, backward: 3 });
    }

    #[test]
    fn outputs_that_are_shown_count_as_those_that_are_given_and_what_fails_does_not() {
        let tally = Tally::of(["x".to_owned()]);
        let engine = Counted::new(echo(), Arc::clone(&tally));
        let mut session = load(&engine, Computes::Outputs);
        let mut seen = 0;
        session
            .show(&[("x", &batch(4))], &["y"], &mut |shown| {
                let Numbers::Float32(values) = shown[0].values else { return };
                seen = values.len();
            })
            .unwrap();
        assert_eq!((seen, tally.passes().forward), (8, 4));
        assert!(session.run(&[], &["y"]).is_err());
        session.prepare(&[("x", &batch(9))], &["y"]).unwrap();
        assert_eq!(tally.passes().forward, 4);
    }
}
