//! One JSON object a line. A missing value is null.

use super::{Cell, Column, Format};
use serde::Serializer;
use serde::ser::SerializeMap;
use std::io::{self, Write};

pub(super) struct JsonLines;

impl Format for JsonLines {
    fn extension(&self) -> &'static str {
        "jsonl"
    }

    fn write(
        &self,
        columns: &[Column],
        rows: &mut dyn Iterator<Item = Vec<Cell>>,
        _about: &str,
        file: &mut (dyn Write + Send),
    ) -> io::Result<()> {
        for row in rows {
            let mut json = serde_json::Serializer::new(&mut *file);
            let mut object = json.serialize_map(Some(columns.len()))?;
            for (column, cell) in columns.iter().zip(&row) {
                object.serialize_entry(column.name, cell)?;
            }
            object.end()?;
            file.write_all(b"\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_an_object() {
        let text = String::from_utf8(super::super::written(&JsonLines, "")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], r#"{"id":"a, \"b\".png","class":3,"loss":0.30000000000000004,"wrong":true}"#);
        assert_eq!(lines[1], r#"{"id":"ü.png","class":null,"loss":1e-17,"wrong":false}"#);
    }
}
