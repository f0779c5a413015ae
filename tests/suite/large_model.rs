//! A model with three gigabytes outside of its file, nearly all of it one table that is not rewritten: it is never held
//! in memory, and read once.

#![cfg(target_os = "linux")]

use crate::net::{Net, SAMPLES, archive, integers};
use crate::oracle::record;
use crate::support::Bench;
use onnx_sap::model::fragment::{int, ints};
use onnx_sap::tensor::ElementType::{Float32, Int64};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

const WIDTH: u64 = 64;
const ROWS: u64 = 11_718_750;
/// Rows of the table that the samples use; the others are a hole in the file.
const USED: u64 = 1000;
const HIDDEN: u64 = 16;
const CLASSES: u64 = 4;
/// The first layer lies before the table, the second behind it.
const FIRST: u64 = 4 * WIDTH * HIDDEN;
const TABLE: u64 = 4 * WIDTH * ROWS;
const SECOND: u64 = 4 * HIDDEN * CLASSES;
const ALL: u64 = FIRST + TABLE + SECOND;

const GIGABYTE: u64 = 1_000_000_000;

fn model() -> Vec<u8> {
    let [width, rows, hidden, classes] = [WIDTH, ROWS, HIDDEN, CLASSES].map(|extent| extent as i64);
    Net::default()
        .input("ids", Int64, &["N", "4"])
        .external("first", &[width, hidden], "weights.bin", 0)
        .external("table", &[rows, width], "weights.bin", FIRST)
        .external("second", &[hidden, classes], "weights.bin", FIRST + TABLE)
        .node("Gather", &["table", "ids"], "words", vec![])
        .node("ReduceMean", &["words"], "mean", vec![ints("axes", [1]), int("keepdims", 0)])
        .node("MatMul", &["mean", "first"], "before", vec![])
        .node("Relu", &["before"], "hidden", vec![])
        .node("MatMul", &["hidden", "second"], "z", vec![])
        .output("z", Float32, &["N", "4"])
        .bytes()
}

/// Anything that is not 0 and not all alike.
fn numbers(count: u64) -> Vec<u8> {
    (0..count).flat_map(|at| ((at * 7919 % 1009) as f32 / 504.0 - 1.0).to_le_bytes()).collect()
}

fn write_sparse(path: &Path) {
    let mut file = File::create(path).unwrap();
    file.write_all(&numbers((FIRST + 4 * WIDTH * USED) / 4)).unwrap();
    file.seek(SeekFrom::Start(FIRST + TABLE)).unwrap();
    file.write_all(&numbers(SECOND / 4)).unwrap();
}

/// Runs the command and tells how many bytes it asked the system to read.
fn bytes_read(folder: &Path, arguments: &str) -> u64 {
    let script = r#""$0" "$@" >&2 && cat /proc/$$/io"#;
    let mut command = Command::new("sh");
    command.current_dir(folder).args(["-c", script]).arg(assert_cmd::cargo::cargo_bin!("onnx-sap"));
    let output = command.args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let counts = String::from_utf8(output.stdout).unwrap();
    let line = counts.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

fn bytes(file: &File, offset: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

#[test]
fn three_gigabytes_of_external_data_are_neither_held_in_memory_nor_read_twice() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("better")).unwrap();
    bench.put("in.onnx", &model());
    write_sparse(&bench.path("weights.bin"));
    let ids: Vec<i64> = (0..4 * SAMPLES as i64).map(|at| at * at * 31 % USED as i64).collect();
    let ids = integers("ids", &[SAMPLES, 4], &ids);
    bench.put("data.npz", &archive(&[ids], CLASSES as usize));

    let options = "--data npz:data.npz --val npz:data.npz --trusted 8 --alpha 100 --force";
    let read = bytes_read(&bench.path(""), &format!("in.onnx better/out.onnx {options}"));

    let mut report = String::new();
    File::open(bench.path("better/out.report.json")).unwrap().read_to_string(&mut report).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let peak = report["peak_rss_bytes"].as_u64().unwrap();
    record(&format!("3 GB of external data: peak {} MB, read {} MB", peak / 1_000_000, read / 1_000_000));
    assert!(peak < GIGABYTE, "{peak} bytes");
    // The original once, and once what was written, to verify it.
    assert!(read < 2 * ALL + GIGABYTE / 10, "{read} bytes");

    let [old, new] = ["weights.bin", "better/weights.bin"].map(|name| File::open(bench.path(name)).unwrap());
    assert_eq!(new.metadata().unwrap().len(), ALL);
    assert!(512 * new.metadata().unwrap().blocks() < GIGABYTE / 10, "holes stay holes");
    let same = |offset, length| bytes(&old, offset, length) == bytes(&new, offset, length);
    assert!(!same(0, FIRST) && !same(FIRST + TABLE, SECOND), "both layers are rewritten");
    assert!(same(FIRST, 8 * WIDTH * USED) && same(FIRST + TABLE - 4096, 4096), "the table is what it was");
}
