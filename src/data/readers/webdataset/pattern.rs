//! Which files are meant: one, all of a folder, or those of a pattern with ranges in braces.

use super::ADVICE;
use crate::data::DataError;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// More shards than any set has: a range beyond is a slip of the keyboard.
const MOST_SHARDS: usize = 1 << 20;

/// The shards that `path` means, with their names, in the order of these.
pub(super) fn shards(path: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    let paths = match path.to_str().filter(|text| text.contains('{')) {
        _ if path.is_dir() => in_folder(path)?,
        Some(pattern) if !path.exists() => expand(path, pattern)?,
        _ => vec![path.to_owned()],
    };
    let mut shards: Vec<(String, PathBuf)> = paths.into_iter().map(named).collect::<Result<_, _>>()?;
    shards.sort();
    let mut names = HashSet::new();
    if let Some((name, shard)) = shards.iter().find(|(name, _)| !names.insert(name.as_str())) {
        let advice = "rename one: samples are called by their shard's name";
        return Err(DataError::file(shard, format_args!("there is another shard called {name}"), advice));
    }
    Ok(shards)
}

fn named(path: PathBuf) -> Result<(String, PathBuf), DataError> {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(name) => Ok((name.to_owned(), path)),
        None => Err(DataError::file(&path, "its name is not UTF-8", "rename it: it is part of sample ids")),
    }
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut shards = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| DataError::io(folder, &error))? {
        let path = entry.map_err(|error| DataError::io(folder, &error))?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tar")) {
            shards.push(path);
        }
    }
    if shards.is_empty() {
        return Err(DataError::file(folder, "there is no .tar in it", ADVICE));
    }
    Ok(shards)
}

/// `pattern` with every range `{A..B}` replaced by each of its numbers.
fn expand(path: &Path, pattern: &str) -> Result<Vec<PathBuf>, DataError> {
    let refuse = |reason: &str| DataError::file(path, reason, "write ranges of numbers, as in shard-{000..099}.tar");
    let mut expanded = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, behind)) = rest.split_once('{') {
        let (range, after) = behind.split_once('}').ok_or_else(|| refuse("a brace is not closed"))?;
        let numbers = Range::parse(range).ok_or_else(|| refuse("what stands in braces is no range of numbers"))?;
        if numbers.count().checked_mul(expanded.len()).is_none_or(|count| count > MOST_SHARDS) {
            return Err(refuse("the pattern means more than a million files"));
        }
        expanded = expanded
            .iter()
            .flat_map(|start| numbers.texts().map(move |text| format!("{start}{before}{text}")))
            .collect();
        rest = after;
    }
    Ok(expanded.into_iter().map(|start| PathBuf::from(start + rest)).collect())
}

/// The numbers of a range, written with `width` digits at least.
struct Range {
    first: usize,
    last: usize,
    width: usize,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once("..")?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(first) || !is_number(last) {
            return None;
        }
        // As shells do: one end with a leading zero gives all the width of the longer.
        let is_padded = [first, last].iter().any(|end| end.len() > 1 && end.starts_with('0'));
        let width = if is_padded { first.len().max(last.len()) } else { 0 };
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last && width < 40).then_some(Self { first, last, width })
    }

    fn count(&self) -> usize {
        (self.last - self.first).saturating_add(1)
    }

    fn texts(&self) -> impl Iterator<Item = String> {
        let width = self.width;
        (self.first..=self.last).map(move |number| format!("{number:0width$}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(pattern: &str) -> Result<Vec<String>, String> {
        let paths = expand(Path::new(pattern), pattern).map_err(|error| error.to_string())?;
        Ok(paths.iter().map(|path| path.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn ranges_keep_their_zeros_and_several_give_every_combination() {
        for (pattern, expected) in [
            ("a-{08..11}.tar", &["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"][..]),
            ("{9..10}", &["9", "10"]),
            ("{0..1}", &["0", "1"]),
            ("{9..010}", &["009", "010"]),
            ("{7..7}.tar", &["7.tar"]),
            ("d{0..1}/s{00..01}", &["d0/s00", "d0/s01", "d1/s00", "d1/s01"]),
        ] {
            assert_eq!(expanded(pattern).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for pattern in ["{", "a{0..1", "{}", "{1}", "{a,b}", "{a..b}", "{2..1}", "{-1..1}", "{0..1..2}", "{0..+1}"] {
            assert!(expanded(pattern).unwrap_err().contains("shard-{000..099}.tar"), "{pattern}");
        }
        for pattern in ["{0..9999999}", "{0..9999}{0..9999}", "{0..18446744073709551615}", "{0..99999999999999999999}"]
        {
            assert!(expanded(pattern).is_err(), "{pattern}");
        }
    }
}
