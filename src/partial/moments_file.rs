//! Sums of moments in a file, as safetensors: for every distinct input of layers, in the order in which the ledger's layers
//! read them, a float64 tensor `[groups, d, d]` named `sum.0`, `sum.1`, …, and one `[groups, d]` named `rest.0`, `rest.1`, …,
//! which are the parts of a [`SymmetricSum`]: on and below the diagonal a sum holds its values, above it, and on the
//! diagonal in `rest`, what rounding them lost. A header stands as JSON under the metadata key `onnx-sap`. It holds a SHA-256
//! over itself, with that digest left empty, and the tensors' bytes in the order `sum.0`, `rest.0`, `sum.1`, …

use super::{Identity, PartialError};
use crate::data::DataDigest;
use crate::evidence::{MomentSums, SymmetricSum};
use crate::model::hexadecimal;
use ndarray::{Array, IntoDimension};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

/// The version of this format.
const VERSION: u32 = 3;

/// Where the header stands in the file's metadata.
const KEY: &str = "onnx-sap";

/// What a file says of the sums in it; `more` is what else it is good for.
#[derive(Serialize, Deserialize)]
struct Header<T> {
    version: u32,
    identity: Identity,
    range: Range<usize>,
    /// The bits of the numbers of rows, which are floats.
    rows: Vec<u64>,
    /// Those of what the sums have lost to float32.
    losses: Vec<u64>,
    digest: DataDigest,
    sha256: String,
    more: T,
}

/// Sums, what they depend on, and what else their file says.
#[derive(Debug)]
pub struct MomentsFile<T> {
    /// What the sums depend on.
    pub identity: Identity,
    /// The sums.
    pub sums: MomentSums,
    /// What else the file says.
    pub more: T,
}

impl<T: Serialize + DeserializeOwned> MomentsFile<T> {
    /// The bytes of a file; the same sums give the same bytes.
    ///
    /// # Errors
    /// [`PartialError::Encode`].
    pub fn encode(identity: &Identity, sums: &MomentSums, more: T) -> Result<Vec<u8>, PartialError> {
        let (tensors, metadata) = Self::parts(identity, sums, more)?;
        safetensors::serialize(tensors, Some(metadata))
            .map_err(|error| PartialError::Encode { reason: error.to_string() })
    }

    /// Writes the same bytes, of which no more than one sum's are in memory.
    ///
    /// # Errors
    /// [`PartialError::Encode`]; what the system cannot write.
    pub fn write(identity: &Identity, sums: &MomentSums, more: T, path: &Path) -> Result<(), PartialError> {
        let (tensors, metadata) = Self::parts(identity, sums, more)?;
        safetensors::serialize_to_file(tensors, Some(metadata), path).map_err(|error| match error {
            SafeTensorError::IoError(source) => PartialError::Keep { path: path.to_owned(), source },
            other => PartialError::Encode { reason: other.to_string() },
        })
    }

    fn parts<'a>(identity: &Identity, sums: &'a MomentSums, more: T) -> Result<Parts<'a>, PartialError> {
        let failed = |error: &dyn std::fmt::Display| PartialError::Encode { reason: error.to_string() };
        let mut tensors = Vec::new();
        for (index, sum) in sums.sums.iter().enumerate() {
            tensors.push((format!("sum.{index}"), Values { sum, shape: sum.shape(), of: Part::Packed }));
            tensors.push((format!("rest.{index}"), Values { sum, shape: &sum.shape()[..2], of: Part::DiagonalRests }));
        }
        let mut header = Header {
            version: VERSION,
            identity: identity.clone(),
            range: sums.range.clone(),
            rows: sums.rows.iter().map(|rows| rows.to_bits()).collect(),
            losses: sums.losses.iter().map(|loss| loss.to_bits()).collect(),
            digest: sums.digest,
            sha256: String::new(),
            more,
        };
        header.sha256 =
            digest(&header, tensors.iter().map(|(_, values)| values.data())).map_err(|error| failed(&error))?;
        let header = serde_json::to_string(&header).map_err(|error| failed(&error))?;
        Ok((tensors, HashMap::from([(KEY.to_owned(), header)])))
    }

    /// Reads a file, which messages call `path`.
    ///
    /// # Errors
    /// [`PartialError::Damaged`].
    pub fn decode(path: &str, bytes: &[u8]) -> Result<Self, PartialError> {
        let damaged = |reason: &dyn std::fmt::Display| PartialError::Damaged {
            path: path.to_owned(),
            reason: format!("it holds no moments that this program has written: {reason}"),
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error))?;
        let header = metadata.metadata().as_ref().and_then(|entries| entries.get(KEY));
        let header = header.ok_or_else(|| damaged(&"its header is missing"))?;
        let mut header: Header<T> = serde_json::from_str(header).map_err(|error| damaged(&error))?;
        if header.version != VERSION {
            return Err(damaged(&format!("its version is {}, and this program reads {VERSION}", header.version)));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(&error))?;
        let mut views = Vec::new();
        for index in 0..header.rows.len() {
            for name in [format!("sum.{index}"), format!("rest.{index}")] {
                views.push(tensors.tensor(&name).map_err(|error| damaged(&error))?);
            }
        }
        let said = std::mem::take(&mut header.sha256);
        let found = digest(&header, views.iter().map(|view| view.data().into())).map_err(|error| damaged(&error))?;
        if found != said {
            return Err(damaged(&"its digest differs from what it says"));
        }
        let no_sum = || damaged(&"its tensors are no float64 sums");
        let (pairs, _) = views.as_chunks::<2>();
        let sums = pairs.iter().map(|pair| read_sum(pair).ok_or_else(no_sum)).collect::<Result<_, _>>()?;
        if header.losses.len() != header.rows.len() {
            return Err(damaged(&"it does not say of every sum what it has lost"));
        }
        let rows = header.rows.into_iter().map(f64::from_bits).collect();
        let losses = header.losses.into_iter().map(f64::from_bits).collect();
        let sums = MomentSums { range: header.range, sums, rows, losses, digest: header.digest };
        Ok(Self { identity: header.identity, sums, more: header.more })
    }
}

