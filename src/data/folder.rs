//! `folder:DIR`: one sub-folder a class, with png, jpeg and webp files in it, at any depth.
//!
//! The names of the sub-folders, sorted, are the labels from 0 on. Where DIR has a sub-folder `train` and one of `val`,
//! `valid` and `test`, these are splits under these names: `train` is the default, `val` or else `valid` is the set's
//! own validation split.
//! Then the classes are those of `train` in every split, so that a class without samples in one does not shift the
//! labels of the others. A sample's id is its path relative to DIR. Names that begin with a dot are passed over.

use super::labels::Labels;
use super::records::open_file;
use super::{Content, DataError, DataSet, ImageSize, Preprocessing, Reader, Resize, SampleId};
use image::{ImageReader, Limits};
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// The reader of `folder:DIR`.
pub(super) static FOLDER: Folder = Folder;

/// See the head of this file.
pub(super) struct Folder;

const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp"];
const SPLITS: &[&str] = &["train", VALIDATION[0], VALIDATION[1], "test"];
const VALIDATION: [&str; 2] = ["val", "valid"];
const ADVICE: &str = "give a folder with one sub-folder a class and png, jpeg or webp files in them";

/// A decoded image may not take more than this, whatever its header says.
const MOST_BYTES: u64 = 512 << 20;
const LARGEST_SIDE: u32 = 32_768;

impl Reader for Folder {
    fn name(&self) -> &'static str {
        "folder"
    }

    fn summary(&self) -> &'static str {
        "a folder with one sub-folder a class, of png, jpeg or webp files"
    }

    fn preset(&self) -> Preprocessing {
        Preprocessing {
            usual_size: Some(ImageSize { height: 224, width: 224 }),
            resize: Some(Resize::Cover { from: 256, to: 224 }),
            mean: Some(vec![0.485, 0.456, 0.406]),
            std: Some(vec![0.229, 0.224, 0.225]),
            ..Preprocessing::default()
        }
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
        FolderSet::scan(path, &base, classes).map(|set| Box::new(set) as Box<dyn DataSet>)
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
fn sub_folders(folder: &Path) -> Result<Vec<String>, DataError> {
    let entries = entries(folder)?.into_iter().filter(|(_, path)| path.is_dir());
    Ok(entries.map(|(name, _)| name).collect())
}

/// An open folder: names only, the files are opened when they are needed.
struct FolderSet {
    root: PathBuf,
    ids: Vec<String>,
    labels: Labels,
    classes: Vec<String>,
}

impl FolderSet {
    fn scan(root: &Path, base: &Path, classes: Vec<String>) -> Result<Self, DataError> {
        if let Some(unknown) = sub_folders(base)?.into_iter().find(|name| !classes.contains(name)) {
            let reason = "the train split has no class of this name";
            return Err(DataError::file(&base.join(unknown), reason, "give every split the classes of train"));
        }
        let prefix = base.strip_prefix(root).ok().and_then(Path::to_str).unwrap_or_default();
        let mut set = Self { root: root.to_owned(), ids: Vec::new(), labels: Labels::default(), classes };
        for (label, class) in set.classes.iter().enumerate() {
            let folder = base.join(class);
            if !folder.is_dir() {
                continue;
            }
            let id = if prefix.is_empty() { class.clone() } else { format!("{prefix}/{class}") };
            let first = set.ids.len();
            collect(&folder, &id, &mut Vec::new(), &mut set.ids)?;
            set.ids[first..].sort();
            for _ in first..set.ids.len() {
                set.labels.push(label as i128)?;
            }
        }
        if set.ids.is_empty() {
            return Err(DataError::file(base, "there are no images in its sub-folders", ADVICE));
        }
        Ok(set)
    }
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

fn is_image(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

impl DataSet for FolderSet {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn class_names(&self) -> Option<&[String]> {
        Some(&self.classes)
    }

    fn id(&self, index: usize) -> SampleId {
        SampleId(self.ids[index].clone())
    }

    fn label(&self, index: usize) -> usize {
        self.labels.get(index)
    }

    fn reads(&self, file: &Path) -> bool {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let inside = |root: PathBuf| file.canonicalize().is_ok_and(|file| file.starts_with(root));
        is_image(&name) && self.root.canonicalize().is_ok_and(inside)
    }

    fn content(&self, index: usize) -> Result<Content, DataError> {
        let Some(id) = self.ids.get(index).cloned().map(SampleId) else {
            let reason = format!("sample {index} was asked for, and the set has {}", self.len());
            return Err(DataError::request(reason, "name samples that are in the set"));
        };
        let path = self.root.join(&id.0);
        let failed = |error: &dyn std::fmt::Display| {
            DataError::sample(
                &id,
                format_args!("{}: {error}", path.display()),
                "repair the image, or take it out of the set",
            )
        };
        let file = open_file(&path).map_err(|error| failed(&error))?;
        // What the file is counts, not what it is called.
        let reader = ImageReader::new(BufReader::new(file)).with_guessed_format();
        let mut reader = reader.map_err(|error| failed(&error))?;
        let mut limits = Limits::default();
        limits.max_image_width = Some(LARGEST_SIDE);
        limits.max_image_height = Some(LARGEST_SIDE);
        limits.max_alloc = Some(MOST_BYTES);
        reader.limits(limits);
        reader.decode().map(Content::Image).map_err(|error| failed(&error))
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
