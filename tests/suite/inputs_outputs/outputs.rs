//! Heads: what stands between the class scores and the outputs, and which of several outputs counts.

use super::{ENGINES, bench, check_alike, corrected, read, refused, scored};
use crate::net::{Net, net, scores};
use crate::support::{Bench, small};
use ndarray::Array1;
use onnx_sap::evidence::Prediction;
use onnx_sap::model::Link;
use onnx_sap::model::fragment::int;
use onnx_sap::tensor::ElementType::{Float32, Int64};

/// The predictions by definition.
fn expected(classes: usize, link: Link, labels: usize, map: impl Fn(f64) -> f64) -> Vec<Prediction> {
    let rows = scores(classes).into_iter().zip(crate::net::labels(labels));
    rows.map(|(row, label)| {
        let row: Array1<f64> = row.into_iter().map(&map).collect();
        Prediction::of(&row.view(), link, label.into())
    })
    .collect()
}

fn plain() -> Net {
    net(4).output("z", Float32, &["N", "4"])
}

fn with(op: &str) -> Net {
    net(4).node(op, &["z"], "y", vec![]).output("y", Float32, &["N", "4"])
}

#[test]
fn a_softmax_behind_the_logits_changes_neither_losses_nor_what_is_trusted() {
    let behind_names = net(4)
        .node("Softmax", &["z"], "p", vec![int("axis", 1)])
        .node("Identity", &["p"], "q", vec![])
        .node("Cast", &["q"], "y", vec![int("to", 1)])
        .output("y", Float32, &["N", "4"]);
    let wanted = expected(4, Link::Softmax, 4, |score| score);
    let reference = bench(plain(), 4);
    for engine in ENGINES {
        let options = format!("--engine {engine}");
        check_alike(&scored(&reference, &options), &wanted, engine);
        let trusted = corrected(&reference, &options)["trusted"].clone();
        let heads = [("Softmax", with("Softmax")), ("LogSoftmax", with("LogSoftmax")), ("names", behind_names.clone())];
        for (name, model) in heads {
            let bench = bench(model, 4);
            check_alike(&scored(&bench, &options), &wanted, name);
            let report = corrected(&bench, &options);
            assert_eq!(report["trusted"], trusted, "{name} on {engine}");
            assert_eq!(report["params"]["link"], "softmax");
            assert_eq!(report["model"]["outputs"].as_array().unwrap().len(), 1, "the report shows the user's model");
        }
    }
}

#[test]
fn one_sigmoid_is_a_binary_classifier() {
    let two_logits = net(1)
        .floats("zero", &[1], &[0.0])
        .node("Mul", &["z", "zero"], "nothing", vec![])
        .node("Concat", &["nothing", "z"], "y", vec![int("axis", 1)])
        .output("y", Float32, &["N", "2"]);
    let one = net(1).node("Sigmoid", &["z"], "y", vec![]).output("y", Float32, &["N", "1"]);
    let flat = net(1)
        .integers("axis", &[1], &[1])
        .node("Squeeze", &["z", "axis"], "s", vec![])
        .node("Sigmoid", &["s"], "y", vec![])
        .output("y", Float32, &["N"]);
    for engine in ENGINES {
        let options = format!("--engine {engine}");
        let reference = bench(two_logits.clone(), 2);
        let (wanted, report) = (scored(&reference, &options), corrected(&reference, &options));
        check_alike(&wanted, &expected(1, Link::Sigmoid, 2, |score| score), engine);
        for model in [one.clone(), flat.clone()] {
            let bench = bench(model, 2);
            check_alike(&scored(&bench, &options), &wanted, engine);
            let found = corrected(&bench, &options);
            assert_eq!(found["trusted"], report["trusted"], "{engine}");
            assert_eq!((&found["data"]["classes"], &found["params"]["link"]), (&2.into(), &"sigmoid".into()));
        }
    }
}

#[test]
fn several_sigmoids_are_one_class_against_the_rest_each() {
    let wanted = expected(4, Link::Sigmoid, 4, |score| score);
    for engine in ENGINES {
        let bench = bench(with("Sigmoid"), 4);
        check_alike(&scored(&bench, &format!("--engine {engine}")), &wanted, engine);
        assert_eq!(corrected(&bench, &format!("--engine {engine}"))["params"]["logits"], "z");
    }
}

#[test]
fn losses_stay_finite_and_apart_where_probabilities_saturate() {
    let steep = |op: &str| {
        net(4)
            .floats("factor", &[], &[1024.0])
            .node("Mul", &["z", "factor"], "steep", vec![])
            .node(op, &["steep"], "y", vec![])
            .output("y", Float32, &["N", "4"])
    };
    for (op, link) in [("Softmax", Link::Softmax), ("Sigmoid", Link::Sigmoid)] {
        let found = scored(&bench(steep(op), 4), "");
        check_alike(&found, &expected(4, link, 4, |score| 1024.0 * score), op);
        assert!(found.iter().any(|prediction| prediction.loss > 1000.0), "they do saturate");
    }
}

#[test]
fn a_single_score_without_a_sigmoid_is_refused() {
    let bench = bench(net(1).output("z", Float32, &["N", "1"]), 2);
    for engine in ENGINES {
        refused(&bench, &format!("--engine {engine}"), &["output z", "one score a sample", "--logits NAME"]);
    }
    let softmax = net(1).node("Softmax", &["z"], "y", vec![]).output("y", Float32, &["N", "1"]);
    refused(&super::bench(softmax, 2), "", &["output z", "one score a sample"]);
}

