//! One JSON object a line.

use super::{Format, Row};
use std::error::Error;

pub(super) struct JsonLines;

impl Format for JsonLines {
    fn extension(&self) -> &'static str {
        "jsonl"
    }

    fn encode(&self, rows: &[Row], _about: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut bytes = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut bytes, row)?;
            bytes.push(b'\n');
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_an_object() {
        let text = String::from_utf8(JsonLines.encode(&super::super::example(), "").unwrap()).unwrap();
        let losses: Vec<f64> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["loss"].as_f64().unwrap())
            .collect();
        assert_eq!(losses, [0.1 + 0.2, 1e-17]);
    }
}
