//! What follows a projection: recalibration and new heads, asked for by name or left to validation.

use crate::support::{Bench, data, model, samples, small};
use onnx_sap::model::proto::{AttributeProto, ModelProto};
use prost::Message;
use serde_json::Value;
use std::collections::BTreeSet;

/// A model of `fixtures/weights-everywhere` as `in.onnx`, and data that it takes.
fn bench(name: &str) -> Bench {
    let bench = Bench::with_small_model();
    bench.put("in.onnx", &std::fs::read(small(name)).unwrap());
    bench
}

const USUAL: &str = "in.onnx out.onnx --data npz:data.npz --val npz:data.npz --force";

fn heads(report: &Value) -> BTreeSet<String> {
    report["candidates"].as_array().unwrap().iter().map(|c| c["head"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_asked_for_by_name_and_cannot_be_had_is_refused_with_the_reason() {
    for (name, option, reason) in [
        ("fixed-batch.onnx", "--recalibrate on", "deviations need 16 samples at once, and the model runs on 4"),
        ("fixed-batch.onnx", "--head ridge", "nothing of its own is added to the products of fc.weight"),
        ("sigmoid.onnx", "--head lda", "no logits of a softmax"),
        ("opset7-ir3.onnx", "--recalibrate on", "opset 8"),
        ("quantised-tensor.onnx", "--head ridge --requantize", "no layer that is rewritten gives the class scores"),
        ("conv2d.onnx", "--head ridge --exclude fc", "no layer that is rewritten gives the class scores"),
    ] {
        let bench = bench(name);
        let ran = bench.run(&format!("{USUAL} --alpha 30 {option}")).expect(2);
        assert!(ran.stderr.contains("is not possible") && ran.stderr.contains(reason), "{name}: {}", ran.stderr);
        assert!(!bench.path("out.onnx").exists());
    }
}

/// `α A B + C` is not what a head computes.
#[test]
fn a_gemm_with_a_factor_is_no_head() {
    let bench = bench("conv2d.onnx");
    let mut model = ModelProto::decode(std::fs::read(small("conv2d.onnx")).unwrap().as_slice()).unwrap();
    let nodes = &mut model.graph.as_mut().unwrap().node;
    let gemm = nodes.iter_mut().find(|node| node.op_type == "Gemm").unwrap();
    gemm.attribute.push(AttributeProto { name: "alpha".to_owned(), f: 2.0, r#type: 1, ..AttributeProto::default() });
    bench.put("in.onnx", &model.encode_to_vec());
    let ran = bench.run(&format!("{USUAL} --alpha 30 --head ridge")).expect(2);
    assert!(ran.stderr.contains("no layer that is rewritten gives the class scores"), "{}", ran.stderr);
    bench.run(&format!("{USUAL} --alpha 30,300")).expect(0);
}

#[test]
fn what_is_left_open_and_cannot_be_had_is_left_out() {
    for name in ["fixed-batch.onnx", "sigmoid.onnx", "opset7-ir3.onnx"] {
        let bench = bench(name);
        bench.run(&format!("{USUAL} --alpha 30,300")).expect(0);
        assert_eq!(bench.report()["params"]["head"], "auto", "{name}");
        let candidates = bench.report()["candidates"].as_array().unwrap().clone();
        if name != "opset7-ir3.onnx" {
            assert_eq!(heads(&bench.report()), BTreeSet::from(["project".to_owned()]), "{name}");
        }
        if name != "sigmoid.onnx" {
            assert!(candidates.iter().all(|candidate| candidate["recalibrated"] == false), "{name}");
        }
    }
}

/// 48 samples of which none is of the last of four classes.
#[test]
fn a_class_without_samples_has_no_closed_form() {
    let bench = bench("conv2d.onnx");
    let values: Vec<f32> = (0..48 * 64).map(|at| ((at * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let labels: Vec<u8> = (0..48).map(|sample| sample % 3).collect();
    bench.put("data.npz", &samples(&[48, 1, 8, 8], &values, &labels));
    let ran = bench.run(&format!("{USUAL} --alpha 30 --head ridge")).expect(2);
    assert!(ran.stderr.contains("no sample is labelled 3"), "{}", ran.stderr);
    bench.run(&format!("{USUAL} --alpha 30,300")).expect(0);
    let kept = ["keep", "project"].map(str::to_owned);
    assert_eq!(heads(&bench.report()), BTreeSet::from(kept));
}

#[test]
fn what_is_asked_for_by_name_is_what_comes_out() {
    let run = |options: &str| {
        let bench = Bench::new();
        let arguments = format!("{} out.onnx --data {} --val {}", model("mlp").display(), data("train"), data("val"));
        bench.run(&format!("{arguments} --trusted 1000 --alpha 3000 {options}")).expect(0);
        bench.report()
    };
    let plain = run("");
    assert_eq!((&plain["chosen"]["recalibrated"], &plain["chosen"]["head"]), (&false.into(), &"project".into()));
    assert_eq!(plain["verify"]["structure"]["weights"], 3);
    let refined = run("--recalibrate on --head lda");
    assert_eq!(refined["chosen"]["recalibrated"], true);
    assert!(refined["chosen"]["head"].as_str().unwrap().starts_with("lda "));
    // Three weights and three biases: two of recalibrated layers, one of the head.
    assert_eq!(refined["verify"]["structure"]["weights"], 6);
    let kept = run("--head keep");
    assert_eq!(kept["chosen"]["head"], "keep");
    let change = |report: &Value| report["layers"][2]["relative_change"].as_f64().unwrap();
    assert_eq!(change(&kept), 0.0);
    assert!(change(&plain) > 0.0);
}

#[test]
fn layers_may_have_strengths_of_their_own_where_validation_says_so() {
    let run = |option: &str| {
        let bench = Bench::new();
        let arguments = format!("{} out.onnx --data {} --val {}", model("lenet").display(), data("train"), data("val"));
        let ran = bench.run(&format!("{arguments} --preset fast --alpha 30,100 --force {option}")).expect(0);
        (ran.stdout, bench.report())
    };
    let (table, one) = run("");
    assert!(one["chosen"].get("alpha_of").is_none() && !table.contains("own α"));
    let (table, own) = run("--alpha-per-layer");
    let layers = own["layers"].as_array().unwrap();
    let weights: BTreeSet<&str> = layers.iter().filter_map(|layer| layer["weight"].as_str()).collect();
    let own_alphas = own["chosen"]["alpha_of"].as_object().expect("some layer has its own");
    assert!(own_alphas.keys().all(|weight| weights.contains(weight.as_str())), "{own_alphas:?}");
    assert!(table.contains("own α"), "{table}");
    let accuracy = |report: &Value| report["chosen"]["advantage"]["accuracy"].as_f64().unwrap();
    assert!(accuracy(&own) > accuracy(&one));
    // Every layer was tried in both directions, unless the first was better.
    let tried = own["candidates"].as_array().unwrap().len() - one["candidates"].as_array().unwrap().len();
    assert!(tried >= 2 * layers.iter().filter(|layer| layer["status"] == "rewritten").count(), "{tried}");
}

#[test]
fn one_strength_for_all_layers_and_one_for_each_exclude_each_other() {
    let ran = bench("conv2d.onnx").run(&format!("{USUAL} --alpha 30 --alpha-per-layer")).expect(2);
    assert!(ran.stderr.contains("give one of them only"), "{}", ran.stderr);
}

/// A refined model is made of three passes over the data, on two engines; none of them depends on chance.
#[test]
fn a_refined_model_is_the_same_whatever_the_number_of_threads() {
    let run = |threads: usize| {
        let bench = Bench::new();
        let (input, data) = (model("lenet").display().to_string(), data("train"));
        let options = "--trusted 500 --alpha 3000 --recalibrate on --head ridge --val perturb";
        bench.run(&format!("{input} out.onnx --data {data} {options} --threads {threads}")).expect(0);
        std::fs::read(bench.path("out.onnx")).unwrap()
    };
    assert!(run(1) == run(2));
}
