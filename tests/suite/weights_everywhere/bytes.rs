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
    let field = fields(message).into_iter().find(|field| field.number == number);
    field.map_or("", |field| str::from_utf8(&message[field.payload]).unwrap())
}

/// What differs between two files.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The tensors whose values differ, behind the names of the functions and bodies that they are in.
    pub(super) tensors: BTreeSet<String>,
    /// The initializers that are only in the new file.
    pub(super) added: BTreeSet<String>,
    /// The new names of inputs of nodes.
    pub(super) inputs: Vec<String>,
    /// The length of the new file without this tool's metadata.
    pub(super) length: usize,
}

const MODEL_GRAPH: u64 = 7;
const MODEL_METADATA: u64 = 14;
const MODEL_FUNCTION: u64 = 25;
const FUNCTION_NAME: u64 = 1;
const FUNCTION_NODE: u64 = 7;
const GRAPH_NODE: u64 = 1;
const GRAPH_INITIALIZER: u64 = 5;
const GRAPH_INPUT: u64 = 11;
const NODE_INPUT: u64 = 1;
const NODE_OUTPUT: u64 = 2;
const NODE_NAME: u64 = 3;
const NODE_ATTRIBUTE: u64 = 5;
const ATTRIBUTE_NAME: u64 = 1;
const ATTRIBUTE_TENSOR: u64 = 5;
const ATTRIBUTE_GRAPH: u64 = 6;
const TENSOR_NAME: u64 = 8;
const INFO_NAME: u64 = 1;
/// `float_data`, `int32_data`, `raw_data`, `double_data`.
const TENSOR_VALUES: [u64; 4] = [4, 5, 9, 10];

/// Compares two files field by field; fails at a difference that is no value of a tensor, new name of an input, new
/// initializer (and input of that name, before IR version 4), or metadata of this tool.
pub(super) fn changes(old: &[u8], new: &[u8]) -> Changes {
    let mut changes = Changes::default();
    let ours = |number: u64, payload: &[u8]| number == MODEL_METADATA && text(payload, 1).starts_with("onnx_sap.");
    let provenance: Vec<Field> =
        fields(new).into_iter().filter(|field| ours(field.number, &new[field.payload.clone()])).collect();
    assert!(!provenance.is_empty(), "no provenance");
    let behind = fields(new).len() - provenance.len();
    assert!(fields(new)[behind..] == provenance, "something else is appended");
    changes.length = fields(new)[behind - 1].payload.end;
    for (number, before, after) in differing(old, new, ours) {
        match number {
            MODEL_GRAPH => changes.graph(before, after, ""),
            MODEL_FUNCTION => {
                let prefix = format!("{}/", text(before, FUNCTION_NAME));
                for (number, before, after) in differing(before, after, |_, _| false) {
                    assert_eq!(number, FUNCTION_NODE, "in {prefix}");
                    changes.node(before, after, &prefix);
                }
            }
            other => panic!("field {other} of the model differs"),
        }
    }
    changes
}

impl Changes {
    fn graph(&mut self, old: &[u8], new: &[u8], prefix: &str) {
        let name = |number: u64, payload: &[u8]| match number {
            GRAPH_INITIALIZER => text(payload, TENSOR_NAME).to_owned(),
            GRAPH_INPUT => text(payload, INFO_NAME).to_owned(),
            _ => String::new(),
        };
        let named = |bytes: &[u8]| -> BTreeSet<String> {
            let initializers = fields(bytes).into_iter().filter(|field| field.number == GRAPH_INITIALIZER);
            initializers.map(|field| name(field.number, &bytes[field.payload])).collect()
        };
        let added = &named(new) - &named(old);
        for (number, before, after) in differing(old, new, |number, payload| added.contains(&name(number, payload))) {
            match number {
                GRAPH_NODE => self.node(before, after, prefix),
                GRAPH_INITIALIZER => self.tensor(before, after, format!("{prefix}{}", text(before, TENSOR_NAME))),
                other => panic!("field {other} of a graph differs"),
            }
        }
        self.added.extend(added);
    }

    fn node(&mut self, old: &[u8], new: &[u8], prefix: &str) {
        let output = text(old, NODE_OUTPUT);
        let label = if text(old, NODE_NAME).is_empty() { output } else { text(old, NODE_NAME) };
        for (number, before, after) in differing(old, new, |_, _| false) {
            match number {
                NODE_INPUT => self.inputs.push(str::from_utf8(after).unwrap().to_owned()),
                NODE_ATTRIBUTE => {
                    let attribute = text(before, ATTRIBUTE_NAME);
                    for (number, before, after) in differing(before, after, |_, _| false) {
                        match number {
                            ATTRIBUTE_TENSOR => self.tensor(before, after, format!("{prefix}{output}")),
                            ATTRIBUTE_GRAPH => self.graph(before, after, &format!("{prefix}{label}/{attribute}/")),
                            other => panic!("field {other} of an attribute of {label} differs"),
                        }
                    }
                }
                other => panic!("field {other} of {label} differs"),
            }
        }
    }

    fn tensor(&mut self, old: &[u8], new: &[u8], name: String) {
        for (number, ..) in differing(old, new, |_, _| false) {
            assert!(TENSOR_VALUES.contains(&number), "field {number} of {name} differs");
        }
        self.tensors.insert(name);
    }
}

/// The fields that differ between two messages, without those of the new one that are `extra`; the others must be of the
/// same numbers in the same order.
fn differing<'a>(old: &'a [u8], new: &'a [u8], extra: impl Fn(u64, &[u8]) -> bool) -> Vec<(u64, &'a [u8], &'a [u8])> {
    let kept = |field: &Field| !extra(field.number, &new[field.payload.clone()]);
    let [old_fields, new_fields] = [fields(old), fields(new).into_iter().filter(kept).collect()];
    assert_eq!(old_fields.len(), new_fields.len());
    let mut found = Vec::new();
    for (old_field, new_field) in old_fields.into_iter().zip(new_fields) {
        assert_eq!((old_field.number, old_field.wire), (new_field.number, new_field.wire));
        let (before, after) = (&old[old_field.payload], &new[new_field.payload]);
        if before != after {
            found.push((old_field.number, before, after));
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
