//! New values for weights, turned into changes of the file's bytes.
//!
//! Weights keep element type and shape. In `raw_data`, packed typed data and external data the new bytes take exactly
//! the place of the old ones; other storage forms change a few length prefixes around them.

use super::proto::{EXTERNAL, GraphProto, ModelProto, StringStringEntryProto, TensorProto, TensorShapeProto, field};
use super::tensors::{self, ExternalRange, to_little_endian};
use super::wire::{self, Edit, Field, Splice};
use super::{Constant, ExternalCopy, Model, ModelError, Place, View, fragment};
use crate::paths::{parent, same_file};
use crate::tensor::ElementType;
use bytes::Bytes;
use ndarray::ArrayD;
use prost::Message;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The keys of this tool's provenance in `metadata_props` begin with this.
pub const PROVENANCE_PREFIX: &str = "onnx_sap.";

/// New values for one weight.
#[derive(Clone, Debug)]
pub struct WeightPatch {
    /// The weight.
    pub constant: Constant,
    /// Its new values, in the shape in which it is stored; rounded once to its type when written.
    pub values: ArrayD<f64>,
    /// Where the stored weight must stay: the copies that take the new values.
    pub copies: Vec<WeightCopy>,
}

/// A weight of their own for some of the nodes that read a shared one: a new initializer of the main graph.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightCopy {
    /// The name of the new initializer.
    pub name: String,
    /// What the nodes see of the stored weight; the copy has that shape.
    pub view: View,
    /// The type in which they read it.
    pub element: ElementType,
    /// The inputs of nodes that are given the new name.
    pub readers: Vec<Place>,
}

impl WeightPatch {
    /// The new values as the stored weight holds them.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, ModelError> {
        match &self.constant.quantization {
            Some(quantization) => Ok(quantization.encode(&self.values)),
            None => Ok(to_little_endian(&self.values, self.element()?)),
        }
    }

    fn element(&self) -> Result<ElementType, ModelError> {
        let tensor = &self.constant.name;
        let not_float = || ModelError::Tensor { tensor: tensor.clone(), reason: "is not of a float type".into() };
        self.constant.element.filter(|element| element.is_float()).ok_or_else(not_float)
    }

    /// What the stored weight holds once the patch is written: the values rounded once.
    ///
    /// # Errors
    /// A weight that is neither of a float type nor quantised.
    pub fn held(&self) -> Result<ArrayD<f64>, ModelError> {
        match &self.constant.quantization {
            Some(quantization) => Ok(quantization.decode(&self.bytes()?, self.values.shape())),
            None => Ok(tensors::rounded(&self.values, self.element()?)),
        }
    }
}

impl WeightCopy {
    /// What the copy holds of a weight's new values, rounded once.
    pub fn held(&self, values: &ArrayD<f64>) -> ArrayD<f64> {
        tensors::rounded(&self.view.of_stored(values), self.element)
    }

    fn bytes(&self, values: &ArrayD<f64>) -> Vec<u8> {
        to_little_endian(&self.view.of_stored(values), self.element)
    }

    /// The copy as a tensor, without its data.
    fn tensor(&self) -> TensorProto {
        let dims = self.view.dims().iter().map(|&dim| dim as i64).collect();
        TensorProto { dims, data_type: self.element.onnx(), name: self.name.clone(), ..TensorProto::default() }
    }
}

/// How the files of the rewritten model follow from those of the original.
#[derive(Debug)]
pub struct OutputPlan {
    /// Changes of the model file.
    pub splices: Vec<Splice>,
    /// What is appended to it.
    pub provenance: Vec<u8>,
    /// External files that are copied, by the location that the original names.
    pub external: BTreeMap<String, ExternalCopy>,
}

