//! Outputs that are no logits and inputs that are not one float tensor, through the whole command on both engines.

mod inputs;
mod outputs;

use crate::net::{Net, SAMPLES, archive, floats, x};
use crate::support::Bench;
use onnx_sap::evidence::Prediction;
use serde_json::Value;

const ENGINES: [&str; 2] = ["ort", "tract"];

/// A folder with a model and the usual data, which has `x` alone.
fn bench(model: Net, classes: usize) -> Bench {
    let bench = Bench::new();
    bench.put("in.onnx", &model.bytes());
    bench.put("data.npz", &archive(&[floats("x", &[SAMPLES, 3], &x())], classes));
    bench
}

/// What `score` says of every sample.
#[track_caller]
fn scored(bench: &Bench, options: &str) -> Vec<Prediction> {
    let ran = bench.run(&format!("score in.onnx --data npz:data.npz -o scores.jsonl --device cpu {options}")).expect(0);
    assert_eq!(ran.stderr, "", "{options}");
    read(bench)
}

fn read(bench: &Bench) -> Vec<Prediction> {
    let text = std::fs::read_to_string(bench.path("scores.jsonl")).unwrap();
    let prediction = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let (number, class) = (|key: &str| row[key].as_f64().unwrap(), |key: &str| row[key].as_u64().unwrap() as usize);
        Prediction {
            label: class("label"),
            predicted: class("predicted"),
            confidence: number("confidence"),
            loss: number("loss"),
        }
    };
    text.lines().map(prediction).collect()
}

/// Fails where two lists of predictions differ by more than a float32 network rounds.
#[track_caller]
fn check_alike(found: &[Prediction], wanted: &[Prediction], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (sample, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert_eq!((found.label, found.predicted), (wanted.label, wanted.predicted), "{what}: sample {sample}");
        assert!((found.loss - wanted.loss).abs() <= 1e-6 * (1.0 + wanted.loss), "{what}: {found:?}, not {wanted:?}");
        assert!((found.confidence - wanted.confidence).abs() <= 1e-6, "{what}: {found:?}, not {wanted:?}");
    }
}

/// The report of a whole run with one candidate.
#[track_caller]
fn corrected(bench: &Bench, options: &str) -> Value {
    let usual = "in.onnx out.onnx --data npz:data.npz --val npz:data.npz --alpha 100 --trusted 6 --device cpu --force";
    bench.run(&format!("{usual} {options}")).expect(0);
    bench.report()
}

/// Asserts that both commands refuse to run in one line that holds all of `says`.
#[track_caller]
fn refused(bench: &Bench, options: &str, says: &[&str]) {
    for command in
        ["score in.onnx --data npz:data.npz -o scores.jsonl", "in.onnx out.onnx --data npz:data.npz --val npz:data.npz"]
    {
        let ran = bench.run(&format!("{command} {options}")).expect(2);
        assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1), "{}", ran.stderr);
        for name in says {
            assert!(ran.stderr.contains(name), "{command} {options}: no {name:?} in\n{}", ran.stderr);
        }
        assert!(!bench.path("out.onnx").exists());
    }
}
