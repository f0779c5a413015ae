//! Apache Parquet, uncompressed. What the file says of itself stands in the metadata under `onnx-sap`.

use super::{Cell, Column, Format, Kind};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

pub(super) struct Parquet;

/// Where the metadata says what the file is.
const KEY: &str = "onnx-sap";

impl Format for Parquet {
    fn extension(&self) -> &'static str {
        "parquet"
    }

    fn write(
        &self,
        columns: &[Column],
        rows: &mut dyn Iterator<Item = Vec<Cell>>,
        about: &str,
        file: &mut (dyn Write + Send),
    ) -> io::Result<()> {
        write(columns, rows, about, file).map_err(io::Error::other)
    }
}

/// So many rows are in memory at once.
const ROWS_IN_A_GROUP: usize = 1 << 16;

fn write(
    columns: &[Column],
    rows: &mut dyn Iterator<Item = Vec<Cell>>,
    about: &str,
    file: &mut (dyn Write + Send),
) -> parquet::errors::Result<()> {
    let entry = KeyValue::new(KEY.to_owned(), about.to_owned());
    let builder = WriterProperties::builder().set_key_value_metadata(Some(vec![entry]));
    let schema = Arc::new(parse_message_type(&schema(columns))?);
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(builder.build()))?;
    loop {
        let rows: Vec<Vec<Cell>> = rows.take(ROWS_IN_A_GROUP).collect();
        if rows.is_empty() {
            return writer.close().map(drop);
        }
        let mut group = writer.next_row_group()?;
        for at in 0..columns.len() {
            if let Some(mut column) = group.next_column()? {
                write_column(&mut column, rows.iter().map(|row| &row[at]))?;
                column.close()?;
            }
        }
        group.close()?;
    }
}

fn schema(columns: &[Column]) -> String {
    let field = |Column { name, kind }: &Column| match kind {
        Kind::Text => format!("REQUIRED BYTE_ARRAY {name} (UTF8);"),
        Kind::Count => format!("REQUIRED INT64 {name};"),
        Kind::OptionalCount => format!("OPTIONAL INT64 {name};"),
        Kind::Number => format!("REQUIRED DOUBLE {name};"),
        Kind::Flag => format!("REQUIRED BOOLEAN {name};"),
    };
    format!("message rows {{ {} }}", columns.iter().map(field).collect::<String>())
}

/// Writes those of the cells that hold what the column holds: of an optional one, which of them are there.
fn write_column<'c>(
    column: &mut SerializedColumnWriter<'_>,
    cells: impl Iterator<Item = &'c Cell> + Clone,
) -> parquet::errors::Result<()> {
    let there = |cell: &Cell| i16::from(*cell != Cell::Missing);
    match column.untyped() {
        ColumnWriter::ByteArrayColumnWriter(writer) => {
            let text =
                |cell: &Cell| if let Cell::Text(text) = cell { Some(ByteArray::from(text.as_str())) } else { None };
            writer.write_batch(&cells.filter_map(text).collect::<Vec<_>>(), None, None)?;
        }
        ColumnWriter::Int64ColumnWriter(writer) => {
            let levels: Vec<i16> = cells.clone().map(there).collect();
            let count = |cell: &Cell| if let Cell::Count(count) = cell { Some(*count as i64) } else { None };
            // The levels of a column that is required are not looked at.
            writer.write_batch(&cells.filter_map(count).collect::<Vec<_>>(), Some(&levels), None)?;
        }
        ColumnWriter::DoubleColumnWriter(writer) => {
            let number = |cell: &Cell| if let Cell::Number(number) = cell { Some(*number) } else { None };
            writer.write_batch(&cells.filter_map(number).collect::<Vec<_>>(), None, None)?;
        }
        ColumnWriter::BoolColumnWriter(writer) => {
            let flag = |cell: &Cell| if let Cell::Flag(flag) = cell { Some(*flag) } else { None };
            writer.write_batch(&cells.filter_map(flag).collect::<Vec<_>>(), None, None)?;
        }
        _ => return Err(parquet::errors::ParquetError::General("no kind of column is of this type".to_owned())),
    }
    Ok(())
}

/// What a file says of itself, and its rows, each as `read` takes it.
///
/// # Errors
/// Those of the library that reads it and of `read`.
pub(crate) fn decode<R>(
    bytes: Vec<u8>,
    read: impl Fn(&parquet::record::Row) -> Result<R, Box<dyn Error>>,
) -> Result<(Option<String>, Vec<R>), Box<dyn Error>> {
    let file = SerializedFileReader::new(bytes::Bytes::from(bytes))?;
    let metadata = file.metadata().file_metadata();
    let entries = metadata.key_value_metadata().map(Vec::as_slice).unwrap_or_default();
    let about = entries.iter().find(|entry| entry.key == KEY).and_then(|entry| entry.value.clone());
    let rows: Result<Vec<R>, Box<dyn Error>> = file.get_row_iter(None)?.map(|row| read(&row?)).collect();
    Ok((about, rows?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::record::{Field, Row};

    #[expect(clippy::unnecessary_wraps, reason = "a row may be another one than is asked for")]
    fn fields(row: &Row) -> Result<Vec<Field>, Box<dyn Error>> {
        Ok(row.get_column_iter().map(|(_, field)| field.clone()).collect())
    }

    #[test]
    fn what_was_written_is_read_back() {
        let (about, rows) = decode(super::super::written(&Parquet, "{\"version\":1}"), fields).unwrap();
        assert_eq!(about.as_deref(), Some("{\"version\":1}"));
        let first = [Field::Str("a, \"b\".png".into()), Field::Long(3), Field::Double(0.1 + 0.2), Field::Bool(true)];
        let second = [Field::Str("ü.png".into()), Field::Null, Field::Double(1e-17), Field::Bool(false)];
        assert_eq!(rows, [first, second]);
    }

    #[test]
    fn what_ends_too_early_is_an_error() {
        let bytes = super::super::written(&Parquet, "");
        for length in (0..bytes.len()).step_by(13) {
            assert!(decode(bytes[..length].to_vec(), fields).is_err(), "{length}");
        }
    }
}
