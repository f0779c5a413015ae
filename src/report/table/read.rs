//! Tables that were written as comma-separated values, read again by the names of their columns.

use crate::error::Error;
use std::path::{Path, PathBuf};

/// The cells of a line that were asked for, in the order in which they were.
pub struct Line<const N: usize> {
    file: PathBuf,
    /// From 1 on, the header being the first.
    number: u64,
    names: [&'static str; N],
    cells: [String; N],
}

/// Some columns of a file.
///
/// # Errors
/// A file that cannot be read, that is no table, lacks one of the columns or has no rows.
pub fn columns<const N: usize>(file: &Path, names: [&'static str; N]) -> Result<Vec<Line<N>>, Error> {
    let shown = file.display();
    let text = std::fs::read(file).map_err(|source| Error::Read { path: file.into(), source })?;
    let no_table =
        |reason: csv::Error| Error::Usage(format!("{shown} is no table of comma-separated values: {reason}"));
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let header = reader.headers().map_err(no_table)?.clone();
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(names) {
        let found = header.iter().position(|column| column == name);
        *place = found.ok_or_else(|| Error::Usage(format!("{shown} has no column {name}")))?;
    }
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(no_table)?;
        let cells = places.map(|place| record.get(place).unwrap_or_default().to_owned());
        let number = record.position().map_or(0, csv::Position::line);
        lines.push(Line { file: file.into(), number, names, cells });
    }
    if lines.is_empty() { Err(Error::Usage(format!("{shown} has no rows"))) } else { Ok(lines) }
}

impl<const N: usize> Line<N> {
    /// A cell as it is written.
    pub fn text(&self, column: usize) -> &str {
        &self.cells[column]
    }

    /// A finite number.
    ///
    /// # Errors
    /// [`Error::Usage`], which names file, line and column.
    pub fn number(&self, column: usize) -> Result<f64, Error> {
        let number = self.cells[column].parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| self.refused(column, "number"))
    }

    /// A whole number from 0 on.
    ///
    /// # Errors
    /// [`Error::Usage`], which names file, line and column.
    pub fn count(&self, column: usize) -> Result<usize, Error> {
        self.cells[column].parse().map_err(|_| self.refused(column, "whole number"))
    }

    /// That a cell is not what it should be.
    pub fn refused(&self, column: usize, wanted: &str) -> Error {
        let Self { file, number, names, cells } = self;
        let (file, name, cell) = (file.display(), names[column], &cells[column]);
        Error::Usage(format!("{file}, line {number}: the {name} {cell:?} is no {wanted}"))
    }
}