/// As skl2onnx writes a binary network: the probabilities of both classes from one sigmoid, and the label.
fn two_from_one(name: &str) -> Net {
    net(1)
        .floats("one", &[1], &[1.0])
        .node("Sigmoid", &["z"], "p", vec![])
        .node("Sub", &["one", "p"], "q", vec![])
        .node("Concat", &["q", "p"], name, vec![int("axis", 1)])
        .node("ArgMax", &[name], "label", vec![int("axis", 1), int("keepdims", 0)])
        .output("label", Int64, &["N"])
        .output(name, Float32, &["N", "2"])
}

#[test]
fn probabilities_that_nothing_is_known_before_are_recognised_and_told() {
    let wanted = expected(1, Link::Sigmoid, 2, |score| score);
    for name in ["probabilities", "anything"] {
        let bench = bench(two_from_one(name), 2);
        for engine in ENGINES {
            let ran = bench
                .run(&format!("score in.onnx --data npz:data.npz -o scores.jsonl --device cpu --engine {engine}"))
                .expect(0);
            assert!(ran.stderr.starts_with(&format!("warning: {name} holds probabilities")), "{}", ran.stderr);
            assert_eq!(ran.stderr.lines().count(), 1);
            check_alike(&read(&bench), &wanted, name);
            assert_eq!(corrected(&bench, &format!("--engine {engine}"))["params"]["link"], "identity");
            // The way that loses nothing.
            check_alike(&scored(&bench, &format!("--engine {engine} --logits p")), &wanted, name);
        }
    }
}

#[test]
fn what_is_called_a_probability_and_is_no_distribution_is_refused() {
    let half = |name: &str| {
        net(4)
            .floats("half", &[], &[0.5])
            .node("Sigmoid", &["z"], "s", vec![])
            .node("Mul", &["s", "half"], name, vec![])
            .output(name, Float32, &["N", "4"])
    };
    refused(&bench(half("probs"), 4), "", &["output probs", "do not sum to 1", "--logits NAME"]);
    scored(&bench(half("y"), 4), "");
}

#[test]
fn of_several_outputs_the_scores_are_found_or_named() {
    let wanted = expected(4, Link::Softmax, 4, |score| score);
    let labelled = net(4)
        .node("ArgMax", &["z"], "label", vec![int("axis", 1), int("keepdims", 0)])
        .node("Softmax", &["z"], "probabilities", vec![])
        .output("label", Int64, &["N"])
        .output("probabilities", Float32, &["N", "4"]);
    let both = net(4).node("Relu", &["z"], "features", vec![]).output("z", Float32, &["N", "4"]).output(
        "features",
        Float32,
        &["N", "4"],
    );
    for engine in ENGINES {
        let options = format!("--engine {engine}");
        check_alike(&scored(&bench(labelled.clone(), 4), &options), &wanted, "label and probabilities");
        check_alike(&scored(&bench(both.clone(), 4), &format!("{options} --logits z")), &wanted, "named");
        let report = corrected(&bench(both.clone(), 4), &format!("{options} --logits z"));
        assert_eq!((&report["params"]["logits"], &report["verify"]["structure"]["weights"]), (&"z".into(), &1.into()));
    }
    refused(&bench(both.clone(), 4), "", &["z: float32 [?, 4], features: float32 [?, 4]", "--logits NAME"]);
    refused(&bench(both, 4), "--logits w", &["--logits w", "z: float32", "features: float32"]);
    refused(&bench(labelled, 4), "--logits label", &["output label is int64 [?]", "--logits NAME"]);
}

#[test]
fn a_value_inside_the_graph_is_measured_where_it_is_named() {
    let deep = net(4)
        .node("Relu", &["z"], "a", vec![])
        .node("Neg", &["a"], "y", vec![])
        .node("ArgMax", &["a"], "label", vec![int("axis", 1)])
        .output("y", Float32, &["N", "4"]);
    let wanted = expected(4, Link::Softmax, 4, |score| score);
    for engine in ENGINES {
        let bench = bench(deep.clone(), 4);
        check_alike(&scored(&bench, &format!("--engine {engine} --logits z")), &wanted, engine);
        let report = corrected(&bench, &format!("--engine {engine} --logits z"));
        assert_eq!(report["model"]["outputs"][0]["name"], "y");
        refused(&super::bench(deep.clone(), 4), &format!("--engine {engine} --logits label"), &["label", "int64"]);
        refused(&super::bench(deep.clone(), 4), "--logits nowhere", &["--logits nowhere", "y: float32 [?, 4]", "a, z"]);
    }
}

/// Engines compute what is inside a function only where its body stands in the place of its call.
#[test]
fn a_value_inside_a_local_function_is_measured_where_it_is_named() {
    let bench = Bench::new();
    bench.put("in.onnx", &std::fs::read(small("function-two-ways.onnx")).unwrap());
    bench.put("data.npz", &std::fs::read(small("data.npz")).unwrap());
    let [ort, tract] = ENGINES.map(|engine| scored(&bench, &format!("--engine {engine} --logits Coder.coder/h")));
    assert_eq!(ort.len(), 64);
    check_alike(&ort, &tract, "both engines");
}
