//! `npz:FILE`: numpy arrays `x` and `y` (or `images` and `labels`), stored or deflated.
//!
//! `x` of uint8 with shape (N,H,W), (N,H,W,C) or (N,C,H,W) holds images; `x` of float16, float32 or float64 holds
//! values that are already preprocessed. `y` holds integers, one a sample. Both byte orders are read. Stored arrays are
//! read in place; deflated ones are unpacked once into a temporary file. A sample's id is its index.

use super::labels::Labels;
use super::npy::Header;
use super::records::{Records, Shape, Source, open_file};
use super::{Content, DataError, DataSet, Preprocessing, Reader, SampleId};
use crate::paths::same_file;
use half::f16;
use image::{DynamicImage, GrayImage, RgbImage};
use ndarray::{ArrayD, IxDyn};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use zip::{CompressionMethod, ZipArchive};

/// The reader of `npz:FILE`.
pub(super) static NPZ: Npz = Npz;

/// See the head of this file.
pub(super) struct Npz;

impl Reader for Npz {
    fn name(&self) -> &'static str {
        "npz"
    }

    fn summary(&self) -> &'static str {
        "a numpy archive of x (uint8 images, or floats already preprocessed) and y"
    }

    fn preset(&self) -> Preprocessing {
        Preprocessing::default()
    }

    fn default_split(&self) -> Option<&'static str> {
        None
    }

    fn open(&self, path: &Path, split: Option<&str>) -> Result<Box<dyn DataSet>, DataError> {
        if let Some(split) = split {
            return Err(DataError::file(path, "an npz file has no splits", format_args!("leave out `#{split}`")));
        }
        let file = open_file(path).map_err(|error| DataError::io(path, &error))?;
        let mut archive = ZipArchive::new(BufReader::new(file))
            .map_err(|error| DataError::file(path, error, "give a file that numpy.savez has written"))?;
        let samples = Array::open(path, &mut archive, ["x", "images"])?;
        let labels = Array::open(path, &mut archive, ["y", "labels"])?;
        let kind = Kind::of(path, &samples.header)?;
        let labels = read_labels(path, &labels)?;
        if labels.len() != samples.records.count() {
            let reason = format!("it holds {} labels for {} samples", labels.len(), samples.records.count());
            return Err(DataError::file(path, reason, "store as many labels as samples"));
        }
        Ok(Box::new(NpzSet { path: path.to_owned(), samples, kind, labels }))
    }

    fn validation_split(&self, _path: &Path) -> Option<&'static str> {
        None
    }
}

/// One array of the archive, whose records are the entries of its first axis.
struct Array {
    header: Header,
    records: Records,
}

impl Array {
    fn open(path: &Path, archive: &mut ZipArchive<BufReader<File>>, names: [&str; 2]) -> Result<Self, DataError> {
        let [name, other] = names;
        let found = names.map(|name| archive.index_for_name(&format!("{name}.npy")));
        let (name, index) = match found {
            [Some(index), None] => (name, index),
            [None, Some(index)] => (other, index),
            [None, None] => {
                let reason = format!("it holds neither `{name}` nor `{other}`");
                return Err(DataError::file(path, reason, "write it with numpy.savez(file, x=..., y=...)"));
            }
            [Some(_), Some(_)] => {
                let reason = format!("it holds both `{name}` and `{other}`");
                return Err(DataError::file(path, reason, "leave out one of them"));
            }
        };
        let refuse = |reason: &dyn Display| {
            DataError::file(path, format_args!("array `{name}`: {reason}"), "write it again with numpy.savez")
        };
        let (source, start, end) = open_entry(path, archive, index, &refuse)?;
        let mut reader = At { source: &source, position: start, end };
        let header = Header::read(&mut reader).map_err(|reason| refuse(&reason))?;
        if header.fortran_order {
            let reason = format!("array `{name}` is in Fortran order");
            return Err(DataError::file(path, reason, "store numpy.ascontiguousarray(...) of it"));
        }
        let (count, rest) = header.shape.split_first().ok_or_else(|| refuse(&"it is a single number"))?;
        let factors: Vec<u64> = rest.iter().copied().chain([header.size as u64]).collect();
        let shape = Shape::declared(path, *count, &factors)?;
        let records = Records::new(path, source, (start.saturating_add(header.length), end), shape)?;
        Ok(Self { header, records })
    }
}

/// The bytes of one entry of the archive: where they are, from where to where.
fn open_entry(
    path: &Path,
    archive: &mut ZipArchive<BufReader<File>>,
    index: usize,
    refuse: &dyn Fn(&dyn Display) -> DataError,
) -> Result<(Source, u64, u64), DataError> {
    let entry = archive.by_index(index).map_err(|error| refuse(&error))?;
    let size = entry.size();
    if entry.compression() == CompressionMethod::Stored {
        let start = entry.data_start().ok_or_else(|| refuse(&"its data cannot be found"))?;
        return Ok((Source::plain(path)?, start, start.saturating_add(size)));
    }
    let packed = entry.compressed_size();
    Ok((Source::unpack(path, entry, packed, size)?, 0, size))
}

/// Reads a source from a position on, never beyond its end.
struct At<'a> {
    source: &'a Source,
    position: u64,
    end: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.min(self.source.length()).saturating_sub(self.position);
        let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.source.read_at(self.position, &mut buffer[..count])?;
        self.position += count as u64;
        Ok(count)
    }
}

