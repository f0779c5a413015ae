//! Forgetting in the last layer: against an independent float64 implementation (`fixtures/influence/oracle.py`), and on the
//! reference models.

use crate::oracle::{npz, record, relative_difference, weights};
use crate::support::{Bench, data, model, repository, samples, small};
use ndarray::ArrayD;
use onnx_sap::model::proto::{ModelProto, NodeProto};
use prost::Message;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// How far a weight may be from the oracle's, relative to the largest value of that weight: a hundred times less than is asked
/// for where the model holds float64, else what is left of rounding to float32.
const TOLERANCES: [(&str, f64); 9] = [
    ("three", 1e-7),
    ("binary", 1e-7),
    ("no-bias", 1e-7),
    ("double", 1e-12),
    ("wide", 1e-7),
    ("many-classes", 1e-7),
    ("one-score", 1e-7),
    ("one-against-rest", 1e-7),
    ("linear", 1e-7),
];

/// A file of `fixtures/influence`.
fn fixture(name: &str) -> PathBuf {
    repository("fixtures/influence").join(name)
}

/// What the oracle made, by `NET/UPDATE/DAMPING/BIAS/TENSOR`, and the samples to forget, by `NET/forget`.
fn expected() -> BTreeMap<String, ArrayD<f64>> {
    npz::read(&fixture("expected.npz"))
}

/// A folder with the samples that a network of the oracle is to forget as `forget.txt`.
fn with_ids(net: &str) -> (Bench, Vec<String>) {
    let bench = Bench::new();
    let ids: Vec<String> = expected()[&format!("{net}/forget")].iter().map(ToString::to_string).collect();
    bench.put("forget.txt", ids.join("\n").as_bytes());
    (bench, ids)
}

fn command(net: &str, options: &str) -> String {
    let (model, data) = (fixture(&format!("{net}.onnx")), fixture(&format!("{net}.npz")));
    format!("{} out.onnx --data npz:{} {options}", model.display(), data.display())
}

#[test]
fn every_last_layer_is_the_oracles_and_nothing_else_changes() {
    let expected = expected();
    let tensors = expected.iter().filter_map(|(key, values)| Some((key.rsplit_once('/')?, values)));
    let mut cases: BTreeMap<&str, BTreeMap<String, &ArrayD<f64>>> = BTreeMap::new();
    for ((case, tensor), values) in tensors.filter(|((_, tensor), _)| *tensor != "forget") {
        cases.entry(case).or_default().insert(tensor.to_owned(), values);
    }
    assert_eq!(cases.len(), 64);
    for (net, tolerance) in TOLERANCES {
        let (bench, _) = with_ids(net);
        let all = ["hidden.weight", "last.weight", "last.bias"].map(str::to_owned);
        let all = match net {
            "no-bias" => &all[..2],
            "linear" => &all[1..],
            _ => &all[..],
        };
        let before = weights(&fixture(&format!("{net}.onnx")), all);
        let mut worst: f64 = 0.0;
        for (case, wanted) in cases.iter().filter(|(case, _)| case.split('/').next() == Some(net)) {
            let parts: Vec<&str> = case.split('/').collect();
            let bias = if parts[3] == "with-bias" { "--with-bias" } else { "" };
            let options = format!("--method influence --update {} --damping {} {bias}", parts[1], parts[2]);
            bench.run(&command(net, &format!("{options} --forget-ids forget.txt --force --quiet"))).expect(0);
            let after = weights(&bench.path("out.onnx"), all);
            for (name, found) in &after {
                match wanted.get(name) {
                    Some(wanted) => {
                        let difference = relative_difference(found, wanted);
                        assert!(difference <= tolerance, "{case}: {name} differs by {difference:.2e} · max|W|");
                        assert!(relative_difference(&before[name], wanted) > 0.05, "{case}: hardly anything to see");
                        worst = worst.max(difference);
                    }
                    None => assert_eq!(*found, before[name], "{case}: {name}"),
                }
            }
        }
        record(&format!("{net}: at most {worst:.2e} · max|W|"));
    }
}

