//! One tar archive: where its samples' images are, and their labels.

use crate::data::storage::{Names, is_image, open_file};
use crate::data::{DataError, Quarantined, SampleId};
use crate::panics::catch;
use serde_json::Value;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use tar::{Archive, Entry};

/// A label is read into memory; what is larger is none.
const LARGEST_LABEL: u64 = 1 << 20;
/// So is an image.
const LARGEST_IMAGE: u64 = 1 << 30;

/// Where a label stands in JSON.
const LABELS: &[&str] = &["label", "cls", "class"];

/// The samples of an archive that have an image and a label.
pub(super) struct Shard {
    name: String,
    path: PathBuf,
    keys: Names,
    offsets: Vec<u64>,
    sizes: Vec<u32>,
    labels: Vec<i128>,
    /// The others.
    pub(super) quarantined: Vec<Quarantined>,
}

impl Shard {
    /// Reads the headers and labels of the archive at `path`, which is called `name`.
    pub(super) fn scan((name, path): (String, PathBuf)) -> Result<Self, DataError> {
        let file = open_file(&path).map_err(|error| DataError::io(&path, &error))?;
        let length = file.metadata().map_err(|error| DataError::io(&path, &error))?.len();
        let (offsets, sizes, labels) = (Vec::new(), Vec::new(), Vec::new());
        let mut shard = Self { name, path, keys: Names::default(), offsets, sizes, labels, quarantined: Vec::new() };
        let scanned = catch(|| shard.read(file, length)).unwrap_or_else(Err);
        match scanned {
            Ok(()) => Ok(shard),
            Err(reason) => Err(DataError::file(&shard.path, reason, "write the shard again, or leave it out")),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the sample of that key is called.
    pub(super) fn id(&self, key: &str) -> SampleId {
        SampleId(format!("{}/{key}", self.name))
    }

    pub(super) fn key(&self, place: usize) -> &str {
        self.keys.get(place)
    }

    /// Where an image begins in the file, and its size.
    pub(super) fn extent(&self, place: usize) -> (u64, usize) {
        (self.offsets[place], self.sizes[place] as usize)
    }

    pub(super) fn take_labels(&mut self) -> Vec<i128> {
        std::mem::take(&mut self.labels)
    }

    fn read(&mut self, file: File, length: u64) -> Result<(), String> {
        let mut archive = Archive::new(file);
        let mut keys = HashSet::new();
        let mut sample = Sample::default();
        let mut end = 0;
        for entry in archive.entries_with_seek().map_err(|error| error.to_string())? {
            let mut entry = entry.map_err(|error| error.to_string())?;
            // The library seeks over what it is told to, whether anything is there or not.
            end = entry.raw_file_position().saturating_add(entry.size());
            if end > length {
                return Err("it is cut off".to_owned());
            }
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let Some((key, field)) = split(&name).filter(|_| entry.header().entry_type().is_file()) else { continue };
            if sample.key != key {
                self.add(std::mem::take(&mut sample));
                key.clone_into(&mut sample.key);
                if !keys.insert(key.to_owned()) {
                    return Err(format!("the members of sample {key} do not follow each other"));
                }
            }
            sample.take(&mut entry, &field.to_ascii_lowercase());
        }
        self.add(sample);
        // An archive ends with a block of zeros.
        if end.next_multiple_of(512) >= length {
            return Err(if end == 0 { "it is empty" } else { "it is cut off: nothing marks its end" }.to_owned());
        }
        Ok(())
    }

    /// Adds a sample, or sets it aside.
    fn add(&mut self, sample: Sample) {
        let id = self.id(&sample.key);
        match sample.finish() {
            None => {}
            Some(Err(reason)) => self.quarantined.push(Quarantined::new(&id, reason)),
            Some(Ok((key, label, offset, size))) => {
                self.keys.push(&key);
                self.labels.push(label);
                self.offsets.push(offset);
                self.sizes.push(size);
            }
        }
    }
}

/// A member's key and field: what comes before and after the first dot of the last part of its name.
fn split(name: &str) -> Option<(&str, &str)> {
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = start + name.get(start..)?.find('.')?;
    let (key, field) = name.split_at_checked(dot)?;
    (dot > start).then(|| (key, field.strip_prefix('.').unwrap_or(field)))
}

/// A sample's key and label, and its image's offset and size.
type Usable = (String, i128, u64, u32);

/// What was found of a sample so far.
#[derive(Default)]
struct Sample {
    key: String,
    image: Option<(u64, u64)>,
    label: Option<Result<i128, &'static str>>,
    /// Whether the label comes from its `.cls`, which counts before JSON.
    has_class: bool,
}

impl Sample {
    fn take(&mut self, entry: &mut Entry<'_, File>, field: &str) {
        let is_one = !field.contains('.') && is_image(&format!("_.{field}"));
        match field {
            "cls" => {
                self.has_class = true;
                self.label =
                    Some(text(entry).and_then(|text| text.trim().parse().ok()).ok_or("its .cls is no integer"));
            }
            "json" if !self.has_class => {
                self.label =
                    text(entry).map_or(Some(Err("its .json is not UTF-8 or too large")), |text| of_json(&text));
            }
            _ if is_one && self.image.is_none() => self.image = Some((entry.raw_file_position(), entry.size())),
            _ => {}
        }
    }

    /// Nothing where there is no sample, or why it cannot be used.
    fn finish(self) -> Option<Result<Usable, &'static str>> {
        if self.key.is_empty() {
            return None;
        }
        Some(match (self.image, self.label) {
            (None, _) => Err("it has no image"),
            (_, None) => Err("it has no label: neither a .cls, nor a .json with `label`, `cls` or `class`"),
            (_, Some(Err(reason))) => Err(reason),
            (Some((_, size)), _) if size > LARGEST_IMAGE => Err("its image is larger than 1 GiB"),
            (Some((offset, size)), Some(Ok(label))) => Ok((self.key, label, offset, size as u32)),
        })
    }
}

fn text(entry: &mut Entry<'_, File>) -> Option<String> {
    let mut text = String::new();
    (entry.size() <= LARGEST_LABEL && entry.read_to_string(&mut text).is_ok()).then_some(text)
}

/// The label that stands in JSON, if any.
fn of_json(text: &str) -> Option<Result<i128, &'static str>> {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return Some(Err("its .json cannot be read")) };
    let label = LABELS.iter().find_map(|name| value.get(name))?;
    Some(label.as_i64().map(i128::from).ok_or("the label in its .json is no integer"))
}