/// The labels as integers, whatever their type.
fn read_labels(path: &Path, labels: &Array) -> Result<Labels, DataError> {
    let header = &labels.header;
    if !matches!(*header.shape, [_] | [_, 1]) {
        let reason = format!("its labels have shape {:?}", header.shape);
        return Err(DataError::file(path, reason, "store one integer a sample (of one-hot labels, the argmax)"));
    }
    let signed = header.kind == 'i';
    if !matches!((header.kind, header.size), ('i' | 'u', 1 | 2 | 4 | 8)) {
        let reason = format!("its labels have numpy type `{}{}`", header.kind, header.size);
        return Err(DataError::file(path, reason, "store them as integers"));
    }
    let mut checked = Labels::default();
    labels.records.scan(path, |bytes| checked.push(integer(bytes, signed, header.big_endian)))?;
    Ok(checked)
}

/// An integer of up to 8 bytes.
fn integer(bytes: &[u8], signed: bool, big_endian: bool) -> i128 {
    let append = |value: u64, byte: &u8| (value << 8) | u64::from(*byte);
    let value = if big_endian { bytes.iter().fold(0, append) } else { bytes.iter().rev().fold(0, append) };
    let bits = 8 * bytes.len() as u32;
    let negative = signed && bits > 0 && (value >> (bits - 1)) & 1 == 1;
    i128::from(value) - if negative { 1_i128 << bits } else { 0 }
}

/// What the samples are.
#[derive(Clone, Debug)]
enum Kind {
    Image { height: u32, width: u32, channels: usize, channels_first: bool },
    Values { shape: Vec<usize> },
}

impl Kind {
    fn of(path: &Path, header: &Header) -> Result<Self, DataError> {
        let refuse = |advice: &str| {
            let reason = format!("its samples have numpy type `{}{}`", header.kind, header.size);
            Err(DataError::file(path, format_args!("{reason} and shape {:?}", header.shape), advice))
        };
        let rest = header.shape.get(1..).unwrap_or_default();
        match (header.kind, header.size) {
            ('u', 1) => match *rest {
                [height, width] => Self::image(path, [height, width], 1, false),
                [1 | 3, _, 1 | 3] => refuse("store the images so that only one axis can be the channels: (N,H,W,C)"),
                [height, width, channels @ (1 | 3)] => Self::image(path, [height, width], channels, false),
                [channels @ (1 | 3), height, width] => Self::image(path, [height, width], channels, true),
                _ => refuse("store uint8 images as (N,H,W), (N,H,W,C) or (N,C,H,W), or values as float32"),
            },
            ('f', 2 | 4 | 8) => {
                let shape = rest.iter().map(|extent| usize::try_from(*extent)).collect::<Result<_, _>>();
                shape.map(|shape| Self::Values { shape }).or_else(|_| refuse("store smaller samples"))
            }
            _ => refuse("store images as uint8, or values that are already preprocessed as float32"),
        }
    }

    fn image(path: &Path, [height, width]: [u64; 2], channels: u64, channels_first: bool) -> Result<Self, DataError> {
        match (u32::try_from(height), u32::try_from(width)) {
            (Ok(height), Ok(width)) => Ok(Self::Image { height, width, channels: channels as usize, channels_first }),
            _ => Err(DataError::file(path, "its images are too large", "store smaller ones")),
        }
    }
}

/// An open archive.
struct NpzSet {
    path: PathBuf,
    samples: Array,
    kind: Kind,
    labels: Labels,
}

impl NpzSet {
    fn values(&self, bytes: &[u8]) -> Vec<f32> {
        // The size of an element divides the size of a record, which is where the record's size comes from.
        match (self.samples.header.size, self.samples.header.big_endian) {
            (2, false) => elements(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
            (2, true) => elements(bytes, |bytes| f16::from_be_bytes(bytes).to_f32()),
            (4, false) => elements(bytes, f32::from_le_bytes),
            (4, true) => elements(bytes, f32::from_be_bytes),
            (_, false) => elements(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
            (_, true) => elements(bytes, |bytes| f64::from_be_bytes(bytes) as f32),
        }
    }
}

/// `bytes` taken `N` at a time.
fn elements<const N: usize>(bytes: &[u8], decode: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|bytes| decode(*bytes)).collect()
}

/// Planes of a channel each become pixels.
fn interleave(planes: &[u8], channels: usize) -> Vec<u8> {
    let size = planes.len() / channels;
    (0..size).flat_map(|pixel| (0..channels).map(move |channel| planes[channel * size + pixel])).collect()
}

impl DataSet for NpzSet {
    fn len(&self) -> usize {
        self.samples.records.count()
    }

    fn class_names(&self) -> Option<&[String]> {
        None
    }

    fn id(&self, index: usize) -> SampleId {
        SampleId(index.to_string())
    }

    fn label(&self, index: usize) -> usize {
        self.labels.get(index)
    }

    fn reads(&self, file: &Path) -> bool {
        same_file(&self.path, file)
    }

    fn content(&self, index: usize) -> Result<Content, DataError> {
        let failed = |reason: &dyn Display| {
            DataError::sample(&self.id(index), reason, "leave the file alone while it is in use")
        };
        let bytes = self.samples.records.read(index).map_err(|error| failed(&error))?;
        match &self.kind {
            Kind::Values { shape } => ArrayD::from_shape_vec(IxDyn(shape), self.values(&bytes))
                .map(Content::Values)
                .map_err(|error| failed(&error)),
            Kind::Image { height, width, channels, channels_first } => {
                let pixels = if *channels_first { interleave(&bytes, *channels) } else { bytes };
                let image = match channels {
                    1 => GrayImage::from_raw(*width, *height, pixels).map(DynamicImage::ImageLuma8),
                    _ => RgbImage::from_raw(*width, *height, pixels).map(DynamicImage::ImageRgb8),
                };
                image.map(Content::Image).ok_or_else(|| failed(&"it has fewer pixels than its size says"))
            }
        }
    }
}

#[cfg(test)]
#[path = "npz_tests.rs"]
mod tests;
