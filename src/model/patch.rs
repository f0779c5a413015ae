//! New values for weights, turned into changes of the file's bytes.
//!
//! Weights keep element type and shape. In `raw_data`, packed typed data and external data the new bytes take exactly
//! the place of the old ones; other storage forms change a few length prefixes around them.

use super::proto::{EXTERNAL, ModelProto, StringStringEntryProto, TensorProto, field};
use super::tensors::{self, ExternalRange, to_little_endian};
use super::wire::{self, Edit, Field, Splice};
use super::{Constant, Model, ModelError, Place};
use crate::paths::{parent, same_file};
use crate::tensor::ElementType;
use ndarray::ArrayD;
use prost::Message;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The keys of this tool's provenance in `metadata_props` begin with this.
pub const PROVENANCE_PREFIX: &str = "onnx_sap.";

/// New values for one weight, in the weight's own shape.
#[derive(Clone, Debug)]
pub struct WeightPatch {
    /// The weight.
    pub constant: Constant,
    /// Its new values; rounded once to its element type when written.
    pub values: ArrayD<f64>,
}

/// How the files of the rewritten model follow from those of the original.
#[derive(Debug)]
pub struct OutputPlan {
    /// Changes of the model file.
    pub splices: Vec<Splice>,
    /// What is appended to the model file.
    pub provenance: Vec<u8>,
    /// External files that are copied, by the location that the original names.
    pub external: BTreeMap<String, ExternalCopy>,
}

/// A copy of a file of external data with some ranges replaced.
#[derive(Debug, Default)]
pub struct ExternalCopy {
    /// Where the rewritten model looks for it.
    pub location: String,
    /// Offsets and what stands there afterwards.
    pub writes: Vec<(u64, Vec<u8>)>,
}

impl OutputPlan {
    /// Whether only bytes of weights change, so that nothing moves.
    pub fn is_in_place(&self) -> bool {
        self.splices.iter().all(|splice| splice.range.len() == splice.bytes.len())
    }
}

impl Model {
    /// The model with new weights, all of them inside its bytes: what a candidate is run from.
    ///
    /// # Errors
    /// As [`Model::output_plan`].
    pub fn with_patches(&self, patches: &[WeightPatch]) -> Result<Vec<u8>, ModelError> {
        let mut edits = Vec::new();
        for patch in patches {
            self.inline(patch, &mut edits)?;
        }
        Ok(wire::spliced(&self.bytes, &wire::splices(&self.bytes, edits)?))
    }

    /// What has to be written so that the file at `out` is this model with `patches` and with `provenance`, pairs of
    /// key and value, in its metadata.
    ///
    /// # Errors
    /// A weight that is not where it was, or whose shape or element type does not fit its patch.
    pub fn output_plan(
        &self,
        patches: &[WeightPatch],
        provenance: &[(String, String)],
        out: &Path,
    ) -> Result<OutputPlan, ModelError> {
        let mut edits = self.old_provenance()?;
        let mut external: BTreeMap<String, ExternalCopy> = BTreeMap::new();
        for patch in patches {
            let tensor = self.patched_tensor(patch)?;
            if tensor.data_location == EXTERNAL {
                let (range, bytes) = self.external_write(tensor, patch)?;
                external.entry(range.location).or_default().writes.push((range.offset, bytes));
            } else {
                self.inline(patch, &mut edits)?;
            }
        }
        self.place_external(&mut external, out, &mut edits)?;
        let splices = wire::splices(&self.bytes, edits)?;
        Ok(OutputPlan { splices, provenance: encode_provenance(provenance), external })
    }

    fn patched_tensor(&self, patch: &WeightPatch) -> Result<&TensorProto, ModelError> {
        let bad = |reason: String| ModelError::Tensor { tensor: patch.constant.name.clone(), reason };
        let tensor = self.tensor(patch.constant.place).ok_or_else(|| bad("is not in the model".into()))?;
        let dims = tensors::dims(tensor)?;
        if dims != patch.values.shape() {
            return Err(bad(format!("has shape {dims:?}, its new values {:?}", patch.values.shape())));
        }
        Ok(tensor)
    }

