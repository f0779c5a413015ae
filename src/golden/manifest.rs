//! `golden.json`: what a record says of itself.

use super::{Environment, GoldenError};
use crate::evidence::Prediction;
use crate::model::write_atomically;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::path::Path;

/// The file's name in the folder of a record.
pub const MANIFEST: &str = "golden.json";

/// The version of the file; it changes where a reader would have to.
const SCHEMA_VERSION: u32 = 1;

/// What a record says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this structure.
    pub schema_version: u32,
    /// SHA-256 of the model file.
    pub model_sha256: String,
    /// The data, as it was named.
    pub data: String,
    /// Where it was recorded.
    pub environment: Environment,
    /// The samples of each test set, in the order of its rows; a batch that was filled up has more rows than samples.
    pub sets: Vec<Vec<RecordedSample>>,
}

/// A recorded sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedSample {
    /// Its stable name.
    pub id: String,
    /// Its (possibly wrong) label.
    pub label: usize,
    /// The class that the model predicted.
    pub predicted: usize,
    /// The probability of that class.
    pub confidence: f64,
    /// The cross-entropy of the label, in nats.
    pub loss: f64,
}

impl RecordedSample {
    /// What was predicted for it.
    pub fn prediction(&self) -> Prediction {
        let Self { label, predicted, confidence, loss, .. } = *self;
        Prediction { label, predicted, confidence, loss }
    }
}

impl Manifest {
    /// Of a record that is being made.
    pub fn new(model_sha256: &str, data: String, environment: Environment, sets: Vec<Vec<RecordedSample>>) -> Self {
        Self { schema_version: SCHEMA_VERSION, model_sha256: model_sha256.to_owned(), data, environment, sets }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), GoldenError> {
        let path = folder.join(MANIFEST);
        Ok(write_atomically(&path, |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })?)
    }

    /// What the folder says of itself, where it does.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, GoldenError> {
        const ADVICE: &str = "record it again with `onnx-sap golden record`";
        let path = folder.join(MANIFEST);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(GoldenError::read(&path, error)),
        };
        let wrong =
            |error: serde_json::Error| GoldenError::content(&path, format!("is not understood: {error}"), ADVICE);
        let found: Self = serde_json::from_slice(&text).map_err(wrong)?;
        if found.schema_version == SCHEMA_VERSION {
            return Ok(Some(found));
        }
        let reason = format!("has version {}, and this program knows {SCHEMA_VERSION}", found.schema_version);
        Err(GoldenError::content(&path, reason, ADVICE))
    }
}
