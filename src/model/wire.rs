//! Edits on serialised protobuf that keep every other byte.
//!
//! An [`Edit`] replaces one field (or the payload of one) inside nested messages. [`splices`] works out which bytes
//! have to change, the length prefixes of the enclosing messages among them; where no length changes, only the edited
//! ranges do. Nothing is decoded and encoded again, so fields that this build has never heard of stay as they are.
//! Source: Protocol Buffers, "Encoding".

use super::proto::field::MODEL_GRAPH;
use bytes::Bytes;
use rayon::prelude::*;
use std::io::{self, Write};
use std::ops::Range;

/// One field of a message, as byte ranges of the whole buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The field's number.
    pub number: u32,
    /// Tag, length and payload.
    pub whole: Range<usize>,
    /// The payload; of a length-delimited field, what its length counts.
    pub payload: Range<usize>,
    /// Whether the payload is preceded by its length.
    pub delimited: bool,
}

/// A change that is wanted: the bytes at `range`, which must be a whole field or a length-delimited payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Where.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub bytes: Bytes,
}

/// A range of the old bytes and what replaces it. Unlike an [`Edit`], it can be applied without looking around.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// Where, in the old bytes.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub bytes: Bytes,
}

/// The bytes are not well-formed protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf at byte {at}")]
pub struct Malformed {
    /// The offset of the field that could not be read.
    pub at: usize,
}

fn varint(buffer: &[u8], at: usize, end: usize) -> Result<(u64, usize), Malformed> {
    let mut value = 0_u64;
    for (count, &byte) in buffer.get(at..end).unwrap_or_default().iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * count);
        if byte < 0x80 {
            return Ok((value, at + count + 1));
        }
    }
    Err(Malformed { at })
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The fields of the message that occupies `range`, in file order.
///
/// # Errors
/// [`Malformed`] where the bytes are no message; groups, long deprecated, are not read.
pub fn fields(buffer: &[u8], range: Range<usize>) -> Result<Vec<Field>, Malformed> {
    let mut found = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let start = at;
        let bad = Malformed { at: start };
        let (tag, after_tag) = varint(buffer, at, range.end)?;
        let number = u32::try_from(tag >> 3).map_err(|_| bad)?;
        let (payload_start, length, delimited) = match tag & 7 {
            0 => (after_tag, varint(buffer, after_tag, range.end)?.1 - after_tag, false),
            1 => (after_tag, 8, false),
            2 => {
                let (length, after_length) = varint(buffer, after_tag, range.end)?;
                (after_length, usize::try_from(length).map_err(|_| bad)?, true)
            }
            5 => (after_tag, 4, false),
            _ => return Err(bad),
        };
        at = payload_start.checked_add(length).filter(|&end| end <= range.end).ok_or(bad)?;
        found.push(Field { number, whole: start..at, payload: payload_start..at, delimited });
    }
    Ok(found)
}

/// The field reached by going down `path`, each step the `index`-th field of that number, counted over every
/// occurrence of the messages above it (protobuf merges repeated occurrences of a message).
///
/// # Errors
/// [`Malformed`] where the bytes on the way are no messages.
pub fn locate(buffer: &[u8], path: &[(u32, usize)]) -> Result<Option<Field>, Malformed> {
    let Some((&(number, index), above)) = path.split_last() else { return Ok(None) };
    let whole = 0..buffer.len();
    let mut messages = vec![whole];
    for (depth, &(number, index)) in above.iter().enumerate() {
        let mut children = Vec::new();
        for message in messages {
            children.extend(fields(buffer, message)?.into_iter().filter(|f| f.number == number && f.delimited));
        }
        let payloads = children.into_iter().map(|field| field.payload);
        // The graph of a model is the merge of all its occurrences; of repeated messages exactly one is meant.
        let merges = depth == 0 && number == MODEL_GRAPH;
        messages = if merges { payloads.collect() } else { payloads.skip(index).take(1).collect() };
    }
    let mut seen = 0;
    for message in messages {
        for field in fields(buffer, message)? {
            if field.number == number {
                if seen == index {
                    return Ok(Some(field));
                }
                seen += 1;
            }
        }
    }
    Ok(None)
}

