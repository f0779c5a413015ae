//! Whether everything that should be untouched is identical, byte by byte and field by field.
//!
//! The bytes are compared with the file on disk, outside of the ranges that were to change. The decoded views are
//! compared as well, so that a mistake in the ranges themselves would show.

use crate::model::proto::{GraphProto, ModelProto, TensorProto};
use crate::model::{Model, ModelError, OutputPlan, PROVENANCE_PREFIX, Place, WeightPatch, rounded};
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// What differs between the original and the written model: nothing but this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The number of rewritten weights.
    pub weights: usize,
    /// Bytes of the model file that hold rewritten weights.
    pub model_bytes: usize,
    /// Bytes of external data that hold rewritten weights.
    pub external_bytes: usize,
    /// Whether every byte that was not rewritten stands where it stood.
    pub in_place: bool,
    /// Bytes of provenance behind the model.
    pub provenance_bytes: usize,
}

/// Compares what was written with the original.
///
/// # Errors
/// What differs that should not; nothing may be exported then.
pub fn structure(
    original: &Model,
    plan: &OutputPlan,
    patches: &[WeightPatch],
    written: &Path,
) -> Result<Changed, String> {
    let new = Model::open(written).map_err(|error| format!("the rewritten model cannot be read back: {error}"))?;
    compare_bytes(original, plan, &new)?;
    compare_fields(original, &new, patches)?;
    compare_values(&new, patches)?;
    let folder = written.parent().unwrap_or(Path::new("."));
    for (location, copy) in &plan.external {
        let unchanged = same_outside(&original.folder().join(location), &folder.join(&copy.location), &copy.writes);
        if !unchanged.map_err(|error| format!("external data {location:?} cannot be compared: {error}"))? {
            return Err(format!("external data {location:?} differs outside of the rewritten weights"));
        }
    }
    Ok(Changed {
        weights: patches.len(),
        model_bytes: plan.splices.iter().map(|splice| splice.bytes.len()).sum(),
        external_bytes: plan.external.values().flat_map(|copy| &copy.writes).map(|(_, bytes)| bytes.len()).sum(),
        in_place: plan.is_in_place(),
        provenance_bytes: plan.provenance.len(),
    })
}

/// Every byte between the splices is the original's, in order, and only the provenance follows.
fn compare_bytes(original: &Model, plan: &OutputPlan, new: &Model) -> Result<(), String> {
    let (old, mut rest) = (original.bytes(), new.bytes());
    let mut at = 0;
    let mut expect = |expected: &[u8]| match rest.strip_prefix(expected) {
        Some(after) => {
            rest = after;
            Ok(())
        }
        None => Err("the rewritten model differs outside of the rewritten weights".to_owned()),
    };
    for splice in &plan.splices {
        expect(&old[at..splice.range.start])?;
        expect(&splice.bytes)?;
        at = splice.range.end;
    }
    expect(&old[at..])?;
    expect(&plan.provenance)?;
    if rest.is_empty() { Ok(()) } else { Err("the rewritten model is longer than planned".into()) }
}

/// The decoded models are equal but for the values of the patched weights, the places of external data, and provenance.
fn compare_fields(original: &Model, new: &Model, patches: &[WeightPatch]) -> Result<(), String> {
    if header_without_provenance(original) != header_without_provenance(new) {
        return Err("the rewritten model differs in its header".into());
    }
    if graph_without_values(original, patches) == graph_without_values(new, patches) {
        Ok(())
    } else {
        Err("the rewritten model differs in its graph".into())
    }
}

fn header_without_provenance(model: &Model) -> ModelProto {
    let mut header = model.header().clone();
    header.metadata_props.retain(|entry| !entry.key.starts_with(PROVENANCE_PREFIX));
    header
}

fn graph_without_values(model: &Model, patches: &[WeightPatch]) -> GraphProto {
    let mut graph = model.graph().clone();
    let relocatable = graph.initializer.iter_mut().chain(constants(&mut graph.node));
    for entry in relocatable.flat_map(|tensor| &mut tensor.external_data).filter(|entry| entry.key == "location") {
        entry.value.clear();
    }
    for patch in patches {
        let tensor = match patch.constant.place {
            Place::Initializer(position) => graph.initializer.get_mut(position),
            Place::ConstantNode { node, attribute } => {
                graph.node.get_mut(node).and_then(|node| node.attribute.get_mut(attribute)).and_then(|a| a.t.as_mut())
            }
        };
        if let Some(tensor) = tensor {
            tensor.raw_data.clear();
            tensor.float_data.clear();
            tensor.double_data.clear();
            tensor.int32_data.clear();
        }
    }
    graph
}

fn constants(nodes: &mut [crate::model::proto::NodeProto]) -> impl Iterator<Item = &mut TensorProto> {
    nodes.iter_mut().flat_map(|node| &mut node.attribute).filter_map(|attribute| attribute.t.as_mut())
}

/// What the written model holds is what was computed, rounded once.
fn compare_values(new: &Model, patches: &[WeightPatch]) -> Result<(), String> {
    for patch in patches {
        let name = &patch.constant.name;
        let held = new.values(&patch.constant).map_err(|error: ModelError| error.to_string())?;
        let element = patch.constant.element.ok_or_else(|| format!("weight {name} has no known type"))?;
        if held != rounded(&patch.values, element) {
            return Err(format!("weight {name} does not hold its new values"));
        }
    }
    Ok(())
}

/// Whether two files are equal outside of the ranges that were written.
fn same_outside(old: &Path, new: &Path, writes: &[(u64, Vec<u8>)]) -> std::io::Result<bool> {
    let (old, new) = (File::open(old)?, File::open(new)?);
    if old.metadata()?.len() != new.metadata()?.len() {
        return Ok(false);
    }
    let (mut old, mut new) = (BufReader::with_capacity(CHUNK, old), BufReader::with_capacity(CHUNK, new));
    let (mut ours, mut theirs) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = 0_u64;
    loop {
        let read = old.read(&mut ours)?;
        if read == 0 {
            return Ok(true);
        }
        new.read_exact(&mut theirs[..read])?;
        for (offset, bytes) in writes {
            // The written range, as far as it lies in this chunk, is made equal before the comparison.
            let from = offset.saturating_sub(at).min(read as u64) as usize;
            let to = (offset + bytes.len() as u64).saturating_sub(at).min(read as u64) as usize;
            if from < to {
                ours[from..to].copy_from_slice(&theirs[from..to]);
            }
        }
        if ours[..read] != theirs[..read] {
            return Ok(false);
        }
        at += read as u64;
    }
}

/// Bytes that are compared at once.
const CHUNK: usize = 1 << 20;
