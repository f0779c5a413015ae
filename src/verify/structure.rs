//! Whether everything that should be untouched is identical, byte by byte and field by field.
//!
//! The bytes are compared with the file on disk, outside of the ranges that were to change; those of external data by the
//! digest that was taken when they were copied. The decoded views are
//! compared as well, so that a mistake in the ranges themselves would show.

use crate::model::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::model::{GraphIndex, Model, OutputPlan, PROVENANCE_PREFIX, Place, Staged, WeightCopy, WeightPatch};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What differs between the original and the written model: nothing but this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The number of rewritten weights.
    pub weights: usize,
    /// New initializers, which hold what shared weights have become for some of their users.
    pub copies: usize,
    /// Bytes of the model file that hold rewritten weights.
    pub model_bytes: usize,
    /// Bytes of external data that hold rewritten weights.
    pub external_bytes: usize,
    /// Whether every byte that was not rewritten stands where it stood.
    pub in_place: bool,
    /// Bytes of provenance behind the model.
    pub provenance_bytes: usize,
}

/// Compares what was written, `new` being the staged model as it was read back, with the original.
///
/// # Errors
/// What differs that should not; nothing may be exported then.
pub fn structure(
    original: &Model,
    plan: &OutputPlan,
    patches: &[WeightPatch],
    staged: &Staged,
    new: &Model,
) -> Result<Changed, String> {
    compare_bytes(original, plan, new)?;
    compare_fields(original, new, patches)?;
    compare_values(new, patches)?;
    for (location, copy) in &plan.external {
        let held = copy.rest(&new.folder().join(&copy.location));
        let held = held.map_err(|error| format!("external data {location:?} cannot be read back: {error}"))?;
        if staged.rests().get(location) != Some(&held) {
            return Err(format!("external data {location:?} differs outside of the rewritten weights"));
        }
    }
    Ok(Changed {
        weights: patches.len(),
        copies: copies(patches).count(),
        model_bytes: plan.splices.iter().map(|splice| splice.bytes.len()).sum(),
        external_bytes: plan.external.values().flat_map(|copy| &copy.writes).map(|(_, bytes)| bytes.len()).sum(),
        in_place: plan.is_in_place(),
        provenance_bytes: plan.provenance.len(),
    })
}

