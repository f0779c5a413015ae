//! Apache Parquet, uncompressed. What the file says of itself stands in the metadata under `onnx-sap`.

use super::{Format, Row};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::RowAccessor;
use parquet::schema::parser::parse_message_type;
use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;

pub(super) struct Parquet;

/// Where the metadata says what the file is.
const KEY: &str = "onnx-sap";

const SCHEMA: &str = "message scores {
    REQUIRED BYTE_ARRAY id (UTF8);
    REQUIRED INT64 label;
    REQUIRED INT64 predicted;
    REQUIRED DOUBLE confidence;
    REQUIRED DOUBLE loss;
}";

impl Format for Parquet {
    fn extension(&self) -> &'static str {
        "parquet"
    }

    fn write(&self, rows: &mut dyn Iterator<Item = Row>, about: &str, file: &mut (dyn Write + Send)) -> io::Result<()> {
        write(rows, about, file).map_err(io::Error::other)
    }
}

/// So many rows are in memory at once.
const ROWS_IN_A_GROUP: usize = 1 << 16;

fn write(
    rows: &mut dyn Iterator<Item = Row>,
    about: &str,
    file: &mut (dyn Write + Send),
) -> parquet::errors::Result<()> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let entry = KeyValue::new(KEY.to_owned(), about.to_owned());
    let builder = WriterProperties::builder().set_key_value_metadata(Some(vec![entry]));
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(builder.build()))?;
    loop {
        let rows: Vec<Row> = rows.take(ROWS_IN_A_GROUP).collect();
        if rows.is_empty() {
            return writer.close().map(drop);
        }
        let mut group = writer.next_row_group()?;
        // In the order of the schema.
        macro_rules! column {
            ($kind:ty, $value:expr) => {
                if let Some(mut column) = group.next_column()? {
                    column.typed::<$kind>().write_batch(&rows.iter().map($value).collect::<Vec<_>>(), None, None)?;
                    column.close()?;
                }
            };
        }
        column!(ByteArrayType, |row| ByteArray::from(row.id.as_str()));
        column!(Int64Type, |row| row.label as i64);
        column!(Int64Type, |row| row.predicted as i64);
        column!(DoubleType, |row| row.confidence);
        column!(DoubleType, |row| row.loss);
        group.close()?;
    }
}

/// What a file says of itself, and its rows.
///
/// # Errors
/// Those of the library that reads it; columns that are not those of scores.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<(Option<String>, Vec<Row>), Box<dyn Error>> {
    let file = SerializedFileReader::new(bytes::Bytes::from(bytes))?;
    let metadata = file.metadata().file_metadata();
    let entries = metadata.key_value_metadata().map(Vec::as_slice).unwrap_or_default();
    let about = entries.iter().find(|entry| entry.key == KEY).and_then(|entry| entry.value.clone());
    let mut rows = Vec::new();
    for row in file.get_row_iter(None)? {
        let row = row?;
        rows.push(Row {
            id: row.get_string(0)?.clone(),
            label: usize::try_from(row.get_long(1)?)?,
            predicted: usize::try_from(row.get_long(2)?)?,
            confidence: row.get_double(3)?,
            loss: row.get_double(4)?,
        });
    }
    Ok((about, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let (about, read) = decode(super::super::written(&Parquet, "{\"version\":1}")).unwrap();
        assert_eq!((about.as_deref(), read), (Some("{\"version\":1}"), super::super::example()));
    }

    #[test]
    fn what_is_no_table_of_scores_is_an_error() {
        let bytes = super::super::written(&Parquet, "");
        for length in (0..bytes.len()).step_by(13) {
            assert!(decode(bytes[..length].to_vec()).is_err(), "{length}");
        }
    }
}
