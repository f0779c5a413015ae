//! Apache Parquet: one row group, uncompressed.

use super::{Format, Row};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::error::Error;
use std::sync::Arc;

pub(super) struct Parquet;

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

    fn encode(&self, rows: &[Row]) -> Result<Vec<u8>, Box<dyn Error>> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let properties = Arc::new(WriterProperties::builder().build());
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

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    #[test]
    fn what_was_written_is_read_back() {
        let rows = super::super::example();
        let file = SerializedFileReader::new(bytes::Bytes::from(Parquet.encode(&rows).unwrap())).unwrap();
        for (read, row) in file.get_row_iter(None).unwrap().zip(&rows) {
            let read = read.unwrap();
            assert_eq!(read.get_string(0).unwrap(), &row.id);
            assert_eq!(read.get_long(1).unwrap() as usize, row.label);
            assert_eq!(read.get_long(2).unwrap() as usize, row.predicted);
            assert_eq!(read.get_double(3).unwrap(), row.confidence);
            assert_eq!(read.get_double(4).unwrap(), row.loss);
        }
        assert_eq!(file.metadata().file_metadata().num_rows(), 2);
    }
}
