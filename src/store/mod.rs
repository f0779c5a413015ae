//! Where partial results lie: a file, or an object of a store that several machines reach.

mod error;
#[cfg(feature = "object-store")]
mod remote;

pub use error::StoreError;

use crate::model::write_atomically;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A file or folder, or a URL such as `s3://bucket/key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// On this machine.
    Local(PathBuf),
    /// In an object store.
    Remote(String),
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            None if text.is_empty() => Err("give a file, or a URL such as s3://bucket/key".to_owned()),
            None => Ok(Self::Local(PathBuf::from(text))),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Local(PathBuf::from(path))),
            Some(("file", _)) => {
                Err("a file:// URL names an absolute path, as in file:///data/part.parquet".to_owned())
            }
            Some(("s3" | "gs", _)) if cfg!(feature = "object-store") => Ok(Self::Remote(text.to_owned())),
            Some((scheme @ ("s3" | "gs"), _)) => {
                Err(format!("this build does not reach {scheme}://; build it with --features object-store"))
            }
            Some((scheme, _)) => Err(format!("{scheme}:// is not known; use s3://, gs:// or file://")),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Remote(url) => f.write_str(url),
        }
    }
}

impl Location {
    /// The path, where it lies on this machine.
    pub fn local(&self) -> Option<&Path> {
        match self {
            Self::Local(path) => Some(path),
            Self::Remote(_) => None,
        }
    }

    /// Whether it stands for what lies in it: a folder, or a URL that ends in `/`.
    pub fn is_folder(&self) -> bool {
        match self {
            Self::Local(path) => path.is_dir() || path.as_os_str().to_string_lossy().ends_with(['/', '\\']),
            Self::Remote(url) => url.ends_with('/'),
        }
    }

    /// A file in this folder.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::Local(path) => Self::Local(path.join(name)),
            Self::Remote(url) => Self::Remote(format!("{}/{name}", url.trim_end_matches('/'))),
        }
    }

    /// Makes the folder that it stands for, where it is not there. Object stores have none to be made.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn make_folder(&self) -> Result<(), StoreError> {
        match self {
            Self::Local(path) => std::fs::create_dir_all(path).map_err(|error| StoreError::write(self, error)),
            Self::Remote(_) => Ok(()),
        }
    }

    /// The ending of its name, behind the last dot.
    pub fn extension(&self) -> String {
        let text = self.to_string();
        let name = text.rsplit(['/', '\\']).next().unwrap_or_default();
        name.rsplit_once('.').map_or_else(String::new, |(_, extension)| extension.to_owned())
    }

    /// Everything in it.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn read(&self) -> Result<Vec<u8>, StoreError> {
        match self {
            Self::Local(path) => std::fs::read(path).map_err(|error| StoreError::read(self, error)),
            #[cfg(feature = "object-store")]
            Self::Remote(url) => remote::read(url).map_err(|error| StoreError::read(self, error)),
            #[cfg(not(feature = "object-store"))]
            Self::Remote(_) => Err(StoreError::read(self, "this build reaches no object store")),
        }
    }

    /// Puts there what `content` writes; nobody ever sees a part of it.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn write(&self, content: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> Result<(), StoreError> {
        match self {
            Self::Local(path) => {
                write_atomically(path, |file| content(file)).map_err(|error| StoreError::write(self, error))
            }
            #[cfg(feature = "object-store")]
            Self::Remote(url) => {
                let mut bytes = Vec::new();
                content(&mut bytes).map_err(|error| StoreError::write(self, error))?;
                remote::write(url, bytes).map_err(|error| StoreError::write(self, error))
            }
            #[cfg(not(feature = "object-store"))]
            Self::Remote(_) => Err(StoreError::write(self, "this build reaches no object store")),
        }
    }

    /// Itself, or what lies in it, sorted by name, where it is a folder.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn files(&self) -> Result<Vec<Self>, StoreError> {
        if !self.is_folder() {
            return Ok(vec![self.clone()]);
        }
        match self {
            Self::Local(path) => {
                let failed = |error| StoreError::read(self, error);
                let entries = std::fs::read_dir(path).map_err(failed)?;
                let mut files = Vec::new();
                for entry in entries {
                    let path = entry.map_err(failed)?.path();
                    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
                    if path.is_file() && !hidden {
                        files.push(path);
                    }
                }
                files.sort();
                Ok(files.into_iter().map(Self::Local).collect())
            }
            #[cfg(feature = "object-store")]
            Self::Remote(url) => {
                let found = remote::list(url).map_err(|error| StoreError::read(self, error))?;
                Ok(found.into_iter().map(Self::Remote).collect())
            }
            #[cfg(not(feature = "object-store"))]
            Self::Remote(_) => Err(StoreError::read(self, "this build reaches no object store")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths_are_told_apart() {
        let at = |text: &str| text.parse::<Location>();
        assert_eq!(at("a/b.parquet"), Ok(Location::Local("a/b.parquet".into())));
        assert_eq!(at("file:///a/b"), Ok(Location::Local("/a/b".into())));
        assert_eq!(at("s3://bucket/key").is_ok(), cfg!(feature = "object-store"));
        for wrong in ["", "file://a", "http://host/key", "azure://a"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
        assert_eq!(at("x.y/part").unwrap().extension(), "");
        assert_eq!(at("x/part.parquet").unwrap().extension(), "parquet");
        assert_eq!(Location::Remote("s3://b/parts/".into()).join("c"), Location::Remote("s3://b/parts/c".into()));
    }

    #[test]
    fn what_is_written_is_read_and_listed() {
        let folder = tempfile::tempdir().unwrap();
        let parts = Location::Local(folder.path().join("new/parts/"));
        parts.make_folder().unwrap();
        for name in ["b", "a", ".hidden"] {
            parts.join(name).write(|file| file.write_all(name.as_bytes())).unwrap();
        }
        assert!(parts.is_folder());
        assert_eq!(parts.files().unwrap(), [parts.join("a"), parts.join("b")]);
        assert_eq!(parts.join("a").files().unwrap(), [parts.join("a")]);
        assert_eq!(parts.join("b").read().unwrap(), b"b");
        assert!(parts.join("c").read().unwrap_err().to_string().contains("parts"));
        assert!(parts.join("a/c").write(|_| Ok(())).is_err());
    }
}
