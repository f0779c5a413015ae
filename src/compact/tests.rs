//! Models some of whose channels are made 0, with and without them.

use super::*;
use crate::data::{Preprocessing, Spec};
use crate::engine::Engine;
use crate::engine::tract::TractEngine;
use crate::evidence::Forward;
use crate::model::{Classifier, GraphIndex, Interface};
use crate::pipeline::Prepared;
use crate::progress::Silent;
use crate::tensor::{ElementType, NamedTensor, Tensor};
use ndarray::{Array2, ArrayD, IxDyn};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The model with the second and the last of the channels of every weight at 0, and their biases.
fn with_zeros(model: &Model) -> Model {
    let graph = GraphIndex::new(model).unwrap();
    let mut patches: BTreeMap<String, WeightPatch> = BTreeMap::new();
    for (at, node) in graph.nodes() {
        let axis = match node.op_type.as_str() {
            "Gemm" => usize::from(node.int("transB", 0) == 0),
            "MatMul" => 1,
            // An addition may be of a bias.
            "Conv" | "Add" => 0,
            _ => continue,
        };
        for input in [1, 2, 0] {
            let Some(operand) = graph.operand(at, input) else { continue };
            let constant = &operand.constant;
            let is_bias = input == 2 || node.op_type == "Add";
            let axis = if is_bias { constant.dims.len().saturating_sub(1) } else { axis };
            let small = constant.dims.get(axis).is_none_or(|extent| *extent < 4);
            let fits = if is_bias { constant.dims.len() == 1 } else { input == 1 };
            if small || !fits || !constant.element.is_some_and(ElementType::is_float) {
                continue;
            }
            let mut values = model.values(constant).unwrap();
            for channel in [1, constant.dims[axis] - 1] {
                values.index_axis_mut(ndarray::Axis(axis), channel).fill(0.0);
            }
            let patch = WeightPatch { constant: constant.clone(), values, copies: Vec::new() };
            patches.insert(constant.name.clone(), patch);
        }
    }
    let patches: Vec<WeightPatch> = patches.into_values().collect();
    decoded(model, model.with_patches(&patches).unwrap())
}

fn decoded(model: &Model, bytes: Vec<u8>) -> Model {
    Model::decode(model.path(), model.folder().to_path_buf(), bytes.into()).unwrap()
}

fn scores(model: &Model, inputs: &[NamedTensor]) -> Array2<f64> {
    let classifier = Classifier::of(&GraphIndex::new(model).unwrap(), &Interface::default()).unwrap();
    let engine = TractEngine::new();
    let mut forward = Forward::load(&engine as &dyn Engine, &classifier, model.bytes(), model.folder()).unwrap();
    forward.scores(inputs).unwrap().rows
}

fn images() -> Vec<NamedTensor> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let values = ArrayD::from_shape_fn(IxDyn(&[3, 1, 28, 28]), |_| f64::from(random.next_u32()) / 2e9 - 1.0);
    vec![NamedTensor { name: "input".into(), tensor: Tensor::from_f64(&values, ElementType::Float32) }]
}

/// What is cut of a model of `models/`, which gives the same without it.
fn cut(name: &str) -> Vec<CutChannels> {
    let model = with_zeros(&Model::open(&repository(&format!("models/fashion-{name}.onnx"))).unwrap());
    let found = compaction(&GraphIndex::new(&model).unwrap());
    let small = decoded(&model, found.apply(&model).unwrap());
    let (before, after) = (scores(&model, &images()), scores(&small, &images()));
    let most = (&before - &after).iter().fold(0.0, |most: f64, apart| most.max(apart.abs()));
    assert!(most < 1e-4, "{name}: scores are {most} apart");
    let cuts = found.channels.iter().map(|of| of.cut).sum::<usize>();
    assert_eq!(small.bytes().len() < model.bytes().len(), cuts > 0, "{name}");
    found.channels
}

fn weights(found: &[CutChannels], is_cut: bool) -> Vec<&str> {
    let weights = found.iter().filter(|of| (of.cut == 2) == is_cut).map(|of| of.weight.as_str());
    weights.collect()
}

#[test]
fn hidden_channels_go_and_the_model_gives_the_same() {
    for (name, cut_away, kept) in [
        ("mlp", vec!["fc1.weight", "fc2.weight"], vec!["fc3.weight"]),
        ("lenet", vec!["conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight"], vec!["fc3.weight"]),
    ] {
        let found = cut(name);
        assert_eq!((weights(&found, true), weights(&found, false)), (cut_away, kept), "{found:?}");
        let of_scores = found.iter().find(|of| of.cut == 0).unwrap();
        assert_eq!(of_scores.kept_because.as_deref(), Some("logits is an output of the model"));
    }
}

#[test]
fn channels_that_are_added_to_others_stay() {
    let found = cut("resnet");
    // The first convolutions of blocks are read by the second ones alone.
    let inner = ["b.0.conv1.weight", "b.1.conv1.weight", "b.2.conv1.weight"];
    assert_eq!(weights(&found, true), inner, "{found:?}");
    let joined = found.iter().find(|of| of.weight == "b.1.conv2.weight").unwrap();
    assert!(joined.kept_because.as_ref().unwrap().starts_with("Add "), "{joined:?}");
}

#[test]
fn neurons_of_a_transformers_perceptrons_go_and_its_stream_stays() {
    let found = cut("vit");
    let wide: Vec<&CutChannels> = found.iter().filter(|of| of.cut > 0).collect();
    assert!(!wide.is_empty(), "{found:?}");
    let stream = found.iter().filter(|of| of.cut == 0).filter(|of| of.kept_because.is_some()).count();
    assert_eq!(wide.len() + stream, found.len(), "{found:?}");
}

#[test]
fn whatever_a_model_is_made_of_it_gives_the_same() {
    let folder = repository("fixtures/weights-everywhere");
    let spec = Spec::parse(&format!("npz:{}", folder.join("data.npz").display()), &folder).unwrap();
    let (mut tried, mut smaller) = (0, 0);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(original) = Model::open(&path) else { continue };
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let Ok(classifier) = Classifier::of(&GraphIndex::new(&original).unwrap(), &Interface::default()) else {
            continue;
        };
        let Ok(data) = Prepared::open(&spec, &Preprocessing::default(), &classifier, &Silent) else { continue };
        if !original.external_sizes().is_empty() {
            continue;
        }
        let model = with_zeros(&original);
        let found = compaction(&GraphIndex::new(&model).unwrap());
        let small = decoded(&model, found.apply(&model).unwrap());
        let engine = TractEngine::new();
        let mut inputs = None;
        let batch = data.batch(Some(4));
        data.stream(None)
            .for_each(&(0..batch).collect::<Vec<_>>(), batch, |batch| {
                inputs.get_or_insert(batch.inputs);
                Ok::<(), crate::error::Error>(())
            })
            .unwrap();
        let run = |of: &Model| {
            let mut forward = Forward::load(&engine, &classifier, of.bytes(), of.folder())?;
            forward.scores(inputs.as_deref().unwrap_or_default())
        };
        // tract has no kernels for some.
        let Ok(before) = run(&model) else { continue };
        let after = run(&small).unwrap_or_else(|error| panic!("{name}: {error}"));
        let most = (&before.rows - &after.rows).iter().fold(0.0, |most: f64, apart| most.max(apart.abs()));
        assert!(most < 1e-4, "{name}: scores are {most} apart");
        tried += 1;
        smaller += usize::from(found.channels.iter().any(|of| of.cut > 0));
    }
    assert!(tried > 30 && smaller > 5, "{smaller} of {tried} are smaller");
}