    fn external_write(
        &self,
        tensor: &TensorProto,
        patch: &WeightPatch,
    ) -> Result<(ExternalRange, Vec<u8>), ModelError> {
        Ok((self.external(tensor)?, to_little_endian(patch.values.iter(), element(patch)?)))
    }

    /// The edits that put the new values into the tensor's message.
    fn inline(&self, patch: &WeightPatch, edits: &mut Vec<Edit>) -> Result<(), ModelError> {
        let tensor = self.patched_tensor(patch)?;
        let element = element(patch)?;
        let message = self.message(&path(patch.constant.place))?;
        let fields = wire::fields(&self.bytes, message.payload)?;
        let data: Vec<&Field> = fields.iter().filter(|field| is_data(field.number)).collect();
        let raw = to_little_endian(patch.values.iter(), element);
        if tensor.data_location == EXTERNAL {
            let external = |number: u32| matches!(number, field::TENSOR_EXTERNAL_DATA | field::TENSOR_DATA_LOCATION);
            let stored: Vec<&Field> = fields.iter().filter(|field| external(field.number)).collect();
            replace_fields(&stored, wire::delimited(field::TENSOR_RAW_DATA, &raw), edits);
            return Ok(());
        }
        match data.as_slice() {
            [only] if only.delimited && only.number == field::TENSOR_INT32_DATA => {
                edits.push(Edit { range: only.payload.clone(), bytes: half_bits_as_varints(&raw) });
            }
            [only] if only.delimited && only.payload.len() == raw.len() => {
                edits.push(Edit { range: only.payload.clone(), bytes: raw });
            }
            several => replace_fields(several, wire::delimited(field::TENSOR_RAW_DATA, &raw), edits),
        }
        Ok(())
    }

    fn message(&self, path: &[(u32, usize)]) -> Result<Field, ModelError> {
        let missing = || ModelError::Graph("a tensor of the model is not where it was; was the file changed?".into());
        wire::locate(&self.bytes, path)?.ok_or_else(missing)
    }

    /// Removes what an earlier run of this tool said about the model.
    fn old_provenance(&self) -> Result<Vec<Edit>, ModelError> {
        let mut edits = Vec::new();
        for (index, entry) in self.header().metadata_props.iter().enumerate() {
            if entry.key.starts_with(PROVENANCE_PREFIX) {
                let range = self.message(&[(field::MODEL_METADATA_PROPS, index)])?.whole;
                edits.push(Edit { range, bytes: Vec::new() });
            }
        }
        Ok(edits)
    }

    /// Decides where each external file goes. In another folder every file keeps its name; beside the original, a file
    /// with rewritten weights gets a name of its own, and the tensors in it say so.
    fn place_external(
        &self,
        external: &mut BTreeMap<String, ExternalCopy>,
        out: &Path,
        edits: &mut Vec<Edit>,
    ) -> Result<(), ModelError> {
        if !same_file(self.folder(), parent(out)) {
            for location in self.external_files() {
                external.entry(location.clone()).or_default().location.clone_from(&location);
            }
            return Ok(());
        }
        for (location, copy) in external.iter_mut() {
            copy.location = renamed(location, self.path(), out);
        }
        for (place, tensor) in self.stored_tensors() {
            for (index, entry) in tensor.external_data.iter().enumerate().filter(|(_, entry)| entry.key == "location") {
                if let Some(copy) = external.get(&entry.value) {
                    let mut steps = path(place);
                    steps.push((field::TENSOR_EXTERNAL_DATA, index));
                    let entry = StringStringEntryProto { key: entry.key.clone(), value: copy.location.clone() };
                    edits.push(Edit { range: self.message(&steps)?.payload, bytes: entry.encode_to_vec() });
                }
            }
        }
        Ok(())
    }

    /// Where copies of external files go when this model is rewritten as `out`.
    pub(super) fn external_targets(&self, out: &Path) -> Vec<PathBuf> {
        let beside = same_file(self.folder(), parent(out));
        let name = |location: String| if beside { renamed(&location, self.path(), out) } else { location };
        self.external_files().into_iter().map(|location| out.with_file_name(name(location))).collect()
    }

