//! Which labels are likely wrong, where the truth is known.

use crate::oracle::unpacked;
use crate::support::{Bench, data, model, samples};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The rows of a CSV file, each by the names of its columns.
fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    lines.map(|cells| header.iter().cloned().zip(cells).collect()).collect()
}

/// The labels of the training samples: those that were given, and those that are right.
fn labels() -> [Vec<u8>; 2] {
    ["train", "train-clean"].map(|name| unpacked(&format!("fixtures/fashion-noisy/{name}-labels-idx1-ubyte.gz"), 8))
}

/// A corrected MLP as `out.onnx`, for all tests that look at it.
static CORRECTED: LazyLock<Bench> = LazyLock::new(|| {
    let bench = Bench::new();
    let arguments = format!("{} out.onnx --data {} --val {}", model("mlp").display(), data("train"), data("val"));
    bench.run(&format!("{arguments} --alpha 3000 --head ridge")).expect(0);
    bench
});

#[test]
fn a_corrected_model_finds_most_wrong_labels_and_few_others() {
    let bench = &*CORRECTED;
    let ran = bench.run(&format!("detect out.onnx --data {} -o issues.csv", data("train"))).expect(0);
    assert_eq!(ran.stderr, "");
    let table = rows(&std::fs::read_to_string(bench.path("issues.csv")).unwrap());
    assert_eq!(table.len(), 10_000);
    let [given, truth] = labels();
    let (mut found, mut right) = (0.0, 0.0);
    for row in &table {
        let sample: usize = row["path"].parse().unwrap();
        assert_eq!(row["given_label"], given[sample].to_string());
        if row["is_label_issue"] == "true" {
            found += 1.0;
            right += f64::from(u8::from(given[sample] != truth[sample]));
            assert_eq!(row["suggested_label"], row["predicted_label"]);
            assert_ne!(row["suggested_label"], row["given_label"]);
        } else {
            assert_eq!(row["suggested_label"], "");
        }
    }
    let wrong = given.iter().zip(&truth).filter(|(given, truth)| given != truth).count() as f64;
    let (precision, recall) = (right / found, right / wrong);
    assert!(precision > 0.8 && recall > 0.8, "precision {precision}, recall {recall}");
    let losses: Vec<f64> = table.iter().map(|row| row["loss"].parse().unwrap()).collect();
    assert!(losses.is_sorted_by(|a, b| a >= b), "the likeliest wrong first");
    for row in &table {
        let (score, loss): (f64, f64) = (row["label_score"].parse().unwrap(), row["loss"].parse().unwrap());
        assert!((score - (-loss).exp()).abs() < 1e-9);
        assert!(row["margin"].parse::<f64>().unwrap() <= score);
    }
}

#[test]
fn the_report_estimates_how_many_labels_are_wrong_and_which_way() {
    let bench = &*CORRECTED;
    let ran = bench.run(&format!("detect out.onnx --data {} --format json", data("train"))).expect(0);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["separation"]["separates"], true);
    let [given, truth] = labels();
    let wrong = given.iter().zip(&truth).filter(|(given, truth)| given != truth).count() as f64 / 10_000.0;
    let estimated = report["noise_rate"].as_f64().unwrap();
    assert!((estimated - wrong).abs() < 0.05, "{estimated} for {wrong}");
    let transition = report["transition"].as_array().unwrap();
    for (class, row) in transition.iter().enumerate() {
        let row: Vec<f64> = row.as_array().unwrap().iter().map(|share| share.as_f64().unwrap()).collect();
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(row[class] > 0.6 && row[class] < 1.0, "{row:?}");
    }
    let issues: u64 = report["classes"].as_array().unwrap().iter().map(|class| class["issues"].as_u64().unwrap()).sum();
    assert_eq!(report["issues"].as_u64().unwrap(), issues);
}

#[test]
fn a_model_that_memorised_its_labels_is_told_from_one_that_can_judge_them() {
    let bench = Bench::new();
    let ran = bench.run(&format!("detect {} --data {}", model("lenet").display(), data("train"))).expect(0);
    assert!(ran.stderr.starts_with("warning: losses do not tell right labels from wrong ones"), "{}", ran.stderr);
    assert!(ran.stderr.contains("correct it first"), "{}", ran.stderr);
    let ran = CORRECTED.run(&format!("detect out.onnx --data {}", data("train"))).expect(0);
    assert_eq!(ran.stderr, "");
}

#[test]
fn every_format_tells_the_same() {
    let bench = Bench::with_small_model();
    let values: Vec<f32> = (0..48 * 64).map(|at| ((at * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let labels: Vec<u8> = (0..48).map(|sample| sample % 4).collect();
    bench.put("data.npz", &samples(&[48, 1, 8, 8], &values, &labels));
    for extension in ["csv", "jsonl"] {
        bench.run(&format!("detect in.onnx --data npz:data.npz -o issues.{extension} -q")).expect(0);
    }
    let csv = rows(&std::fs::read_to_string(bench.path("issues.csv")).unwrap());
    let lines = std::fs::read_to_string(bench.path("issues.jsonl")).unwrap();
    let json: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((csv.len(), json.len()), (48, 48));
    for (csv, json) in csv.iter().zip(&json) {
        assert_eq!(csv["path"], json["path"].as_str().unwrap());
        // serde_json reads numbers to the last digit but one.
        let (loss, same): (f64, f64) = (csv["loss"].parse().unwrap(), json["loss"].as_f64().unwrap());
        assert!((loss - same).abs() <= 1e-15 * loss, "{loss} {same}");
        assert_eq!(csv["suggested_label"].is_empty(), json["suggested_label"].is_null());
    }
}

#[test]
fn inputs_are_never_overwritten_and_formats_are_those_that_there_are() {
    let bench = Bench::with_small_model();
    bench.put("data.npz", &samples(&[1, 1, 8, 8], &[0.5; 64], &[0]));
    for (output, says) in [("in.onnx", "in.onnx"), ("issues.txt", ".csv, .jsonl"), ("absent/issues.csv", "absent")] {
        let ran = bench.run(&format!("detect in.onnx --data npz:data.npz -o {output}")).expect(2);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
}
