//! The values of a tensor: checks of its shape, decoding to float64, encoding with one rounding.

use super::proto::{EXTERNAL, TensorProto};
use super::{Constant, Model, ModelError, WeightPatch, hexadecimal};
use crate::tensor::ElementType;
use bytes::Bytes;
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// A byte range of a file of external data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExternalRange {
    pub(super) location: String,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// The file that a tensor's external data is in, as the model names it.
pub(super) fn location(tensor: &TensorProto) -> Option<String> {
    tensor.external_data.iter().find(|entry| entry.key == "location").map(|entry| entry.value.clone())
}

/// The extents of a tensor, refusing what no tensor can have.
pub(super) fn dims(tensor: &TensorProto) -> Result<Vec<usize>, ModelError> {
    let bad = |reason: &str| ModelError::Tensor { tensor: tensor.name.clone(), reason: reason.into() };
    let dims: Result<Vec<usize>, _> = tensor.dims.iter().map(|&dim| usize::try_from(dim)).collect();
    let dims = dims.map_err(|_| bad("a dimension is negative"))?;
    let elements = dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
    elements.and_then(|count| count.checked_mul(8)).ok_or_else(|| bad("its shape is too large"))?;
    Ok(dims)
}

/// `TensorProto.DataType` of 8-bit integers.
pub(super) const UINT8: i32 = 2;
pub(super) const INT8: i32 = 3;

/// The element type of a number of `TensorProto.DataType`, in ONNX's words.
pub(super) fn type_name(data_type: i32) -> String {
    /// The types of the specification at IR version 14 that this crate does not compute with.
    const OTHERS: [(i32, &str); 17] = [
        (INT8, "int8"),
        (4, "uint16"),
        (5, "int16"),
        (8, "string"),
        (12, "uint32"),
        (13, "uint64"),
        (14, "complex64"),
        (15, "complex128"),
        (17, "float8e4m3fn"),
        (18, "float8e4m3fnuz"),
        (19, "float8e5m2"),
        (20, "float8e5m2fnuz"),
        (21, "uint4"),
        (22, "int4"),
        (23, "float4e2m1"),
        (24, "float8e8m0"),
        (25, "uint2"),
    ];
    let other = || OTHERS.iter().find(|(number, _)| *number == data_type).map(|(_, name)| (*name).to_owned());
    let known = ElementType::from_onnx(data_type).map(|element| element.to_string());
    known.or_else(other).unwrap_or_else(|| format!("type {data_type}"))
}

/// The SHA-256 of a file, in hexadecimal.
fn digest(mut file: File) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hexadecimal(&digest.finalize())),
            count => digest.update(&chunk[..count]),
        }
    }
}

impl Model {
    /// Checks that the bytes of a tensor are there and fit its shape.
    pub(super) fn check(&self, tensor: &TensorProto) -> Result<(), ModelError> {
        let elements: usize = dims(tensor)?.iter().product();
        if tensor.data_location == EXTERNAL {
            return self.external(tensor).map(drop);
        }
        let Some(element) = ElementType::from_onnx(tensor.data_type) else { return Ok(()) };
        let wrong = |found: usize, unit: &str| {
            Err(ModelError::Tensor {
                tensor: tensor.name.clone(),
                reason: format!(
                    "shape {:?} needs {elements} values of {element}, but {found} {unit} are there",
                    tensor.dims
                ),
            })
        };
        let typed = match element {
            ElementType::Float32 => tensor.float_data.len(),
            ElementType::Float64 => tensor.double_data.len(),
            ElementType::Float16 | ElementType::Bfloat16 => tensor.int32_data.len(),
            // Integer tensors are never rewritten; the engines check them.
            ElementType::Uint8 | ElementType::Int32 | ElementType::Int64 | ElementType::Bool => return Ok(()),
        };
        match tensor.raw_data.len() {
            0 if typed != elements => wrong(typed, "values"),
            0 => Ok(()),
            bytes if bytes != elements * element.size() => wrong(bytes, "bytes"),
            _ => Ok(()),
        }
    }

