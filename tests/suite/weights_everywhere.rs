//! Weights in every place that ONNX allows: found or skipped with a reason, rewritten to the oracle's values, and not
//! one other byte of the file touched. The fixtures are explained in `fixtures/README.md`.

mod bytes;

use crate::oracle::{TOLERANCE, npz, record, relative_difference, rewritten};
use crate::support::{Bench, Ran, repository};
use half::{bf16, f16};
use ndarray::ArrayD;
use onnx_sap::layers::{Ledger, Selection};
use onnx_sap::model::proto::{EXTERNAL, ModelProto, TensorProto};
use onnx_sap::model::{GraphIndex, Model};
use onnx_sap::tensor::ElementType;
use prost::Message;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What tract has no kernels for, and reads no sparse tensors.
const NOT_ON_TRACT: [&str; 13] = [
    "attention",
    "bfloat16",
    "bfloat16-cast",
    "conv-transpose",
    "einsum",
    "function-in-branch",
    "fused",
    "if-branches",
    "loop",
    "loop-if",
    "recurrent-lengths",
    "scan",
    "sparse",
];

/// What tract computes wrongly, so that its activations are not the oracle's: recurrences that run backwards, and an
/// Einsum in which a letter stands twice in one operand.
const WRONG_ON_TRACT: [&str; 2] = ["einsum-skipped", "recurrent"];

/// Stored as varints, whose lengths change with the values.
const MOVES_BYTES: &str = "float16-int32-data";

/// One of the models.
struct Fixture {
    name: String,
    facts: Value,
}

