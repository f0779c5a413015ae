//! Comma-separated values with a header line (RFC 4180).

use super::{Format, Row};
use std::io::{self, Write};

pub(super) struct Csv;

impl Format for Csv {
    fn extension(&self) -> &'static str {
        "csv"
    }

    fn write(
        &self,
        rows: &mut dyn Iterator<Item = Row>,
        _about: &str,
        file: &mut (dyn Write + Send),
    ) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(file);
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
        assert_eq!(lines[0], "id,label,predicted,confidence,loss");
        assert_eq!(lines[1], "\"a, \"\"b\"\".png\",3,1,0.75,0.30000000000000004");
        assert_eq!(lines[2], "ü.png,3,1,0.75,1e-17");
    }
}
