//! A data set some of whose labels are others.

use super::{Arrays, Content, DataError, DataSet, Quarantined, SampleId};
use std::collections::BTreeMap;
use std::path::Path;

/// A set, and the labels that some of its samples have here instead of their own.
pub struct Relabelled<'a> {
    set: &'a dyn DataSet,
    labels: &'a BTreeMap<usize, usize>,
}

impl<'a> Relabelled<'a> {
    /// The samples at those indices with those labels, the others as they are.
    pub fn new(set: &'a dyn DataSet, labels: &'a BTreeMap<usize, usize>) -> Self {
        Self { set, labels }
    }
}

impl DataSet for Relabelled<'_> {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn class_names(&self) -> Option<&[String]> {
        self.set.class_names()
    }

    fn id(&self, index: usize) -> SampleId {
        self.set.id(index)
    }

    fn label(&self, index: usize) -> usize {
        self.labels.get(&index).copied().unwrap_or_else(|| self.set.label(index))
    }

    fn content(&self, index: usize) -> Result<Content, DataError> {
        self.set.content(index)
    }

    fn arrays(&self) -> Option<&Arrays> {
        self.set.arrays()
    }

    fn content_at(&self, position: usize, index: usize) -> Result<Content, DataError> {
        self.set.content_at(position, index)
    }

    fn quarantined(&self) -> &[Quarantined] {
        self.set.quarantined()
    }

    fn reads(&self, file: &Path) -> bool {
        self.set.reads(file)
    }
}
