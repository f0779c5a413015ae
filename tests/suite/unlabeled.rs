//! Moments of other data than the trusted samples: labels do not matter there.

use crate::support::{Bench, data, model, npz, samples};
use serde_json::json;

/// Images that the small model takes, a label for each.
fn images(count: usize, labels: &[u8]) -> Vec<u8> {
    let values: Vec<f32> = (0..count * 64).map(|at| ((at * 37 + 11) % 23) as f32 / 23.0 - 0.4).collect();
    samples(&[count, 1, 8, 8], &values, labels)
}

#[test]
fn what_is_measured_does_not_depend_on_the_labels() {
    let (right, wrong): (Vec<u8>, Vec<u8>) = (0..40_u8).map(|at| (at % 4, (at + 1) % 4)).unzip();
    let weights = [&right, &wrong].map(|labels| {
        let bench = Bench::with_small_model();
        bench.put("other.npz", &images(40, labels));
        bench
            .run("in.onnx out.onnx --data npz:data.npz --val npz:data.npz --unlabeled npz:other.npz --alpha 3")
            .expect(0);
        assert_eq!(bench.report()["unlabeled"]["samples"], 20, "half of them, as many as would be trusted");
        std::fs::read(bench.path("out.onnx")).unwrap()
    });
    assert!(weights[0] == weights[1]);
    let bench = Bench::with_small_model();
    bench.run("in.onnx out.onnx --data npz:data.npz --val npz:data.npz --alpha 3").expect(0);
    assert!(std::fs::read(bench.path("out.onnx")).unwrap() != weights[0], "trusted samples are other ones");
}

#[test]
fn all_samples_of_the_same_images_give_what_trusting_all_gives() {
    let labels: Vec<u8> = (0..40).map(|at| at % 4).collect();
    let out = |options: &str| {
        let bench = Bench::with_small_model();
        bench.put("data.npz", &images(40, &labels));
        bench.put("other.npz", &images(40, &[0; 40]));
        bench
            .run(&format!("in.onnx out.onnx --data npz:data.npz --val npz:data.npz --trusted all --alpha 3 {options}"))
            .expect(0);
        std::fs::read(bench.path("out.onnx")).unwrap()
    };
    assert!(out("") == out("--unlabeled npz:other.npz"));
}

#[test]
fn unlabeled_images_correct_the_mlp() {
    let bench = Bench::new();
    let options = "--preset fast --trusted 1000";
    let (input, train, val, test) = (model("mlp"), data("train"), data("val"), data("test"));
    // The test images are seen here, their labels are not.
    let sets = format!("--data {train} --val {val} --test {test} --unlabeled {test}");
    let ran = bench.run(&format!("{} out.onnx {sets} {options}", input.display())).expect(0);
    let report = bench.report();
    let accuracy = |when: &str| report[when]["test"]["accuracy"].as_f64().unwrap();
    assert!(accuracy("after") >= accuracy("before") + 0.05, "{} → {}", accuracy("before"), accuracy("after"));
    assert_eq!(report["params"]["unlabeled"], json!(test));
    assert!(ran.stdout.contains("without their labels"), "{}", ran.stdout);
}

#[test]
fn data_that_does_not_fit_the_model_is_refused_before_anything_runs() {
    let bench = Bench::with_small_model();
    bench.put("other.npz", &npz(&[("x", "<f4", &[2, 3], vec![0; 24]), ("y", "|u1", &[2], vec![0; 2])]));
    let ran = bench.run("in.onnx out.onnx --data npz:data.npz --val npz:data.npz --unlabeled npz:other.npz").expect(2);
    assert!(ran.stderr.contains("the samples have shape [3]"), "{}", ran.stderr);
    assert!(!bench.path("out.onnx").exists());
}
