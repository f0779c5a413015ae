//! What a work folder keeps belongs to one run: another one is refused, and told what differs.

use crate::support::{Bench, small};
use std::fs;

/// A work folder that holds the scores of `in.onnx` and `data.npz`.
fn scored() -> Bench {
    let bench = Bench::with_small_model();
    bench.run(SCORE).expect(0);
    bench
}

const SCORE: &str = "score in.onnx --data npz:data.npz --batch 8 --work work -o scores.parquet";

#[track_caller]
fn refused(bench: &Bench, arguments: &str, says: &[&str]) {
    fs::remove_file(bench.path("scores.parquet")).ok();
    let before = fs::read(bench.path("work/scores.jsonl")).unwrap();
    let ran = bench.run(arguments).expect(2);
    let errors = ran.stderr.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{}", ran.stderr);
    for text in says {
        assert!(ran.stderr.contains(text), "{text:?} is missing in {}", ran.stderr);
    }
    assert!(!bench.path("scores.parquet").exists());
    assert!(fs::read(bench.path("work/scores.jsonl")).unwrap() == before, "what is kept was changed");
}

#[test]
fn the_same_command_takes_what_is_kept() {
    let bench = scored();
    let scores = fs::read(bench.path("scores.parquet")).unwrap();
    let kept = fs::read(bench.path("work/scores.jsonl")).unwrap();
    bench.run(SCORE).expect(0);
    assert!(fs::read(bench.path("scores.parquet")).unwrap() == scores);
    assert!(fs::read(bench.path("work/scores.jsonl")).unwrap() == kept);
}

#[test]
fn another_model_data_set_or_option_is_refused_by_name() {
    let bench = scored();
    refused(&bench, &SCORE.replace("--batch 8", "--batch 9"), &["scores.jsonl", "its batch is 8, and here it is 9"]);
    refused(&bench, &SCORE.replace("--work", "--engine tract --work"), &["its engine is onnxruntime", "tract"]);
    refused(&bench, &SCORE.replace("--work", "--shard 0/2 --work"), &["its shard is 0/1, and here it is 0/2"]);

    let model = fs::read(bench.path("in.onnx")).unwrap();
    // The same graph, written by another producer.
    let mut other = onnx_sap::model::Model::open(&small("conv2d.onnx")).unwrap().bytes().to_vec();
    other.extend(b"\x12\x05other");
    bench.put("in.onnx", &other);
    refused(&bench, SCORE, &["its model is sha256", "--work"]);
    bench.put("in.onnx", &model);

    let data = fs::read(bench.path("data.npz")).unwrap();
    bench.put("data.npz", &crate::support::samples(&[8, 1, 8, 8], &[0.5; 512], &[0; 8]));
    refused(&bench, SCORE, &["its data set is 64 samples", "here it is 8 samples"]);
    bench.put("data.npz", &data);
    bench.run(SCORE).expect(0);
}

#[test]
fn data_of_the_same_names_and_labels_but_other_values_are_refused() {
    let bench = Bench::with_small_model();
    let set = |value: f32| crate::support::samples(&[16, 1, 8, 8], &[value; 1024], &[1; 16]);
    bench.put("data.npz", &set(0.5));
    bench.run(SCORE).expect(0);
    bench.put("data.npz", &set(0.25));
    refused(&bench, SCORE, &["not what they were", "empty --work folder"]);
}

#[test]
fn two_runs_at_once_and_damaged_files_are_refused() {
    let bench = scored();
    let lock = fs::File::create(bench.path("work/lock")).unwrap();
    lock.lock().unwrap();
    refused(&bench, SCORE, &["another run works in work"]);
    drop(lock);
    let kept = fs::read(bench.path("work/scores.jsonl")).unwrap();
    let mut damaged = kept.clone();
    damaged[10] = b'#';
    bench.put("work/scores.jsonl", &damaged);
    refused(&bench, SCORE, &["scores.jsonl is damaged", "remove it"]);
    bench.put("work/scores.jsonl", &kept);
    bench.run(SCORE).expect(0);
}
