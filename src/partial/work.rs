//! The folder in which a run keeps what it has done, so that the same command can go on from there.

use super::PartialError;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A folder that this process alone works in, as long as this value lives.
#[derive(Debug)]
pub struct WorkFolder {
    path: PathBuf,
    _lock: File,
}

impl WorkFolder {
    /// Opens the folder, and makes it where it is not there.
    ///
    /// # Errors
    /// [`PartialError::Busy`] where another process works in it; what cannot be written.
    pub fn open(path: &Path) -> Result<Self, PartialError> {
        let failed = |source| PartialError::Keep { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(failed)?;
        let lock = File::create(path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(PartialError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Replaces a file of the folder by what `write` writes to a path: it is the old one or the new one, whatever happens.
    ///
    /// # Errors
    /// [`PartialError::Keep`].
    pub fn replace(
        &self,
        name: &str,
        write: impl FnOnce(&Path) -> Result<(), PartialError>,
    ) -> Result<(), PartialError> {
        // Nobody else works here, so one name is enough, and what a killed process left under it is overwritten.
        let (path, new) = (self.file(name), self.file(&format!("{name}.new")));
        write(&new)?;
        let settle = || {
            File::open(&new)?.sync_data()?;
            std::fs::rename(&new, &path)
        };
        settle().map_err(|source| PartialError::Keep { path: path.clone(), source })
    }

    /// Removes a file of the folder, if it is there.
    ///
    /// # Errors
    /// [`PartialError::Keep`].
    pub fn remove(&self, name: &str) -> Result<(), PartialError> {
        let path = self.file(name);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(PartialError::Keep { path, source }),
            _ => Ok(()),
        }
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_never_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let first = WorkFolder::open(&path).unwrap();
        assert!(matches!(WorkFolder::open(&path), Err(PartialError::Busy { .. })));
        drop(first);
        assert!(WorkFolder::open(&path).is_ok());
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(matches!(WorkFolder::open(&folder.path().join("file")), Err(PartialError::Keep { .. })));
    }
}
