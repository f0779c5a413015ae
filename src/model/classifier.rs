//! A model as a classifier: which inputs are fed from data, which with a constant, and where the class scores are.

mod constant;
mod head;
mod inputs;

pub use constant::{Assignment, ConstantInput};
pub use head::{Head, Link};
pub use inputs::DataInput;

use super::{Fragment, GraphIndex, ModelError, inlined};
use bytes::Bytes;
use std::path::Path;

/// What the user says of a model's inputs and outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The value that holds the class scores, where it was named.
    pub logits: Option<String>,
    /// The inputs that are fed with a constant.
    pub constants: Vec<Assignment>,
}

/// How a model is fed and read.
#[derive(Clone, Debug, PartialEq)]
pub struct Classifier {
    /// The inputs that data feeds, at least one, in the model's order.
    pub data: Vec<DataInput>,
    /// The inputs that are the same in every run.
    pub constants: Vec<ConstantInput>,
    /// The batch size, where the model fixes it.
    pub batch: Option<usize>,
    /// Where the class scores are, and what they mean.
    pub head: Head,
}

impl Classifier {
    /// Finds the inputs and the class scores of a model.
    ///
    /// # Errors
    /// [`ModelError::Graph`] where no input takes a batch of samples, where a constant does not fit its input, and where
    /// it is not certain which value holds the class scores.
    pub fn of(graph: &GraphIndex<'_>, interface: &Interface) -> Result<Self, ModelError> {
        let ports = graph.model().inputs();
        let constants = constant::resolve(&ports, &interface.constants)?;
        let open: Vec<_> =
            ports.iter().filter(|port| !constants.iter().any(|constant| constant.name() == port.name)).collect();
        let data = inputs::resolve(&open, ports.len())?;
        let batch = inputs::fixed_batch(&data)?;
        let head = Head::find(graph, interface.logits.as_deref())?;
        Ok(Self { data, constants, batch, head })
    }

    /// The bytes of a model, whose external data is in `folder`, with the class scores among its outputs.
    ///
    /// # Errors
    /// [`ModelError`] where the bytes are no model.
    pub fn with_scores(&self, model: &Bytes, folder: &Path) -> Result<Bytes, ModelError> {
        if !self.head.inner {
            return Ok(model.clone());
        }
        // The value may be one of a local function, which has a name only where its call is replaced.
        let model = inlined(model, folder)?;
        let mut fragment = Fragment::default();
        fragment.untyped_output(&self.head.value);
        Ok(fragment.append_to(&model).into())
    }
}

#[cfg(test)]
mod tests;