    /// Where the external data of a tensor lies, confined to the model's folder and checked against the file.
    pub(super) fn external(&self, tensor: &TensorProto) -> Result<ExternalRange, ModelError> {
        let named = location(tensor).unwrap_or_default();
        let bad =
            |reason: String| ModelError::External { tensor: tensor.name.clone(), location: named.clone(), reason };
        let number = |key: &str| match tensor.external_data.iter().find(|entry| entry.key == key) {
            Some(entry) => entry
                .value
                .parse::<u64>()
                .map(Some)
                .map_err(|_| bad(format!("has a malformed {key}; export the model again"))),
            None => Ok(None),
        };
        if !is_confined(Path::new(&named)) {
            return Err(bad("must be a path inside the model's folder".into()));
        }
        let path = self.external_path(&named);
        let size = match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => return Err(bad("is not a file; put the file that was exported with the model there".into())),
            Err(error) => return Err(bad(format!("cannot be read ({error}); it must lie beside the model"))),
        };
        let offset = number("offset")?.unwrap_or(0);
        let length = match number("length")? {
            Some(length) => length,
            None => size
                .checked_sub(offset)
                .ok_or_else(|| bad("starts past the end of the file; fetch or export both again".into()))?,
        };
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(bad(format!(
                "is too short: {length} bytes at {offset} were promised, the file has {size}; fetch or export both again"
            )));
        }
        let elements = dims(tensor)?.iter().product::<usize>() as u64;
        if let Some(element) = ElementType::from_onnx(tensor.data_type)
            && length != elements * element.size() as u64
        {
            return Err(bad(format!(
                "has {length} bytes, but its shape {:?} needs another number; fetch or export both again",
                tensor.dims
            )));
        }
        Ok(ExternalRange { location: named, offset, length })
    }

    /// The path of a file of external data.
    pub(super) fn external_path(&self, location: &str) -> PathBuf {
        self.folder.join(location)
    }

    /// The values of a float tensor, exactly, as float64.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] for other types, and as [`Model::stored`].
    pub fn decoded(&self, tensor: &TensorProto) -> Result<ArrayD<f64>, ModelError> {
        let bad = |reason: String| ModelError::Tensor { tensor: tensor.name.clone(), reason };
        let element = ElementType::from_onnx(tensor.data_type)
            .filter(|element| element.is_float())
            .ok_or_else(|| bad("is not of a float type".into()))?;
        let values = from_little_endian(&self.stored(tensor)?, element);
        ArrayD::from_shape_vec(IxDyn(&dims(tensor)?), values).map_err(|error| bad(error.to_string()))
    }

    /// Refuses weights that no training leaves behind.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] where a value is infinite or NaN, and where the values cannot be read.
    pub fn check_finite(&self, constant: &Constant) -> Result<(), ModelError> {
        if self.raw(constant)?.is_some_and(|raw| all(&raw, f32::is_finite)) {
            return Ok(());
        }
        match self.values(constant)?.iter().find(|value| !value.is_finite()) {
            Some(value) => {
                let (tensor, reason) = (constant.name.clone(), format!("it holds the value {value}"));
                Err(ModelError::Tensor { tensor, reason })
            }
            None => Ok(()),
        }
    }

    /// Whether a constant holds the new values of a patch, rounded once.
    ///
    /// # Errors
    /// Values that cannot be read.
    pub fn holds(&self, constant: &Constant, patch: &WeightPatch) -> Result<bool, ModelError> {
        match (self.raw(constant)?, patch.values.as_slice()) {
            (Some(raw), Some(values)) if constant.dims == patch.values.shape() => Ok(holds(&raw, values)),
            _ => Ok(self.values(constant)? == patch.held()?),
        }
    }

    /// The bytes of a constant, where they are float32 values in the model file one after the other, as nearly all are:
    /// looked at where they lie, they take a fraction of the time and memory of a copy in float64.
    fn raw(&self, constant: &Constant) -> Result<Option<Bytes>, ModelError> {
        let tensor = self.tensor(&constant.place)?;
        self.check(&tensor)?;
        let plain = ElementType::from_onnx(tensor.data_type) == Some(ElementType::Float32)
            && constant.quantization.is_none()
            && tensor.data_location != EXTERNAL
            && dims(&tensor)? == constant.dims
            && !tensor.raw_data.is_empty();
        Ok(plain.then_some(tensor.raw_data))
    }

    /// The values of a small constant of integers, such as a shape, or of truths; nothing where it is none.
    pub fn integers(&self, constant: &Constant) -> Option<Vec<i64>> {
        const INT32: i32 = 6;
        const INT64: i32 = 7;
        const BOOL: i32 = 9;
        let tensor = self.tensor(&constant.place).ok()?;
        let raw = &tensor.raw_data;
        if tensor.data_location == EXTERNAL {
            return None;
        }
        let values: Vec<i64> = match tensor.data_type {
            INT64 if raw.is_empty() => tensor.int64_data.clone(),
            INT64 => raw.as_chunks::<8>().0.iter().map(|&chunk| i64::from_le_bytes(chunk)).collect(),
            INT32 if !raw.is_empty() => {
                raw.as_chunks::<4>().0.iter().map(|&chunk| i64::from(i32::from_le_bytes(chunk))).collect()
            }
            INT8 if !raw.is_empty() => raw.iter().map(|&byte| i64::from(byte.cast_signed())).collect(),
            UINT8 | BOOL if !raw.is_empty() => raw.iter().map(|&byte| i64::from(byte)).collect(),
            INT32 | INT8 | UINT8 | BOOL => tensor.int32_data.iter().copied().map(i64::from).collect(),
            _ => return None,
        };
        (values.len() == constant.dims.iter().product::<usize>()).then_some(values)
    }

    /// The files of external data that are there, and their sizes in bytes.
    pub fn external_sizes(&self) -> BTreeMap<String, u64> {
        let files = self.external_files().into_iter();
        files.filter_map(|location| Some((location.clone(), self.external_size(&location).ok()?))).collect()
    }

    /// The SHA-256 of each file of external data.
    ///
    /// # Errors
    /// [`ModelError::Read`].
    pub fn external_sha256(&self) -> Result<BTreeMap<String, String>, ModelError> {
        let sha256 = |location: String| {
            let path = self.external_path(&location);
            let sha256 = File::open(&path).and_then(digest).map_err(|source| ModelError::Read { path, source })?;
            Ok((location, sha256))
        };
        self.external_files().into_iter().map(sha256).collect()
    }

    /// The size of a file of external data.
    pub(super) fn external_size(&self, location: &str) -> Result<u64, ModelError> {
        let path = self.external_path(location);
        std::fs::metadata(&path).map(|file| file.len()).map_err(|source| ModelError::Read { path, source })
    }
}

