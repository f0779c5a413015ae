//! One JSON object a line.

use super::{Format, Row};
use std::io::{self, Write};

pub(super) struct JsonLines;

impl Format for JsonLines {
    fn extension(&self) -> &'static str {
        "jsonl"
    }

    fn write(
        &self,
        rows: &mut dyn Iterator<Item = Row>,
        _about: &str,
        file: &mut (dyn Write + Send),
    ) -> io::Result<()> {
        for row in rows {
            serde_json::to_writer(&mut *file, &row)?;
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
        let losses: Vec<f64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["loss"].as_f64().unwrap())
            .collect();
        assert_eq!(losses, [0.1 + 0.2, 1e-17]);
    }
}
