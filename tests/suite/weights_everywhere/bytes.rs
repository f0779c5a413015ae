//! What differs between two model files, worked out from the bytes alone: nothing here is shared with the tool.

use std::collections::BTreeSet;
use std::ops::Range;

/// A field of a serialised message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    number: u64,
    wire: u64,
    payload: Range<usize>,
}

fn varint(bytes: &[u8], at: &mut usize) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn fields(bytes: &[u8]) -> Vec<Field> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let tag = varint(bytes, &mut at);
        let start = at;
        let payload = match tag & 7 {
            0 => {
                varint(bytes, &mut at);
                start..at
            }
            1 => start..start + 8,
            2 => {
                let length = varint(bytes, &mut at) as usize;
                at..at + length
            }
            5 => start..start + 4,
            other => panic!("wire type {other}"),
        };
        at = payload.end;
        found.push(Field { number: tag >> 3, wire: tag & 7, payload });
    }
    found
}

fn text(message: &[u8], number: u64) -> &str {
    let field = fields(message).into_iter().find(|field| field.number == number).unwrap();
    str::from_utf8(&message[field.payload]).unwrap()
}

/// The file without what is appended to it, which must be this tool's metadata and nothing else.
pub(super) fn without_provenance<'a>(new: &'a [u8], old: &[u8]) -> &'a [u8] {
    const METADATA_PROPS: u64 = 14;
    let ours =
        |field: &Field| field.number == METADATA_PROPS && text(&new[field.payload.clone()], 1).starts_with("onnx_sap.");
    let fields_of_new = fields(new);
    let kept = fields(old).len();
    assert!(fields_of_new.len() > kept, "no provenance");
    assert!(fields_of_new[kept..].iter().all(ours), "something else is appended");
    &new[..fields_of_new[kept - 1].payload.end]
}

/// Fails unless the files are equal but for the ranges that hold the replaced bytes, each found by its old content.
pub(super) fn assert_replaced(old: &[u8], new: &[u8], replaced: &[[Vec<u8>; 2]]) {
    let mut wanted = old.to_vec();
    for [before, after] in replaced {
        assert_ne!(before, after, "a weight is as it was");
        let mut places = old.windows(before.len()).enumerate().filter(|(_, window)| window == before);
        let (at, _) = places.next().expect("the old weight is in the old file");
        assert!(places.next().is_none(), "the old weight is in the old file twice");
        wanted[at..at + after.len()].copy_from_slice(after);
    }
    assert!(wanted == new, "bytes outside of the rewritten weights differ");
}

/// Fails unless the only fields that differ are the `int32_data` of the initializers of those names.
pub(super) fn assert_only_int32_data_differs(old: &[u8], new: &[u8], names: &BTreeSet<String>) {
    const GRAPH: u64 = 7;
    const INITIALIZER: u64 = 5;
    const INT32_DATA: u64 = 5;
    const NAME: u64 = 8;
    let [(graph, new_graph)] = differing(old, new, GRAPH)[..] else { panic!("not only the graph differs") };
    let mut changed = BTreeSet::new();
    for (tensor, new_tensor) in differing(graph, new_graph, INITIALIZER) {
        let data = differing(tensor, new_tensor, INT32_DATA);
        assert_eq!(data.len(), 1);
        changed.insert(text(tensor, NAME).to_owned());
    }
    assert_eq!(changed, *names);
}

/// The payloads of fields that differ between two messages. All must be of that number, and the messages of one shape.
fn differing<'a>(old: &'a [u8], new: &'a [u8], number: u64) -> Vec<(&'a [u8], &'a [u8])> {
    let [old_fields, new_fields] = [fields(old), fields(new)];
    assert_eq!(old_fields.len(), new_fields.len());
    let mut found = Vec::new();
    for (old_field, new_field) in old_fields.into_iter().zip(new_fields) {
        assert_eq!((old_field.number, old_field.wire), (new_field.number, new_field.wire));
        let (before, after) = (&old[old_field.payload], &new[new_field.payload]);
        if before != after {
            assert_eq!(old_field.number, number, "a field that holds no weights differs");
            found.push((before, after));
        }
    }
    found
}

/// How often field 9999 stands in the bytes, as a varint, as 64 bits, with a length, and as 32 bits.
pub(super) fn unknown_fields(bytes: &[u8]) -> [usize; 4] {
    [0, 1, 2, 5].map(|wire: u32| {
        let tag = 9999_u32 << 3 | wire;
        let encoded = [(tag & 0x7f | 0x80) as u8, (tag >> 7 & 0x7f | 0x80) as u8, (tag >> 14) as u8];
        bytes.windows(encoded.len()).filter(|window| *window == encoded).count()
    })
}
