//! What a run takes must not grow with the data.

use crate::oracle::record;
use crate::support::{Bench, data, model};

const MEBIBYTE: u64 = 1 << 20;

/// The peak memory of a run on the reference `LeNet` at a small batch, in bytes.
fn peak(split: &str, trusted: usize) -> u64 {
    let bench = Bench::new();
    let options = format!("--trusted {trusted} --batch 32 --threads 1 --alpha 3000 --val {}", data("val"));
    // One heap for all threads: how many of them the system's allocator opens, and fills, is a matter of chance.
    let one_heap = [("MALLOC_ARENA_MAX", "1")];
    let command = format!("{} out.onnx --data {} {options}", model("lenet").display(), data(split));
    bench.run_with(&command, &one_heap).expect(0);
    let report = bench.report();
    assert_eq!(report["trusted"]["count"], trusted);
    report["peak_rss_bytes"].as_u64().unwrap()
}

/// Fails where a run on more data takes more memory. Peaks of one and the same command lie between 104 and 143 MiB,
/// depending on how the threads of reader and engine meet. Chance only adds, and not every time; what grows with the
/// data is there in every run: so the lowest of three is compared.
#[track_caller]
fn assert_no_growth(what: &str, less: impl Fn() -> u64, more: impl Fn() -> u64) {
    let less = less();
    let limit = less + 16 * MEBIBYTE;
    let mut peaks = Vec::new();
    while peaks.len() < 3 && peaks.iter().all(|&peak| peak > limit) {
        peaks.push(more());
    }
    record(&format!(
        "{what}: {} MiB, then {:?}",
        less / MEBIBYTE,
        peaks.iter().map(|p| p / MEBIBYTE).collect::<Vec<_>>()
    ));
    assert!(peaks.iter().any(|&peak| peak <= limit), "{what}: {less} bytes, then {peaks:?}");
}

#[test]
fn memory_does_not_grow_with_the_trusted_samples() {
    // 4500 more samples are 720 MB as rows of the second layer, and 18 MB as pixels and inputs.
    assert_no_growth("500 and 5000 trusted samples", || peak("train", 500), || peak("train", 5000));
}

#[test]
fn memory_does_not_grow_with_the_scored_samples() {
    // 8000 more samples are 31 MB as pixels and inputs; their ids, labels and scores are less than 1 MB.
    assert_no_growth("2000 and 10000 scored samples", || peak("val", 500), || peak("train", 500));
}
