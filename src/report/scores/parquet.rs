//! Apache Parquet: one row group, uncompressed. What the file says of itself stands in the metadata under `onnx-sap`.

use super::{Format, Row};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::RowAccessor;
use parquet::schema::parser::parse_message_type;
use std::error::Error;
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

    fn encode(&self, rows: &[Row], about: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let entry = KeyValue::new(KEY.to_owned(), about.to_owned());
        let builder = WriterProperties::builder().set_key_value_metadata(Some(vec![entry]));
        let properties = Arc::new(builder.build());
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties)?;
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
        Ok(writer.into_inner()?)
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
        let rows = super::super::example();
        let (about, read) = decode(Parquet.encode(&rows, "{\"version\":1}").unwrap()).unwrap();
        assert_eq!((about.as_deref(), read), (Some("{\"version\":1}"), rows));
    }

    #[test]
    fn what_is_no_table_of_scores_is_an_error() {
        let bytes = Parquet.encode(&super::super::example(), "").unwrap();
        for length in (0..bytes.len()).step_by(13) {
            assert!(decode(bytes[..length].to_vec()).is_err(), "{length}");
        }
    }
}
