//! `csv:FILE`: a list of image files with their labels.
//!
//! With a header line, the columns `path` (or `image`, `file`, `filename`) and `label` (or `class`, `target`) count;
//! without one, the first two. Paths are absolute, or relative to the folder of the list, and are the ids of the samples.
//! Labels are integers, or else names of classes, which are then numbered in alphabetical order. A line without a label
//! is quarantined.

use super::imagenet;
use crate::data::storage::{Listing, Names, open_file};
use crate::data::{DataError, DataSet, Preprocessing, Reader};
use crate::paths::parent;
use csv::{Reader as Lines, ReaderBuilder, StringRecord};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

/// The reader of `csv:FILE`.
pub(super) static CSV: Csv = Csv;

/// See the head of this file.
pub(super) struct Csv;

const PATHS: &[&str] = &["path", "image", "file", "filename"];
const LABELS: &[&str] = &["label", "class", "target"];
const ADVICE: &str = "write one line a sample: path,label";

impl Reader for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn summary(&self) -> &'static str {
        "a list of image files, one line a sample: path,label"
    }

    fn preset(&self) -> Preprocessing {
        imagenet()
    }

    fn default_split(&self) -> Option<&'static str> {
        None
    }

    fn open(&self, path: &Path, split: Option<&str>) -> Result<Box<dyn DataSet>, DataError> {
        if let Some(split) = split {
            return Err(DataError::file(path, "a list has no splits", format_args!("leave out `#{split}`")));
        }
        let listing = list(path, &read(path)?)?;
        if listing.is_empty() {
            return Err(DataError::file(path, "it lists no sample with a label", ADVICE));
        }
        Ok(Box::new(listing))
    }

    fn validation_split(&self, _path: &Path) -> Option<&'static str> {
        None
    }
}

/// What the lines say: paths, and labels as they stand there.
struct Samples {
    paths: Names,
    labels: Names,
}

fn read(path: &Path) -> Result<Samples, DataError> {
    let file = open_file(path).map_err(|error| DataError::io(path, &error))?;
    let mut lines: Lines<File> = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    let mut samples = Samples { paths: Names::default(), labels: Names::default() };
    let mut columns = None;
    let mut line = StringRecord::new();
    while lines.read_record(&mut line).map_err(|error| DataError::file(path, error, ADVICE))? {
        let (image, label) = if let Some(columns) = columns {
            columns
        } else {
            let header = header(&line);
            let found = *columns.insert(header.unwrap_or((0, 1)));
            if header.is_some() {
                continue;
            }
            found
        };
        let Some(image) = line.get(image).map(str::trim).filter(|image| !image.is_empty()) else {
            let number = line.position().map_or(0, csv::Position::line);
            return Err(DataError::file(path, format_args!("line {number} has no path"), ADVICE));
        };
        samples.paths.push(image);
        samples.labels.push(line.get(label).map_or("", str::trim));
    }
    Ok(samples)
}

/// The columns of paths and labels, where the first line names them.
fn header(line: &StringRecord) -> Option<(usize, usize)> {
    let column =
        |names: &[&str]| line.iter().position(|field| names.iter().any(|name| name.eq_ignore_ascii_case(field.trim())));
    Some((column(PATHS)?, column(LABELS)?))
}

fn list(path: &Path, samples: &Samples) -> Result<Listing, DataError> {
    let integers = samples.labels.iter().all(|label| label.is_empty() || label.parse::<i128>().is_ok());
    let names: BTreeSet<&str> =
        if integers { BTreeSet::new() } else { samples.labels.iter().filter(|label| !label.is_empty()).collect() };
    let numbers: BTreeMap<&str, i128> = names.iter().copied().zip(0..).collect();
    let classes = (!integers).then(|| names.iter().map(|&name| name.to_owned()).collect());
    let mut listing = Listing::new(parent(path), classes, vec![path.to_owned()]);
    for (image, label) in samples.paths.iter().zip(samples.labels.iter()) {
        match label.parse().ok().filter(|_| integers).or_else(|| numbers.get(label).copied()) {
            Some(label) => listing.push(image, label)?,
            None => listing.quarantine(image, "it has no label"),
        }
    }
    Ok(listing)
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
