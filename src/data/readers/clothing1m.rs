//! `clothing1m`: a million photographs from web shops, in 14 classes, in one of two layouts.
//!
//! - As it was released: key lists (`noisy_train_key_list.txt`, `clean_train_key_list.txt`, `clean_val_key_list.txt`,
//!   `clean_test_key_list.txt`), one `images/…` a line, and labels (`noisy_label_kv.txt`, `clean_label_kv.txt`), one key
//!   and its label a line; all of them in the set's folder or in `annotations/`. The images lie in `images/`, or, where
//!   there is no such folder, where the keys say without their `images/`.
//! - As folders of classes: `noisy_train`, `clean_train`, `val` and `test`, each with `q0000` to `q0013`.
//!
//! Splits: `noisy_train` (the default), `clean_train`, `val` (the set's own validation split) and `test`. A key of the
//! clean validation or test lists is never in a training split. One without a label is quarantined. A sample's id is its
//! key, or its path relative to the set's folder.

use super::folder::{scan, sub_folders};
use super::imagenet;
use crate::data::storage::{Listing, lines, name_and_label, read_text};
use crate::data::{DataError, DataSet, Preprocessing, Reader};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The reader of `clothing1m`.
pub(super) static CLOTHING1M: Clothing1M = Clothing1M;

/// See the head of this file.
pub(super) struct Clothing1M;

/// A split: its name, its key list, and the file of its labels.
struct Split {
    name: &'static str,
    keys: &'static str,
    labels: &'static str,
    /// Whether samples of the clean validation and test lists must not be in it.
    is_training: bool,
}

const SPLITS: [Split; 4] = [
    Split { name: "noisy_train", keys: "noisy_train_key_list.txt", labels: NOISY, is_training: true },
    Split { name: "clean_train", keys: "clean_train_key_list.txt", labels: CLEAN, is_training: true },
    Split { name: "val", keys: "clean_val_key_list.txt", labels: CLEAN, is_training: false },
    Split { name: "test", keys: "clean_test_key_list.txt", labels: CLEAN, is_training: false },
];

const NOISY: &str = "noisy_label_kv.txt";
const CLEAN: &str = "clean_label_kv.txt";

/// The classes, as the release numbers them.
const CLASSES: [&str; 14] = [
    "T-Shirt",
    "Shirt",
    "Knitwear",
    "Chiffon",
    "Sweater",
    "Hoodie",
    "Windbreaker",
    "Jacket",
    "Downcoat",
    "Suit",
    "Shawl",
    "Dress",
    "Vest",
    "Underwear",
];

const ADVICE: &str =
    "put the release's lists there, or folders such as noisy_train/q0000, or name their folder after the `:`";

impl Reader for Clothing1M {
    fn name(&self) -> &'static str {
        "clothing1m"
    }

    fn summary(&self) -> &'static str {
        "a million photographs of clothes: a folder with the release's lists and images, or with folders of classes"
    }

    fn preset(&self) -> Preprocessing {
        imagenet()
    }

    fn default_split(&self) -> Option<&'static str> {
        Some(SPLITS[0].name)
    }

    fn open(&self, path: &Path, split: Option<&str>) -> Result<Box<dyn DataSet>, DataError> {
        let asked = split.unwrap_or(SPLITS[0].name);
        let Some(split) = SPLITS.iter().find(|split| split.name == asked) else {
            let known = SPLITS.map(|split| split.name).join(", ");
            let reason = format!("there is no split `{asked}`");
            return Err(DataError::file(path, reason, format_args!("use one of {known}")));
        };
        let listing = match (lists(path, split), path.join(split.name)) {
            (Some(lists), _) => released(path, &lists, split)?,
            (None, folder) if folder.is_dir() => foldered(path, &folder)?,
            _ => {
                let reason = format!("there is neither {} nor a folder {} in it", split.keys, split.name);
                return Err(DataError::file(path, reason, ADVICE));
            }
        };
        if listing.is_empty() {
            return Err(DataError::file(path, format_args!("its split {asked} has no samples"), ADVICE));
        }
        Ok(Box::new(listing))
    }

    fn validation_split(&self, path: &Path) -> Option<&'static str> {
        let split = SPLITS.iter().find(|split| split.name == "val")?;
        (lists(path, split).is_some() || path.join(split.name).is_dir()).then_some(split.name)
    }
}

/// The folder of the release's lists, where there are any.
fn lists(root: &Path, split: &Split) -> Option<PathBuf> {
    [root.to_owned(), root.join("annotations")].into_iter().find(|folder| folder.join(split.keys).is_file())
}

fn foldered(root: &Path, base: &Path) -> Result<Listing, DataError> {
    // Every split has the classes of the training split, even those that it has no samples of.
    let training = root.join(SPLITS[0].name);
    let folders = sub_folders(if training.is_dir() { &training } else { base })?;
    let listing = scan(root, base, &folders)?;
    let numbered = (0..CLASSES.len()).map(|label| format!("q{label:04}"));
    Ok(if folders.iter().cloned().eq(numbered) { listing.with_classes(names()) } else { listing })
}

fn names() -> Vec<String> {
    CLASSES.map(str::to_owned).to_vec()
}

fn released(root: &Path, lists: &Path, split: &Split) -> Result<Listing, DataError> {
    let [keys_file, labels_file] = [split.keys, split.labels].map(|name| lists.join(name));
    let (keys, labels) = (read_text(&keys_file)?, read_text(&labels_file)?);
    let labels = by_key(&labels_file, &labels)?;
    let held_out = if split.is_training { held_out(lists)? } else { Vec::new() };
    let held_out: HashSet<&str> = held_out.iter().flat_map(|text| lines(text)).collect();
    let base = if root.join("images").is_dir() { "" } else { "images/" };
    let sources = vec![keys_file, labels_file];
    let mut listing = Listing::new(root, Some(names()), sources).without_prefix(base);
    for key in lines(&keys).filter(|key| !held_out.contains(key)) {
        match labels.get(key) {
            Some(label) => listing.push(key, *label)?,
            None => listing.quarantine(key, format_args!("{} has no label for it", split.labels)),
        }
    }
    Ok(listing)
}

/// The labels by key.
fn by_key<'a>(path: &Path, text: &'a str) -> Result<HashMap<&'a str, i128>, DataError> {
    let mut labels = HashMap::new();
    for line in lines(text) {
        let (key, label) = name_and_label(path, line)?;
        labels.insert(key, label);
    }
    Ok(labels)
}

/// The key lists of the clean validation and test samples.
fn held_out(folder: &Path) -> Result<Vec<String>, DataError> {
    let lists = SPLITS.iter().filter(|split| !split.is_training).map(|split| folder.join(split.keys));
    lists.filter(|list| list.is_file()).map(|list| read_text(&list)).collect()
}

#[cfg(test)]
#[path = "clothing1m_tests.rs"]
mod tests;