fn fixtures() -> Vec<Fixture> {
    let json = std::fs::read(folder().join("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&json).unwrap();
    let models = expected["models"].as_object().unwrap().iter();
    models.map(|(name, facts)| Fixture { name: name.clone(), facts: facts.clone() }).collect()
}

fn fixture(name: &str) -> Fixture {
    fixtures().into_iter().find(|fixture| fixture.name == name).unwrap()
}

fn folder() -> PathBuf {
    repository("fixtures/weights-everywhere")
}

impl Fixture {
    fn path(&self) -> PathBuf {
        folder().join(format!("{}.onnx", self.name))
    }

    fn options(&self) -> String {
        let options = self.facts["options"].as_array().unwrap().iter();
        options.map(|option| option.as_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    fn runs_on(&self, engine: &str) -> bool {
        match engine {
            "tract" => !NOT_ON_TRACT.contains(&self.name.as_str()),
            _ => self.facts["onnxruntime_cpu"] == true,
        }
    }

    fn weights(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.facts["weights"].as_object().unwrap().iter()
    }

    /// The weights that have to be rewritten: those that the oracle projects.
    fn rewritten(&self) -> BTreeSet<String> {
        self.weights().filter(|(_, facts)| facts["projected"] == true).map(|(weight, _)| weight.clone()).collect()
    }

    /// The tensors that hold a corrected weight, each with the name of the weight that it stands for.
    fn corrected(&self) -> BTreeMap<String, String> {
        let tensors = |(weight, facts): (&String, &Value)| {
            let tensors =
                facts["outputs"].as_object().into_iter().flatten().map(|(_, tensor)| tensor.as_str().unwrap());
            tensors.map(|tensor| (tensor.to_owned(), weight.clone())).collect::<Vec<_>>()
        };
        self.weights().filter(|(_, facts)| facts["projected"] == true).flat_map(tensors).collect()
    }

    /// The new tensors that some nodes read where the weight itself stays for others.
    fn copies(&self) -> BTreeSet<String> {
        let stored: BTreeSet<&String> = self.weights().map(|(weight, _)| weight).collect();
        self.corrected().into_keys().filter(|tensor| !stored.contains(tensor)).collect()
    }

    /// The oracle's values by the names of the tensors that must hold them.
    fn oracle(&self) -> BTreeMap<String, ArrayD<f64>> {
        let values = npz::read(&folder().join(self.facts["oracle"].as_str().unwrap()));
        let outputs = self.weights().filter_map(|(_, facts)| facts["outputs"].as_object()).flatten();
        outputs.map(|(key, tensor)| (tensor.as_str().unwrap().to_owned(), values[key].clone())).collect()
    }

    fn dtype(&self, weight: &str) -> &str {
        self.facts["weights"][weight]["dtype"].as_str().unwrap()
    }

    /// Fails where a weight of the model at `out` is not the oracle's, as far as its type can hold it.
    fn check_values(&self, out: &Path, engine: &str) {
        let oracle = self.oracle();
        let found = corrected_values(out, oracle.keys());
        let corrected = self.corrected();
        for (tensor, wanted) in oracle {
            let dtype = self.dtype(&corrected[&tensor]);
            let rounding: fn(f64) -> f64 = match dtype {
                "float16" => |value| f16::from_f64(value).to_f64(),
                "bfloat16" => |value| bf16::from_f64(value).to_f64(),
                _ => |value| value,
            };
            let difference = relative_difference(&found[&tensor], &wanted);
            // Half a unit in the last place, and nothing more than the tolerance beside it.
            let rounded = relative_difference(&wanted.mapv(rounding), &wanted);
            // The oracle's activations are ONNX Runtime's, which adds up float16 products in float32. tract rounds every
            // sum to float16, so activations differ by an ε or two; a share λ changes by a quarter of that at most.
            let activations = if engine == "tract" && dtype == "float16" { f16::EPSILON.to_f64() } else { 0.0 };
            let case = format!("{} on {engine}: {tensor} differs by {difference:.2e} · max|W|", self.name);
            assert!(difference <= TOLERANCE + rounded + activations, "{case}, of which rounding is {rounded:.2e}");
            record(&case);
        }
    }

    /// Fails unless exactly the values of the rewritten weights differ, and copies of them are what is added.
    fn check_bytes(&self, out: &Path) {
        let [old, new] = [&self.path(), out].map(|path| std::fs::read(path).unwrap());
        let changes = bytes::changes(&old, &new);
        let copies = self.copies();
        let stored: Vec<String> = self.corrected().into_keys().filter(|tensor| !copies.contains(tensor)).collect();
        // Groups of one dimension stay: there is nothing to tell a direction from.
        let [before, after] = [&self.path(), out].map(|path| corrected_values(path, stored.iter()));
        let is_new = |tensor: &String| !self.is_external(tensor) && before[tensor] != after[tensor];
        let wanted: BTreeSet<String> = stored.into_iter().filter(is_new).collect();
        assert_eq!(changes.tensors, wanted, "{}", self.name);
        assert!(!wanted.is_empty() || self.name.starts_with("external"), "{}", self.name);
        assert_eq!(changes.added, copies, "{}", self.name);
        assert_eq!(changes.inputs.iter().cloned().collect::<BTreeSet<_>>(), copies, "{}", self.name);
        if copies.is_empty() && self.name != MOVES_BYTES {
            assert_eq!(changes.length, old.len(), "{}: nothing moves", self.name);
        }
    }

    fn is_external(&self, tensor: &str) -> bool {
        external_ranges(&self.path()).iter().any(|(name, ..)| name == tensor)
    }

    /// Fails unless exactly the rewritten weights differ in the files beside the model.
    fn check_external(&self, out: &Path) {
        let rewritten = self.rewritten();
        let mut files: BTreeMap<String, Vec<Range<usize>>> = BTreeMap::new();
        for (name, location, range) in external_ranges(&self.path()) {
            files.entry(location).or_default().extend(rewritten.contains(&name).then_some(range));
        }
        for (location, ranges) in files {
            let [old, mut new] =
                [&folder(), out.parent().unwrap()].map(|at| std::fs::read(at.join(&location)).unwrap());
            for range in ranges {
                assert_ne!(old[range.clone()], new[range.clone()], "{}: a weight is as it was", self.name);
                new[range.clone()].copy_from_slice(&old[range]);
            }
            assert!(old == new, "{}: {location} differs outside of the rewritten weights", self.name);
        }
    }
}

/// The tensors of the main graph that lie in other files: name, file, place.
fn external_ranges(path: &Path) -> Vec<(String, String, Range<usize>)> {
    let model = ModelProto::decode(std::fs::read(path).unwrap().as_slice()).unwrap();
    let outside = model.graph.unwrap().initializer.into_iter().filter(|tensor| tensor.data_location == EXTERNAL);
    let range = |tensor: TensorProto| {
        let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
        let offset = entry("offset").map_or(0, |offset| offset.parse().unwrap());
        let elements = tensor.dims.iter().product::<i64>() as usize;
        let size = ElementType::from_onnx(tensor.data_type).unwrap().size();
        (tensor.name.clone(), entry("location").unwrap().clone(), offset..offset + elements * size)
    };
    outside.map(range).collect()
}

/// The values of tensors of a corrected model; of integers, those that are stored.
fn corrected_values<'a>(out: &Path, names: impl Iterator<Item = &'a String>) -> BTreeMap<String, ArrayD<f64>> {
    let model = Model::open(out).unwrap();
    let graph = GraphIndex::new(&model).unwrap();
    let ledger = Ledger::survey(&graph, &Selection { requantize: true, ..Selection::default() }).unwrap();
    let values = |name: &String| {
        let in_a_layer = ledger.layers.iter().map(|layer| &layer.weight).find(|weight| weight.name == *name);
        let constant = in_a_layer.or_else(|| graph.constant(name)).unwrap();
        let stored = || model.graph().initializer.iter().find(|tensor| tensor.name == *name).unwrap();
        let integers: fn(&u8) -> f64 = match constant.type_name().as_str() {
            "int8" => |&byte| f64::from(byte.cast_signed()),
            "uint8" => |&byte| f64::from(byte),
            _ => return (name.clone(), model.values(constant).unwrap()),
        };
        let integers = stored().raw_data.iter().map(integers).collect();
        (name.clone(), ArrayD::from_shape_vec(constant.dims.clone(), integers).unwrap())
    };
    names.map(values).collect()
}

/// Runs the command as the oracle ran: α = 100, every sample trusted, in order.
fn correct(bench: &Bench, fixture: &Fixture, input: &Path, output: &str, engine: &str) -> Ran {
    let ids: Vec<String> = (0..64).map(|id| id.to_string()).collect();
    std::fs::write(bench.path("trusted.txt"), ids.join("\n")).unwrap();
    let data = format!("npz:{}", folder().join(fixture.facts["data"].as_str().unwrap()).display());
    bench.run(&format!(
        "{} {output} --data {data} --val {data} --trusted-ids trusted.txt --alpha 100 --engine {engine} --force \
         --quiet {}",
        input.display(),
        fixture.options()
    ))
}

#[test]
fn the_ledger_rewrites_exactly_what_the_oracle_projects() {
    for fixture in fixtures() {
        let command = format!("inspect {} --format json {}", fixture.path().display(), fixture.options());
        let inspected = Bench::new().run(&command).expect(0);
        let ledger: Value = serde_json::from_str(&inspected.stdout).unwrap();
        let wanted = fixture.rewritten();
        assert_eq!(rewritten(&ledger), wanted, "{}", fixture.name);
        let lines = ledger["layers"].as_array().unwrap();
        let skipped: Vec<&Value> = lines.iter().filter(|line| line["status"] == "skipped").collect();
        for line in &skipped {
            assert!(line["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{}: {line}", fixture.name);
            // A weight that stays for others beside its copy has a line for either.
            let copied = |weight: &str| lines.iter().any(|line| line["weight"] == weight && line["copy"].is_string());
            let both = line["weight"].as_str().is_some_and(|weight| wanted.contains(weight) && !copied(weight));
            assert!(!both, "{}: a weight is rewritten and skipped: {line}", fixture.name);
        }
        for (weight, _) in fixture.weights().filter(|(weight, _)| !wanted.contains(*weight)) {
            let named = skipped.iter().any(|line| line["weight"] == weight.as_str());
            assert!(named, "{}: no line says what becomes of {weight}", fixture.name);
        }
    }
}

fn every_weight_is_the_oracles_and_nothing_else_changes(engine: &str) {
    for fixture in fixtures().iter().filter(|fixture| fixture.runs_on(engine)) {
        let bench = Bench::new();
        correct(&bench, fixture, &fixture.path(), "out.onnx", engine).expect(0);
        assert_eq!(rewritten(&bench.report()), fixture.rewritten(), "{}", fixture.name);
        let out = bench.path("out.onnx");
        if engine != "tract" || !WRONG_ON_TRACT.contains(&fixture.name.as_str()) {
            fixture.check_values(&out, engine);
        }
        fixture.check_bytes(&out);
        fixture.check_external(&out);
    }
}

#[test]
fn on_onnx_runtime_every_weight_is_the_oracles_and_nothing_else_changes() {
    every_weight_is_the_oracles_and_nothing_else_changes("ort");
}

#[test]
fn on_tract_every_weight_is_the_oracles_and_nothing_else_changes() {
    every_weight_is_the_oracles_and_nothing_else_changes("tract");
}

#[test]
fn a_model_that_the_engine_cannot_run_is_refused_in_one_line() {
    for engine in ["ort", "tract"] {
        let refused: Vec<Fixture> = fixtures().into_iter().filter(|fixture| !fixture.runs_on(engine)).collect();
        assert!(!refused.is_empty());
        for fixture in refused {
            let bench = Bench::new();
            let ran = correct(&bench, &fixture, &fixture.path(), "out.onnx", engine).expect(2);
            assert_eq!(ran.stdout, "");
            assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
            let name = if engine == "ort" { "onnxruntime" } else { "tract" };
            assert!(ran.stderr.starts_with(&format!("error: {name} cannot run the model: ")), "{}", ran.stderr);
            assert!(!bench.path("out.onnx").exists() && !bench.path("out.report.json").exists());
        }
    }
}

/// Versions only name what the fields mean: none is a reason to refuse a model whose operators are known. What ONNX
/// Runtime does not take yet, tract runs.
#[test]
fn every_version_of_the_format_and_of_the_operators_is_taken() {
    let fixture = fixture("opset7-ir3");
    let model = ModelProto::decode(std::fs::read(fixture.path()).unwrap().as_slice()).unwrap();
    for (ir_version, opset) in (3..=14).map(|ir| (ir, 7)).chain((7..=28).map(|opset| (14, opset))) {
        let bench = Bench::new();
        let mut model = ModelProto { ir_version, ..model.clone() };
        model.opset_import[0].version = opset;
        bench.put("in.onnx", &model.encode_to_vec());
        correct(&bench, &fixture, Path::new("in.onnx"), "out.onnx", "auto").expect(0);
        assert_eq!(rewritten(&bench.report()), fixture.rewritten(), "IR version {ir_version}, opset {opset}");
    }
}

#[test]
fn fields_of_a_later_onnx_survive() {
    let fixture = fixture("unknown-fields");
    let bench = Bench::new();
    correct(&bench, &fixture, &fixture.path(), "out.onnx", "auto").expect(0);
    // In the graph, in each of four tensors, in the model, in each of four nodes.
    for path in [fixture.path(), bench.path("out.onnx")] {
        assert_eq!(bytes::unknown_fields(&std::fs::read(&path).unwrap()), [1, 4, 1, 4], "{}", path.display());
    }
}

/// The model with external data, in a folder that the test may write to, and the bytes of both files.
fn external() -> (Bench, Fixture, [Vec<u8>; 2]) {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("models")).unwrap();
    let bytes = EXTERNAL_FIXTURE.map(|name| {
        std::fs::copy(folder().join(name), bench.path("models").join(name)).unwrap();
        std::fs::read(folder().join(name)).unwrap()
    });
    (bench, fixture("external-data"), bytes)
}

const EXTERNAL_FIXTURE: [&str; 2] = ["external-data.onnx", "external-data.onnx.data"];

fn files(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(ToString::to_string).collect()
}

#[test]
fn external_data_in_another_folder_keeps_its_name_and_needs_nothing_of_the_old_folder() {
    let (bench, fixture, before) = external();
    std::fs::create_dir(bench.path("better")).unwrap();
    correct(&bench, &fixture, Path::new("models/external-data.onnx"), "better/out.onnx", "auto").expect(0);
    assert_eq!(EXTERNAL_FIXTURE.map(|name| std::fs::read(bench.path("models").join(name)).unwrap()), before);
    assert_eq!(files(&bench.path("models")), names(&EXTERNAL_FIXTURE));
    assert_eq!(files(&bench.path("better")), names(&["out.onnx", "out.report.json", "external-data.onnx.data"]));
    std::fs::remove_dir_all(bench.path("models")).unwrap();
    let out = bench.path("better/out.onnx");
    fixture.check_values(&out, "auto");
    let data = folder().join("data.npz");
    bench.run(&format!("score {} --data npz:{} -o scores.csv", out.display(), data.display())).expect(0);
}

#[test]
fn external_data_in_the_same_folder_gets_a_file_of_its_own() {
    let (bench, fixture, before) = external();
    correct(&bench, &fixture, Path::new("models/external-data.onnx"), "models/out.onnx", "auto").expect(0);
    assert_eq!(EXTERNAL_FIXTURE.map(|name| std::fs::read(bench.path("models").join(name)).unwrap()), before);
    let added = ["out.onnx", "out.onnx.data", "out.report.json"];
    assert_eq!(files(&bench.path("models")), &names(&EXTERNAL_FIXTURE) | &names(&added));
    for name in EXTERNAL_FIXTURE {
        std::fs::remove_file(bench.path("models").join(name)).unwrap();
    }
    fixture.check_values(&bench.path("models/out.onnx"), "auto");
    let data = std::fs::read(bench.path("models/out.onnx.data")).unwrap();
    std::fs::write(bench.path("external-data.onnx.data"), data).unwrap();
    fixture.check_external(&bench.path("out.onnx"));
}
