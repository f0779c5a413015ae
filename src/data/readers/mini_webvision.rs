//! `mini-webvision`: the first 50 classes of the Google part of WebVision 1.0, as it was released.
//!
//! Splits: `train` (the default), the images that `info/train_filelist_google.txt` lists under `google/`, and `val` (the
//! set's own validation split), those that `info/val_filelist.txt` lists, in `val_images_256/` or `val_images/`. The names
//! of the classes come from `info/synsets.txt`, where it is there. A sample's id is its path relative to the set's folder.

use super::imagenet;
use crate::data::storage::{Listing, lines, name_and_label, read_text};
use crate::data::{DataError, DataSet, Preprocessing, Reader};
use std::path::Path;

/// The reader of `mini-webvision`.
pub(super) static MINI_WEBVISION: MiniWebVision = MiniWebVision;

/// See the head of this file.
pub(super) struct MiniWebVision;

/// The classes of the set are those below.
const CLASSES: i128 = 50;

/// A split: its name, its list, and the folders that its paths may be relative to.
struct Split {
    name: &'static str,
    list: &'static str,
    folders: &'static [&'static str],
}

const SPLITS: [Split; 2] = [
    Split { name: "train", list: "info/train_filelist_google.txt", folders: &[""] },
    Split { name: "val", list: "info/val_filelist.txt", folders: &["val_images_256", "val_images"] },
];

const ADVICE: &str =
    "put the release's folders info, google and val_images_256 there, or name their folder after the `:`";

impl Reader for MiniWebVision {
    fn name(&self) -> &'static str {
        "mini-webvision"
    }

    fn summary(&self) -> &'static str {
        "the first 50 classes of WebVision's Google part: a folder with info, google and val_images_256"
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
            return Err(DataError::file(path, format_args!("there is no split `{asked}`"), "use train or val"));
        };
        let list = path.join(split.list);
        if !list.is_file() {
            return Err(DataError::file(path, format_args!("there is no {} in it", split.list), ADVICE));
        }
        let folder = split.folders.iter().find(|folder| path.join(folder).is_dir()).unwrap_or(&split.folders[0]);
        let mut listing = Listing::new(path, class_names(path)?, vec![list.clone()]);
        for line in lines(&read_text(&list)?) {
            let (image, label) = name_and_label(&list, line)?;
            if label < CLASSES {
                let id = if folder.is_empty() { image.to_owned() } else { format!("{folder}/{image}") };
                listing.push(&id, label)?;
            }
        }
        if listing.is_empty() {
            return Err(DataError::file(&list, "it lists no sample of the first 50 classes", ADVICE));
        }
        Ok(Box::new(listing))
    }

    fn validation_split(&self, path: &Path) -> Option<&'static str> {
        let split = &SPLITS[1];
        path.join(split.list).is_file().then_some(split.name)
    }
}

/// What stands behind the synset ids of the first classes.
fn class_names(root: &Path) -> Result<Option<Vec<String>>, DataError> {
    let file = root.join("info/synsets.txt");
    if !file.is_file() {
        return Ok(None);
    }
    let name = |line: &str| line.split_once(char::is_whitespace).map_or(line, |(_, name)| name).trim().to_owned();
    let names: Vec<String> = read_text(&file)?.lines().take(CLASSES as usize).map(name).collect();
    Ok(Some(names).filter(|names| names.len() == CLASSES as usize))
}

#[cfg(test)]
#[path = "mini_webvision_tests.rs"]
mod tests;
