//! Comma-separated values with a header line (RFC 4180). A missing value is empty.

use super::{Cell, Column, Format};
use std::io::{self, Write};

pub(super) struct Csv;

impl Format for Csv {
    fn extension(&self) -> &'static str {
        "csv"
    }

    fn write(
        &self,
        columns: &[Column],
        rows: &mut dyn Iterator<Item = Vec<Cell>>,
        _about: &str,
        file: &mut (dyn Write + Send),
    ) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(columns.iter().map(|column| column.name))?;
        for row in rows {
            writer.serialize(row)?;
        }
        writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_no_digit_is_lost() {
        let text = String::from_utf8(super::super::written(&Csv, "")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "id,class,loss,wrong");
        assert_eq!(lines[1], "\"a, \"\"b\"\".png\",3,0.30000000000000004,true");
        assert_eq!(lines[2], "ü.png,,1e-17,false");
    }
}
