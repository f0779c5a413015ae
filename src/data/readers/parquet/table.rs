//! One file: its columns of images and labels.

use super::ADVICE;
use super::chunks::Chunks;
use super::files::Named;
use crate::data::storage::Source;
use crate::data::{DataError, SampleId};
use crate::panics::catch;
use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescriptor;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const IMAGES: &[&str] = &["image", "img"];
const LABELS: &[&str] = &["label", "labels", "fine_label", "target", "class"];

/// Rows that are read at once.
const STEP: usize = 1 << 12;

/// An open file, without a handle to it: there may be more files than a process may have open.
pub(super) struct Table {
    name: String,
    path: PathBuf,
    metadata: ParquetMetaData,
    images: usize,
    labels: usize,
    rows: u32,
    classes: Option<Vec<String>>,
}

/// What stands in a column of labels, row by row.
pub(super) enum Column {
    Integers(Vec<Option<i64>>),
    Names(Vec<Option<String>>),
}

impl Column {
    /// The label of a row; names become their numbers.
    pub(super) fn label(&self, row: u32, numbers: &BTreeMap<&str, i128>) -> Option<i128> {
        match self {
            Self::Integers(labels) => labels.get(row as usize).copied().flatten().map(i128::from),
            Self::Names(names) => names.get(row as usize)?.as_deref().and_then(|name| numbers.get(name)).copied(),
        }
    }

    /// The names that occur.
    pub(super) fn names(&self) -> BTreeSet<String> {
        match self {
            Self::Integers(_) => BTreeSet::new(),
            Self::Names(names) => names.iter().flatten().cloned().collect(),
        }
    }
}