/// Whether all float32 values are such. There is no way out of the loop before its end, which would cost more than it saves.
fn all(raw: &[u8], holds: impl Fn(f32) -> bool) -> bool {
    raw.as_chunks::<4>().0.iter().fold(true, |all, &chunk| all & holds(f32::from_le_bytes(chunk)))
}

/// Whether float32 values are `values`, each rounded once. NaN is no value.
fn holds(raw: &[u8], values: &[f64]) -> bool {
    let (chunks, rest) = raw.as_chunks::<4>();
    let pairs = chunks.iter().zip(values);
    let equal = pairs.fold(true, |all, (&chunk, &value)| all & (f32::from_le_bytes(chunk) == value as f32));
    equal && rest.is_empty() && chunks.len() == values.len()
}

fn is_confined(path: &Path) -> bool {
    path != Path::new("") && path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn from_little_endian(bytes: &[u8], element: ElementType) -> Vec<f64> {
    fn read<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.as_chunks::<N>().0.iter().map(|&chunk| value(chunk)).collect()
    }
    match element {
        ElementType::Float16 => read(bytes, |b| f16::from_le_bytes(b).to_f64()),
        ElementType::Bfloat16 => read(bytes, |b| bf16::from_le_bytes(b).to_f64()),
        ElementType::Float64 => read(bytes, f64::from_le_bytes),
        _ => read(bytes, |b| f64::from(f32::from_le_bytes(b))),
    }
}

/// `values` as little-endian bytes of a float type, each rounded once to the nearest (ties to even).
pub(super) fn to_little_endian(values: &ArrayD<f64>, element: ElementType) -> Vec<u8> {
    // Written over zeros, chunk by chunk, the compiler makes vectors of it; collected byte by byte it took ten times as long.
    fn write<const N: usize>(values: &ArrayD<f64>, bytes: impl Fn(f64) -> [u8; N]) -> Vec<u8> {
        let mut encoded = vec![0; values.len() * N];
        let chunks = encoded.as_chunks_mut::<N>().0.iter_mut();
        match values.as_slice() {
            Some(values) => chunks.zip(values).for_each(|(chunk, &value)| *chunk = bytes(value)),
            None => chunks.zip(values).for_each(|(chunk, &value)| *chunk = bytes(value)),
        }
        encoded
    }
    match element {
        ElementType::Float64 => write(values, f64::to_le_bytes),
        ElementType::Float16 => write(values, |value| f16::from_f32(to_odd(value)).to_le_bytes()),
        ElementType::Bfloat16 => write(values, |value| bf16::from_f32(to_odd(value)).to_le_bytes()),
        _ => write(values, |value| (value as f32).to_le_bytes()),
    }
}