/// Every byte between the splices is the original's, in order, and only the provenance follows.
fn compare_bytes(original: &Model, plan: &OutputPlan, new: &Model) -> Result<(), String> {
    let (old, mut rest) = (original.bytes(), new.bytes().as_ref());
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

fn copies(patches: &[WeightPatch]) -> impl Iterator<Item = &WeightCopy> {
    patches.iter().flat_map(|patch| &patch.copies)
}

/// The decoded models are equal but for the values of the patched weights, copies and those who read them, the places of
/// external data, and provenance.
fn compare_fields(original: &Model, new: &Model, patches: &[WeightPatch]) -> Result<(), String> {
    if header(original) != header(new) {
        return Err("the rewritten model differs in its header or in its functions".into());
    }
    let mut graph = original.graph().clone();
    for copy in copies(patches) {
        for reader in &copy.readers {
            let input = reader.input_of(&mut graph).ok_or_else(|| format!("no node reads the copy {}", copy.name))?;
            input.clone_from(&copy.name);
        }
    }
    let mut rewritten = new.graph().clone();
    if original.header().ir_version < 4 {
        rewritten.input.truncate(rewritten.input.len().saturating_sub(copies(patches).count()));
    }
    strip_graph(&mut graph);
    strip_graph(&mut rewritten);
    if graph != rewritten {
        return Err("the rewritten model differs in its graph".into());
    }
    compare_tensors(original, new, patches)
}

/// Every tensor is there, and holds what it held unless it is patched.
fn compare_tensors(original: &Model, new: &Model, patches: &[WeightPatch]) -> Result<(), String> {
    let mut rewritten: BTreeMap<Place, &TensorProto> = new.tensors().into_iter().collect();
    let replaced: BTreeSet<&Place> =
        patches.iter().filter(|patch| patch.copies.is_empty()).map(|patch| &patch.constant.place).collect();
    for (place, tensor) in original.tensors() {
        let is_patched = replaced.contains(&place);
        let same =
            rewritten.remove(&place).is_some_and(|new| comparable(tensor, is_patched) == comparable(new, is_patched));
        if !same {
            return Err(format!("the rewritten model differs in the tensor {}", tensor.name));
        }
    }
    let added: BTreeSet<&str> = rewritten.values().map(|tensor| tensor.name.as_str()).collect();
    let wanted: BTreeSet<&str> = copies(patches).map(|copy| copy.name.as_str()).collect();
    if added == wanted { Ok(()) } else { Err("the rewritten model holds other tensors than planned".into()) }
}

/// A tensor without what may differ: the name of its external file, and its data where it is patched.
fn comparable(tensor: &TensorProto, is_patched: bool) -> TensorProto {
    let mut tensor = tensor.clone();
    for entry in tensor.external_data.iter_mut().filter(|entry| entry.key == "location") {
        entry.value.clear();
    }
    if is_patched {
        tensor.raw_data.clear();
        tensor.float_data.clear();
        tensor.double_data.clear();
        tensor.int32_data.clear();
    }
    tensor
}

fn header(model: &Model) -> ModelProto {
    let mut header = model.header().clone();
    header.metadata_props.retain(|entry| !entry.key.starts_with(PROVENANCE_PREFIX));
    for function in &mut header.functions {
        strip_nodes(&mut function.node);
    }
    header
}

/// Removes every tensor, at any depth; they are compared one by one.
fn strip_graph(graph: &mut GraphProto) {
    graph.initializer.clear();
    graph.sparse_initializer.clear();
    strip_nodes(&mut graph.node);
}

fn strip_nodes(nodes: &mut [NodeProto]) {
    for attribute in nodes.iter_mut().flat_map(|node| &mut node.attribute) {
        attribute.t = None;
        attribute.tensors.clear();
        attribute.g.iter_mut().chain(&mut attribute.graphs).for_each(strip_graph);
    }
}

/// What the written model holds is what was computed, rounded once.
fn compare_values(new: &Model, patches: &[WeightPatch]) -> Result<(), String> {
    let graph = GraphIndex::new(new).map_err(|error| error.to_string())?;
    // Of several differences always the first one is told.
    let compared: Vec<_> = patches.par_iter().map(|patch| compare_patch(new, &graph, patch)).collect();
    compared.into_iter().collect()
}

fn compare_patch(new: &Model, graph: &GraphIndex<'_>, patch: &WeightPatch) -> Result<(), String> {
    if patch.copies.is_empty() && !new.holds(&patch.constant, patch).map_err(|error| error.to_string())? {
        return Err(format!("weight {} does not hold its new values", patch.constant.name));
    }
    for copy in &patch.copies {
        let missing = || format!("the copy {} is not in the rewritten model", copy.name);
        let constant = graph.constant(&copy.name).ok_or_else(missing)?;
        if new.values(constant).map_err(|error| error.to_string())? != copy.held(&patch.values) {
            return Err(format!("the copy {} does not hold its new values", copy.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Ledger, Selection};
    use std::fs;
    use std::path::Path;

    /// The patches that double every weight.
    fn doubled(model: &Model) -> Vec<WeightPatch> {
        let graph = GraphIndex::new(model).unwrap();
        let ledger = Ledger::survey(&graph, &Selection::default()).unwrap();
        let patch = |weight| WeightPatch {
            values: model.values(weight).unwrap() * 2.0,
            constant: weight.clone(),
            copies: Vec::new(),
        };
        ledger.layers.iter().map(|layer| patch(&layer.weight)).collect()
    }

    fn fixture(name: &str) -> Model {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/weights-everywhere");
        Model::open(&fixtures.join(name)).unwrap()
    }

    /// Float32, which is compared where it lies, and types that are not.
    #[test]
    fn a_file_that_is_not_what_was_planned_is_refused_wherever_it_differs() {
        for name in ["conv1d.onnx", "float16.onnx", "float64.onnx"] {
            let model = fixture(name);
            let (patches, folder) = (doubled(&model), tempfile::tempdir().unwrap());
            let out = folder.path().join("out.onnx");
            let provenance = [("onnx_sap.version".to_owned(), "0".to_owned())];
            let plan = model.output_plan(&patches, &provenance, &out).unwrap();
            let staged = Staged::write(&model, &plan, &out).unwrap();
            let written = fs::read(staged.model()).unwrap();
            let verdict = |bytes: &[u8], patches: &[WeightPatch]| {
                fs::write(staged.model(), bytes).unwrap();
                let new = Model::open(staged.model()).map_err(|error| error.to_string())?;
                structure(&model, &plan, patches, &staged, &new)
            };
            assert_eq!(verdict(&written, &patches).unwrap().weights, patches.len());
            for at in (0..written.len()).step_by(23) {
                let mut other = written.clone();
                other[at] ^= 1;
                assert!(verdict(&other, &patches).is_err(), "{name}: byte {at}");
            }
            let longer = [written.as_slice(), &[0x58, 0]].concat();
            assert!(verdict(&longer, &patches).is_err());
            assert!(verdict(&written[..written.len() - plan.provenance.len()], &patches).is_err());
            for layer in 0..patches.len() {
                for odd in [f64::NAN, f64::INFINITY, 0.125] {
                    let mut other = patches.clone();
                    *other[layer].values.iter_mut().last().unwrap() = odd;
                    let error = verdict(&written, &other).unwrap_err();
                    assert!(error.contains("does not hold its new values"), "{name}: {error}");
                }
            }
        }
    }

    #[test]
    fn weights_that_are_no_numbers_are_refused_even_where_they_were_written() {
        for name in ["conv1d.onnx", "float16.onnx"] {
            let model = fixture(name);
            let (mut patches, folder) = (doubled(&model), tempfile::tempdir().unwrap());
            *patches[0].values.iter_mut().next().unwrap() = f64::NAN;
            let out = folder.path().join("out.onnx");
            let plan = model.output_plan(&patches, &[], &out).unwrap();
            let staged = Staged::write(&model, &plan, &out).unwrap();
            let new = Model::open(staged.model()).unwrap();
            assert!(structure(&model, &plan, &patches, &staged, &new).is_err(), "{name}");
        }
    }
}