#[test]
fn exactly_the_given_ids_are_forgotten_and_the_report_says_how() {
    let (bench, ids) = with_ids("binary");
    let options = "--method influence --update newton --damping 0.1 --forget-ids forget.txt --with-bias";
    bench.run(&command("binary", options)).expect(0);
    let report = bench.report();
    assert_eq!(report["forgotten"], json!({ "count": ids.len(), "of": 240, "by": "given", "ids": ids }));
    let params = &report["params"];
    let told = ["method", "forget", "update", "damping", "with_bias"].map(|name| params[name].clone());
    assert_eq!(told, [json!("influence"), json!(ids.len()), json!("newton"), json!(0.1), json!(true)]);
    let idle = ["alpha", "alpha_per_layer", "budget", "recalibrate", "head", "max_rows", "moments", "solver"];
    assert!(idle.iter().all(|name| params.get(name).is_none()), "{params}");
    assert_eq!(report["chosen"]["verdict"], "unjudged");
    let statuses = report["layers"].as_array().unwrap().iter().map(|layer| (&layer["weight"], &layer["status"]));
    let rewritten: Vec<&Value> = statuses.filter(|(_, status)| **status == "rewritten").map(|(name, _)| name).collect();
    assert_eq!(rewritten, ["last.weight"]);
    // What is taken where nothing is given.
    bench.run(&command("binary", "--method influence --forget-fraction 0.1 --force")).expect(0);
    let params = &bench.report()["params"];
    let told = ["method", "forget", "update", "damping", "with_bias"].map(|name| params[name].clone());
    assert_eq!(told, [json!("influence"), json!(0.1), json!("influence"), json!("auto"), json!(false)]);
}

#[test]
fn a_share_forgets_the_samples_of_highest_loss() {
    for (net, samples) in [("three", 300), ("one-score", 240), ("one-against-rest", 300), ("linear", 300)] {
        let bench = Bench::new();
        bench.run(&command(net, "--method influence --damping 1 --forget-fraction 0.1")).expect(0);
        let (model, data) = (fixture(&format!("{net}.onnx")), fixture(&format!("{net}.npz")));
        bench.run(&format!("score {} --data npz:{} -o scores.jsonl", model.display(), data.display())).expect(0);
        let scores = std::fs::read_to_string(bench.path("scores.jsonl")).unwrap();
        let scores = scores.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut by_loss: Vec<(f64, String)> =
            scores.map(|score| (score["loss"].as_f64().unwrap(), score["id"].as_str().unwrap().to_owned())).collect();
        by_loss.sort_by(|a, b| b.0.total_cmp(&a.0));
        let highest: BTreeSet<String> = by_loss.into_iter().take(samples / 10).map(|(_, id)| id).collect();
        let report = bench.report();
        let ids = report["forgotten"]["ids"].as_array().unwrap().iter();
        let forgotten: BTreeSet<String> = ids.map(|id| id.as_str().unwrap().to_owned()).collect();
        let found = (forgotten, &report["forgotten"]["count"], &report["forgotten"]["of"]);
        assert_eq!(found, (highest, &json!(samples / 10), &json!(samples)), "{net}");
    }
}

/// How many labels are wrong is found by the losses of the link that the model has; which damping is best, by its predictions.
#[test]
fn a_sigmoid_finds_what_to_forget_by_its_own_losses() {
    for (net, samples) in [("one-score", 240), ("one-against-rest", 300)] {
        let bench = Bench::new();
        let held_out = format!("--val npz:{}", fixture(&format!("{net}.npz")).display());
        bench.run(&command(net, &format!("--method influence --update newton {held_out} --force"))).expect(0);
        let report = bench.report();
        assert_eq!(report["params"]["link"], "sigmoid");
        let accuracies = report["candidates"].as_array().unwrap().iter().map(|c| c["val_accuracy"].as_f64().unwrap());
        assert!(accuracies.clone().count() > 3 && accuracies.clone().all(|accuracy| accuracy > 0.5), "{net}");
        bench.run(&command(net, "--method influence --damping 1 --force")).expect(0);
        let report = bench.report();
        let count = report["forgotten"]["count"].as_u64().unwrap();
        assert!(report["forgotten"]["by"] == "losses" && 0 < count && count < samples / 2, "{net}: {count}");
    }
}

