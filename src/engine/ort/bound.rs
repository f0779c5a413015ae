//! What a session carries from run to run, bound to the memory of the device that computes it, so that it never leaves it.

use super::values;
use crate::engine::Carried;
use crate::tensor::Tensor;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session, SessionOutputs};
use ort::value::{DynTensorValueType, DynValue};

/// The values that are carried, on the CUDA device of that number or on the CPU.
pub(super) struct Bound {
    device: Option<u32>,
    /// Each with its value after the last run, if there was one.
    values: Vec<(Carried, Option<DynValue>)>,
}

impl Bound {
    /// Nothing is carried.
    pub(super) fn nothing(device: Option<u32>) -> Self {
        Self { device, values: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether that input is fed from the run before.
    pub(super) fn feeds(&self, input: &str) -> bool {
        self.values.iter().any(|(carried, _)| carried.input == input)
    }

    /// Carries these and no others, from their first values on.
    pub(super) fn carry(&mut self, carried: Vec<Carried>) {
        self.values = carried.into_iter().map(|carried| (carried, None)).collect();
    }

    /// The values in the program's own memory; the next run begins anew.
    pub(super) fn take(&mut self) -> Result<Vec<Tensor>, String> {
        let fetch = |(carried, value): &mut (Carried, Option<DynValue>)| match value.take() {
            Some(value) => fetched(value).map_err(|reason| format!("output `{}`: {reason}", carried.output)),
            None => Ok(carried.first.tensor()),
        };
        self.values.iter_mut().map(fetch).collect()
    }

    /// Runs, with the wanted outputs in the program's own memory. A binding serves one run: its outputs would be written over
    /// in the next, which reads them.
    pub(super) fn run<R>(
        &mut self,
        session: &mut Session,
        inputs: &[(&str, &Tensor)],
        wanted: &[&str],
        then: impl FnOnce(&[(&str, &DynValue)]) -> Result<R, String>,
    ) -> Result<R, String> {
        let mut binding = session.create_binding().map_err(|error| error.to_string())?;
        for (name, tensor) in inputs {
            bind(&mut binding, name, tensor)?;
        }
        let (host, device) = (memory(None)?, memory(self.device)?);
        for (carried, value) in &self.values {
            match value {
                Some(value) => binding.bind_input(&carried.input, value).map_err(|error| error.to_string())?,
                None => bind(&mut binding, &carried.input, &carried.first.tensor())?,
            }
            binding.bind_output_to_device(&carried.output, &device).map_err(|error| error.to_string())?;
        }
        for (position, &name) in wanted.iter().enumerate() {
            if !wanted[..position].contains(&name) {
                binding.bind_output_to_device(name, &host).map_err(|error| error.to_string())?;
            }
        }
        let mut outputs = session.run_binding(&binding).map_err(|error| error.to_string())?;
        for (carried, value) in &mut self.values {
            *value = Some(outputs.remove(&carried.output).ok_or_else(|| lost(&carried.output))?);
        }
        then(&named(&outputs, wanted)?)
    }
}

/// The outputs by the names that are wanted, in that order.
pub(super) fn named<'o>(
    outputs: &'o SessionOutputs<'_>,
    wanted: &[&'o str],
) -> Result<Vec<(&'o str, &'o DynValue)>, String> {
    wanted.iter().map(|&name| outputs.get(name).map(|value| (name, value)).ok_or_else(|| lost(name))).collect()
}

fn lost(output: &str) -> String {
    format!("output `{output}` did not come back")
}

fn bind(binding: &mut IoBinding, name: &str, tensor: &Tensor) -> Result<(), String> {
    let value = values::owned(tensor).map_err(|error| format!("input `{name}`: {error}"))?;
    binding.bind_input(name, &value).map_err(|error| format!("input `{name}`: {error}"))
}

fn memory(device: Option<u32>) -> Result<MemoryInfo<'static>, String> {
    let (kind, number) = match device {
        Some(number) => (AllocationDevice::CUDA, number as i32),
        None => (AllocationDevice::CPU, 0),
    };
    MemoryInfo::new(kind, number, AllocatorType::Device, MemoryType::Default).map_err(|error| error.to_string())
}

/// A value in the program's own memory.
fn fetched(value: DynValue) -> Result<Tensor, String> {
    let value = value.downcast::<DynTensorValueType>().map_err(|error| error.to_string())?;
    if value.memory_info().allocation_device() == AllocationDevice::CPU {
        return values::output(&value.into_dyn());
    }
    let here = value.to(AllocationDevice::CPU, 0).map_err(|error| error.to_string())?;
    values::output(&here.into_dyn())
}
