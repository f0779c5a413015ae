//! One array of an archive: what its header says it is, and its entries as contents of samples.

use crate::data::storage::{Header, Records, Shape, Source, interleave};
use crate::data::{Content, DataError, SampleId};
use half::f16;
use image::{DynamicImage, GrayImage, RgbImage};
use ndarray::{ArrayD, IxDyn};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// An archive whose entries can be looked up.
pub(super) type Archive = ZipArchive<BufReader<File>>;

/// One array of the archive, whose records are the entries of its first axis.
pub(super) struct Array {
    pub(super) header: Header,
    pub(super) records: Records,
}

impl Array {
    /// Opens the array `name`, which is in the archive at `path`.
    pub(super) fn open(path: &Path, archive: &mut Archive, name: &str) -> Result<Self, DataError> {
        let refuse = |reason: &dyn Display| {
            DataError::file(path, format_args!("array `{name}`: {reason}"), "write it again with numpy.savez")
        };
        let index = archive.index_for_name(&format!("{name}.npy")).ok_or_else(|| refuse(&"it is not there"))?;
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
    archive: &mut Archive,
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

/// An integer of up to 8 bytes.
pub(super) fn integer(bytes: &[u8], signed: bool, big_endian: bool) -> i128 {
    let append = |value: u64, byte: &u8| (value << 8) | u64::from(*byte);
    let value = if big_endian { bytes.iter().fold(0, append) } else { bytes.iter().rev().fold(0, append) };
    let bits = 8 * bytes.len() as u32;
    let negative = signed && bits > 0 && (value >> (bits - 1)) & 1 == 1;
    i128::from(value) - if negative { 1_i128 << bits } else { 0 }
}

/// An array of samples.
pub(super) struct Samples {
    array: Array,
    kind: Kind,
}

/// What the samples are.
#[derive(Clone, Debug)]
enum Kind {
    Image { height: u32, width: u32, channels: usize, channels_first: bool },
    Floats { shape: Vec<usize> },
    Integers { shape: Vec<usize> },
}

impl Kind {
    fn of(path: &Path, name: &str, header: &Header) -> Result<Self, DataError> {
        let refuse = |advice: &str| {
            let reason = format!("array `{name}` has numpy type `{}{}`", header.kind, header.size);
            Err(DataError::file(path, format_args!("{reason} and shape {:?}", header.shape), advice))
        };
        let rest = header.shape.get(1..).unwrap_or_default();
        let shape = rest.iter().map(|extent| usize::try_from(*extent)).collect::<Result<Vec<_>, _>>();
        let Ok(shape) = shape else { return refuse("store smaller samples") };
        match (header.kind, header.size) {
            ('u', 1) => match *rest {
                [] | [_] => Ok(Self::Integers { shape }),
                [height, width] => Self::image(path, [height, width], 1, false),
                [1 | 3, _, 1 | 3] => refuse("store the images so that only one axis can be the channels: (N,H,W,C)"),
                [height, width, channels @ (1 | 3)] => Self::image(path, [height, width], channels, false),
                [channels @ (1 | 3), height, width] => Self::image(path, [height, width], channels, true),
                _ => refuse("store uint8 images as (N,H,W), (N,H,W,C) or (N,C,H,W), or values as float32"),
            },
            ('f', 2 | 4 | 8) => Ok(Self::Floats { shape }),
            ('i', 1 | 2 | 4 | 8) | ('u', 2 | 4 | 8) | ('b', 1) => Ok(Self::Integers { shape }),
            _ => refuse("store images as uint8, values that are already preprocessed as float32, or ids as integers"),
        }
    }

    fn image(path: &Path, [height, width]: [u64; 2], channels: u64, channels_first: bool) -> Result<Self, DataError> {
        match (u32::try_from(height), u32::try_from(width)) {
            (Ok(height), Ok(width)) => Ok(Self::Image { height, width, channels: channels as usize, channels_first }),
            _ => Err(DataError::file(path, "its images are too large", "store smaller ones")),
        }
    }
}

impl Samples {
    /// Opens the array `name`, which is in the archive at `path`.
    pub(super) fn open(path: &Path, archive: &mut Archive, name: &str) -> Result<Self, DataError> {
        let array = Array::open(path, archive, name)?;
        let kind = Kind::of(path, name, &array.header)?;
        Ok(Self { array, kind })
    }

    /// The number of samples.
    pub(super) fn count(&self) -> usize {
        self.array.records.count()
    }

    /// The content of sample `index`, which is called `id`.
    pub(super) fn content(&self, index: usize, id: &SampleId) -> Result<Content, DataError> {
        let failed = |reason: &dyn Display| DataError::sample(id, reason, "leave the file alone while it is in use");
        let bytes = self.array.records.read(index).map_err(|error| failed(&error))?;
        match &self.kind {
            Kind::Floats { shape } => ArrayD::from_shape_vec(IxDyn(shape), self.floats(&bytes))
                .map(Content::Values)
                .map_err(|error| failed(&error)),
            Kind::Integers { shape } => ArrayD::from_shape_vec(IxDyn(shape), self.integers(&bytes, id)?)
                .map(Content::Integers)
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

    fn floats(&self, bytes: &[u8]) -> Vec<f32> {
        // The size of an element divides the size of a record, which is where the record's size comes from.
        match (self.array.header.size, self.array.header.big_endian) {
            (2, false) => elements(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
            (2, true) => elements(bytes, |bytes| f16::from_be_bytes(bytes).to_f32()),
            (4, false) => elements(bytes, f32::from_le_bytes),
            (4, true) => elements(bytes, f32::from_be_bytes),
            (_, false) => elements(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
            (_, true) => elements(bytes, |bytes| f64::from_be_bytes(bytes) as f32),
        }
    }

    fn integers(&self, bytes: &[u8], id: &SampleId) -> Result<Vec<i64>, DataError> {
        let header = &self.array.header;
        let element = |bytes: &[u8]| {
            let value = integer(bytes, header.kind == 'i', header.big_endian);
            i64::try_from(value).map_err(|_| {
                DataError::sample(id, format_args!("it holds the value {value}"), "store integers that int64 holds")
            })
        };
        bytes.chunks_exact(header.size).map(element).collect()
    }
}

/// `bytes` taken `N` at a time.
fn elements<const N: usize>(bytes: &[u8], decode: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|bytes| decode(*bytes)).collect()
}
