//! Writing files so that nobody ever sees half of one.
//!
//! Everything is written, and synced before it is moved, in a temporary folder beside the output, under its final name, so that what was
//! verified there is what is moved into place: other files first, the model last. An older output that is replaced
//! steps aside first, so that at no moment an old model finds new external data under its name.

use super::external::Rest;
use super::{Model, ModelError, OutputPlan, wire};
use crate::paths::{parent, same_file};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Output files that are complete, but not yet in their place.
#[derive(Debug)]
pub struct Staged {
    /// Open until they are moved, since what the system could not write it says to those that were open.
    unsynced: Vec<(PathBuf, File)>,
    staging: TempDir,
    model: PathBuf,
    moves: Vec<(PathBuf, PathBuf)>,
    rests: BTreeMap<String, Rest>,
}

fn staging_folder(out: &Path) -> Result<TempDir, ModelError> {
    tempfile::Builder::new()
        .prefix(".onnx-sap-")
        .tempdir_in(parent(out))
        .map_err(|source| ModelError::Write { path: out.into(), source })
}

impl Model {
    /// Checks before the work begins that `out` can be written when it is done, and is no file of this model.
    ///
    /// # Errors
    /// [`ModelError::SameFile`], [`ModelError::Exists`] unless `replace`, [`ModelError::Write`].
    pub fn check_output(&self, out: &Path, replace: bool) -> Result<(), ModelError> {
        let own = self.external_files().iter().map(|location| self.external_path(location)).collect::<Vec<_>>();
        for file in own.iter().map(PathBuf::as_path).chain([self.path()]) {
            if same_file(file, out) {
                return Err(ModelError::SameFile { path: out.into() });
            }
        }
        check_target(out, replace)?;
        staging_folder(out).map(drop)
    }

    /// The same for everything that is written when this model is rewritten as `out`.
    ///
    /// # Errors
    /// As [`Model::check_output`].
    pub fn check_rewritten(&self, out: &Path, replace: bool) -> Result<(), ModelError> {
        self.check_output(out, replace)?;
        // Folders below that of `out` are made when they are needed.
        let targets = self.external_targets(out).into_iter().filter(|target| parent(target).is_dir());
        targets.into_iter().try_for_each(|target| check_target(&target, replace))
    }
}

fn check_target(path: &Path, replace: bool) -> Result<(), ModelError> {
    let refuse = |kind: io::ErrorKind, reason: &str| {
        Err(ModelError::Write { path: path.into(), source: io::Error::new(kind, reason) })
    };
    if !parent(path).is_dir() {
        return refuse(io::ErrorKind::NotFound, "its folder does not exist");
    }
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => return refuse(io::ErrorKind::IsADirectory, "it is a folder"),
        // A rename would put a file in the place of the device or pipe.
        Ok(there) if !there.is_file() => return refuse(io::ErrorKind::InvalidInput, "it is no regular file"),
        _ => {}
    }
    if !replace && path.symlink_metadata().is_ok() {
        return Err(ModelError::Exists { path: path.into() });
    }
    Ok(())
}

impl Staged {
    /// Writes the rewritten model and the external files that it needs, all in a temporary folder beside `out`.
    ///
    /// # Errors
    /// [`ModelError::Write`] and [`ModelError::Read`].
    pub fn write(model: &Model, plan: &OutputPlan, out: &Path) -> Result<Self, ModelError> {
        let name = out.file_name().ok_or_else(|| ModelError::Write {
            path: out.into(),
            source: io::Error::new(io::ErrorKind::InvalidInput, "it names no file"),
        })?;
        let staging = staging_folder(out)?;
        let mut moves = Vec::new();
        let mut unsynced = Vec::new();
        let mut rests = BTreeMap::new();
        for (location, copy) in &plan.external {
            let staged = staging.path().join(&copy.location);
            let (file, rest) = copy.make(&model.external_path(location), &staged)?;
            rests.insert(location.clone(), rest);
            unsynced.push((staged.clone(), file));
            moves.push((staged, parent(out).join(&copy.location)));
        }
        let staged = staging.path().join(name);
        let file = write_file(&staged, |file| {
            wire::write_spliced(model.bytes(), &plan.splices, file)?;
            file.write_all(&plan.provenance)
        })?;
        unsynced.push((staged.clone(), file));
        moves.push((staged.clone(), out.into()));
        Ok(Self { unsynced, staging, model: staged, moves, rests })
    }

    /// Waits until all files are on disk. [`Staged::commit`] does so, too; whoever has other things to do can begin now.
    ///
    /// # Errors
    /// [`ModelError::Write`].
    pub fn sync(&self) -> Result<(), ModelError> {
        self.unsynced.iter().try_for_each(|(path, file)| sync(path, file))
    }

    /// The rewritten model, complete and loadable where it lies.
    pub fn model(&self) -> &Path {
        &self.model
    }

    /// What each external file held, by the location that the original names, beside what was to be written.
    pub fn rests(&self) -> &BTreeMap<String, Rest> {
        &self.rests
    }

    /// Moves everything into place.
    ///
    /// # Errors
    /// [`ModelError::Exists`] unless `replace`, [`ModelError::Write`]; then what was there before is there again.
    pub fn commit(mut self, replace: bool) -> Result<(), ModelError> {
        self.sync()?;
        self.unsynced.clear();
        for (_, target) in &self.moves {
            fs::create_dir_all(parent(target)).map_err(|source| ModelError::Write { path: target.clone(), source })?;
            check_target(target, replace)?;
        }
        let aside = self.staging.path().join(".replaced");
        let mut done: Vec<(&Path, Option<PathBuf>)> = Vec::new();
        let mut work = || -> Result<(), ModelError> {
            // The model first out of the way, last into its place.
            let order = self.moves.iter().rev().map(|(_, target)| target);
            for (index, target) in order.enumerate() {
                let old = aside.with_extension(index.to_string());
                let existed = target.symlink_metadata().is_ok();
                if existed {
                    rename(target, &old)?;
                }
                done.push((target, existed.then_some(old)));
            }
            for (staged, target) in &self.moves {
                rename(staged, target)?;
                sync_folder(parent(target));
            }
            Ok(())
        };
        let result = work();
        if result.is_err() {
            for (target, old) in done {
                // A best effort on a failing disk: the first error is what the user must hear of.
                let _ = fs::remove_file(target);
                if let Some(old) = old {
                    let _ = fs::rename(old, target);
                }
            }
        }
        result
    }
}

/// Writes a file, such as a report, atomically.
///
/// # Errors
/// [`ModelError::Write`].
pub fn write_atomically(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), ModelError> {
    check_target(path, true)?;
    let staging = staging_folder(path)?;
    let staged = staging.path().join("file");
    let file = write_file(&staged, content)?;
    sync(&staged, &file)?;
    drop(file);
    rename(&staged, path).map(|()| sync_folder(parent(path)))
}

fn rename(from: &Path, to: &Path) -> Result<(), ModelError> {
    fs::rename(from, to).map_err(|source| ModelError::Write { path: to.into(), source })
}

/// Makes a rename durable. Not every system lets a folder be synced; the files themselves already are.
fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

fn sync(path: &Path, file: &File) -> Result<(), ModelError> {
    file.sync_all().map_err(|source| ModelError::Write { path: path.into(), source })
}

/// Writes a file, which is not on disk before it is synced.
fn write_file(path: &Path, content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<File, ModelError> {
    let write = || -> io::Result<File> {
        let mut file = BufWriter::new(File::create(path)?);
        content(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)
    };
    write().map_err(|source| ModelError::Write { path: path.into(), source })
}