/// A length-delimited field of that number.
pub fn delimited(number: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 12);
    write_varint(u64::from(number) << 3 | 2, &mut bytes);
    write_varint(payload.len() as u64, &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// Turns wanted edits into splices of the whole buffer, sorted and disjoint.
///
/// # Errors
/// [`Malformed`] at an edit whose range is not exactly a field or a payload, or overlaps another.
pub fn splices(buffer: &[u8], mut edits: Vec<Edit>) -> Result<Vec<Splice>, Malformed> {
    edits.sort_by_key(|edit| edit.range.start);
    if let Some(pair) = edits.windows(2).find(|pair| pair[0].range.end > pair[1].range.start) {
        return Err(Malformed { at: pair[1].range.start });
    }
    let mut out = Vec::new();
    splice_message(buffer, 0..buffer.len(), &edits, &mut out)?;
    Ok(out)
}

/// Appends the splices for the message at `range` and returns by how many bytes its length changes.
fn splice_message(
    buffer: &[u8],
    range: Range<usize>,
    mut edits: &[Edit],
    out: &mut Vec<Splice>,
) -> Result<i64, Malformed> {
    let mut change = 0;
    for field in fields(buffer, range)? {
        // An empty payload, however deep, begins where the fields around it end.
        let (end, at_end) = (field.whole.end, field.whole.end..field.whole.end);
        let within = |edit: &&Edit| edit.range.start < end || edit.range == at_end;
        let inside = edits.iter().take_while(within).count();
        let (here, rest) = edits.split_at(inside);
        edits = rest;
        if here.is_empty() {
            continue;
        }
        change += splice_field(buffer, &field, here, out)?;
    }
    match edits.first() {
        Some(edit) => Err(Malformed { at: edit.range.start }),
        None => Ok(change),
    }
}

fn splice_field(buffer: &[u8], field: &Field, edits: &[Edit], out: &mut Vec<Splice>) -> Result<i64, Malformed> {
    let length = |edit: &Edit| edit.bytes.len() as i64 - edit.range.len() as i64;
    if let [edit] = edits
        && edit.range == field.whole
    {
        out.push(Splice { range: edit.range.clone(), bytes: edit.bytes.clone() });
        return Ok(length(edit));
    }
    if !field.delimited {
        return Err(Malformed { at: edits[0].range.start });
    }
    // The prefix is spliced before its content, so its place is kept until the content's change is known.
    let place = out.len();
    let change = match edits {
        [edit] if edit.range == field.payload => {
            out.push(Splice { range: edit.range.clone(), bytes: edit.bytes.clone() });
            length(edit)
        }
        _ => splice_message(buffer, field.payload.clone(), edits, out)?,
    };
    if change == 0 {
        return Ok(0);
    }
    let (_, after_tag) = varint(buffer, field.whole.start, field.whole.end)?;
    let mut prefix = Vec::new();
    write_varint((field.payload.len() as i64 + change) as u64, &mut prefix);
    let old = after_tag..field.payload.start;
    let prefix_change = prefix.len() as i64 - old.len() as i64;
    out.insert(place, Splice { range: old, bytes: prefix.into() });
    Ok(change + prefix_change)
}

/// Writes `buffer` with `splices` (sorted, disjoint) applied.
///
/// # Errors
/// Those of the writer.
pub fn write_spliced(buffer: &[u8], splices: &[Splice], out: &mut impl Write) -> io::Result<()> {
    let mut at = 0;
    for splice in splices {
        out.write_all(&buffer[at..splice.range.start])?;
        out.write_all(&splice.bytes)?;
        at = splice.range.end;
    }
    out.write_all(&buffer[at..])
}

/// `buffer` with `splices` applied.
pub fn spliced(buffer: &[u8], splices: &[Splice]) -> Vec<u8> {
    let (added, removed) =
        splices.iter().fold((0, 0), |(added, removed), s| (added + s.bytes.len(), removed + s.range.len()));
    let mut bytes = vec![0; buffer.len() + added - removed];
    let (mut rest, mut at, mut parts) = (bytes.as_mut_slice(), 0, Vec::new());
    for splice in splices {
        for from in [&buffer[at..splice.range.start], &splice.bytes] {
            let (to, after) = rest.split_at_mut(from.len());
            parts.push((to, from));
            rest = after;
        }
        at = splice.range.end;
    }
    parts.push((rest, &buffer[at..]));
    // Touching new memory costs more than copying, and every thread can do so.
    parts.into_par_iter().for_each(|(to, from)| to.copy_from_slice(from));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message with field 1 = varint, field 7 = message { 5 = message { 9 = `raw` } }, and an unknown field 999.
    fn nested(raw: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x08, 0x0e];
        bytes.extend(delimited(7, &delimited(5, &delimited(9, raw))));
        bytes.extend(delimited(999, b"unknown"));
        bytes
    }

    fn raw_field(bytes: &[u8]) -> Field {
        locate(bytes, &[(7, 0), (5, 0), (9, 0)]).unwrap().unwrap()
    }

    proptest! {
        #[test]
        fn a_replaced_payload_gives_what_encoding_from_scratch_would(
            old in prop::collection::vec(any::<u8>(), 0..400),
            new in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let bytes = nested(&old);
            let edit = Edit { range: raw_field(&bytes).payload, bytes: new.clone().into() };
            let plan = splices(&bytes, vec![edit]).unwrap();
            prop_assert_eq!(spliced(&bytes, &plan), nested(&new));
            let mut written = Vec::new();
            write_spliced(&bytes, &plan, &mut written).unwrap();
            prop_assert_eq!(written, nested(&new));
            if old.len() == new.len() {
                prop_assert_eq!(plan.len(), 1, "no length changes, so no prefix may");
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = fields(&bytes, 0..bytes.len());
            let _ = locate(&bytes, &[(7, 0), (5, 1), (9, 0)]);
        }
    }

    #[test]
    fn a_whole_field_can_be_removed() {
        let bytes = nested(b"weights");
        let unknown = locate(&bytes, &[(999, 0)]).unwrap().unwrap();
        let plan = splices(&bytes, vec![Edit { range: unknown.whole.clone(), bytes: Bytes::new() }]).unwrap();
        assert_eq!(spliced(&bytes, &plan), bytes[..unknown.whole.start]);
    }

    #[test]
    fn an_edit_that_is_no_field_is_refused() {
        let bytes = nested(b"weights");
        let payload = raw_field(&bytes).payload;
        let edit = Edit { range: payload.start + 1..payload.end, bytes: Bytes::new() };
        assert!(splices(&bytes, vec![edit]).is_err());
    }

    #[test]
    fn the_index_counts_over_repeated_occurrences_of_the_graph() {
        let mut bytes = nested(b"first");
        bytes.extend(delimited(7, &delimited(5, &delimited(9, b"second"))));
        let second = locate(&bytes, &[(7, 0), (5, 1), (9, 0)]).unwrap().unwrap();
        assert_eq!(&bytes[second.payload], b"second");
    }
}