impl Table {
    /// Reads what a file says of itself.
    pub(super) fn open(file: &Named) -> Result<Self, DataError> {
        let refuse = |reason: String| DataError::file(&file.path, reason, ADVICE);
        let source = Source::plain(&file.path)?;
        let length = source.length();
        let chunks = Chunks(Arc::new(source));
        let metadata = guarded(|| ParquetMetaDataReader::new().parse_and_finish(&chunks)).map_err(refuse)?;
        let rows = metadata
            .row_groups()
            .iter()
            .try_fold(0_u64, |sum, group| u64::try_from(group.num_rows()).ok().and_then(|rows| sum.checked_add(rows)));
        // No image has less than a byte: so there is no room to be set aside on a lie.
        let rows = rows.filter(|rows| *rows <= length).and_then(|rows| u32::try_from(rows).ok());
        let rows = rows.ok_or_else(|| refuse("it declares more rows than it has bytes".to_owned()))?;
        let images = column(&metadata, IMAGES, |parts, column| {
            (parts.is_empty() || parts == ["bytes"]) && column.physical_type() == Type::BYTE_ARRAY
        });
        let images = images.ok_or_else(|| refuse("it has no column `image` or `img` of bytes".to_owned()))?;
        let is_label =
            |column: &ColumnDescriptor| matches!(column.physical_type(), Type::INT32 | Type::INT64 | Type::BYTE_ARRAY);
        let labels = column(&metadata, LABELS, |parts, column| parts.is_empty() && is_label(column));
        let labels = labels
            .ok_or_else(|| refuse(format!("it has no column of labels: {} of integers or text", LABELS.join(", "))))?;
        let classes = class_names(&metadata, labels);
        Ok(Self { name: file.name.clone(), path: file.path.clone(), metadata, images, labels, rows, classes })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// The names of the classes, where the hub's metadata has them.
    pub(super) fn class_names(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// What the sample of a row is called.
    pub(super) fn id(&self, row: u32) -> SampleId {
        SampleId(format!("{}/{row}", self.name))
    }

    pub(super) fn groups(&self) -> &[RowGroupMetaData] {
        self.metadata.row_groups()
    }

    /// The bytes of the images of a group, uncompressed.
    pub(super) fn image_bytes(&self, group: usize) -> u64 {
        self.groups().get(group).map_or(0, |group| group.column(self.images).uncompressed_size().unsigned_abs())
    }

    /// The column of labels.
    pub(super) fn labels(&self) -> Result<Column, DataError> {
        let refuse = |reason: String| DataError::file(&self.path, format_args!("its labels: {reason}"), ADVICE);
        let is_text =
            self.metadata.file_metadata().schema_descr().column(self.labels).physical_type() == Type::BYTE_ARRAY;
        let mut column = if is_text { Column::Names(Vec::new()) } else { Column::Integers(Vec::new()) };
        let chunks = self.chunks()?;
        for group in self.groups() {
            guarded(|| read_labels(&chunks, group, self.labels, &mut column)).map_err(refuse)?;
        }
        Ok(column)
    }

    /// The rows whose image is null. Where the file does not count them, they are found when they are read.
    pub(super) fn rows_without_image(&self) -> Result<HashSet<u32>, DataError> {
        let refuse = |reason: String| DataError::file(&self.path, format_args!("its images: {reason}"), ADVICE);
        let (mut absent, mut first, chunks) = (HashSet::new(), 0, self.chunks()?);
        for (position, group) in self.groups().iter().enumerate() {
            let nulls = group.column(self.images).statistics().and_then(Statistics::null_count_opt);
            let count = group.num_rows() as usize;
            if nulls.is_some_and(|nulls| nulls > 0) {
                for start in (0..count).step_by(STEP) {
                    let images = self.read_images(&chunks, position, start, STEP.min(count - start)).map_err(refuse)?;
                    let nulls = images.iter().enumerate().filter(|(_, image)| image.is_none());
                    absent.extend(nulls.map(|(row, _)| (first + start + row) as u32));
                }
            }
            first += count;
        }
        Ok(absent)
    }

    pub(super) fn chunks(&self) -> Result<Chunks, DataError> {
        Source::plain(&self.path).map(|source| Chunks(Arc::new(source)))
    }

    /// The images of `count` rows of a group from `start` on.
    pub(super) fn read_images(
        &self,
        chunks: &Chunks,
        group: usize,
        start: usize,
        count: usize,
    ) -> Result<Vec<Option<ByteArray>>, String> {
        guarded(|| {
            let group = self.groups().get(group).ok_or_else(|| missing(start))?;
            let ColumnReader::ByteArrayColumnReader(mut reader) = reader(chunks, group, self.images)? else {
                return Err(missing(start));
            };
            if reader.skip_records(start)? != start {
                return Err(missing(start));
            }
            let deepest = group.column(self.images).column_descr().max_def_level();
            let (mut levels, mut values) = (Vec::new(), Vec::new());
            while levels_or(&levels, &values, deepest) < count {
                let left = count - levels_or(&levels, &values, deepest);
                if reader.read_records(left, Some(&mut levels), None, &mut values)?.0 == 0 {
                    return Err(missing(start));
                }
            }
            spread(&levels, values, deepest, count)
        })
    }
}

/// The rows that were read: a column that is always there has no levels.
fn levels_or<T>(levels: &[i16], values: &[T], deepest: i16) -> usize {
    if deepest == 0 { values.len() } else { levels.len() }
}

/// `values` in their rows, `None` in those that have none.
fn spread<T>(levels: &[i16], values: Vec<T>, deepest: i16, count: usize) -> Result<Vec<Option<T>>, ParquetError> {
    if deepest == 0 {
        return Ok(values.into_iter().map(Some).collect());
    }
    let mut values = values.into_iter();
    let rows: Vec<Option<T>> =
        levels.iter().map(|level| if *level == deepest { values.next() } else { None }).collect();
    if rows.len() == count { Ok(rows) } else { Err(missing(0)) }
}

fn missing(row: usize) -> ParquetError {
    ParquetError::EOF(format!("rows from {row} on are missing"))
}

fn reader(chunks: &Chunks, group: &RowGroupMetaData, column: usize) -> Result<ColumnReader, ParquetError> {
    let chunk = group.column(column);
    let pages = SerializedPageReader::new(Arc::new(chunks.clone()), chunk, group.num_rows() as usize, None)?;
    Ok(get_column_reader(chunk.column_descr_ptr(), Box::new(pages)))
}

fn read_labels(
    chunks: &Chunks,
    group: &RowGroupMetaData,
    position: usize,
    column: &mut Column,
) -> Result<(), ParquetError> {
    let deepest = group.column(position).column_descr().max_def_level();
    let mut left = group.num_rows() as usize;
    let mut reader = reader(chunks, group, position)?;
    while left > 0 {
        let mut levels = Vec::new();
        let step = left.min(STEP);
        macro_rules! read {
            ($reader:expr) => {{
                let mut values = Vec::new();
                let count = $reader.read_records(step, Some(&mut levels), None, &mut values)?.0;
                if count == 0 || count > left {
                    return Err(missing(0));
                }
                left -= count;
                spread(&levels, values, deepest, count)?
            }};
        }
        match (&mut reader, &mut *column) {
            (ColumnReader::Int32ColumnReader(reader), Column::Integers(labels)) => {
                labels.extend(read!(reader).into_iter().map(|label| label.map(i64::from)));
            }
            (ColumnReader::Int64ColumnReader(reader), Column::Integers(labels)) => labels.extend(read!(reader)),
            (ColumnReader::ByteArrayColumnReader(reader), Column::Names(names)) => {
                for name in read!(reader) {
                    names.push(name.map(|name| name.as_utf8().map(str::to_owned)).transpose()?);
                }
            }
            _ => return Err(missing(0)),
        }
    }
    Ok(())
}

/// The first column of one of `names` that `is_meant`, given what follows its name.
fn column(
    metadata: &ParquetMetaData,
    names: &[&str],
    is_meant: impl Fn(&[String], &ColumnDescriptor) -> bool,
) -> Option<usize> {
    let columns = metadata.file_metadata().schema_descr().columns();
    names.iter().find_map(|name| {
        columns.iter().position(|column| match column.path().parts().split_first() {
            Some((first, rest)) => first == name && column.max_rep_level() == 0 && is_meant(rest, column),
            None => false,
        })
    })
}

/// What hubs write into the file: the features of the set, among them the names of the classes.
fn class_names(metadata: &ParquetMetaData, labels: usize) -> Option<Vec<String>> {
    let file = metadata.file_metadata();
    let entry = file.key_value_metadata()?.iter().find(|entry| entry.key == "huggingface")?;
    let value: Value = serde_json::from_str(entry.value.as_deref()?).ok()?;
    let name = file.schema_descr().column(labels).name().to_owned();
    let names = value.get("info")?.get("features")?.get(name)?.get("names")?.as_array()?;
    names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The library trusts what a file says of itself, and may panic where that is wrong.
fn guarded<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    catch(work)?.map_err(|error| error.to_string())
}