/// `values` rounded once to a float type, as float64: what a weight of that type holds of them.
pub(super) fn rounded(values: &ArrayD<f64>, element: ElementType) -> ArrayD<f64> {
    let held = from_little_endian(&to_little_endian(values, element), element);
    ArrayD::from_shape_vec(values.raw_dim(), held).expect("one value for each value")
}

/// Rounds to float32 so that a further rounding to 16 bits gives what rounding once would: towards zero, with the last
/// bit set where anything was lost ("round to odd"; Boldo and Melquiond, 2008). `half` itself rounds twice.
fn to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    if nearest.is_nan() || f64::from(nearest) == value {
        return nearest;
    }
    let bits = nearest.to_bits();
    let towards_zero = if f64::from(nearest).abs() > value.abs() { bits - 1 } else { bits };
    f32::from_bits(towards_zero | 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_to(value: f64, element: ElementType) -> f64 {
        rounded(&ndarray::arr0(value).into_dyn(), element)[[]]
    }

    #[test]
    fn half_precision_is_rounded_once() {
        // Just above the midpoint of 1 and the next float16: float32 would round it to the midpoint, and then to even.
        let above_the_tie = 1.0 + f64::from(f16::EPSILON) / 2.0 + 2_f64.powi(-40);
        assert_eq!(round_to(above_the_tie, ElementType::Float16), 1.0 + f64::from(f16::EPSILON));
        let tie = 1.0 + f64::from(f16::EPSILON) / 2.0;
        assert_eq!(round_to(tie, ElementType::Float16), 1.0);
    }

    proptest! {
        #[test]
        fn rounding_goes_to_the_nearest(value in -70000.0_f64..70000.0, element in 0..2_usize) {
            let element = [ElementType::Float16, ElementType::Bfloat16][element];
            let rounded = round_to(value, element);
            prop_assume!(rounded.is_finite());
            let bytes = to_little_endian(&ndarray::arr0(value).into_dyn(), element);
            let bits = u16::from_le_bytes([bytes[0], bytes[1]]);
            for neighbour in [bits.wrapping_sub(1), bits.wrapping_add(1)] {
                let other = from_little_endian(&neighbour.to_le_bytes(), element)[0];
                prop_assert!(other.is_nan() || (value - rounded).abs() <= (value - other).abs());
            }
        }

        #[test]
        fn what_a_type_can_hold_survives(bits in any::<u32>()) {
            let value = f64::from(f32::from_bits(bits));
            prop_assume!(!value.is_nan());
            prop_assert_eq!(round_to(value, ElementType::Float32), value);
        }
    }

    /// The quick comparison says what comparing in float64 says, for every value and every place of a difference.
    #[test]
    fn what_is_held_is_compared_value_by_value() {
        let values: Vec<f64> = (0..1001).map(|at| f64::from(at) / 7.0 - 50.0).collect();
        let raw = to_little_endian(&ndarray::arr1(&values).into_dyn(), ElementType::Float32);
        assert!(holds(&raw, &values) && all(&raw, f32::is_finite));
        assert!(!holds(&raw[4..], &values) && !holds(&raw, &values[1..]) && !holds(&raw[..raw.len() - 1], &values));
        for at in [0, 15, 16, 500, 999, 1000] {
            let mut other = raw.clone();
            other[4 * at] ^= 1;
            assert!(!holds(&other, &values), "value {at}");
            for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                other[4 * at..4 * at + 4].copy_from_slice(&odd.to_le_bytes());
                assert!(!all(&other, f32::is_finite), "{odd} at {at}");
            }
            let mut same = values.clone();
            same[at] = f64::NAN;
            other[4 * at..4 * at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
            assert!(!holds(&other, &same), "a NaN is never what was wanted");
        }
    }

    #[test]
    fn paths_out_of_the_folder_are_not_confined() {
        for path in ["../weights", "a/../../weights", "/etc/passwd", ""] {
            assert!(!is_confined(Path::new(path)), "{path}");
        }
        assert!(is_confined(Path::new("sub/weights.bin")));
    }
}
