//! `folder:DIR`: one sub-folder a class, with png, jpeg and webp files in it, at any depth.
//!
//! The names of the sub-folders, sorted, are the labels from 0 on. Where DIR has a sub-folder `train` and one of `val`,
//! `valid` and `test`, these are splits under these names: `train` is the default, `val` or else `valid` is the set's
//! own validation split.
//! Then the classes are those of `train` in every split, so that a class without samples in one does not shift the
//! labels of the others. A sample's id is its path relative to DIR. Names that begin with a dot are passed over.

use super::imagenet;
use crate::data::storage::{Listing, is_image};
use crate::data::{DataError, DataSet, Preprocessing, Reader};
use std::fs;
use std::path::{Path, PathBuf};

/// The reader of `folder:DIR`.
pub(super) static FOLDER: Folder = Folder;

/// See the head of this file.
pub(super) struct Folder;

const SPLITS: &[&str] = &["train", VALIDATION[0], VALIDATION[1], "test"];
const VALIDATION: [&str; 2] = ["val", "valid"];
const ADVICE: &str = "give a folder with one sub-folder a class and png, jpeg or webp files in them";

impl Reader for Folder {
    fn name(&self) -> &'static str {
        "folder"
    }

    fn summary(&self) -> &'static str {
        "a folder with one sub-folder a class, of png, jpeg or webp files"
    }

    fn preset(&self) -> Preprocessing {
        imagenet()
    }

    fn default_split(&self) -> Option<&'static str> {
        Some("train")
    }

    fn open(&self, path: &Path, split: Option<&str>) -> Result<Box<dyn DataSet>, DataError> {
        let (base, classes) = if has_splits(path) {
            let base = split_folder(path, split.unwrap_or("train"))?;
            (base, sub_folders(&path.join("train"))?)
        } else if let Some(split) = split {
            let reason = format!("it has no splits, so there is no `{split}`");
            return Err(DataError::file(path, reason, "leave out the split, or put sub-folders train and val there"));
        } else {
            (path.to_owned(), sub_folders(path)?)
        };
        if classes.is_empty() {
            return Err(DataError::file(&base, "it has no sub-folders", ADVICE));
        }
        scan(path, &base, &classes).map(|listing| Box::new(listing) as Box<dyn DataSet>)
    }

    fn validation_split(&self, path: &Path) -> Option<&'static str> {
        VALIDATION.into_iter().find(|name| has_splits(path) && path.join(name).is_dir())
    }
}

fn has_splits(root: &Path) -> bool {
    root.join("train").is_dir() && SPLITS.iter().any(|name| *name != "train" && root.join(name).is_dir())
}

fn split_folder(root: &Path, split: &str) -> Result<PathBuf, DataError> {
    let there: Vec<_> = SPLITS.iter().copied().filter(|name| root.join(name).is_dir()).collect();
    if !there.contains(&split) {
        return Err(DataError::file(
            root,
            format_args!("there is no split `{split}`"),
            format_args!("use one of {}", there.join(", ")),
        ));
    }
    Ok(root.join(split))
}

/// The visible entries of a folder with their names, sorted by name.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| DataError::io(folder, &error))? {
        let path = entry.map_err(|error| DataError::io(folder, &error))?.path();
        let name = path.file_name().unwrap_or_default();
        let Some(name) = name.to_str() else {
            return Err(DataError::file(&path, "its name is not UTF-8", "rename it: it is part of sample ids"));
        };
        if !name.starts_with('.') {
            entries.push((name.to_owned(), path));
        }
    }
    entries.sort();
    Ok(entries)
}

/// The names of the sub-folders of `folder`, sorted.
pub(super) fn sub_folders(folder: &Path) -> Result<Vec<String>, DataError> {
    let entries = entries(folder)?.into_iter().filter(|(_, path)| path.is_dir());
    Ok(entries.map(|(name, _)| name).collect())
}

/// Lists the files of each class under `base`, a folder inside `root` or `root` itself.
pub(super) fn scan(root: &Path, base: &Path, classes: &[String]) -> Result<Listing, DataError> {
    if let Some(unknown) = sub_folders(base)?.into_iter().find(|name| !classes.contains(name)) {
        let reason = "the training split has no class of this name";
        return Err(DataError::file(&base.join(unknown), reason, "give every split the same classes"));
    }
    let prefix = base.strip_prefix(root).ok().and_then(Path::to_str).unwrap_or_default();
    let mut listing = Listing::new(root, Some(classes.to_vec()), Vec::new());
    for (label, class) in classes.iter().enumerate() {
        let folder = base.join(class);
        if !folder.is_dir() {
            continue;
        }
        let id = if prefix.is_empty() { class.clone() } else { format!("{prefix}/{class}") };
        let mut ids = Vec::new();
        collect(&folder, &id, &mut Vec::new(), &mut ids)?;
        ids.sort();
        ids.iter().try_for_each(|id| listing.push(id, label as i128))?;
    }
    if listing.is_empty() {
        return Err(DataError::file(base, "there are no images in its sub-folders", ADVICE));
    }
    Ok(listing)
}

/// Adds the images under `folder` to `ids`. `above` are the folders that lead here: links may lead back to them.
fn collect(folder: &Path, id: &str, above: &mut Vec<PathBuf>, ids: &mut Vec<String>) -> Result<(), DataError> {
    let real = fs::canonicalize(folder).map_err(|error| DataError::io(folder, &error))?;
    if above.contains(&real) {
        return Err(DataError::file(folder, "this link leads back to a folder above it", "remove the link"));
    }
    above.push(real);
    for (name, path) in entries(folder)? {
        let id = format!("{id}/{name}");
        if path.is_dir() {
            collect(&path, &id, above, ids)?;
        } else if is_image(&name) {
            ids.push(id);
        }
    }
    above.pop();
    Ok(())
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
