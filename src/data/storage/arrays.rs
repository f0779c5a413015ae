//! Whole arrays in and out of a numpy archive, for those small enough to be in memory.

use super::Header;
use crate::tensor::{ElementType, NamedTensor, Tensor};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use zip::ZipArchive;

/// Every array of an archive, sorted by name. The error says what is wrong, as in `holds ...`.
pub(crate) fn read_arrays(path: &Path) -> Result<Vec<NamedTensor>, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("cannot be read: {error}");
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| unreadable(&error))?;
    let mut found = Vec::new();
    for position in 0..archive.len() {
        let mut entry = archive.by_index(position).map_err(|error| unreadable(&error))?;
        let Some(name) = entry.name().ok().and_then(|name| Some(name.strip_suffix(".npy")?.to_owned())) else {
            continue;
        };
        let tensor =
            read_array(&mut entry).map_err(|reason| format!("holds an array {name} that is not read: {reason}"))?;
        found.push(NamedTensor { name, tensor });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn read_array(reader: &mut impl Read) -> Result<Tensor, String> {
    let header = Header::read(reader)?;
    if header.fortran_order {
        return Err("it is in Fortran order".to_owned());
    }
    let element = element(&header).ok_or_else(|| format!("its numpy type is {}{}", header.kind, header.size))?;
    let extents: Option<Vec<usize>> = header.shape.iter().map(|extent| usize::try_from(*extent).ok()).collect();
    let shape = extents.ok_or("it is too large")?;
    let size = shape.iter().try_fold(header.size, |size, extent| size.checked_mul(*extent)).ok_or("it is too large")?;
    // What is there is read, not what the header claims, which memory may not hold.
    let mut bytes = Vec::new();
    reader.take(size as u64).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if header.big_endian {
        bytes.chunks_exact_mut(header.size).for_each(<[u8]>::reverse);
    }
    Tensor::from_little_endian(element, &shape, &bytes)
        .ok_or_else(|| format!("{} of {size} bytes are there", bytes.len()))
}

/// Writes an array as a `.npy` file.
///
/// # Errors
/// bfloat16, which numpy does not know, and what the writer refuses.
pub(crate) fn write_array(tensor: &Tensor, to: &mut impl Write) -> io::Result<()> {
    /// The magic number, the version, and the length of the rest.
    const PREFIX: usize = 10;
    let descr =
        descr(tensor.element_type()).ok_or_else(|| io::Error::other("numpy has no bfloat16; use --format onnx"))?;
    let extents = tensor.shape().iter().map(|extent| format!("{extent},")).collect::<Vec<_>>().join(" ");
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({extents}), }}");
    // Padded so that the elements begin at a multiple of 64.
    let length = (PREFIX + header.len() + 1).next_multiple_of(64) - PREFIX;
    let short = u16::try_from(length).map_err(|_| io::Error::other("an array has too many axes"))?;
    to.write_all(b"\x93NUMPY\x01\x00")?;
    to.write_all(&short.to_le_bytes())?;
    to.write_all(format!("{header:<width$}\n", width = length - 1).as_bytes())?;
    to.write_all(&tensor.to_little_endian())
}

/// numpy's type strings of the element types that both know.
const TYPES: [(ElementType, &str); 7] = [
    (ElementType::Float32, "<f4"),
    (ElementType::Uint8, "|u1"),
    (ElementType::Int32, "<i4"),
    (ElementType::Int64, "<i8"),
    (ElementType::Bool, "|b1"),
    (ElementType::Float16, "<f2"),
    (ElementType::Float64, "<f8"),
];

fn descr(element: ElementType) -> Option<&'static str> {
    TYPES.iter().find(|(known, _)| *known == element).map(|(_, descr)| *descr)
}

fn element(header: &Header) -> Option<ElementType> {
    let name = format!("{}{}", header.kind, header.size);
    TYPES.iter().find(|(_, descr)| descr[1..] == name).map(|(element, _)| *element)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, IxDyn};

    fn each_type() -> Vec<Tensor> {
        let values = ArrayD::from_shape_vec(IxDyn(&[2, 3]), vec![0.0, 1.0, 2.5, 3.0, 100.0, 7.0]).unwrap();
        TYPES.iter().map(|(element, _)| Tensor::from_f64(&values, *element)).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let scalar = Tensor::Float64(ndarray::arr0(1.5).into_dyn());
        let empty = Tensor::Float32(ArrayD::zeros(IxDyn(&[0, 3])));
        for tensor in each_type().into_iter().chain([scalar, empty]) {
            let mut bytes = Vec::new();
            write_array(&tensor, &mut bytes).unwrap();
            assert_eq!((bytes.len() - tensor.to_little_endian().len()) % 64, 0);
            assert_eq!(read_array(&mut bytes.as_slice()).unwrap(), tensor);
            bytes.pop();
            assert!(tensor.shape().contains(&0) || read_array(&mut bytes.as_slice()).is_err());
        }
        assert!(
            write_array(&Tensor::from_f64(&ArrayD::zeros(IxDyn(&[1])), ElementType::Bfloat16), &mut Vec::new())
                .is_err()
        );
    }

    #[test]
    fn another_implementation_reads_what_is_written() {
        let mut bytes = Vec::new();
        write_array(&each_type()[0], &mut bytes).unwrap();
        let file = npyz::NpyFile::new(bytes.as_slice()).unwrap();
        assert_eq!(file.shape(), [2, 3]);
        assert_eq!(file.into_vec::<f32>().unwrap(), [0.0, 1.0, 2.5, 3.0, 100.0, 7.0]);
    }

    #[test]
    fn both_byte_orders_are_read_and_false_claims_refused() {
        let array = |header: &str, data: &[u8]| {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((header.len() as u16).to_le_bytes());
            bytes.extend(header.as_bytes());
            bytes.extend(data);
            read_array(&mut bytes.as_slice())
        };
        let big = array("{'descr': '>i4', 'fortran_order': False, 'shape': (1,)}", &[0, 0, 1, 2]).unwrap();
        assert_eq!(big, Tensor::Int32(ndarray::arr1(&[258]).into_dyn()));
        for header in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}",
            "{'descr': '<f4', 'fortran_order': True, 'shape': (1,)}",
            "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}",
        ] {
            assert!(array(header, &[0; 8]).is_err(), "{header}");
        }
    }
}
