//! `parquet:PATH[#SPLIT]`: tables with a column of encoded images and one of labels, as data-set hubs keep them. PATH is a
//! `.parquet` file, or a folder with some in it or in its `data/`.
//!
//! - Images: the column `image` or `img`, bytes, or a group with `bytes` in it.
//! - Labels: the column `label`, `labels`, `fine_label`, `target` or `class`. Integers, whose names the hub's own metadata
//!   may hold; or names, which are numbered in alphabetical order over all files of the folder, whatever their split.
//! - Splits: files whose names are `SPLIT-…` or `SPLIT.parquet`. Without one, `train` where there are such files, or else
//!   all files. `validation` or else `val` is the set's own validation split.
//!
//! A sample's id is `FILE/ROW`, the row counted from 0 in its file, so that it stays the same when files are added. A row
//! without an image or a label, or with the hub's -1 for none, is quarantined.

mod blocks;
mod chunks;
mod files;
mod table;

use super::imagenet;
use crate::data::storage::{Labels, decode};
use crate::data::{Content, DataError, DataSet, Preprocessing, Quarantined, Reader, SampleId};
use crate::paths::same_file;
use blocks::Blocks;
use files::Files;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use table::{Column, Table};

/// The reader of `parquet:PATH`.
pub(super) static PARQUET: Parquet = Parquet;

/// See the head of this file.
pub(super) struct Parquet;

const ADVICE: &str = "write it again, with columns `image` and `label`";

impl Reader for Parquet {
    fn name(&self) -> &'static str {
        "parquet"
    }

    fn summary(&self) -> &'static str {
        "tables with columns `image` and `label`, as data-set hubs keep them: a file or a folder"
    }

    fn preset(&self) -> Preprocessing {
        imagenet()
    }

    fn default_split(&self) -> Option<&'static str> {
        Some(files::TRAINING)
    }

    fn open(&self, path: &Path, split: Option<&str>) -> Result<Box<dyn DataSet>, DataError> {
        let files = Files::find(path)?;
        let chosen = files.of_split(path, split)?;
        let tables = chosen.iter().map(|file| Table::open(file)).collect::<Result<Vec<_>, _>>()?;
        let set = RowSet::new(tables, &files)?;
        if set.rows.is_empty() {
            return Err(DataError::file(path, "no row has an image and a label", ADVICE));
        }
        Ok(Box::new(set))
    }

    fn validation_split(&self, path: &Path) -> Option<&'static str> {
        Files::find(path).ok()?.validation()
    }
}

/// Open tables.
struct RowSet {
    tables: Vec<Table>,
    /// For each table the index behind its last sample.
    ends: Vec<usize>,
    /// The row of each sample in its table.
    rows: Vec<u32>,
    labels: Labels,
    classes: Option<Vec<String>>,
    quarantined: Vec<Quarantined>,
    blocks: Blocks,
}

impl RowSet {
    fn new(tables: Vec<Table>, files: &Files) -> Result<Self, DataError> {
        let mut columns = tables.iter().map(Table::labels).collect::<Result<Vec<_>, _>>()?;
        let are_names = columns.iter().any(|column| matches!(column, Column::Names(_)));
        let names = if are_names { all_names(&tables, &columns, files)? } else { BTreeSet::new() };
        let numbers: BTreeMap<&str, i128> = names.iter().map(String::as_str).zip(0..).collect();
        let hub = tables.iter().find_map(|table| table.class_names().map(<[String]>::to_vec));
        let mut set = Self {
            tables: Vec::new(),
            ends: Vec::new(),
            rows: Vec::new(),
            labels: Labels::default(),
            classes: if are_names { Some(names.iter().cloned().collect()) } else { hub },
            quarantined: Vec::new(),
            blocks: Blocks::default(),
        };
        for (table, column) in tables.into_iter().zip(columns.drain(..)) {
            set.add(table, &column, &numbers)?;
        }
        Ok(set)
    }

    fn add(&mut self, table: Table, column: &Column, numbers: &BTreeMap<&str, i128>) -> Result<(), DataError> {
        let without_image = table.rows_without_image()?;
        for row in 0..table.rows() {
            let label = column.label(row, numbers);
            let reason = match label {
                _ if without_image.contains(&row) => "it has no image",
                None => "it has no label",
                Some(-1) => "its label is -1, the hub's mark for none",
                Some(label) => {
                    self.labels.push(label)?;
                    self.rows.push(row);
                    continue;
                }
            };
            self.quarantined.push(Quarantined::new(&table.id(row), reason));
        }
        self.ends.push(self.rows.len());
        self.tables.push(table);
        Ok(())
    }

    /// The table that has sample `index`, and which it is.
    fn table(&self, index: usize) -> (usize, &Table) {
        let position = self.ends.partition_point(|end| *end <= index);
        (position, &self.tables[position])
    }
}

/// The names of the classes in all files, those of other splits too: a class that one split lacks shifts no label.
fn all_names(tables: &[Table], columns: &[Column], files: &Files) -> Result<BTreeSet<String>, DataError> {
    let mut names: BTreeSet<String> = columns.iter().flat_map(Column::names).collect();
    for file in files.all().filter(|file| !tables.iter().any(|table| table.path() == file.path)) {
        names.extend(Table::open(file)?.labels()?.names());
    }
    Ok(names)
}

impl DataSet for RowSet {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn class_names(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    fn id(&self, index: usize) -> SampleId {
        self.table(index).1.id(self.rows[index])
    }

    fn label(&self, index: usize) -> usize {
        self.labels.get(index)
    }

    fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    fn reads(&self, file: &Path) -> bool {
        self.tables.iter().any(|table| same_file(table.path(), file))
    }

    fn content(&self, index: usize) -> Result<Content, DataError> {
        let Some(row) = self.rows.get(index).copied() else { return Err(DataError::beyond(index, self.len())) };
        let (position, table) = self.table(index);
        let failed = |reason: String| DataError::sample(&table.id(row), reason, "repair the row, or take it out");
        let bytes = self.blocks.image(position, table, row).map_err(failed)?;
        decode(bytes.data()).map(Content::Image).map_err(failed)
    }
}

#[cfg(test)]
#[path = "parquet_tests.rs"]
mod tests;