/// Where readers that map files want tensors to begin (ONNX, "External Data": a page).
const ALIGNMENT: u64 = 4096;

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
        let mut copies = GraphProto::default();
        for (patch, raw) in patches.iter().zip(stored(patches)?) {
            if let Some(raw) = raw {
                self.inline(patch, raw, &mut edits)?;
            }
            for copy in &patch.copies {
                self.redirect(copy, &mut edits)?;
                let raw_data = Bytes::from(copy.bytes(&patch.values));
                copies.initializer.push(TensorProto { raw_data, ..copy.tensor() });
            }
        }
        edits.extend(self.insertion(copies)?);
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
        let mut copies = GraphProto::default();
        for (patch, raw) in patches.iter().zip(stored(patches)?) {
            let tensor = self.patched_tensor(patch)?;
            let range = (tensor.data_location == EXTERNAL).then(|| self.external(&tensor)).transpose()?;
            match (&range, raw) {
                (_, None) => {}
                (Some(range), Some(raw)) => {
                    let file = external.entry(range.location.clone()).or_default();
                    file.writes.push((range.offset, raw));
                }
                (None, Some(raw)) => self.inline(patch, raw, &mut edits)?,
            }
            for copy in &patch.copies {
                self.redirect(copy, &mut edits)?;
                let bytes = copy.bytes(&patch.values);
                // A copy lies where the original does: a model whose weights are outside may be too large to hold them.
                copies.initializer.push(match &range {
                    Some(ExternalRange { location, .. }) => {
                        let file = external.entry(location.clone()).or_default();
                        let end = file.length(self.external_size(location)?);
                        let (offset, length) = (end.next_multiple_of(ALIGNMENT), bytes.len() as u64);
                        file.writes.push((offset, bytes));
                        copy.tensor().outside(location, offset, length)
                    }
                    None => TensorProto { raw_data: bytes.into(), ..copy.tensor() },
                });
            }
        }
        self.place_external(&mut external, out, &mut edits)?;
        for entry in copies.initializer.iter_mut().flat_map(|copy| &mut copy.external_data) {
            if let Some(file) = external.get(&entry.value).filter(|_| entry.key == "location") {
                entry.value.clone_from(&file.location);
            }
        }
        edits.extend(self.insertion(copies)?);
        let splices = wire::splices(&self.bytes, edits)?;
        Ok(OutputPlan { splices, provenance: encode_provenance(provenance), external })
    }

    /// The edits that let nodes read a copy.
    fn redirect(&self, copy: &WeightCopy, edits: &mut Vec<Edit>) -> Result<(), ModelError> {
        for reader in &copy.readers {
            edits.push(Edit { range: self.message(reader)?.payload, bytes: copy.name.clone().into() });
        }
        Ok(())
    }

    /// The edit that puts new initializers behind the graph's last output, which nothing else edits. Before IR version 4
    /// each had to be an input as well.
    fn insertion(&self, mut copies: GraphProto) -> Result<Option<Edit>, ModelError> {
        if copies.initializer.is_empty() {
            return Ok(None);
        }
        if self.header().ir_version < 4 {
            let input = |tensor: &TensorProto| {
                let shape = TensorShapeProto::fixed(&tensor.dims);
                fragment::value_info(&tensor.name, tensor.data_type, Some(shape))
            };
            copies.input = copies.initializer.iter().map(input).collect();
        }
        let last = self.graph().output.len().saturating_sub(1);
        let range = self.message(&Place::main_graph().child(field::GRAPH_OUTPUT, last))?.whole;
        let mut bytes = self.bytes[range.clone()].to_vec();
        bytes.extend(copies.encode_to_vec());
        Ok(Some(Edit { range, bytes: bytes.into() }))
    }

    fn patched_tensor(&self, patch: &WeightPatch) -> Result<TensorProto, ModelError> {
        let tensor = self.tensor(&patch.constant.place)?;
        let dims = tensors::dims(&tensor)?;
        if dims != patch.values.shape() {
            let reason = format!("has shape {dims:?}, its new values {:?}", patch.values.shape());
            return Err(ModelError::Tensor { tensor: patch.constant.name.clone(), reason });
        }
        Ok(tensor)
    }

    /// The edits that put the new values into the tensor's message.
    fn inline(&self, patch: &WeightPatch, raw: Vec<u8>, edits: &mut Vec<Edit>) -> Result<(), ModelError> {
        let tensor = self.patched_tensor(patch)?;
        let message = self.message(&patch.constant.place)?;
        let fields = wire::fields(&self.bytes, message.payload)?;
        let data: Vec<&Field> = fields.iter().filter(|field| is_data(field.number)).collect();
        if tensor.data_location == EXTERNAL {
            let external = |number: u32| matches!(number, field::TENSOR_EXTERNAL_DATA | field::TENSOR_DATA_LOCATION);
            let stored: Vec<&Field> = fields.iter().filter(|field| external(field.number)).collect();
            replace_fields(&stored, wire::delimited(field::TENSOR_RAW_DATA, &raw), edits);
            return Ok(());
        }
        match data.as_slice() {
            [only] if only.delimited && only.number == field::TENSOR_INT32_DATA => {
                edits.push(Edit { range: only.payload.clone(), bytes: as_varints(&raw, tensor.data_type).into() });
            }
            [only] if only.delimited && only.payload.len() == raw.len() => {
                edits.push(Edit { range: only.payload.clone(), bytes: raw.into() });
            }
            several => replace_fields(several, wire::delimited(field::TENSOR_RAW_DATA, &raw), edits),
        }
        Ok(())
    }

    /// Removes what an earlier run of this tool said about the model.
    fn old_provenance(&self) -> Result<Vec<Edit>, ModelError> {
        let mut edits = Vec::new();
        for (index, entry) in self.header().metadata_props.iter().enumerate() {
            if entry.key.starts_with(PROVENANCE_PREFIX) {
                let range = self.message(&Place::default().child(field::MODEL_METADATA_PROPS, index))?.whole;
                edits.push(Edit { range, bytes: Bytes::new() });
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
        for (place, tensor) in self.tensors() {
            for (index, entry) in tensor.external_data.iter().enumerate().filter(|(_, entry)| entry.key == "location") {
                if let Some(copy) = external.get(&entry.value) {
                    let at = place.child(field::TENSOR_EXTERNAL_DATA, index);
                    let entry = StringStringEntryProto { key: entry.key.clone(), value: copy.location.clone() };
                    edits.push(Edit { range: self.message(&at)?.payload, bytes: entry.encode_to_vec().into() });
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
}

/// What each patch leaves in the stored weight; nothing where copies take the new values.
fn stored(patches: &[WeightPatch]) -> Result<Vec<Option<Vec<u8>>>, ModelError> {
    patches.par_iter().map(|patch| patch.copies.is_empty().then(|| patch.bytes()).transpose()).collect()
}

fn is_data(number: u32) -> bool {
    use field::{TENSOR_DOUBLE_DATA, TENSOR_FLOAT_DATA, TENSOR_INT32_DATA, TENSOR_RAW_DATA};
    matches!(number, TENSOR_RAW_DATA | TENSOR_FLOAT_DATA | TENSOR_DOUBLE_DATA | TENSOR_INT32_DATA)
}

/// Puts `bytes` in the place of the first field and removes the others.
fn replace_fields(fields: &[&Field], bytes: Vec<u8>, edits: &mut Vec<Edit>) {
    let mut bytes = Some(Bytes::from(bytes));
    for field in fields {
        edits.push(Edit { range: field.whole.clone(), bytes: bytes.take().unwrap_or_default() });
    }
}

/// Raw values as `int32_data` holds them: the bits of a 16-bit float, or an integer of 8 bits, as a varint each.
fn as_varints(raw: &[u8], data_type: i32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(raw.len() * 3 / 2);
    match data_type {
        tensors::INT8 => raw.iter().for_each(|&byte| {
            // A negative int32 is extended to 64 bits.
            prost::encoding::encode_varint(i64::from(byte.cast_signed()).cast_unsigned(), &mut bytes);
        }),
        tensors::UINT8 => raw.iter().for_each(|&byte| prost::encoding::encode_varint(u64::from(byte), &mut bytes)),
        _ => raw.as_chunks::<2>().0.iter().for_each(|&chunk| {
            prost::encoding::encode_varint(u64::from(u16::from_le_bytes(chunk)), &mut bytes);
        }),
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
