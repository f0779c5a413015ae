//! Every corrected weight against an independent float64 implementation (`fixtures/oracle/oracle.py`).
//!
//! At α = 10⁶ the smallest eigenvalues decide: a moment that is summed in float32 anywhere misses by far.

pub(crate) mod npz;

use crate::support::{Bench, Ran, data, model, repository};
use flate2::read::GzDecoder;
use ndarray::ArrayD;
use onnx_sap::linalg::{MOST_ROUNDING, SOLVERS};
use onnx_sap::model::{GraphIndex, Model};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// How far a weight may be from the oracle's, relative to the largest value of that weight.
pub(crate) const TOLERANCE: f64 = 2e-5;

const MODELS: [&str; 4] = ["mlp", "lenet", "resnet", "vit"];

/// What the oracle made of a model.
struct Oracle {
    trusted: Vec<usize>,
    weights: BTreeMap<String, ArrayD<f64>>,
}

impl Oracle {
    fn of(name: &str, alpha: &str) -> Self {
        let mut weights = npz::read(&repository(&format!("fixtures/oracle/expected-{name}-alpha{alpha}.npz")));
        let trusted = weights.remove("trusted_ids").unwrap().iter().map(|&id| id as usize).collect();
        Self { trusted, weights }
    }

    /// Fails where OUT rewrites other weights than the oracle, or to other values.
    #[track_caller]
    fn check(&self, bench: &Bench, case: &str) {
        assert_eq!(rewritten(&bench.report()), self.weights.keys().cloned().collect(), "{case}");
        let found = weights(&bench.path("out.onnx"), self.weights.keys());
        let differences = self.weights.iter().map(|(name, wanted)| (name, relative_difference(&found[name], wanted)));
        let (name, worst) = differences.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert!(worst <= TOLERANCE, "{case}: {name} differs by {worst:.2e} · max|W|");
        record(&format!("{case}: at most {worst:.2e} · max|W|, in {name}"));
    }
}

/// The names of the weights that a report calls rewritten.
pub(crate) fn rewritten(report: &serde_json::Value) -> BTreeSet<String> {
    let layers = report["layers"].as_array().unwrap().iter();
    layers
        .filter(|layer| layer["status"] == "rewritten")
        .map(|layer| layer["weight"].as_str().unwrap().to_owned())
        .collect()
}

/// Weights of a model file, as float64.
pub(crate) fn weights<'a>(path: &Path, names: impl IntoIterator<Item = &'a String>) -> BTreeMap<String, ArrayD<f64>> {
    let model = Model::open(path).unwrap();
    let graph = GraphIndex::new(&model).unwrap();
    let values = |name: &String| (name.clone(), model.values(graph.constant(name).unwrap()).unwrap());
    names.into_iter().map(values).collect()
}

/// `max|Δ| / max|wanted|`, NaN where anything is.
pub(crate) fn relative_difference(found: &ArrayD<f64>, wanted: &ArrayD<f64>) -> f64 {
    assert_eq!(found.shape(), wanted.shape());
    let most = |a: f64, b: f64| if b.is_nan() || b > a { b } else { a };
    let difference = found.iter().zip(wanted).map(|(found, wanted)| (found - wanted).abs()).fold(0.0, most);
    difference / wanted.iter().map(|value| value.abs()).fold(0.0, most)
}

/// Notes a measurement in the output of the test, which `--nocapture` shows.
#[expect(clippy::print_stderr, reason = "cargo shows it where it is wanted")]
pub(crate) fn record(measured: &str) {
    eprintln!("{measured}");
}

fn write_ids(bench: &Bench, ids: impl IntoIterator<Item = usize>) {
    let lines: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    std::fs::write(bench.path("trusted.txt"), lines.join("\n")).unwrap();
}

/// The whole training set, with the oracle's samples named by their ids.
fn correct(bench: &Bench, name: &str, alpha: &str, trusted: &[usize]) -> Ran {
    write_ids(bench, trusted.iter().copied());
    let (input, data) = (model(name), data("train"));
    bench.run(&format!("{} out.onnx --data {data} --trusted-ids trusted.txt --alpha {alpha}", input.display()))
}

pub(crate) fn unpacked(path: &str, header: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(repository(path)).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes.split_off(header)
}

/// The same samples as a set of their own, which is ten times faster to score than the whole training set; candidates
/// are not compared, so it also serves as validation data.
fn correct_alone(bench: &Bench, name: &str, alpha: &str, trusted: &[usize], options: &str) -> Ran {
    const SIZE: [usize; 2] = [28, 28];
    let pixels = unpacked("fixtures/fashion-noisy/train-images-idx3-ubyte.gz", 16);
    let labels = unpacked("fixtures/fashion-noisy/train-labels-idx1-ubyte.gz", 8);
    let image = |&id: &usize| &pixels[id * SIZE[0] * SIZE[1]..(id + 1) * SIZE[0] * SIZE[1]];
    let images: Vec<u8> = trusted.iter().flat_map(image).copied().collect();
    let labels: Vec<u8> = trusted.iter().map(|&id| labels[id]).collect();
    npz::write_images(&bench.path("trusted.npz"), SIZE, &images, &labels);
    write_ids(bench, 0..trusted.len());
    bench.run(&format!(
        "{} out.onnx --data npz:trusted.npz --val npz:trusted.npz --mean 0.2860 --std 0.3530 \
         --trusted-ids trusted.txt --alpha {alpha} --force {options}",
        model(name).display()
    ))
}