    /// The initializers and Constant values of the main graph.
    fn stored_tensors(&self) -> impl Iterator<Item = (Place, &TensorProto)> {
        let initializers = self.graph().initializer.iter().enumerate();
        let constants = self.graph().node.iter().enumerate().flat_map(|(node, proto)| {
            let tensors = proto.attribute.iter().enumerate();
            tensors.filter_map(move |(attribute, a)| Some((Place::ConstantNode { node, attribute }, a.t.as_ref()?)))
        });
        initializers.map(|(position, tensor)| (Place::Initializer(position), tensor)).chain(constants)
    }
}

fn element(patch: &WeightPatch) -> Result<ElementType, ModelError> {
    let not_float =
        || ModelError::Tensor { tensor: patch.constant.name.clone(), reason: "is not of a float type".into() };
    patch.constant.element.filter(|element| element.is_float()).ok_or_else(not_float)
}

/// The way from the model down to the message of a stored tensor.
fn path(place: Place) -> Vec<(u32, usize)> {
    match place {
        Place::Initializer(position) => vec![(field::MODEL_GRAPH, 0), (field::GRAPH_INITIALIZER, position)],
        Place::ConstantNode { node, attribute } => vec![
            (field::MODEL_GRAPH, 0),
            (field::GRAPH_NODE, node),
            (field::NODE_ATTRIBUTE, attribute),
            (field::ATTRIBUTE_TENSOR, 0),
        ],
    }
}

fn is_data(number: u32) -> bool {
    use field::{TENSOR_DOUBLE_DATA, TENSOR_FLOAT_DATA, TENSOR_INT32_DATA, TENSOR_RAW_DATA};
    matches!(number, TENSOR_RAW_DATA | TENSOR_FLOAT_DATA | TENSOR_DOUBLE_DATA | TENSOR_INT32_DATA)
}

/// Puts `bytes` in the place of the first field and removes the others.
fn replace_fields(fields: &[&Field], bytes: Vec<u8>, edits: &mut Vec<Edit>) {
    let mut bytes = Some(bytes);
    for field in fields {
        edits.push(Edit { range: field.whole.clone(), bytes: bytes.take().unwrap_or_default() });
    }
}

/// 16-bit floats as `int32_data` holds them: each one's bits as a varint.
fn half_bits_as_varints(raw: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(raw.len() * 3 / 2);
    for &chunk in raw.as_chunks::<2>().0 {
        prost::encoding::encode_varint(u64::from(u16::from_le_bytes(chunk)), &mut bytes);
    }
    bytes
}

fn encode_provenance(entries: &[(String, String)]) -> Vec<u8> {
    let entry = |(key, value): &(String, String)| StringStringEntryProto { key: key.clone(), value: value.clone() };
    ModelProto { metadata_props: entries.iter().map(entry).collect(), ..ModelProto::default() }.encode_to_vec()
}

/// `in.onnx.data` becomes `out.onnx.data`; a name that does not follow the model's is put behind the output's.
fn renamed(location: &str, model: &Path, out: &Path) -> String {
    let text = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = |path: &Path| path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (folder, name) = location.rsplit_once('/').map_or(("", location), |(folder, name)| (folder, name));
    let new = match name.strip_prefix(&stem(model)) {
        Some(rest) if !rest.is_empty() => format!("{}{rest}", stem(out)),
        _ => format!("{}.{name}", text(out)),
    };
    if folder.is_empty() { new } else { format!("{folder}/{new}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_data_is_named_after_the_output() {
        let name = |location: &str| renamed(location, Path::new("a/in.onnx"), Path::new("a/better.onnx"));
        assert_eq!(name("in.onnx.data"), "better.onnx.data");
        assert_eq!(name("in_weights.bin"), "better_weights.bin");
        assert_eq!(name("weights/all.bin"), "weights/better.onnx.all.bin");
    }
}
