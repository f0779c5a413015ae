//! Runs a graph. `ort.rs` and `tract.rs` are the only files of the crate that know those libraries.
//!
//! An [`Engine`] loads the bytes of a model into a [`Session`]; a session maps named inputs to named outputs. Nothing
//! above this folder depends on which engine runs, so the same tests run over every one of them.

pub mod ort;
pub mod runtime;
pub mod tract;

mod carried;
mod choose;
mod counted;
mod error;
mod names;

pub use carried::{Carried, First};
pub(crate) use choose::may_fall_back;
pub use choose::{Choice, DEVICES, Device, ENGINES, EngineName, choose};
pub use counted::{Computes, Counted, Passes, Tally};
pub use error::EngineError;

use crate::tensor::Tensor;
use bytes::Bytes;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What runs the model: it stands in the report, so it says what really ran, not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EngineInfo {
    /// `onnxruntime` or `tract`.
    pub name: &'static str,
    /// The version that the library itself reports.
    pub version: String,
    /// The execution provider: `CPUExecutionProvider`, `CUDAExecutionProvider`, or `tract`.
    pub provider: String,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// The shared library that was loaded, where there is one.
    pub library: Option<PathBuf>,
    /// The bytes that were free on the device when it was opened, where it has memory of its own and that is known.
    #[serde(skip)]
    pub free_memory: Option<u64>,
}

impl EngineInfo {
    /// Whether what a session gives out was computed in the program's own memory.
    pub fn is_at_hand(&self) -> bool {
        self.device == Device::Cpu.to_string()
    }
}

/// A serialised ONNX model, and where its external data lies.
#[derive(Clone)]
pub struct Runnable<'a> {
    /// The bytes of a `ModelProto`.
    pub bytes: Bytes,
    /// The folder that the locations of external data are relative to.
    pub folder: &'a Path,
    /// What it computes of its samples.
    pub computes: Computes,
}

/// A library that can run ONNX graphs on some device.
pub trait Engine: Send + Sync {
    /// What runs, where.
    fn info(&self) -> &EngineInfo;

    /// Prepares a model for running.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] where the engine cannot run the graph, with the engine's own reason.
    fn load(&self, model: Runnable<'_>) -> Result<Box<dyn Session>, EngineError>;
}

/// A model that is ready to run. Batches of different sizes may follow each other.
pub trait Session: Send {
    /// Does beforehand what the first run with such inputs and wanted outputs would do besides running: an engine that plans
    /// for shapes makes its plan.
    ///
    /// # Errors
    /// Those that [`run`](Self::run) would have before anything runs.
    fn prepare(&mut self, inputs: &[(&str, &Tensor)], wanted: &[&str]) -> Result<(), EngineError> {
        let _ = (inputs, wanted);
        Ok(())
    }

    /// Feeds `inputs` by name and returns the outputs named in `wanted`, in that order.
    ///
    /// # Errors
    /// [`EngineError::Run`]: an unknown name, a shape or element type that the model does not take, or a failure inside
    /// the engine. [`EngineError::Unsupported`], on the first run with new shapes, from an engine that plans for them.
    fn run(&mut self, inputs: &[(&str, &Tensor)], wanted: &[&str]) -> Result<Vec<Tensor>, EngineError>;

    /// How many nodes of each operator the first run computed on the CPU though the session is one of another device; nothing
    /// where the CPU is the device, before the first run, and where the engine does not tell.
    fn on_cpu(&self) -> Option<&BTreeMap<String, usize>> {
        None
    }

    /// From the next run on, these inputs are not fed and these outputs not asked for: what the outputs give is carried from
    /// run to run inside the session.
    fn carry(&mut self, carried: Vec<Carried>);

    /// What is carried, in the order of [`carry`](Self::carry). The next run begins anew.
    ///
    /// # Errors
    /// [`EngineError::Run`] where it cannot be fetched.
    fn take_carried(&mut self) -> Result<Vec<Tensor>, EngineError>;

    /// The same as [`run`](Self::run), but shows the outputs all at once to `look`, where they lie: large ones need not be copied.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    fn show(
        &mut self,
        inputs: &[(&str, &Tensor)],
        wanted: &[&str],
        look: &mut dyn FnMut(&[Shown<'_>]),
    ) -> Result<(), EngineError> {
        let outputs = self.run(inputs, wanted)?;
        look(&outputs.iter().map(Shown::of).collect::<Vec<_>>());
        Ok(())
    }
}

/// An output where it lies.
#[derive(Clone, Debug)]
pub struct Shown<'a> {
    /// The extent of every axis.
    pub shape: Vec<usize>,
    /// The values, in row-major order.
    pub values: Numbers<'a>,
}

/// Floating-point numbers where they lie.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// 32-bit floats.
    Float32(&'a [f32]),
    /// 64-bit floats.
    Float64(&'a [f64]),
    /// Something else, which nobody needs to be shown.
    Other,
}

impl<'a> Shown<'a> {
    fn of(tensor: &'a Tensor) -> Self {
        let values = match tensor {
            Tensor::Float32(array) => array.as_slice().map(Numbers::Float32),
            Tensor::Float64(array) => array.as_slice().map(Numbers::Float64),
            _ => None,
        };
        Self { shape: tensor.shape().to_vec(), values: values.unwrap_or(Numbers::Other) }
    }
}

#[cfg(test)]
mod tests;
