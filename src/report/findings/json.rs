//! The whole report as JSON.

use super::{CheckReport, Format};
use crate::error::Error;

/// See the head of this file.
pub(super) struct Json;

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn extension(&self) -> Option<&'static str> {
        Some("json")
    }

    fn render(&self, report: &CheckReport) -> Result<String, Error> {
        let text = serde_json::to_string_pretty(report).map_err(|error| Error::Usage(error.to_string()))?;
        Ok(text + "\n")
    }
}
