//! The scores of samples as a table: one file a format, one line in [`FORMATS`].

mod csv;
mod jsonl;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;

use crate::data::DataSet;
use crate::evidence::Scores;
use serde::Serialize;
use std::io::{self, Write};

/// The formats, told apart by the extension of the file.
pub const FORMATS: &[&dyn Format] = &[
    &csv::Csv,
    &jsonl::JsonLines,
    #[cfg(feature = "parquet")]
    &parquet::Parquet,
];

/// One sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The sample's stable name.
    pub id: String,
    /// Its (possibly wrong) label.
    pub label: usize,
    /// The class that the model predicts.
    pub predicted: usize,
    /// The probability of that class.
    pub confidence: f64,
    /// The cross-entropy of the label, in nats.
    pub loss: f64,
}

/// A way to write rows.
pub trait Format: Sync {
    /// The extension of its files.
    fn extension(&self) -> &'static str;
    /// Writes a whole file. `about` is what it says of itself, where the format has room for that.
    ///
    /// # Errors
    /// What cannot be written.
    fn write(&self, rows: &mut dyn Iterator<Item = Row>, about: &str, file: &mut (dyn Write + Send)) -> io::Result<()>;
}

/// One row for each sample, in the set's order.
pub fn rows(scores: &Scores, set: &dyn DataSet) -> impl Iterator<Item = Row> {
    let row = move |(&index, prediction): (&usize, &crate::evidence::Prediction)| Row {
        id: set.id(index).0,
        label: prediction.label,
        predicted: prediction.predicted,
        confidence: prediction.confidence,
        loss: prediction.loss,
    };
    scores.samples.iter().zip(&scores.predictions).map(row)
}

/// The bytes that a format makes of the example.
#[cfg(test)]
fn written(format: &dyn Format, about: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    format.write(&mut example().into_iter(), about, &mut bytes).unwrap();
    bytes
}

#[cfg(test)]
fn example() -> Vec<Row> {
    let row = |id: &str, loss: f64| Row { id: id.into(), label: 3, predicted: 1, confidence: 0.75, loss };
    vec![row("a, \"b\".png", 0.1 + 0.2), row("ü.png", 1e-17)]
}
