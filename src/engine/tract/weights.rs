//! Large weights on their way into tract's tensors: copied once, from where they lie in the model's bytes.
//!
//! Decoded with the rest of the model, all of them would be in memory twice until tract has made its tensors, and memory
//! that is used for the first time costs more than copying (`docs/performance.md`). So tract is given an outline of the
//! model, in which each is external data in a "file" that is the model's folder itself, which no file can be.

use crate::model::proto::{TensorProto, field};
use crate::model::wire::{self, Edit, Field, Malformed};
use bytes::Bytes;
use prost::Message;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tract_onnx::data_resolver::{MmapDataResolver, ModelDataResolver};
use tract_onnx::tract_hir::internal::TractResult;
use tract_onnx::tract_hir::tract_core::internal::anyhow;

/// From this size on a weight stays where it is, in bytes.
const LARGE: usize = 1 << 16;

/// The model's folder, as a location of external data.
const HERE: &str = ".";

/// The weights of a model, for tract.
pub(super) struct Weights {
    model: Bytes,
    folder: PathBuf,
}

impl Weights {
    /// Those of a serialised model, whose own external data is in `folder`.
    pub(super) fn of(model: &Bytes, folder: &Path) -> Result<Self, String> {
        let folder = if folder.as_os_str().is_empty() { Path::new(HERE) } else { folder };
        let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Self { model: model.clone(), folder })
    }

    /// The serialised model without what this resolves.
    pub(super) fn outline(&self) -> Result<Vec<u8>, Malformed> {
        let mut edits = Vec::new();
        for graph in self.messages(0..self.model.len(), field::MODEL_GRAPH)? {
            for tensor in self.messages(graph.payload, field::GRAPH_INITIALIZER)? {
                let fields = wire::fields(&self.model, tensor.payload)?;
                edits.extend(large(&fields).map(|raw| Edit { range: raw.whole.clone(), bytes: here(raw).into() }));
            }
        }
        Ok(wire::spliced(&self.model, &wire::splices(&self.model, edits)?))
    }

    fn messages(&self, range: Range<usize>, number: u32) -> Result<Vec<Field>, Malformed> {
        let fields = wire::fields(&self.model, range)?;
        Ok(fields.into_iter().filter(|field| field.number == number && field.delimited).collect())
    }
}

/// The raw data of a tensor that holds its values in one large piece, and nowhere else.
fn large(tensor: &[Field]) -> Option<&Field> {
    let mut raw = tensor.iter().filter(|field| field.number == field::TENSOR_RAW_DATA);
    let (first, second) = (raw.next()?, raw.next());
    let elsewhere = |field: &Field| matches!(field.number, field::TENSOR_EXTERNAL_DATA | field::TENSOR_DATA_LOCATION);
    let is_large = first.delimited && first.payload.len() >= LARGE;
    (is_large && second.is_none() && !tensor.iter().any(elsewhere)).then_some(first)
}

/// What stands in a tensor in the place of its raw data.
fn here(raw: &Field) -> Vec<u8> {
    TensorProto::default().outside(HERE, raw.payload.start as u64, raw.payload.len() as u64).encode_to_vec()
}

impl ModelDataResolver for Weights {
    fn read_bytes_from_path(
        &self,
        buffer: &mut Vec<u8>,
        path: &Path,
        offset: usize,
        length: Option<usize>,
    ) -> TractResult<()> {
        if path != self.folder {
            return MmapDataResolver.read_bytes_from_path(buffer, path, offset, length);
        }
        let range = length.and_then(|length| Some(offset..offset.checked_add(length)?));
        let bytes = range.and_then(|range| self.model.get(range));
        buffer.extend_from_slice(bytes.ok_or_else(|| anyhow!("external data may not lie in a folder"))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::proto::{EXTERNAL, GraphProto, ModelProto};

    fn tensor(name: &str, bytes: usize) -> TensorProto {
        let raw_data = (0..bytes).map(|at| (at % 251) as u8).collect::<Vec<_>>().into();
        TensorProto { name: name.into(), dims: vec![bytes as i64], data_type: 2, raw_data, ..TensorProto::default() }
    }

    fn weights(tensors: Vec<TensorProto>) -> Weights {
        let graph = Some(GraphProto { initializer: tensors, ..GraphProto::default() });
        let model = ModelProto { graph, ..ModelProto::default() }.encode_to_vec().into();
        Weights::of(&model, Path::new("")).unwrap()
    }

    #[test]
    fn an_outline_says_where_the_large_weights_lie_and_holds_the_others() {
        let (small, first, last) = (tensor("small", LARGE - 1), tensor("first", LARGE), tensor("last", 2 * LARGE));
        let elsewhere = TensorProto { data_location: EXTERNAL, ..tensor("elsewhere", LARGE) };
        let weights = weights(vec![first.clone(), small.clone(), elsewhere.clone(), last.clone()]);
        let outline = weights.outline().unwrap();
        let outlined = ModelProto::decode(outline.as_slice()).unwrap().graph.unwrap().initializer;
        assert_eq!([&outlined[1], &outlined[2]], [&small, &elsewhere]);
        for (outlined, tensor) in [(&outlined[0], first), (&outlined[3], last)] {
            assert!(outlined.raw_data.is_empty() && outlined.data_location == EXTERNAL);
            let number = |index: usize| outlined.external_data[index].value.parse::<usize>().unwrap();
            let mut bytes = Vec::new();
            weights.read_bytes_from_path(&mut bytes, &weights.folder, number(1), Some(number(2))).unwrap();
            assert_eq!(bytes, tensor.raw_data);
        }
    }

    #[test]
    fn what_a_model_says_of_its_folder_itself_is_refused_outside_of_the_model() {
        let weights = weights(vec![tensor("w", LARGE)]);
        for (offset, length) in [(0, None), (0, Some(usize::MAX)), (usize::MAX, Some(2)), (2 * LARGE, Some(1))] {
            assert!(weights.read_bytes_from_path(&mut Vec::new(), &weights.folder, offset, length).is_err());
        }
    }
}
