//! `cifar10` and `cifar100`: a folder with the binary or the Python release, or one of the folders that these unpack to.
//!
//! Splits: `train` (the default) and `test`. A sample's id is its index in the split, in the order of the release's files.
//! Labels of CIFAR-100 are the fine ones. The names of the classes come from the release's own list, where it is there.

mod pickle;

use crate::data::storage::{Labels, Records, Shape, Source, interleave, lines, read_text};
use crate::data::{Content, DataError, DataSet, ImageSize, Preprocessing, Reader, SampleId};
use crate::paths::same_file;
use image::{DynamicImage, RgbImage};
use std::path::{Path, PathBuf};

/// Ten classes.
pub(super) static CIFAR10: Cifar = Cifar {
    name: "cifar10",
    summary: "CIFAR-10: a folder with the binary or the Python release",
    mean: [0.4914, 0.4822, 0.4465],
    std: [0.2470, 0.2435, 0.2616],
    binary: Release {
        folder: "cifar-10-batches-bin",
        train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
        test: &["test_batch.bin"],
        names: "batches.meta.txt",
    },
    python: Release {
        folder: "cifar-10-batches-py",
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: &["test_batch"],
        names: "batches.meta",
    },
    label_bytes: 1,
    labels: "labels",
    label_names: "label_names",
};

/// A hundred classes.
pub(super) static CIFAR100: Cifar = Cifar {
    name: "cifar100",
    summary: "CIFAR-100 with fine labels: a folder with the binary or the Python release",
    mean: [0.5071, 0.4867, 0.4408],
    std: [0.2675, 0.2565, 0.2761],
    binary: Release {
        folder: "cifar-100-binary",
        train: &["train.bin"],
        test: &["test.bin"],
        names: "fine_label_names.txt",
    },
    python: Release { folder: "cifar-100-python", train: &["train"], test: &["test"], names: "meta" },
    // The coarse label stands before the fine one.
    label_bytes: 2,
    labels: "fine_labels",
    label_names: "fine_label_names",
};

/// Where a release keeps what.
struct Release {
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static [&'static str],
    names: &'static str,
}

/// One of the two sets.
pub(super) struct Cifar {
    name: &'static str,
    summary: &'static str,
    mean: [f32; 3],
    std: [f32; 3],
    binary: Release,
    python: Release,
    /// The bytes of labels before the pixels of a binary record; the last one counts.
    label_bytes: usize,
    /// What the labels are called in a pickle.
    labels: &'static str,
    label_names: &'static str,
}

const SIDE: u32 = 32;
const CHANNELS: usize = 3;
/// The bytes of an image, channel by channel.
const PIXELS: usize = CHANNELS * (SIDE * SIDE) as usize;

impl Reader for Cifar {
    fn name(&self) -> &'static str {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn preset(&self) -> Preprocessing {
        Preprocessing {
            usual_size: Some(ImageSize { height: SIDE, width: SIDE }),
            mean: Some(self.mean.to_vec()),
            std: Some(self.std.to_vec()),
            ..Preprocessing::default()
        }
    }

    fn default_split(&self) -> Option<&'static str> {
        Some("train")
    }

    fn open(&self, path: &Path, split: Option<&str>) -> Result<Box<dyn DataSet>, DataError> {
        let files = |release: &Release| match split.unwrap_or("train") {
            "train" => Ok(release.train),
            "test" => Ok(release.test),
            other => Err(DataError::file(path, format_args!("there is no split `{other}`"), "use train or test")),
        };
        for (release, is_binary) in [(&self.binary, true), (&self.python, false)] {
            let files = files(release)?;
            let folders = [path.join(release.folder), path.to_owned()];
            if let Some(folder) = folders.iter().find(|folder| folder.join(files[0]).is_file()) {
                return self.open_release(folder, release, files, is_binary);
            }
        }
        let [binary, python] = [&self.binary, &self.python].map(|release| release.folder);
        let first = [files(&self.binary)?[0], files(&self.python)?[0]].join(" nor ");
        Err(DataError::file(
            path,
            format_args!("there is neither {first} in it, nor in {binary} or {python}"),
            "unpack the release there, or name its folder after the `:`",
        ))
    }

    fn validation_split(&self, _path: &Path) -> Option<&'static str> {
        None
    }
}

