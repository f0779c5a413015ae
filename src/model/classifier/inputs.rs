//! The inputs that data feeds: a batch of samples each.

use crate::model::{ModelError, Port};
use crate::tensor::ElementType;

/// An input that is fed from data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataInput {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub element: ElementType,
    /// The batch size, where the model fixes it.
    pub batch: Option<usize>,
    /// The extents of one sample, `None` where they are dynamic.
    pub sample: Vec<Option<usize>>,
}

impl DataInput {
    fn of(port: &Port, only: bool) -> Result<Self, ModelError> {
        let (name, described) = (&port.name, port.describe());
        let element = port.element.ok_or_else(|| {
            let reason = format!("input {name} has an element type that cannot be fed; {EXPORT_AGAIN}");
            ModelError::Graph(reason)
        })?;
        // A single vector may as well be one sample without a batch.
        let [batch, sample @ ..] = port.shape.as_deref().filter(|shape| shape.len() > usize::from(only)).unwrap_or(&[])
        else {
            let constant = constant_for(name, element);
            let reason =
                format!("input {name} is {described}; data feeds a batch of samples, as a classifier takes it");
            return Err(ModelError::Graph(format!("{reason}: export it that way, or give a constant with {constant}")));
        };
        if port.shape.iter().flatten().any(|extent| *extent == Some(0)) {
            return Err(ModelError::Graph(format!("input {name} is {described}, which is empty; {EXPORT_AGAIN}")));
        }
        Ok(Self { name: name.clone(), element, batch: *batch, sample: sample.to_vec() })
    }

    /// `float32 [?, 1, 28, 28]`, as messages show it.
    pub fn describe(&self) -> String {
        let shape = std::iter::once(self.batch).chain(self.sample.iter().copied()).collect();
        Port { name: self.name.clone(), element: Some(self.element), shape: Some(shape) }.describe()
    }

    /// The option that feeds this input without data, as messages show it.
    pub fn constant_option(&self) -> String {
        constant_for(&self.name, self.element)
    }
}

fn constant_for(name: &str, element: ElementType) -> String {
    let example = if element == ElementType::Bool { "false" } else { "0" };
    format!("--input {name}={example}")
}

const EXPORT_AGAIN: &str = "export the model with an input of floats [batch, …]";

/// The inputs that no constant feeds, of a model with `all` inputs.
pub(super) fn resolve(open: &[&Port], all: usize) -> Result<Vec<DataInput>, ModelError> {
    if open.is_empty() {
        return Err(ModelError::Graph(match all {
            0 => "the model has no input that must be fed; a classifier has one, export it that way".to_owned(),
            _ => "no input is left that data could feed; leave out one of the constants (--input)".to_owned(),
        }));
    }
    open.iter().map(|port| DataInput::of(port, open.len() == 1)).collect()
}

/// The batch size that the model fixes, if any.
pub(super) fn fixed_batch(data: &[DataInput]) -> Result<Option<usize>, ModelError> {
    let mut fixed = data.iter().filter_map(|input| Some((input, input.batch?)));
    let Some((first, batch)) = fixed.next() else { return Ok(None) };
    match fixed.find(|(_, other)| *other != batch) {
        None => Ok(Some(batch)),
        Some((other, size)) => Err(ModelError::Graph(format!(
            "input {} takes batches of {batch}, but input {} takes batches of {size}; give one of them a constant, as \
             {}, or export the model with one batch size",
            first.name,
            other.name,
            other.constant_option()
        ))),
    }
}
