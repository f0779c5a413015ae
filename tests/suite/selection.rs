//! The options that choose layers: what `inspect` says of each weight under them, and what the main command then does.

use crate::net::net;
use crate::oracle::weights;
use crate::support::{Bench, small};
use onnx_sap::model::proto::AttributeProto;
use onnx_sap::tensor::ElementType::Float32;
use serde_json::{Value, json};

/// What becomes of each weight: `weight`, or `weight → copy`, or `(weight)` where it stays.
fn fates(model: &str, options: &str) -> Vec<String> {
    let command = format!("inspect {} --format json {options}", small(model).display());
    let ran = Bench::new().run(&command).expect(0);
    let inspected: Value = serde_json::from_str(&ran.stdout).unwrap();
    let fate = |line: &Value| {
        let weight = line["weight"].as_str().unwrap_or("no weight");
        match (line["reason"].as_str(), line["copy"].as_str()) {
            (Some(_), _) => format!("({weight})"),
            (None, Some(copy)) => format!("{weight} → {copy}"),
            (None, None) => weight.to_owned(),
        }
    };
    inspected["layers"].as_array().unwrap().iter().map(fate).collect()
}

/// What `inspect` says where it leaves a weight, under those options.
fn reason(model: &str, options: &str, weight: &str) -> String {
    let command = format!("inspect {} --format json {options}", small(model).display());
    let inspected: Value = serde_json::from_str(&Bench::new().run(&command).expect(0).stdout).unwrap();
    let lines = inspected["layers"].as_array().unwrap();
    let line = lines.iter().find(|line| line["weight"] == weight && line["reason"].is_string()).unwrap();
    line["reason"].as_str().unwrap().to_owned()
}

#[test]
fn a_weight_of_several_layers_in_one_orientation_stays_one_unless_it_is_split() {
    let together = ["fc1.weight", "shared.weight", "fc2.weight"];
    assert_eq!(fates("shared-same.onnx", ""), together);
    assert_eq!(fates("shared-same.onnx", "--on-shared sum"), together);
    let split = ["fc1.weight", "shared.weight", "shared.weight → shared.weight@shared.b", "fc2.weight"];
    assert_eq!(fates("shared-same.onnx", "--on-shared split"), split);
    assert_eq!(fates("shared-same.onnx", "--on-shared skip"), ["fc1.weight", "fc2.weight", "(shared.weight)"]);
}

#[test]
fn a_weight_in_two_orientations_is_split_and_one_that_must_stay_for_others_is_copied() {
    let split = ["fc1.weight", "tied.weight", "tied.weight → tied.weight@decode", "fc2.weight"];
    for options in ["--on-shared sum", "--on-shared split"] {
        assert_eq!(fates("shared-two-ways.onnx", options), split);
        let fates = fates("tied-embedding.onnx", options);
        assert!(fates.contains(&"table.weight → table.weight@words".to_owned()), "{fates:?}");
        assert!(fates.contains(&"(table.weight)".to_owned()), "{fates:?}");
    }
    let skipped = reason("shared-two-ways.onnx", "--on-shared skip", "tied.weight");
    assert_eq!(skipped, "2 nodes use its weight, and --on-shared is skip");
}

#[test]
fn each_half_of_a_split_weight_is_corrected_for_its_own_inputs() {
    let bench = Bench::new();
    let (model, data) = (small("shared-same.onnx"), small("data.npz"));
    let options = "--trusted 32 --alpha 100 --force --on-shared split";
    bench.run(&format!("{} out.onnx --data npz:{} {options}", model.display(), data.display())).expect(0);
    let names = ["shared.weight", "shared.weight@shared.b"].map(String::from);
    let [before, after] =
        [(&model, &names[..1]), (&bench.path("out.onnx"), &names[..])].map(|(path, names)| weights(path, names));
    assert_ne!(after[&names[0]], after[&names[1]]);
    assert!(names.iter().all(|name| after[name] != before[&names[0]]));
}

#[test]
fn a_part_of_a_function_that_two_layers_use_in_two_ways_says_why_it_stays() {
    let said = reason("function-two-ways.onnx", "", "inside.weight");
    assert!(said.ends_with("a node of the local function Coder cannot be given one of its own"), "{said}");
}

#[test]
fn the_first_and_the_last_layer_can_be_left() {
    let left = reason("conv2d.onnx", "--skip-first --skip-head", "upper.weight");
    assert_eq!(left, "left out by --skip-first");
    assert_eq!(reason("conv2d.onnx", "--skip-first --skip-head", "fc.weight"), "left out by --skip-head");
    let rewritten = ["lower.weight", "grouped.weight", "depthwise.weight", "pointwise.weight"];
    assert_eq!(fates("conv2d.onnx", "--skip-first --skip-head")[..4], rewritten);
}

#[test]
fn patterns_choose_by_weight_node_and_scope() {
    let kept = |model: &str, options: &str| -> Vec<String> {
        fates(model, options).into_iter().filter(|fate| !fate.starts_with('(')).collect()
    };
    assert_eq!(kept("conv2d.onnx", "--include ^grouped"), ["grouped.weight"]);
    assert_eq!(kept("conv2d.onnx", "--include ^Conv.grouped$"), ["grouped.weight"]);
    assert_eq!(kept("function-bodies.onnx", "--include ^Outer/"), ["Outer/weight"]);
    // The branch that takes a weight from outside gets its own, because the others keep theirs.
    let of_branches = kept("if-branches.onnx", "--include then_branch --exclude If.nested");
    assert_eq!(of_branches, ["If.own/then_branch/weight", "shared.weight → shared.weight@captured.a.y"]);
    assert!(!kept("if-branches.onnx", "--exclude else_branch").iter().any(|name| name.contains("else_branch")));
}

#[test]
fn integers_are_rewritten_where_it_is_asked_for() {
    let kept = reason("quantised-kept.onnx", "", "fc1.weight");
    assert_eq!(kept, "its weight is quantised; --requantize rewrites it on the same scale");
    assert_eq!(fates("quantised-kept.onnx", "--requantize"), ["fc1.weight", "logits.weight"]);
}

#[test]
fn coefficients_in_attributes_are_listed_with_the_reason_why_they_stay() {
    let coefficients =
        AttributeProto { name: "coefficients".into(), floats: vec![1.0; 8], ..AttributeProto::default() };
    let model = net(4).node("LinearClassifier", &["z"], "scores", vec![coefficients]).of_domain("ai.onnx.ml");
    let bench = Bench::new();
    bench.put("in.onnx", &model.output("scores", Float32, &["N", "4"]).bytes());
    let inspected: Value = serde_json::from_str(&bench.run("inspect in.onnx --format json").expect(0).stdout).unwrap();
    let line = &inspected["layers"][1];
    assert_eq!((&line["op"], &line["found"]), (&json!("LinearClassifier"), &json!("attribute coefficients")));
    assert_eq!((&line["shape"], &line["reason"]), (&json!([8]), &json!("LinearClassifier is not projected")));
    assert_eq!(inspected["model"]["opsets"], json!({"ai.onnx": 17, "ai.onnx.ml": 1}));
}