impl Cifar {
    fn open_release(
        &self,
        folder: &Path,
        release: &Release,
        files: &[&str],
        is_binary: bool,
    ) -> Result<Box<dyn DataSet>, DataError> {
        let names = folder.join(release.names);
        let mut set = CifarSet { parts: Vec::new(), labels: Labels::default(), classes: None };
        if names.is_file() {
            set.classes = Some(if is_binary {
                lines(&read_text(&names)?).map(str::to_owned).collect()
            } else {
                pickle::names(&names, self.label_names)?
            });
        }
        for file in files {
            let path = folder.join(file);
            let part =
                if is_binary { self.binary(path, &mut set.labels)? } else { self.python(path, &mut set.labels)? };
            set.parts.push(part);
        }
        Ok(Box::new(set))
    }

    /// A file of records: labels, then pixels.
    fn binary(&self, path: PathBuf, labels: &mut Labels) -> Result<Part, DataError> {
        let size = self.label_bytes + PIXELS;
        let source = Source::plain(&path)?;
        let length = source.length();
        let shape = Shape { count: (length / size as u64) as usize, size };
        let records = Records::new(&path, source, (0, length), shape)?;
        let label = self.label_bytes - 1;
        records.scan(&path, |record| labels.push(i128::from(record[label])))?;
        Ok(Part { path, records, skipped: self.label_bytes, end: labels.len() })
    }

    /// A pickled dictionary: its pixels go into a temporary file.
    fn python(&self, path: PathBuf, labels: &mut Labels) -> Result<Part, DataError> {
        let batch = pickle::batch(&path, self.labels)?;
        let shape = Shape { count: batch.labels.len(), size: PIXELS };
        let length = batch.pixels.len() as u64;
        let source = Source::unpack(&path, batch.pixels.as_slice(), length, length)?;
        let records = Records::new(&path, source, (0, length), shape)?;
        batch.labels.into_iter().try_for_each(|label| labels.push(label))?;
        Ok(Part { path, records, skipped: 0, end: labels.len() })
    }
}

/// The samples of one file.
struct Part {
    path: PathBuf,
    records: Records,
    /// The bytes of a record that come before its pixels.
    skipped: usize,
    /// The index behind its last sample.
    end: usize,
}

/// An open split.
struct CifarSet {
    parts: Vec<Part>,
    labels: Labels,
    classes: Option<Vec<String>>,
}

impl DataSet for CifarSet {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn class_names(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    fn id(&self, index: usize) -> SampleId {
        SampleId(index.to_string())
    }

    fn label(&self, index: usize) -> usize {
        self.labels.get(index)
    }

    fn reads(&self, file: &Path) -> bool {
        self.parts.iter().any(|part| same_file(&part.path, file))
    }

    fn content(&self, index: usize) -> Result<Content, DataError> {
        let Some(part) = self.parts.iter().find(|part| index < part.end) else {
            return Err(DataError::beyond(index, self.len()));
        };
        let first = part.end - part.records.count();
        let failed = |reason: &dyn std::fmt::Display| {
            DataError::sample(&self.id(index), reason, "leave the files alone while they are in use")
        };
        let record = part.records.read(index - first).map_err(|error| failed(&error))?;
        let pixels = interleave(record.get(part.skipped..).unwrap_or_default(), CHANNELS);
        let image = RgbImage::from_raw(SIDE, SIDE, pixels).map(DynamicImage::ImageRgb8);
        image.map(Content::Image).ok_or_else(|| failed(&"its record is too short"))
    }
}

#[cfg(test)]
#[path = "cifar_tests.rs"]
mod tests;
