//! Text files that list something, a line each: names of samples with their labels, or names of classes.

use super::open_file;
use crate::data::DataError;
use std::io::Read;
use std::path::Path;

/// The text of a file.
pub(in crate::data) fn read_text(path: &Path) -> Result<String, DataError> {
    let mut text = String::new();
    let read = open_file(path).and_then(|mut file| file.read_to_string(&mut text));
    read.map(|_| text).map_err(|error| DataError::io(path, &error))
}

/// The lines that are not empty, without the space around them.
pub(in crate::data) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// A sample's name and label out of a line of the list at `path`. Names may hold commas and spaces.
pub(in crate::data) fn name_and_label<'a>(path: &Path, line: &'a str) -> Result<(&'a str, i128), DataError> {
    let pair = line.rsplit_once(char::is_whitespace);
    pair.and_then(|(name, label)| Some((name.trim_end(), label.parse().ok()?))).ok_or_else(|| {
        let reason = format!("its line {line:?} is no name of a sample and its label");
        DataError::file(path, reason, "take the file from the release")
    })
}
