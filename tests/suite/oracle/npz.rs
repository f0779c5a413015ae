//! Numpy archives, read and written without the crate's own reader.

use ndarray::{Array, ArrayD, IxDyn, ShapeBuilder};
use npyz::{DType, NpyFile, Order, TypeChar};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Every array of an archive, as float64, by name. Integers here are far below 2^53.
pub(crate) fn read(path: &Path) -> BTreeMap<String, ArrayD<f64>> {
    let mut archive = ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let name = entry.name().unwrap().strip_suffix(".npy").unwrap().to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        arrays.insert(name, array(&bytes));
    }
    arrays
}

fn array(bytes: &[u8]) -> ArrayD<f64> {
    let file = NpyFile::new(bytes).unwrap();
    let shape: Vec<usize> = file.shape().iter().map(|&extent| extent as usize).collect();
    let fortran = file.order() == Order::Fortran;
    let DType::Plain(element) = file.dtype() else { panic!("an array of structures") };
    let values: Vec<f64> = match (element.type_char(), element.size_field()) {
        (TypeChar::Float, 4) => file.into_vec::<f32>().unwrap().into_iter().map(f64::from).collect(),
        (TypeChar::Float, 8) => file.into_vec().unwrap(),
        (TypeChar::Int, 8) => file.into_vec::<i64>().unwrap().into_iter().map(|value| value as f64).collect(),
        _ => panic!("{element} was not expected here"),
    };
    Array::from_shape_vec(IxDyn(&shape).set_f(fortran), values).unwrap()
}

/// An archive of uint8 images `[N, H, W]` and their labels.
pub(crate) fn write_images(path: &Path, [height, width]: [usize; 2], pixels: &[u8], labels: &[u8]) {
    let mut archive = ZipWriter::new(File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let count = labels.len();
    for (name, shape, bytes) in
        [("images", format!("({count}, {height}, {width})"), pixels), ("labels", format!("({count},)"), labels)]
    {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
        archive.write_all(&u16::try_from(header.len()).unwrap().to_le_bytes()).unwrap();
        archive.write_all(header.as_bytes()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
}
