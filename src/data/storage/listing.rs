//! Sets whose samples are image files: a list of them with their labels. The files are opened when they are needed.

use super::{Labels, Names, read_image};
use crate::data::{Content, DataError, DataSet, Quarantined, SampleId};
use crate::paths::same_file;
use std::path::{Path, PathBuf};

/// Image files under a folder. A sample's id is its path relative to that folder.
pub(in crate::data) struct Listing {
    root: PathBuf,
    /// What ids begin with and paths do not.
    prefix: &'static str,
    ids: Names,
    labels: Labels,
    classes: Option<Vec<String>>,
    /// The files that say which samples there are.
    sources: Vec<PathBuf>,
    quarantined: Vec<Quarantined>,
}

impl Listing {
    /// An empty list of files under `root`, which the files `sources` tell of.
    pub(in crate::data) fn new(root: &Path, classes: Option<Vec<String>>, sources: Vec<PathBuf>) -> Self {
        let (ids, labels) = (Names::default(), Labels::default());
        Self { root: root.to_owned(), prefix: "", ids, labels, classes, sources, quarantined: Vec::new() }
    }

    /// The same, with other names of the classes than the folders have.
    pub(in crate::data) fn with_classes(self, classes: Vec<String>) -> Self {
        Self { classes: Some(classes), ..self }
    }

    /// The same, with ids that begin with `prefix`, which no path has.
    pub(in crate::data) fn without_prefix(self, prefix: &'static str) -> Self {
        Self { prefix, ..self }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.root.join(id.strip_prefix(self.prefix).unwrap_or(id))
    }

    /// Adds a sample.
    ///
    /// # Errors
    /// [`DataError::Sample`] where the label is negative or larger than any classifier has classes.
    pub(in crate::data) fn push(&mut self, id: &str, label: i128) -> Result<(), DataError> {
        self.labels.push(label)?;
        self.ids.push(id);
        Ok(())
    }

    /// Sets a sample aside that cannot be used.
    pub(in crate::data) fn quarantine(&mut self, id: &str, reason: impl std::fmt::Display) {
        self.quarantined.push(Quarantined::new(&SampleId(id.to_owned()), reason));
    }

    pub(in crate::data) fn is_empty(&self) -> bool {
        self.ids.len() == 0
    }
}

impl DataSet for Listing {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn class_names(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    fn id(&self, index: usize) -> SampleId {
        SampleId(self.ids.get(index).to_owned())
    }

    fn label(&self, index: usize) -> usize {
        self.labels.get(index)
    }

    fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    fn reads(&self, file: &Path) -> bool {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_sample = |id: &str| id.ends_with(&name) && same_file(&self.path(id), file);
        self.sources.iter().any(|source| same_file(source, file)) || self.ids.iter().any(is_sample)
    }

    fn content(&self, index: usize) -> Result<Content, DataError> {
        if index >= self.len() {
            return Err(DataError::beyond(index, self.len()));
        }
        let id = self.ids.get(index);
        let repair = "repair the image, or take it out of the set";
        read_image(&self.path(id))
            .map(Content::Image)
            .map_err(|reason| DataError::sample(&SampleId(id.to_owned()), reason, repair))
    }
}