/// The tensors of a file by name, and its metadata.
type Parts<'a> = (Vec<(String, Values<'a>)>, HashMap<String, String>);

/// SHA-256 over a header, whose own digest is empty, and the bytes of the tensors.
fn digest<'a, T: Serialize>(
    header: &Header<T>,
    tensors: impl Iterator<Item = Cow<'a, [u8]>>,
) -> serde_json::Result<String> {
    let mut digest = Sha256::new_with_prefix(serde_json::to_vec(header)?);
    for bytes in tensors {
        digest.update(bytes);
    }
    Ok(hexadecimal(&digest.finalize()))
}

/// A tensor whose bytes are made when they are written, so that no more than one is there twice.
struct Values<'a> {
    sum: &'a SymmetricSum,
    shape: &'a [usize],
    of: Part,
}

enum Part {
    Packed,
    DiagonalRests,
}

impl View for Values<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F64
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let bytes = |values: &mut dyn Iterator<Item = &f64>| values.flat_map(|value| value.to_le_bytes()).collect();
        match self.of {
            Part::Packed => bytes(&mut self.sum.packed().iter()),
            Part::DiagonalRests => bytes(&mut self.sum.diagonal_rests().iter()),
        }
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * size_of::<f64>()
    }
}

fn read_sum([packed, rests]: &[TensorView<'_>; 2]) -> Option<SymmetricSum> {
    let (&[groups, rows, columns], &[rest_groups, dim]) = (packed.shape(), rests.shape()) else { return None };
    SymmetricSum::of_parts(&read((groups, rows, columns), packed)?, &read((rest_groups, dim), rests)?)
}

fn read<S: IntoDimension>(shape: S, view: &TensorView<'_>) -> Option<Array<f64, S::Dim>> {
    if view.dtype() != Dtype::F64 {
        return None;
    }
    let (values, _) = view.data().as_chunks::<8>();
    let values = values.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    Array::from_shape_vec(shape.into_dimension(), values).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    fn sums() -> MomentSums {
        let sum = |groups, dim: usize| {
            let entry = |(group, row, column)| 1.0 / (1 + group + row + column) as f64;
            let mut sum = SymmetricSum::zeros(groups, dim);
            (1..4).for_each(|times| {
                sum.add_scaled(f64::from(times), &Array3::from_shape_fn((groups, dim, dim), entry).view());
            });
            sum
        };
        let sums = (0..12).map(|index| sum(1 + index % 2, 2 + index)).collect();
        let (rows, losses) = (vec![0.1 + 0.2; 12], vec![1e-9 / 3.0; 12]);
        MomentSums { range: 3..9, sums, rows, losses, digest: DataDigest::default() }
    }

    fn encode() -> Vec<u8> {
        MomentsFile::encode(&Identity::default().with("model", "abc"), &sums(), "more".to_owned()).unwrap()
    }

    #[test]
    fn sums_come_back_exactly_and_the_same_sums_give_the_same_bytes() {
        let bytes = encode();
        assert_eq!(bytes, encode());
        let file = MomentsFile::<String>::decode("file", &bytes).unwrap();
        assert_eq!((file.sums, file.more.as_str()), (sums(), "more"));
        assert_eq!(file.identity, Identity::default().with("model", "abc"));
    }

    #[test]
    fn floats_come_back_to_the_last_digit_so_that_the_digest_holds() {
        // Of the first a reader that is content with nearly the nearest float makes its neighbour.
        for mean_loss in [0.110_374_583_419_275_5, 0.1 + 0.2, 1.0 / 3.0] {
            let bytes = MomentsFile::encode(&Identity::default(), &sums(), mean_loss).unwrap();
            assert_eq!(MomentsFile::<f64>::decode("file", &bytes).unwrap().more, mean_loss);
        }
    }

    #[test]
    fn a_file_that_was_cut_off_or_changed_anywhere_is_refused() {
        let bytes = encode();
        for length in (0..bytes.len()).step_by(97) {
            assert!(MomentsFile::<String>::decode("file", &bytes[..length]).is_err(), "{length}");
        }
        for at in (0..bytes.len()).rev().step_by(211) {
            let mut changed = bytes.clone();
            changed[at] ^= 4;
            assert!(MomentsFile::<String>::decode("file", &changed).is_err(), "a changed byte {at} went unnoticed");
        }
    }
}
