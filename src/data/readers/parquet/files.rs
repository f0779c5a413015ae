//! Which files are meant, and of which splits they are.

use crate::data::DataError;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The split that is read where none is named.
pub(super) const TRAINING: &str = "train";
const VALIDATION: [&str; 2] = ["validation", "val"];
const EXTENSION: &str = ".parquet";

/// A file and its name.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl Named {
    /// The split that its name says it is a part of: what stands before `-` or the extension.
    fn split(&self) -> &str {
        let name = self.name.strip_suffix(EXTENSION).unwrap_or(&self.name);
        name.split_once('-').map_or(name, |(split, _)| split)
    }
}

/// The files of a path, in the order of their names.
pub(super) struct Files(Vec<Named>);

impl Files {
    /// Finds the files that `path` means.
    pub(super) fn find(path: &Path) -> Result<Self, DataError> {
        let mut files = Vec::new();
        if path.is_dir() {
            collect(path, &mut files)?;
            let data = path.join("data");
            if data.is_dir() {
                collect(&data, &mut files)?;
            }
        } else {
            files.extend(named(path)?);
        }
        if files.is_empty() {
            let advice = "give a folder with .parquet files in it or in its data/";
            return Err(DataError::file(path, "there is no .parquet file", advice));
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = files.windows(2).find(|pair| pair[0].name == pair[1].name) {
            let reason = format!("there is another file called {}", pair[0].name);
            return Err(DataError::file(&pair[1].path, reason, "rename one: samples are called by their file's name"));
        }
        Ok(Self(files))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Named> {
        self.0.iter()
    }

    fn has(&self, split: &str) -> bool {
        self.all().any(|file| file.split() == split)
    }

    /// The files of a split; without one, of the default, or else all.
    pub(super) fn of_split(&self, path: &Path, split: Option<&str>) -> Result<Vec<&Named>, DataError> {
        match split.or_else(|| self.has(TRAINING).then_some(TRAINING)) {
            None => Ok(self.all().collect()),
            Some(split) if self.has(split) => Ok(self.all().filter(|file| file.split() == split).collect()),
            Some(split) => {
                let there: BTreeSet<&str> = self.all().map(Named::split).collect();
                let there = there.into_iter().collect::<Vec<_>>().join(", ");
                let reason = format!("there is no file of split `{split}`");
                Err(DataError::file(path, reason, format_args!("use one of {there}, or none")))
            }
        }
    }

    pub(super) fn validation(&self) -> Option<&'static str> {
        VALIDATION.into_iter().find(|split| self.has(split))
    }
}

fn collect(folder: &Path, files: &mut Vec<Named>) -> Result<(), DataError> {
    for entry in fs::read_dir(folder).map_err(|error| DataError::io(folder, &error))? {
        let path = entry.map_err(|error| DataError::io(folder, &error))?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.ends_with(EXTENSION.as_bytes()) && !name.starts_with(b".") && path.is_file() {
            files.extend(named(&path)?);
        }
    }
    Ok(())
}

fn named(path: &Path) -> Result<Option<Named>, DataError> {
    let Some(name) = path.file_name() else { return Ok(None) };
    match name.to_str() {
        Some(name) => Ok(Some(Named { name: name.to_owned(), path: path.to_owned() })),
        None => Err(DataError::file(path, "its name is not UTF-8", "rename it: it is part of sample ids")),
    }
}
