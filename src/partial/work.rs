//! The folder in which a run keeps what it has done, so that the same command can go on from there.

use super::PartialError;
use std::fs::{File, TryLockError};
use std::io::Write;
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

    /// Replaces a file of the folder: it is the old one or the new one, whatever happens.
    ///
    /// # Errors
    /// [`PartialError::Keep`].
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), PartialError> {
        // Nobody else works here, so one name is enough, and what a killed process left under it is overwritten.
        let (path, new) = (self.file(name), self.file(&format!("{name}.new")));
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(bytes)?;
            file.sync_data()?;
            std::fs::rename(&new, &path)
        };
        write().map_err(|source| PartialError::Keep { path: path.clone(), source })
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
