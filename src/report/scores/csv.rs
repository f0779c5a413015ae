//! Comma-separated values with a header line (RFC 4180).

use super::{Format, Row};
use std::error::Error;

pub(super) struct Csv;

impl Format for Csv {
    fn extension(&self) -> &'static str {
        "csv"
    }

    fn encode(&self, rows: &[Row], _about: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        rows.iter().try_for_each(|row| writer.serialize(row))?;
        Ok(writer.into_inner()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_no_digit_is_lost() {
        let text = String::from_utf8(Csv.encode(&super::super::example(), "").unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "id,label,predicted,confidence,loss");
        assert_eq!(lines[1], "\"a, \"\"b\"\".png\",3,1,0.75,0.30000000000000004");
        assert_eq!(lines[2], "ü.png,3,1,0.75,1e-17");
    }
}
