//! `mnist` and `fashion-mnist`: a folder with IDX files, plain or `.gz`, under their usual names.
//!
//! Splits: `train` (the default), `test` (the `t10k-` files), and `val` (`val-` files, which the official releases do
//! not have) as the set's own validation split. A plain file is preferred to its `.gz`. A sample's id is its index.

use crate::data::storage::Labels;
use crate::data::storage::{Records, Shape, Source, open_file};
use crate::data::{Content, DataError, DataSet, Preprocessing, Reader, SampleId};
use crate::paths::same_file;
use flate2::bufread::MultiGzDecoder;
use image::{DynamicImage, GrayImage};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The handwritten digits.
pub(super) static MNIST: Idx = Idx {
    name: "mnist",
    summary: "handwritten digits: a folder with IDX files, plain or .gz",
    mean: 0.1307,
    std: 0.3081,
};

/// Zalando's articles.
pub(super) static FASHION_MNIST: Idx = Idx {
    name: "fashion-mnist",
    summary: "Zalando's articles: a folder with IDX files, plain or .gz",
    mean: 0.2860,
    std: 0.3530,
};

/// The splits, and how the names of their files begin.
const SPLITS: &[(&str, &str)] = &[("train", "train"), ("test", "t10k"), ("val", "val")];

/// A set in the IDX format.
pub(super) struct Idx {
    name: &'static str,
    summary: &'static str,
    mean: f32,
    std: f32,
}

impl Reader for Idx {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn preset(&self) -> Preprocessing {
        // Channels stay open: the pixels are gray, and a model with three channels takes them three times.
        Preprocessing { mean: Some(vec![self.mean]), std: Some(vec![self.std]), ..Preprocessing::default() }
    }

    fn default_split(&self) -> Option<&'static str> {
        Some("train")
    }

    fn open(&self, path: &Path, split: Option<&str>) -> Result<Box<dyn DataSet>, DataError> {
        let split = split.unwrap_or("train");
        let Some((_, prefix)) = SPLITS.iter().find(|(name, _)| *name == split) else {
            return Err(DataError::file(path, format_args!("there is no split `{split}`"), "use train, test or val"));
        };
        Ok(Box::new(open_pair(&find(path, prefix, IMAGES)?, &find(path, prefix, LABELS)?)?))
    }

    fn validation_split(&self, path: &Path) -> Option<&'static str> {
        find(path, "val", IMAGES).is_ok().then_some("val")
    }
}

/// One of the two files of a split: what it holds, and the number of its dimensions.
type Part = (&'static str, usize);
const IMAGES: Part = ("images", 3);
const LABELS: Part = ("labels", 1);

/// The file of a split that is there, under any of its usual names.
fn find(folder: &Path, prefix: &str, (part, rank): Part) -> Result<PathBuf, DataError> {
    let usual = format!("{prefix}-{part}-idx{rank}-ubyte");
    let dotted = format!("{prefix}-{part}.idx{rank}-ubyte");
    let names = [usual.clone(), dotted.clone(), format!("{usual}.gz"), format!("{dotted}.gz")];
    names.into_iter().map(|name| folder.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        DataError::file(
            folder,
            format_args!("there is no {usual} or {usual}.gz in this folder"),
            "put the IDX files there, or name their folder after the `:`",
        )
    })
}

/// Images and labels that belong together.
fn open_pair(images: &Path, labels: &Path) -> Result<IdxSet, DataError> {
    let (shape, records) = open_part(images, IMAGES)?;
    let (_, label_records) = open_part(labels, LABELS)?;
    if records.count() != label_records.count() {
        let reason = format!("it holds {} labels for {} images", label_records.count(), records.count());
        return Err(DataError::file(labels, reason, "take both files from the same release"));
    }
    let (Ok(height), Ok(width)) = (u32::try_from(shape[1]), u32::try_from(shape[2])) else {
        return Err(damaged(images, "its images are too large"));
    };
    let mut checked = Labels::default();
    label_records.scan(labels, |byte| checked.push(byte.first().copied().unwrap_or_default().into()))?;
    let files = [images.to_owned(), labels.to_owned()];
    Ok(IdxSet { files, images: records, labels: checked, height, width })
}

/// The dimensions and the records of one IDX file of bytes.
fn open_part(path: &Path, (_, rank): Part) -> Result<(Vec<u64>, Records), DataError> {
    let file = open_file(path).map_err(|error| DataError::io(path, &error))?;
    let length = file.metadata().map_err(|error| DataError::io(path, &error))?.len();
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    let file = BufReader::new(file);
    if packed {
        let mut unpacked = MultiGzDecoder::new(file);
        let dimensions = read_header(path, &mut unpacked, rank)?;
        let shape = Shape::declared(path, dimensions[0], &dimensions[1..])?;
        let source = Source::unpack(path, unpacked, length, shape.bytes(path)?)?;
        let end = source.length();
        return Ok((dimensions, Records::new(path, source, (0, end), shape)?));
    }
    let dimensions = read_header(path, &mut { file }, rank)?;
    let shape = Shape::declared(path, dimensions[0], &dimensions[1..])?;
    let offset = 4 + 4 * rank as u64;
    Ok((dimensions, Records::new(path, Source::plain(path)?, (offset, length), shape)?))
}

/// Two zeros, the type (8: bytes), the rank, and as many big-endian dimensions.
fn read_header(path: &Path, reader: &mut impl Read, rank: usize) -> Result<Vec<u64>, DataError> {
    let mut header = vec![0; 4 + 4 * rank];
    reader
        .read_exact(&mut header)
        .map_err(|error| damaged(path, format_args!("its IDX header cannot be read: {error}")))?;
    if header[..3] != [0, 0, 8] || usize::from(header[3]) != rank {
        return Err(damaged(path, format_args!("it is not an IDX file of bytes with {rank} dimensions")));
    }
    let (dimensions, _) = header[4..].as_chunks::<4>();
    Ok(dimensions.iter().map(|bytes| u64::from(u32::from_be_bytes(*bytes))).collect())
}

fn damaged(path: &Path, reason: impl std::fmt::Display) -> DataError {
    DataError::file(path, reason, "it is damaged or something else: fetch it again")
}

/// An open split.
struct IdxSet {
    files: [PathBuf; 2],
    images: Records,
    labels: Labels,
    height: u32,
    width: u32,
}

impl DataSet for IdxSet {
    fn len(&self) -> usize {
        self.images.count()
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
        self.files.iter().any(|own| same_file(own, file))
    }

    fn content(&self, index: usize) -> Result<Content, DataError> {
        let changed = |reason: &dyn std::fmt::Display| {
            DataError::sample(&self.id(index), reason, "leave the files of the set alone while it is in use")
        };
        let pixels = self.images.read(index).map_err(|error| changed(&error))?;
        GrayImage::from_raw(self.width, self.height, pixels)
            .map(|image| Content::Image(DynamicImage::ImageLuma8(image)))
            .ok_or_else(|| changed(&"it has fewer pixels than its size says"))
    }
}

#[cfg(test)]
#[path = "idx_tests.rs"]
mod tests;
