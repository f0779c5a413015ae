//! What the stages of pruning find, as rows that the next stage reads again.

use super::table::{Cell, Column, Kind, Record, columns};
use crate::data::SampleId;
use crate::detect::Opinion;
use crate::error::Error;
use crate::tune::NamedNeuron;
use std::path::Path;
use std::sync::Arc;

/// A sample.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleRow {
    /// The sample's stable name.
    pub path: String,
    /// Its label.
    pub given_label: usize,
    /// The most probable class.
    pub predicted_label: usize,
    /// What its loss is attributed to, as a logarithm.
    pub attribution: f64,
    /// How probable it is that its label is right.
    pub quality: f64,
}

impl SampleRow {
    /// A sample of that name.
    pub fn of(opinion: &Opinion, path: String, attribution: f64, quality: f64) -> Self {
        Self { path, given_label: opinion.label, predicted_label: opinion.predicted, attribution, quality }
    }
}

impl Record for SampleRow {
    const COLUMNS: &'static [Column] = &[
        Column { name: "path", kind: Kind::Text },
        Column { name: "given_label", kind: Kind::Count },
        Column { name: "predicted_label", kind: Kind::Count },
        Column { name: "attribution", kind: Kind::Number },
        Column { name: "quality", kind: Kind::Number },
    ];

    fn cells(self) -> Vec<Cell> {
        vec![
            Cell::Text(self.path),
            Cell::Count(self.given_label),
            Cell::Count(self.predicted_label),
            Cell::Number(self.attribution),
            Cell::Number(self.quality),
        ]
    }
}

impl Record for NamedNeuron {
    const COLUMNS: &'static [Column] = &[
        Column { name: "weight", kind: Kind::Text },
        Column { name: "neuron", kind: Kind::Count },
        Column { name: "sensitivity", kind: Kind::Number },
    ];

    fn cells(self) -> Vec<Cell> {
        vec![Cell::Text(self.weight), Cell::Count(self.output), Cell::Number(self.sensitivity)]
    }
}

/// The quality of samples, from a table of them.
///
/// # Errors
/// A file that cannot be read, or is no such table.
pub fn read_quality(file: &Path) -> Result<Arc<[(SampleId, f64)]>, Error> {
    let rows = columns(file, ["path", "quality"])?.into_iter().map(|row| {
        let probability = row.number(1)?;
        if !(0.0..=1.0).contains(&probability) {
            return Err(row.refused(1, "probability"));
        }
        Ok((SampleId(row.text(0).to_owned()), probability))
    });
    rows.collect()
}

/// Neurons, from a table of them.
///
/// # Errors
/// A file that cannot be read, or is no such table.
pub fn read_neurons(file: &Path) -> Result<Arc<[NamedNeuron]>, Error> {
    let rows = columns(file, ["weight", "neuron", "sensitivity"])?.into_iter().map(|row| {
        let (weight, output, sensitivity) = (row.text(0).to_owned(), row.count(1)?, row.number(2)?);
        Ok(NamedNeuron { weight, output, sensitivity })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table::{self, FORMATS};

    fn file(of: impl FnOnce(&mut Vec<u8>)) -> tempfile::NamedTempFile {
        let mut bytes = Vec::new();
        of(&mut bytes);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn what_is_written_is_read_again() {
        let csv = FORMATS.iter().find(|format| format.extension() == "csv").unwrap();
        let row = |path: &str, quality| SampleRow {
            path: path.to_owned(),
            given_label: 1,
            predicted_label: 0,
            attribution: -3.5,
            quality,
        };
        let rows = [row("a, \"b\".png", 0.1 + 0.2), row("c.png", 1.0)];
        let samples = file(|bytes| table::write(*csv, rows, "", bytes).unwrap());
        let wanted = [(SampleId("a, \"b\".png".to_owned()), 0.1 + 0.2), (SampleId("c.png".to_owned()), 1.0)];
        assert_eq!(*read_quality(samples.path()).unwrap(), wanted);
        let neurons = [NamedNeuron { weight: "w".to_owned(), output: 7, sensitivity: 0.25 }];
        let table = file(|bytes| table::write(*csv, neurons.clone(), "", bytes).unwrap());
        assert_eq!(*read_neurons(table.path()).unwrap(), neurons);
    }

    #[test]
    fn what_is_no_such_table_is_refused_by_file_line_and_column() {
        for (text, says) in [
            ("path,quality\na,1.5\n", "line 2"),
            ("path,quality\na,1.5\n", "no probability"),
            ("path,quality\na,often\n", "\"often\""),
            ("path,loss\na,0.5\n", "quality"),
            ("path,quality\n", "no rows"),
            ("path,quality\na\n", "line: 2"),
        ] {
            let file = file(|bytes| bytes.extend(text.as_bytes()));
            let refused = read_quality(file.path()).unwrap_err().to_string();
            let name = file.path().display().to_string();
            assert!(refused.contains(says) && refused.contains(&name), "{text:?}: {refused}");
        }
    }
}