#[test]
fn behind_a_log_softmax_the_last_layer_is_found_by_itself() {
    let (bench, _) = with_ids("three");
    let mut model = ModelProto::decode(std::fs::read(fixture("three.onnx")).unwrap().as_slice()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    for (op_type, input, output) in [("Identity", "logits", "same"), ("LogSoftmax", "same", "logarithms")] {
        graph.node.push(NodeProto {
            op_type: op_type.to_owned(),
            input: vec![input.to_owned()],
            output: vec![output.to_owned()],
            ..NodeProto::default()
        });
    }
    graph.output[0].name = "logarithms".to_owned();
    bench.put("in.onnx", &model.encode_to_vec());
    let options = "--method influence --update newton --damping 0.1 --with-bias --forget-ids forget.txt --force";
    bench.run(&command("three", options)).expect(0);
    let names = ["hidden.weight", "last.weight", "last.bias"].map(str::to_owned);
    let wanted = weights(&bench.path("out.onnx"), &names);
    let data = format!("--data npz:{}", fixture("three.npz").display());
    bench.run(&format!("in.onnx out.onnx {data} {options}")).expect(0);
    assert_eq!(weights(&bench.path("out.onnx"), &names), wanted);
    // A projection does not take it for one of the layers before it.
    let all = format!("{data} --val npz:{} --alpha 100 --force", fixture("three.npz").display());
    bench.run(&format!("in.onnx out.onnx {all} --recalibrate on --head ridge")).expect(0);
    let report = bench.report();
    assert!(report["chosen"]["head"].as_str().unwrap().starts_with("ridge "), "{}", report["chosen"]);
    // Two weights, and the bias of the last one.
    assert_eq!(report["verify"]["structure"]["weights"], 3);
}

/// Its features are what it is fed: they are read without a node that gives them.
#[test]
fn a_linear_model_forgets_and_is_computed_anew_on_both_engines() {
    for engine in ["ort", "tract"] {
        let (bench, ids) = with_ids("linear");
        let given = format!("--forget-ids forget.txt --damping 0 --engine {engine}");
        bench.run(&command("linear", &format!("--method influence {given}"))).expect(0);
        assert_eq!(bench.report()["forgotten"]["ids"], json!(ids));
        let found = weights(&bench.path("out.onnx"), &["last.weight".to_owned()]);
        let difference =
            relative_difference(&found["last.weight"], &expected()["linear/influence/0/weight-only/last.weight"]);
        assert!(difference <= 1e-7, "{engine}: {difference:.2e}");
        let held_out = format!("--val npz:{}", fixture("linear.npz").display());
        let options = format!("{held_out} --alpha 100 --head ridge --engine {engine} --force");
        bench.run(&command("linear", &options)).expect(0);
        let head = bench.report()["chosen"]["head"].clone();
        assert!(head.as_str().unwrap().starts_with("ridge "), "{engine}: {head}");
    }
}

#[test]
fn one_feature_is_enough() {
    let bench = Bench::new();
    let mut model = ModelProto::decode(std::fs::read(fixture("linear.onnx")).unwrap().as_slice()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let shape = graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape.as_mut().unwrap();
    shape.dim[1].dim_value = Some(1);
    let weight = graph.initializer.iter_mut().find(|tensor| tensor.name == "last.weight").unwrap();
    (weight.dims, weight.raw_data) = (vec![3, 1], weight.raw_data.slice(..3 * size_of::<f32>()));
    bench.put("in.onnx", &model.encode_to_vec());
    let values: Vec<f32> = (0..60_u8).map(|at| f32::from(at % 3) + f32::from(at) / 100.0).collect();
    let labels: Vec<u8> = (0..60).map(|at| if at % 10 == 0 { (at + 1) % 3 } else { at % 3 }).collect();
    bench.put("data.npz", &samples(&[60, 1], &values, &labels));
    bench.run("in.onnx out.onnx --data npz:data.npz --method influence --forget-fraction 0.1 --damping 0.1").expect(0);
    assert_eq!(bench.report()["forgotten"]["count"], 6);
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let (bench, _) = with_ids("three");
    bench.put("unknown.txt", b"7\n300\n");
    let everything: Vec<String> = (0..300).map(|id| id.to_string()).collect();
    bench.put("everything.txt", everything.join("\n").as_bytes());
    let given = "--method influence --damping 0.1 --forget-ids forget.txt";
    for (net, options, says) in [
        ("three", "--method influence --alpha 100", "--alpha is for methods that correct layers"),
        ("three", "--method influence --head project", "--head is for methods that correct layers"),
        ("three", "--method influence --recalibrate off", "--recalibrate is for methods that correct layers"),
        ("three", "--update newton", "--update is for methods that forget"),
        ("three", "--method sap --forget-ids forget.txt", "--forget-ids is for methods that forget"),
        ("three", "--with-bias", "--with-bias is for methods that forget"),
        ("three", "--method influence --forget-ids unknown.txt", "--forget-ids names 300"),
        ("three", "--method influence --forget-ids everything.txt", "300 of 300 samples are to be forgotten"),
        ("three", "--method influence --forget-ids absent.txt", "absent.txt"),
        ("three", "--method influence --forget-ids out.onnx", "out.onnx is the list of --forget-ids"),
        ("three", "--method influence --damping nan", "auto or a number of at least 0"),
        ("three", "--method influence --update both", "give influence or newton"),
        ("three", "--method forget", "forget"),
        ("no-bias", &format!("{given} --with-bias"), "--with-bias is not possible"),
    ] {
        if options.ends_with("out.onnx") {
            bench.put("out.onnx", b"7\n");
        }
        let ran = bench.run(&command(net, options)).expect(2);
        assert!(ran.stderr.contains(says), "{options}: {}", ran.stderr);
        let _ = std::fs::remove_file(bench.path("out.onnx"));
    }
    let places = format!("{} out.onnx --data npz:{}", small("gemm-left.onnx").display(), small("data.npz").display());
    let ran = bench.run(&format!("{places} --method influence --damping 1")).expect(2);
    assert!(ran.stderr.contains("influence corrects the last layer"), "{}", ran.stderr);
    assert!(ran.stderr.contains("gives the class scores"), "{}", ran.stderr);
}

#[test]
fn the_list_of_methods_says_what_each_needs() {
    let ran = Bench::new().run("--method list").expect(0);
    for said in ["sap\n", "influence\n", "sap+influence\n", "Koh and Liang", "SSSE", "a linear last layer"] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    assert_eq!(ran.stderr, "");
}

#[test]
fn the_model_is_the_same_for_any_number_of_threads() {
    for net in ["three", "wide"] {
        let [one, two] = [1, 2].map(|threads| {
            let (bench, _) = with_ids(net);
            let options = "--method influence --update newton --damping 0.1 --forget-ids forget.txt";
            bench.run(&command(net, &format!("{options} --threads {threads}"))).expect(0);
            std::fs::read(bench.path("out.onnx")).unwrap()
        });
        assert!(one == two, "{net}");
    }
}

#[test]
fn what_is_given_is_forgotten_after_a_projection_too() {
    let (bench, ids) = with_ids("double");
    // Without a damping, and with nothing to choose one by, the usual one is taken; what was asked for is forgotten all the same.
    let without_damping = "--method sap+influence --alpha 100 --forget-ids forget.txt --force";
    bench.run(&command("double", without_damping)).expect(0);
    assert_eq!(bench.report()["forgotten"]["ids"], json!(ids));
    let given = "--update newton --damping 0.1 --forget-ids forget.txt";
    bench.run(&command("double", &format!("--method sap+influence --alpha 100 {given} --force"))).expect(0);
    let report = bench.report();
    assert_eq!(report["forgotten"]["ids"], json!(ids));
    assert_eq!(report["chosen"]["head"], "newton 0.1");
    let all = ["hidden.weight", "last.weight", "last.bias"].map(str::to_owned);
    let found = weights(&bench.path("out.onnx"), &all);
    // One after the other.
    bench.run(&command("double", "--alpha 100 --force")).expect(0);
    std::fs::rename(bench.path("out.onnx"), bench.path("projected.onnx")).unwrap();
    let data = fixture("double.npz");
    let then = format!("projected.onnx out.onnx --data npz:{} --method influence {given}", data.display());
    bench.run(&then).expect(0);
    let wanted = weights(&bench.path("out.onnx"), &all);
    for name in &all {
        let difference = relative_difference(&found[name], &wanted[name]);
        assert!(difference <= 1e-12, "{name}: {difference:.2e}");
    }
}

#[test]
fn where_nothing_tells_what_to_forget_nothing_is_written() {
    let bench = Bench::new();
    let ran = bench.run(&command("wide", "--method influence")).expect(2);
    assert!(ran.stderr.contains("--forget-fraction"), "{}", ran.stderr);
    assert!(!bench.path("out.onnx").exists());
}

/// Accuracy on the test images before and after a run, and the report.
fn on_fashion(name: &str, options: &str) -> (f64, f64, Value) {
    let bench = Bench::new();
    let sets = format!("--data {} --val {} --test {}", data("train"), data("val"), data("test"));
    bench.run(&format!("{} out.onnx {sets} {options} --force --quiet", model(name).display())).expect(0);
    let report = bench.report();
    let [before, after] = ["before", "after"].map(|when| report[when]["test"]["accuracy"].as_f64().unwrap());
    record(&format!("{name}, {options}: test {before} → {after}, {}", report["chosen"]["head"]));
    (before, after, report)
}

/// Which share is forgotten is found out by validation labels, of which a quarter are wrong.
#[track_caller]
fn newton_gains(name: &str, wanted: f64) {
    let (before, after, report) = on_fashion(name, "--method influence --update newton");
    assert!(after >= before + wanted, "{name}: {before} → {after}");
    // These networks believe their labels: losses do not tell how many are wrong.
    assert_eq!(report["forgotten"]["by"], "validation", "{name}");
    assert_eq!(report["chosen"]["verdict"], "better", "{name}");
}

#[test]
fn newton_gains_three_points_on_the_mlp() {
    newton_gains("mlp", 0.03);
}

#[test]
fn newton_gains_a_point_and_a_half_on_the_lenet() {
    newton_gains("lenet", 0.015);
}

#[test]
fn newton_gains_a_point_and_a_half_on_the_resnet() {
    newton_gains("resnet", 0.015);
}

#[test]
fn newton_takes_nothing_from_the_vit() {
    newton_gains("vit", -0.003);
}

#[test]
fn influence_takes_nothing_and_gains_a_point_on_the_mlp() {
    for (name, wanted) in [("mlp", 0.01), ("lenet", -0.003), ("resnet", -0.003)] {
        let (before, after, report) = on_fashion(name, "--method influence --forget-fraction 0.2");
        assert!(after >= before + wanted, "{name}: {before} → {after}");
        if report["chosen"]["verdict"] == "better" {
            let (forgotten, count) = (&report["forgotten"], 2000);
            assert_eq!((&forgotten["by"], &forgotten["count"]), (&json!("given"), &json!(count)), "{name}");
        }
    }
}

const PROJECTED: &str = "--alpha 1000,3000 --trusted 1000 --head project --recalibrate off";

/// Accuracy before and after a projection whose last layer may forget besides.
fn projected_and_forgotten(name: &str) -> (f64, f64) {
    let forgetting = "--method sap+influence --update newton --forget-fraction 0.2";
    let (before, after, _) = on_fashion(name, &format!("{PROJECTED} {forgetting}"));
    (before, after)
}

#[test]
fn forgetting_takes_nothing_from_a_projection() {
    for name in ["mlp", "resnet"] {
        let (_, alone, _) = on_fashion(name, PROJECTED);
        let (_, both) = projected_and_forgotten(name);
        assert!(both >= alone - 0.003, "{name}: {alone} alone, {both} with forgetting");
    }
}

#[test]
fn a_projection_with_forgetting_gains_what_projections_gain() {
    for (name, wanted) in [("lenet", 0.06), ("vit", 0.04)] {
        let (before, after) = projected_and_forgotten(name);
        assert!(after >= before + wanted, "{name}: {before} → {after}");
    }
}
