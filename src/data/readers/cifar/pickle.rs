//! The pickled dictionaries of CIFAR's Python release. Nothing in them is executed: numpy's objects come out as the state
//! that they were pickled with, whose last bytes are the pixels.

mod survey;

use super::PIXELS;
use crate::data::DataError;
use crate::data::storage::open_file;
use crate::panics::catch;
use serde_pickle::{DeOptions, HashableValue, Value, value_from_slice};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// No file of the releases is larger: CIFAR-100's training images are 50,000 × 3,072 bytes.
const LARGEST_FILE: u64 = 256 << 20;

/// More stack than one level takes, to parse it, to show it and to drop it.
const STACK_PER_LEVEL: usize = 1 << 12;

/// As much of the parser's own message as a person wants to read: it may hold whole values.
const MOST_CHARACTERS: usize = 200;

const ADVICE: &str = "fetch the Python release again, or use the binary one";

/// One file of images.
pub(super) struct Batch {
    /// One label an image.
    pub(super) labels: Vec<i128>,
    /// The images, channel by channel.
    pub(super) pixels: Vec<u8>,
}

type Dictionary = BTreeMap<String, Value>;

/// The images of a file, and the labels that it keeps under `labels`.
pub(super) fn batch(path: &Path, labels: &str) -> Result<Batch, DataError> {
    read(path, |mut dictionary| {
        let Some(Value::List(list)) = dictionary.remove(labels) else {
            return Err(format!("it has no list `{labels}`"));
        };
        let label = |value: &Value| match value {
            Value::I64(label) => Ok(i128::from(*label)),
            _ => Err(format!("`{labels}` has entries that are no integers")),
        };
        let labels: Vec<i128> = list.iter().map(label).collect::<Result<_, _>>()?;
        // numpy's state: a version, the shape, the type, whether columns come first, and the bytes.
        let Some(Value::Tuple(mut state)) = dictionary.remove("data") else {
            return Err("it has no array `data`".to_owned());
        };
        let (pixels, columns_first) = (state.pop(), state.pop());
        match (pixels, columns_first) {
            (Some(Value::Bytes(pixels)), Some(Value::Bool(false))) if pixels.len() == labels.len() * PIXELS => {
                Ok(Batch { labels, pixels })
            }
            _ => Err(format!("its `data` is no array of {} rows of {PIXELS} bytes", labels.len())),
        }
    })
}

/// The class names that a file keeps under `key`.
pub(super) fn names(path: &Path, key: &str) -> Result<Vec<String>, DataError> {
    read(path, |mut dictionary| {
        let refuse = || format!("it has no list of names `{key}`");
        let Some(Value::List(list)) = dictionary.remove(key) else { return Err(refuse()) };
        list.into_iter().map(|value| text(value).ok_or_else(refuse)).collect()
    })
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bytes(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// What `then` makes of a file's dictionary.
fn read<T: Send>(path: &Path, then: impl FnOnce(Dictionary) -> Result<T, String> + Send) -> Result<T, DataError> {
    let mut file = open_file(path).map_err(|error| DataError::io(path, &error))?;
    let length = file.metadata().map_err(|error| DataError::io(path, &error))?.len();
    if length > LARGEST_FILE {
        return Err(DataError::file(path, "it is larger than any file of the release", ADVICE));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| DataError::io(path, &error))?;
    parse(&bytes, then)
        .map_err(|reason| DataError::file(path, format_args!("it is no pickle of the release: {reason}"), ADVICE))
}

/// Parses on a thread of its own: the parser recurses as deep as the file is nested, and may panic.
fn parse<T: Send>(bytes: &[u8], then: impl FnOnce(Dictionary) -> Result<T, String> + Send) -> Result<T, String> {
    survey::survey(bytes)?;
    let parse = || {
        let options = DeOptions::new().replace_unresolved_globals().replace_recursive_structures();
        match value_from_slice(bytes, options) {
            Ok(Value::Dict(entries)) => then(entries.into_iter().filter_map(entry).collect()),
            Ok(_) => Err("it is no dictionary".to_owned()),
            Err(error) => Err(error.to_string().chars().take(MOST_CHARACTERS).collect()),
        }
    };
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().stack_size(survey::MOST_NESTING * STACK_PER_LEVEL);
        let thread =
            parser.spawn_scoped(scope, || catch(parse).unwrap_or_else(Err)).map_err(|error| error.to_string())?;
        thread.join().unwrap_or_else(|_| Err("it contradicts itself".to_owned()))
    })
}

/// Keys are byte strings of Python 2, or text.
fn entry((key, value): (HashableValue, Value)) -> Option<(String, Value)> {
    match key {
        HashableValue::String(key) => Some((key, value)),
        HashableValue::Bytes(key) => String::from_utf8(key).ok().map(|key| (key, value)),
        _ => None,
    }
}
