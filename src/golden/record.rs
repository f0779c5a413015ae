//! A record as a whole: its test sets, its manifest, and the model where a copy of it is kept beside them.

use super::{FORMATS, Format, GoldenError, MANIFEST, Manifest};
use crate::model::Model;
use crate::paths::parent;
use crate::tensor::NamedTensor;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The name of the model in the folder of a record, as ONNX's own test cases have it.
pub const MODEL: &str = "model.onnx";

/// A batch: what a model is fed, and what it gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestSet {
    /// One tensor for each input.
    pub inputs: Vec<NamedTensor>,
    /// One for each output that is kept.
    pub outputs: Vec<NamedTensor>,
}

/// What was recorded.
#[derive(Clone, Debug)]
pub struct Record {
    /// The batches.
    pub sets: Vec<TestSet>,
    /// What the record says of itself; nothing where another tool wrote it.
    pub manifest: Option<Manifest>,
}

impl Record {
    /// The model that is kept in the folder of a record, if one is.
    pub fn model_of(folder: &Path) -> Option<PathBuf> {
        let path = folder.join(MODEL);
        path.is_file().then_some(path)
    }

    /// Reads the record in a folder, of a model with the inputs and outputs of `like`.
    ///
    /// # Errors
    /// [`GoldenError`]: no record, or one that cannot be read.
    pub fn read(folder: &Path, like: &Model) -> Result<Self, GoldenError> {
        const ADVICE: &str = "make one with `onnx-sap golden record`";
        let ports = (like.inputs(), like.outputs());
        let manifest = Manifest::read(folder)?;
        for format in FORMATS {
            let mut sets = Vec::new();
            while let Some(set) = format.read(folder, sets.len(), (&ports.0, &ports.1))? {
                sets.push(set);
            }
            if sets.is_empty() {
                continue;
            }
            let recorded = manifest.as_ref().map_or(sets.len(), |manifest| manifest.sets.len());
            if recorded != sets.len() {
                let reason = format!("holds {} test sets, and {recorded} were recorded", sets.len());
                return Err(GoldenError::content(folder, reason, ADVICE));
            }
            return Ok(Self { sets, manifest });
        }
        Err(GoldenError::content(folder, "holds no test set", ADVICE))
    }

    /// Writes it to a folder that is made, with a copy of `model` where one is given. A record that is there is replaced: nobody
    /// ever sees half of one.
    ///
    /// # Errors
    /// [`GoldenError`]: what cannot be written, or not in this format, and a folder that holds something else.
    pub fn write(&self, folder: &Path, format: &dyn Format, model: Option<&Model>) -> Result<(), GoldenError> {
        let failed = |error| GoldenError::write(folder, error);
        check_folder(folder, true)?;
        let staging = tempfile::Builder::new().prefix(".onnx-sap-").tempdir_in(parent(folder)).map_err(failed)?;
        let (new, old) = (staging.path().join("new"), staging.path().join("old"));
        fs::create_dir(&new).map_err(failed)?;
        for (number, set) in self.sets.iter().enumerate() {
            format.write(&new, number, set)?;
        }
        if let Some(manifest) = &self.manifest {
            manifest.write(&new)?;
        }
        if let Some(model) = model {
            keep_model(model, &new)?;
        }
        if folder.exists() {
            fs::rename(folder, old).map_err(failed)?;
        }
        fs::rename(new, folder).map_err(failed)
    }
}

/// Copies a model and its external data into a folder.
fn keep_model(model: &Model, folder: &Path) -> Result<(), GoldenError> {
    for location in model.external_files() {
        let (from, to) = (model.folder().join(&location), folder.join(&location));
        let made = fs::create_dir_all(parent(&to)).and_then(|()| fs::copy(&from, &to));
        made.map_err(|error| GoldenError::write(&to, error))?;
    }
    let path = folder.join(MODEL);
    fs::write(&path, model.bytes()).map_err(|error| GoldenError::write(&path, error))
}

/// Checks that a record can go to a folder: it is not there, empty, or holds nothing but a record that may be replaced.
///
/// # Errors
/// [`GoldenError::Content`], and what cannot be looked into.
pub fn check_folder(folder: &Path, replace: bool) -> Result<(), GoldenError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(GoldenError::write(folder, error)),
    };
    let names: Result<Vec<String>, _> =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
    let names = names.map_err(|error: std::io::Error| GoldenError::read(folder, error))?;
    if names.is_empty() {
        return Ok(());
    }
    let external = Model::open(&folder.join(MODEL)).map(|model| model.external_files()).unwrap_or_default();
    let is_own = |name: &String| {
        [MANIFEST, MODEL].contains(&name.as_str())
            || FORMATS.iter().any(|format| format.owns(name))
            || external.iter().any(|location| location.split('/').next() == Some(name))
    };
    if !names.iter().any(|name| name == MANIFEST) || !names.iter().all(is_own) {
        return Err(GoldenError::content(folder, "holds other files than a record", "name a folder that is not there"));
    }
    if replace {
        return Ok(());
    }
    Err(GoldenError::content(folder, "holds a record already", "name another folder, or replace it with --force"))
}
