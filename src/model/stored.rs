//! The bytes of a tensor's elements, wherever and however a model stores them: as raw data, in a list of numbers, or in a
//! file of external data.
//!
//! Source for the storage forms: the comments of `TensorProto` in the ONNX specification.

use super::proto::{EXTERNAL, TensorProto};
use super::tensors::{self, dims};
use super::{Model, ModelError};
use bytes::Bytes;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

impl Model {
    /// The elements of a tensor, little-endian and one after the other, so that equal tensors have equal bytes. Elements of
    /// fewer than 8 bits stay packed as they are stored; of strings each stands behind its length.
    ///
    /// # Errors
    /// Bytes that are not there, or do not fit the shape.
    pub fn stored(&self, tensor: &TensorProto) -> Result<Bytes, ModelError> {
        self.check(tensor)?;
        tensor.held().map_or_else(|| self.read_external(tensor).map(Bytes::from), Ok)
    }

    /// The bytes of a tensor of 8-bit integers.
    pub(super) fn bytes_of(&self, tensor: &TensorProto) -> Result<Bytes, ModelError> {
        let bytes = self.stored(tensor)?;
        let elements: usize = dims(tensor)?.iter().product();
        if bytes.len() == elements {
            return Ok(bytes);
        }
        let reason = format!("shape {:?} needs {elements} bytes, but {} are there", tensor.dims, bytes.len());
        Err(ModelError::Tensor { tensor: tensor.name.clone(), reason })
    }

    fn read_external(&self, tensor: &TensorProto) -> Result<Vec<u8>, ModelError> {
        let range = self.external(tensor)?;
        let path = self.external_path(&range.location);
        let mut bytes = vec![0; range.length as usize];
        File::open(&path)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(range.offset))?;
                file.read_exact(&mut bytes)
            })
            .map_err(|source| ModelError::Read { path, source })?;
        Ok(bytes)
    }
}

impl TensorProto {
    /// The extent of each axis.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] for extents that no tensor can have.
    pub fn extents(&self) -> Result<Vec<usize>, ModelError> {
        dims(self)
    }

    /// Its elements as [`Model::stored`] has them, where they are not in another file.
    pub fn held(&self) -> Option<Bytes> {
        match self.data_location {
            EXTERNAL => None,
            _ if self.raw_data.is_empty() => Some(listed(self).into()),
            _ => Some(self.raw_data.clone()),
        }
    }

    /// The element type, in ONNX's words.
    pub fn type_name(&self) -> String {
        tensors::type_name(self.data_type)
    }
}

/// The elements of a tensor that stores them in a list: which list, and how many bytes of each number count, is by its type.
fn listed(tensor: &TensorProto) -> Vec<u8> {
    const STRING: i32 = 8;
    const UINT32: i32 = 12;
    let narrow =
        |width: usize| tensor.int32_data.iter().flat_map(move |value| value.to_le_bytes().into_iter().take(width));
    let texts = || tensor.string_data.iter().flat_map(|text| [&(text.len() as u64).to_le_bytes()[..], text].concat());
    let unsigned =
        |width: usize| tensor.uint64_data.iter().flat_map(move |value| value.to_le_bytes().into_iter().take(width));
    match tensor.data_type {
        // float32 and complex64, float64 and complex128.
        1 | 14 => tensor.float_data.iter().flat_map(|value| value.to_le_bytes()).collect(),
        11 | 15 => tensor.double_data.iter().flat_map(|value| value.to_le_bytes()).collect(),
        // uint16, int16, float16, bfloat16.
        4 | 5 | 10 | 16 => narrow(2).collect(),
        6 => narrow(4).collect(),
        7 => tensor.int64_data.iter().flat_map(|value| value.to_le_bytes()).collect(),
        STRING => texts().collect(),
        UINT32 => unsigned(4).collect(),
        13 => unsigned(8).collect(),
        _ => narrow(1).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use std::path::Path;

    fn any_model() -> Model {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/weights-everywhere");
        Model::open(&fixtures.join("conv2d.onnx")).unwrap()
    }

    fn tensor(data_type: i32) -> TensorProto {
        TensorProto { dims: vec![2], data_type, ..TensorProto::default() }
    }

    #[test]
    fn a_list_and_raw_data_are_the_same_bytes() {
        let lists = [
            TensorProto { float_data: vec![1.0, -2.5], ..tensor(1) },
            TensorProto { int32_data: vec![200, 3], ..tensor(2) },
            TensorProto { int32_data: vec![-1, 3], ..tensor(3) },
            TensorProto { int32_data: vec![-300, 3], ..tensor(5) },
            TensorProto { int32_data: vec![-70_000, 3], ..tensor(6) },
            TensorProto { int64_data: vec![-1 << 40, 3], ..tensor(7) },
            TensorProto { int32_data: vec![0x3c00, 3], ..tensor(10) },
            TensorProto { double_data: vec![1e-300, 3.0], ..tensor(11) },
            TensorProto { uint64_data: vec![u64::from(u32::MAX), 3], ..tensor(12) },
            TensorProto { uint64_data: vec![u64::MAX, 3], ..tensor(13) },
        ];
        let raw: [&[u8]; 10] = [
            &[0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0],
            &[200, 3],
            &[0xff, 3],
            &[0xd4, 0xfe, 3, 0],
            &[0x90, 0xee, 0xfe, 0xff, 3, 0, 0, 0],
            &[0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 3, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0x3c, 3, 0],
            &[1e-300_f64.to_le_bytes(), 3.0_f64.to_le_bytes()].concat(),
            &[0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0],
            &[[0xff; 8], [3, 0, 0, 0, 0, 0, 0, 0]].concat(),
        ];
        let model = any_model();
        for (list, raw) in lists.iter().zip(raw) {
            let same = TensorProto { raw_data: Bytes::copy_from_slice(raw), ..tensor(list.data_type) };
            assert_eq!(model.stored(list).unwrap(), raw, "type {}", list.data_type);
            assert_eq!(model.stored(&same).unwrap(), raw, "type {}", list.data_type);
        }
    }

    #[test]
    fn strings_that_are_cut_elsewhere_are_other_strings() {
        let texts = |texts: [&'static str; 2]| TensorProto {
            string_data: texts.map(|text| Bytes::from(text.as_bytes())).to_vec(),
            ..tensor(8)
        };
        let model = any_model();
        assert_ne!(model.stored(&texts(["ab", "c"])).unwrap(), model.stored(&texts(["a", "bc"])).unwrap());
    }
}
