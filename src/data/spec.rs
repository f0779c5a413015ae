//! Names a data set: `NAME[:PATH][#SPLIT]`, as it stands on the command line and in the report.
//!
//! The first `:` ends the name. The last `#` begins the split, unless a path separator follows it: then it belongs to
//! the path. Without a path the set is looked for in the folder of its own name under the data root.

use super::error::one_line;
use super::{DataError, DataSet, READERS, Reader};
use std::fmt;
use std::path::{Path, PathBuf};

/// Which data set, read by whom, from where.
#[derive(Clone)]
pub struct Spec {
    /// The format.
    pub reader: &'static dyn Reader,
    /// The file or folder.
    pub path: PathBuf,
    /// The split, where one was named.
    pub split: Option<String>,
}

impl Spec {
    /// Reads `NAME[:PATH][#SPLIT]`.
    ///
    /// # Errors
    /// [`DataError::Specification`] for an unknown name (the message lists the known ones), an empty path, an empty
    /// split, or a split where the format has none.
    pub fn parse(text: &str, data_root: &Path) -> Result<Self, DataError> {
        let refuse = |reason: String, advice: String| DataError::Specification {
            text: one_line(text),
            reason: one_line(reason),
            advice: one_line(advice),
        };
        let (body, split) = match text.rsplit_once('#') {
            Some((body, split)) if !split.contains(['/', '\\']) => (body, Some(split)),
            _ => (text, None),
        };
        let (name, path) = match body.split_once(':') {
            Some((name, path)) => (name, Some(path)),
            None => (body, None),
        };
        let reader =
            READERS.iter().copied().find(|reader| reader.name() == name).ok_or_else(|| {
                refuse(format!("there is no data set format `{name}`"), format!("use {}", known_names()))
            })?;
        if path == Some("") {
            return Err(refuse("the path is empty".into(), format!("write {name}:PATH")));
        }
        if split == Some("") {
            return Err(refuse("the split is empty".into(), "name one after `#`, or leave out the `#`".into()));
        }
        if let (Some(split), None) = (split, reader.default_split()) {
            return Err(refuse(format!("{name} has no splits"), format!("leave out `#{split}`")));
        }
        let path = path.map_or_else(|| data_root.join(name), PathBuf::from);
        Ok(Self { reader, path, split: split.map(str::to_owned) })
    }

    /// Opens the set.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open(&self) -> Result<Box<dyn DataSet>, DataError> {
        self.reader.open(&self.path, self.split.as_deref())
    }

    /// Opens the set for a model whose `inputs` are to be fed.
    ///
    /// # Errors
    /// As [`Reader::open_for`].
    pub fn open_for(&self, inputs: &[&str]) -> Result<Box<dyn DataSet>, DataError> {
        self.reader.open_for(&self.path, self.split.as_deref(), inputs)
    }

    /// The validation split that the set has of its own, unless this specification already names it.
    pub fn validation(&self) -> Option<Self> {
        let split = self.reader.validation_split(&self.path)?;
        (self.split.as_deref() != Some(split)).then(|| Self { split: Some(split.to_owned()), ..self.clone() })
    }
}

/// The names of all readers, for messages.
fn known_names() -> String {
    READERS.iter().map(|reader| reader.name()).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.reader.name(), self.path.display())?;
        self.split.as_ref().map_or(Ok(()), |split| write!(f, "#{split}"))
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spec({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Spec, DataError> {
        Spec::parse(text, Path::new("root"))
    }

    #[test]
    fn a_bare_name_lies_in_its_own_folder_under_the_data_root() {
        let spec = parse("mnist").unwrap();
        assert_eq!((spec.path.as_path(), spec.split), (Path::new("root/mnist"), None));
        assert_eq!(parse("mnist#test").unwrap().split.as_deref(), Some("test"));
    }

    #[test]
    fn display_gives_back_what_parses_to_the_same() {
        for text in ["fashion-mnist:some/dir#test", "npz:a:b.npz", "folder:with#hash/in/it", "folder:a#b/c#val"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("mnist").unwrap().to_string(), "mnist:root/mnist");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let message = parse("imagenet:x").unwrap_err().to_string();
        for reader in READERS {
            assert!(message.contains(reader.name()), "{message}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in ["", ":", "#", "mnist:", "mnist#", "mnist:#test", "npz:file.npz#test", "mnist:a#"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_validation_split_is_found_where_the_set_has_one_and_is_not_that_split_itself() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("folder:{}", folder.path().display());
        assert!(parse(&text).unwrap().validation().is_none());
        for class in ["train/cat", "val/cat"] {
            std::fs::create_dir_all(folder.path().join(class)).unwrap();
        }
        let validation = parse(&text).unwrap().validation().unwrap();
        assert_eq!(validation.to_string(), format!("{text}#val"));
        assert!(validation.validation().is_none());
    }

    #[test]
    fn every_reader_has_a_name_that_survives_a_specification() {
        for reader in READERS {
            assert!(!reader.name().contains([':', '#']) && !reader.summary().contains('\n'));
            assert_eq!(parse(&format!("{}:p", reader.name())).unwrap().reader.name(), reader.name());
        }
    }
}