/// The defaults, at both values of α.
fn matches_the_oracle(name: &str) {
    let oracle = Oracle::of(name, "3000");
    let bench = Bench::new();
    correct(&bench, name, "3000", &oracle.trusted).expect(0);
    let report = bench.report();
    let ids: Vec<String> = oracle.trusted.iter().map(ToString::to_string).collect();
    assert_eq!(report["trusted"]["ids"], serde_json::json!(ids));
    assert_eq!(report["engine"]["name"], "onnxruntime");
    oracle.check(&bench, &format!("{name}, α = 3000"));
    matches_the_oracle_with(name, [String::new()]);
}

#[test]
fn every_weight_of_the_mlp_is_the_oracles() {
    matches_the_oracle("mlp");
}

#[test]
fn every_weight_of_the_lenet_is_the_oracles() {
    matches_the_oracle("lenet");
}

#[test]
fn every_weight_of_the_resnet_is_the_oracles() {
    matches_the_oracle("resnet");
}

#[test]
fn every_weight_of_the_vit_is_the_oracles() {
    matches_the_oracle("vit");
}

/// Runs a model with each set of options and holds every result against the oracle at α = 10⁶.
fn matches_the_oracle_with(name: &str, variants: impl IntoIterator<Item = String>) {
    let oracle = Oracle::of(name, "1e6");
    for options in variants {
        let bench = Bench::new();
        correct_alone(&bench, name, "1000000", &oracle.trusted, &options).expect(0);
        oracle.check(&bench, &format!("{name}, α = 1000000, {options}"));
    }
}

#[test]
fn every_solver_gives_the_oracles_weights() {
    for name in ["lenet", "vit"] {
        matches_the_oracle_with(name, SOLVERS.iter().map(|solver| format!("--solver {}", solver.name())));
    }
}

#[test]
fn tract_gives_the_oracles_weights_whatever_the_model_and_solver() {
    // Every model and every solver at least once; all pairs would take minutes.
    for (name, solver) in MODELS.into_iter().zip(SOLVERS.iter().cycle()) {
        let bench = Bench::new();
        let oracle = Oracle::of(name, "1e6");
        let options = format!("--engine tract --solver {}", solver.name());
        correct_alone(&bench, name, "1000000", &oracle.trusted, &options).expect(0);
        assert_eq!(bench.report()["engine"]["name"], "tract");
        oracle.check(&bench, &format!("{name}, α = 1000000, {options}"));
    }
}

/// 7 divides nothing, 64 leaves a rest, 1000 is every sample at once. All pairs with threads would take a minute more.
fn batches_and_threads() -> impl Iterator<Item = String> {
    [(1, 2), (7, 1), (64, 2), (1000, 1)]
        .map(|(batch, threads)| format!("--batch {batch} --threads {threads}"))
        .into_iter()
}

#[test]
fn any_batch_and_any_number_of_threads_give_the_oracles_weights() {
    matches_the_oracle_with("lenet", batches_and_threads());
    matches_the_oracle_with("vit", batches_and_threads());
}

#[test]
fn any_batch_and_any_number_of_threads_give_the_oracles_weights_on_tract() {
    matches_the_oracle_with("mlp", batches_and_threads().map(|options| format!("--engine tract {options}")));
    matches_the_oracle_with("vit", ["--engine tract --batch 7 --threads 1".to_owned()]);
}

/// What a run made of the weights, and what the moments of some of them have lost to float32.
fn with_moments_in(arithmetic: &str, name: &str, alpha: &str, options: &str) -> (Bench, usize) {
    let bench = Bench::new();
    let trusted = Oracle::of(name, "1e6").trusted;
    correct_alone(&bench, name, alpha, &trusted, &format!("--moments {arithmetic} {options}")).expect(0);
    let report = bench.report();
    let layers = report["layers"].as_array().unwrap();
    let rounded = layers.iter().filter(|layer| layer["moment_loss"].as_f64().is_some_and(|loss| loss > 0.0)).count();
    (bench, rounded)
}

#[test]
fn moments_in_float32_change_weights_by_less_than_they_may() {
    for (name, options) in
        [("lenet", ""), ("resnet", ""), ("vit", ""), ("resnet", "--engine tract"), ("resnet", "--batch 7 --threads 1")]
    {
        let (exact, none) = with_moments_in("float64", name, "100", options);
        let (rounded, some) = with_moments_in("float32", name, "100", options);
        assert_eq!((none, some > 0), (0, true), "{name} {options}");
        let names = rewritten(&exact.report());
        let (exact, rounded) = (weights(&exact.path("out.onnx"), &names), weights(&rounded.path("out.onnx"), &names));
        let differences = names.iter().map(|name| relative_difference(&rounded[name], &exact[name]));
        let worst = differences.fold(0.0, f64::max);
        assert!(worst <= MOST_ROUNDING, "{name} {options}: {worst:.2e} · max|W|");
        record(&format!("{name} {options}: {some} moments in float32 change weights by at most {worst:.2e} · max|W|"));
    }
}

#[test]
fn moments_are_float64_where_float32_is_not_proven_to_do() {
    let (asked, rounded) = with_moments_in("float32", "resnet", "1000000", "");
    let (exact, _) = with_moments_in("float64", "resnet", "1000000", "");
    assert_eq!(rounded, 0);
    let weights = |bench: &Bench| weights(&bench.path("out.onnx"), &rewritten(&bench.report()));
    assert_eq!(weights(&asked), weights(&exact));
    // A solver that cannot tell what is lost.
    assert_eq!(with_moments_in("float32", "lenet", "100", "--solver eigh").1, 0);
}
