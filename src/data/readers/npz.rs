//! `npz:FILE`: numpy arrays, stored or deflated: `y` or `labels`, and what feeds the model's inputs, each under the
//! input's name. The only input without an array of its name takes `x` or `images`.
//!
//! An array of uint8 with shape (N,H,W), (N,H,W,C) or (N,C,H,W) holds images; one of float16, float32 or float64 holds
//! values that are already preprocessed; one of other integers or bool holds exactly these. The labels are integers, one
//! a sample. Both byte orders are read. Stored arrays are read in place; deflated ones are unpacked once into a temporary
//! file, unless they feed nothing. A sample's id is its index.

mod array;

use crate::data::storage::Labels;
use crate::data::storage::open_file;
use crate::data::{Arrays, Content, DataError, DataSet, Preprocessing, Reader, SampleId};
use crate::paths::same_file;
use array::{Archive, Array, Samples, integer};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// The reader of `npz:FILE`.
pub(super) static NPZ: Npz = Npz;

/// See the head of this file.
pub(super) struct Npz;

/// What the one array is called that needs no input's name.
const SAMPLES: [&str; 2] = ["x", "images"];

/// An input of a model that is not known: no array has its name.
const SOME_INPUT: &str = "(any)";

/// What the labels are called.
const LABELS: [&str; 2] = ["y", "labels"];

impl Reader for Npz {
    fn name(&self) -> &'static str {
        "npz"
    }

    fn summary(&self) -> &'static str {
        "a numpy archive of y, and x (uint8 images, or floats already preprocessed) or arrays named as the model's inputs"
    }

    fn preset(&self) -> Preprocessing {
        Preprocessing::default()
    }

    fn default_split(&self) -> Option<&'static str> {
        None
    }

    fn open(&self, path: &Path, split: Option<&str>) -> Result<Box<dyn DataSet>, DataError> {
        let set = open(path, split, &[SOME_INPUT])?;
        if set.samples.is_empty() {
            let [name, other] = SAMPLES;
            let reason = format!("it holds neither `{name}` nor `{other}`");
            return Err(DataError::file(path, reason, WRITE));
        }
        Ok(Box::new(set))
    }

    fn open_for(&self, path: &Path, split: Option<&str>, inputs: &[&str]) -> Result<Box<dyn DataSet>, DataError> {
        Ok(Box::new(open(path, split, inputs)?))
    }

    fn validation_split(&self, _path: &Path) -> Option<&'static str> {
        None
    }
}

const WRITE: &str = "write it with numpy.savez(file, x=..., y=...)";

fn open(path: &Path, split: Option<&str>, inputs: &[&str]) -> Result<NpzSet, DataError> {
    if let Some(split) = split {
        return Err(DataError::file(path, "an npz file has no splits", format_args!("leave out `#{split}`")));
    }
    let file = open_file(path).map_err(|error| DataError::io(path, &error))?;
    let mut archive = ZipArchive::new(BufReader::new(file))
        .map_err(|error| DataError::file(path, error, "give a file that numpy.savez has written"))?;
    // A name that is not Unicode feeds no input.
    let mut names: Vec<String> =
        archive.file_names().flatten().filter_map(|name| name.strip_suffix(".npy").map(str::to_owned)).collect();
    names.sort_unstable();
    let label_name = label_array(path, &names, inputs)?;
    names.retain(|name| *name != label_name);
    let arrays = Arrays::assign(&names, inputs, &SAMPLES).map_err(|several| both(path, &several))?;
    let labels = read_labels(path, &Array::open(path, &mut archive, &label_name)?)?;
    let mut samples = Vec::new();
    for fed in &arrays.fed {
        samples.push(open_samples(path, &mut archive, &fed.array, labels.len())?);
    }
    Ok(NpzSet { path: path.to_owned(), arrays, samples, labels })
}

/// The array of labels: the one of the usual names that is there, and of two the one that is no input's.
fn label_array(path: &Path, names: &[String], inputs: &[&str]) -> Result<String, DataError> {
    let there: Vec<String> = names.iter().filter(|name| LABELS.contains(&name.as_str())).cloned().collect();
    let free: Vec<&String> = there.iter().filter(|name| !inputs.contains(&name.as_str())).collect();
    match (there.as_slice(), free.as_slice()) {
        ([name], _) => Ok(name.clone()),
        (_, [name]) => Ok((*name).clone()),
        ([], _) => {
            let [name, other] = LABELS;
            Err(DataError::file(path, format_args!("it holds neither `{name}` nor `{other}`"), WRITE))
        }
        _ => Err(both(path, &there)),
    }
}

fn both(path: &Path, names: &[String]) -> DataError {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    DataError::file(path, format_args!("it holds both {}", names.join(" and ")), "leave out one of them")
}

fn open_samples(path: &Path, archive: &mut Archive, name: &str, labels: usize) -> Result<Samples, DataError> {
    let samples = Samples::open(path, archive, name)?;
    if samples.count() == labels {
        return Ok(samples);
    }
    let reason = format!("it holds {labels} labels for {} samples in `{name}`", samples.count());
    Err(DataError::file(path, reason, "store as many labels as samples"))
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

/// An open archive.
struct NpzSet {
    path: PathBuf,
    arrays: Arrays,
    /// Those that feed an input, in that order.
    samples: Vec<Samples>,
    labels: Labels,
}

impl DataSet for NpzSet {
    fn len(&self) -> usize {
        self.labels.len()
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
        self.content_at(0, index)
    }

    fn arrays(&self) -> Option<&Arrays> {
        Some(&self.arrays)
    }

    fn content_at(&self, position: usize, index: usize) -> Result<Content, DataError> {
        let samples = self.samples.get(position).ok_or_else(|| {
            DataError::request(
                format!("{} has no array {position}", self.path.display()),
                "ask for one that feeds an input",
            )
        })?;
        samples.content(index, &self.id(index))
    }
}

#[cfg(test)]
#[path = "npz_tests.rs"]
mod tests;
