//! Rows of samples as a file: one file a format, one line in [`FORMATS`]. What a row holds, its [`Record`] says.

mod csv;
mod jsonl;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;
mod read;

pub use read::{Line, columns};

use crate::error::Error;
use crate::store::Location;
use serde::{Serialize, Serializer};
use std::io::{self, Write};

/// The formats, told apart by the extension of the file.
pub const FORMATS: &[&dyn Format] = &[
    &csv::Csv,
    &jsonl::JsonLines,
    #[cfg(feature = "parquet")]
    &parquet::Parquet,
];

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What its cells hold.
    pub kind: Kind,
}

/// What the cells of a column hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Whole numbers from 0.
    Count,
    /// The same, or nothing.
    OptionalCount,
    /// Floating point numbers.
    Number,
    /// Yes or no.
    Flag,
}

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Of [`Kind::Text`].
    Text(String),
    /// Of [`Kind::Count`] or [`Kind::OptionalCount`].
    Count(usize),
    /// Of [`Kind::OptionalCount`].
    Missing,
    /// Of [`Kind::Number`].
    Number(f64),
    /// Of [`Kind::Flag`].
    Flag(bool),
}

/// What can be a row.
pub trait Record {
    /// The columns.
    const COLUMNS: &'static [Column];
    /// A cell for each of them, in their order.
    fn cells(self) -> Vec<Cell>;
}

/// A way to write rows.
pub trait Format: Sync {
    /// The extension of its files.
    fn extension(&self) -> &'static str;
    /// Writes a whole file. `about` is what it says of itself, where the format has room for that.
    ///
    /// # Errors
    /// What cannot be written.
    fn write(
        &self,
        columns: &[Column],
        rows: &mut dyn Iterator<Item = Vec<Cell>>,
        about: &str,
        file: &mut (dyn Write + Send),
    ) -> io::Result<()>;
}

/// Writes a whole file in a format.
///
/// # Errors
/// What cannot be written.
pub fn write<R: Record>(
    format: &dyn Format,
    rows: impl IntoIterator<Item = R>,
    about: &str,
    file: &mut (dyn Write + Send),
) -> io::Result<()> {
    format.write(R::COLUMNS, &mut rows.into_iter().map(R::cells), about, file)
}

/// The format that a file's name asks for.
///
/// # Errors
/// [`Error::Usage`], which lists those that there are and says `what` cannot be written.
pub fn format(what: &str, file: &Location) -> Result<&'static dyn Format, Error> {
    let extension = file.extension();
    FORMATS.iter().copied().find(|format| format.extension() == extension).ok_or_else(|| {
        let known: Vec<String> = FORMATS.iter().map(|format| format!(".{}", format.extension())).collect();
        let (last, others) = known.split_last().map_or(("", String::new()), |(last, rest)| (last, rest.join(", ")));
        Error::Usage(format!("cannot write {what} to {file}: its name must end in {others} or {last}"))
    })
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Count(count) => serializer.serialize_u64(*count as u64),
            Self::Missing => serializer.serialize_none(),
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
        }
    }
}

/// The bytes that a format makes of the example.
#[cfg(test)]
fn written(format: &dyn Format, about: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(format, example(), about, &mut bytes).unwrap();
    bytes
}

#[cfg(test)]
struct Example(&'static str, Option<usize>, f64, bool);

#[cfg(test)]
impl Record for Example {
    const COLUMNS: &'static [Column] = &[
        Column { name: "id", kind: Kind::Text },
        Column { name: "class", kind: Kind::OptionalCount },
        Column { name: "loss", kind: Kind::Number },
        Column { name: "wrong", kind: Kind::Flag },
    ];

    fn cells(self) -> Vec<Cell> {
        let class = self.1.map_or(Cell::Missing, Cell::Count);
        vec![Cell::Text(self.0.to_owned()), class, Cell::Number(self.2), Cell::Flag(self.3)]
    }
}

#[cfg(test)]
fn example() -> Vec<Example> {
    vec![Example("a, \"b\".png", Some(3), 0.1 + 0.2, true), Example("ü.png", None, 1e-17, false)]
}
