//! Stored tensors of other extents: what a model is without some of its channels.

use super::proto::{TensorProto, field};
use super::wire::{self, Edit};
use super::{Constant, Model, ModelError, Place, WeightPatch};
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeSet;

/// A stored tensor with other extents.
#[derive(Clone, Debug)]
pub enum Resized {
    /// One of floats: the values say its extents.
    Floats(WeightPatch),
    /// A list of 64-bit integers.
    Integers(Constant, Vec<i64>),
}

impl Model {
    /// The bytes of the model with these tensors in the place of those of the same names, and without what it says of their extents
    /// and of those of the `stale` values of its main graph, which engines work out.
    ///
    /// # Errors
    /// A tensor that is not where it was, or is not of such elements.
    pub fn with_resized(&self, tensors: &[Resized], stale: &BTreeSet<String>) -> Result<Vec<u8>, ModelError> {
        let mut edits = Vec::new();
        let mut stale = stale.clone();
        for tensor in tensors {
            let (constant, dims, raw) = match tensor {
                Resized::Floats(patch) => (&patch.constant, patch.values.shape().to_vec(), patch.bytes()?),
                Resized::Integers(constant, values) => {
                    (constant, vec![values.len()], values.iter().flat_map(|value| value.to_le_bytes()).collect())
                }
            };
            let old = self.tensor(&constant.place)?;
            stale.insert(constant.name.clone());
            let new = TensorProto {
                name: old.name,
                data_type: old.data_type,
                dims: dims.into_iter().map(|extent| extent as i64).collect(),
                raw_data: raw.into(),
                ..TensorProto::default()
            };
            let range = self.message(&constant.place)?.payload;
            edits.push(Edit { range, bytes: new.encode_to_vec().into() });
        }
        let declared = self.graph().value_info.iter().enumerate();
        for (index, _) in declared.filter(|(_, value)| stale.contains(&value.name)) {
            let place = Place::main_graph().child(field::GRAPH_VALUE_INFO, index);
            edits.push(Edit { range: self.message(&place)?.whole, bytes: Bytes::new() });
        }
        Ok(wire::spliced(&self.bytes, &wire::splices(&self.bytes, edits)?))
    }
}
