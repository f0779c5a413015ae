//! The pickled dictionaries of CIFAR's Python release. Nothing in them is executed: numpy's objects come out as the state
//! that they were pickled with, whose last bytes are the pixels.

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

/// Codes that nest one value in another: a file is nested no deeper than it has bytes of that kind.
const NESTING: &[u8] = b"(asu\x85\x86\x87\x90";

/// More stack than one level takes, to parse it and to drop it.
const STACK_PER_LEVEL: usize = 1 << 10;

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
    let mut dictionary = read(path)?;
    let refuse = |reason: String| DataError::file(path, reason, ADVICE);
    let Some(Value::List(list)) = dictionary.remove(labels) else {
        return Err(refuse(format!("it has no list `{labels}`")));
    };
    let label = |value: &Value| match value {
        Value::I64(label) => Ok(i128::from(*label)),
        other => Err(refuse(format!("{other} is no label"))),
    };
    let labels: Vec<i128> = list.iter().map(label).collect::<Result<_, _>>()?;
    // numpy's state: a version, the shape, the type, whether columns come first, and the bytes.
    let Some(Value::Tuple(mut state)) = dictionary.remove("data") else {
        return Err(refuse("it has no array `data`".to_owned()));
    };
    let (pixels, columns_first) = (state.pop(), state.pop());
    match (pixels, columns_first) {
        (Some(Value::Bytes(pixels)), Some(Value::Bool(false))) if pixels.len() == labels.len() * PIXELS => {
            Ok(Batch { labels, pixels })
        }
        _ => Err(refuse(format!("its `data` is no array of {} rows of {PIXELS} bytes", labels.len()))),
    }
}

/// The class names that a file keeps under `key`.
pub(super) fn names(path: &Path, key: &str) -> Result<Vec<String>, DataError> {
    let refuse = || DataError::file(path, format_args!("it has no list of names `{key}`"), ADVICE);
    let Some(Value::List(list)) = read(path)?.remove(key) else { return Err(refuse()) };
    list.into_iter().map(|value| text(value).ok_or_else(refuse)).collect()
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bytes(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn read(path: &Path) -> Result<Dictionary, DataError> {
    let mut file = open_file(path).map_err(|error| DataError::io(path, &error))?;
    let length = file.metadata().map_err(|error| DataError::io(path, &error))?.len();
    if length > LARGEST_FILE {
        return Err(DataError::file(path, "it is larger than any file of the release", ADVICE));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| DataError::io(path, &error))?;
    parse(&bytes)
        .map_err(|reason| DataError::file(path, format_args!("it is no pickle that can be read: {reason}"), ADVICE))
}

/// Parses on a thread of its own: the parser recurses as deep as the file is nested, and may panic.
fn parse(bytes: &[u8]) -> Result<Dictionary, String> {
    let deepest = bytes.iter().filter(|byte| NESTING.contains(byte)).count();
    let parse = || {
        let options = DeOptions::new().replace_unresolved_globals().replace_recursive_structures();
        match value_from_slice(bytes, options) {
            Ok(Value::Dict(entries)) => Ok(entries.into_iter().filter_map(entry).collect()),
            Ok(_) => Err("it is no dictionary".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    };
    std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().stack_size((1 << 22) + deepest * STACK_PER_LEVEL);
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
