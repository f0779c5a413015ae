//! The gate: what passes, what fails, and what could not be checked; and the recipe of the docs and the action, run as they stand.

use crate::net::{archive, floats, net, x};
use crate::support::{Bench, Ran, data, model, repository};
use onnx_sap::check::RULES;
use onnx_sap::model::proto::{ModelProto, TensorProto};
use onnx_sap::tensor::ElementType;
use prost::Message;
use serde_json::Value;
use std::process::Command;

/// A linear model of four classes.
fn linear() -> Vec<u8> {
    net(4).output("z", ElementType::Float32, &["N", "4"]).bytes()
}

/// The same with one bias larger by `by`.
fn shifted(by: f32) -> Vec<u8> {
    let mut proto = ModelProto::decode(linear().as_slice()).unwrap();
    let bias = &mut proto.graph.as_mut().unwrap().initializer[1];
    let mut raw = bias.raw_data.to_vec();
    let old = f32::from_le_bytes(raw[..4].try_into().unwrap());
    raw[..4].copy_from_slice(&(old + by).to_le_bytes());
    bias.raw_data = raw.into();
    proto.encode_to_vec()
}

/// `golden.onnx`, `same.onnx`, `near.onnx` (a bias larger by 0.01), `far.onnx` (by 100, so that all are class 0), and `data.npz`.
pub(crate) fn bench() -> Bench {
    let bench = Bench::new();
    bench.put("golden.onnx", &linear());
    bench.put("same.onnx", &linear());
    bench.put("near.onnx", &shifted(0.01));
    bench.put("far.onnx", &shifted(100.0));
    bench.put("data.npz", &archive(&[floats("x", &[10, 3], &x())], 4));
    bench
}

fn check(bench: &Bench, candidate: &str, golden: &str, policy: &str, options: &str) -> Ran {
    bench.put("policy.toml", policy.as_bytes());
    bench.run(&format!("check {candidate} --golden {golden} --policy policy.toml {options}"))
}

/// A check on all samples of the data.
fn on_data(bench: &Bench, candidate: &str, policy: &str) -> Ran {
    check(bench, candidate, "golden.onnx", policy, "--data npz:data.npz")
}

/// The outcome as JSON.
fn outcome(bench: &Bench, candidate: &str, golden: &str, policy: &str, options: &str) -> Value {
    let ran = check(bench, candidate, golden, policy, &format!("--format json {options}"));
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{}\n{}", ran.stdout, ran.stderr))
}

/// The status of each finding of a rule.
fn statuses<'a>(outcome: &'a Value, rule: &str) -> Vec<&'a str> {
    let of_rule = |finding: &&Value| finding["rule"] == rule;
    let findings = outcome["findings"].as_array().unwrap().iter().filter(of_rule);
    findings.map(|finding| finding["status"].as_str().unwrap()).collect()
}

#[test]
fn each_rule_passes_what_holds_and_fails_what_does_not() {
    let bench = bench();
    for (policy, candidate, code) in [
        ("structure = 'same'", "far.onnx", 0),
        ("outputs.z = {}", "same.onnx", 0),
        ("outputs.z = {}", "near.onnx", 1),
        ("outputs.z = { atol = 0.02 }", "near.onnx", 0),
        ("outputs.z = { outliers = 0.25 }", "near.onnx", 0),
        ("outputs.z = { outliers = 0.24 }", "near.onnx", 1),
        ("outputs.'*' = { rtol = 1e9 }", "near.onnx", 0),
        ("tensors.may_change = ['b']", "far.onnx", 0),
        ("tensors.may_change = ['w']", "far.onnx", 1),
        ("tensors.may_change = []", "far.onnx", 1),
        ("tensors.may_change = []", "same.onnx", 0),
        ("predictions.maximum_flip_rate = 0", "near.onnx", 0),
        ("predictions.maximum_flip_rate = 0.2", "far.onnx", 1),
        ("predictions.maximum_flip_rate = 1", "far.onnx", 0),
        ("accuracy.minimum = 1", "same.onnx", 1),
        ("accuracy.minimum = 0", "same.onnx", 0),
        ("accuracy.maximum_drop = 0", "same.onnx", 0),
        ("accuracy.per_class.minimum = 0.1", "far.onnx", 1),
        ("accuracy.per_class.maximum_drop = 0", "same.onnx", 0),
    ] {
        let ran = on_data(&bench, candidate, policy);
        assert_eq!(ran.code, code, "{policy} for {candidate}:\n{}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn shares_are_those_that_score_and_diff_tell() {
    let bench = bench();
    let policy = "accuracy = { minimum = 0, maximum_drop = 1 }\npredictions.maximum_flip_rate = 1";
    let outcome = outcome(&bench, "far.onnx", "golden.onnx", policy, "--data npz:data.npz");
    let ran = bench.run("diff golden.onnx far.onnx --data npz:data.npz --format json").expect(1);
    let predictions = &serde_json::from_str::<Value>(&ran.stdout).unwrap()["predictions"];
    let accuracy = |side: &str| predictions[side]["accuracy"].as_f64().unwrap();
    let measured: Vec<f64> =
        outcome["findings"].as_array().unwrap().iter().map(|finding| finding["measured"].as_f64().unwrap()).collect();
    assert_eq!(measured, [accuracy("b"), accuracy("a") - accuracy("b"), predictions["flip_rate"].as_f64().unwrap()]);
}

#[test]
fn what_cannot_be_checked_is_no_pass() {
    let bench = bench();
    bench.run("golden record golden.onnx record --data npz:data.npz").expect(0);
    for (golden, options, policy, says) in [
        ("golden.onnx", "", "outputs.z = {}", "no golden outputs"),
        ("golden.onnx", "", "accuracy.minimum = 0", "no labelled samples"),
        ("golden.onnx", "", "predictions.maximum_flip_rate = 1", "no samples for which"),
        ("golden.onnx", "--data npz:data.npz", "outputs.y = {}", "no golden output has that name; there are z"),
        ("golden.onnx", "", "tensors.may_change = ['nothing', 'w']", "no tensor has such a name"),
        ("record", "", "structure = 'same'", "the golden model is not there"),
        ("record", "", "tensors.may_change = []", "the golden model is not there"),
        ("golden.onnx", "--data npz:data.npz", "engines = ['tract', 'ort']\nstructure = 'same'\noutputs.z = {}", ""),
    ] {
        let ran = check(&bench, "same.onnx", golden, policy, options);
        if says.is_empty() {
            ran.expect(0);
            continue;
        }
        let ran = ran.expect(2);
        assert!(ran.stderr.contains("could not be checked") && ran.stderr.contains(says), "{policy}: {}", ran.stderr);
    }
    // A failure is a failure, whatever else could not be checked.
    let policy = "tensors.may_change = []\naccuracy.minimum = 0";
    let ran = check(&bench, "far.onnx", "golden.onnx", policy, "").expect(1);
    assert!(ran.stderr.contains("does not hold to the policy: tensors b"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_it() {
    let bench = bench();
    bench.put("broken.onnx", b"no model");
    std::fs::create_dir(bench.path("empty")).unwrap();
    for (candidate, golden, policy, says) in [
        ("broken.onnx", "golden.onnx", "structure = 'same'", "broken.onnx"),
        ("same.onnx", "broken.onnx", "structure = 'same'", "broken.onnx"),
        ("same.onnx", "absent.onnx", "structure = 'same'", "absent.onnx"),
        ("same.onnx", "empty", "structure = 'same'", "holds no test set"),
        ("same.onnx", "golden.onnx", "structur = 'same'", "policy.toml: "),
        ("same.onnx", "golden.onnx", "", "asks for nothing"),
    ] {
        let ran = check(&bench, candidate, golden, policy, "-o outcome.json").expect(2);
        assert!(ran.stderr.contains(says), "{policy}: {}", ran.stderr);
        assert!(!bench.path("outcome.json").exists());
    }
    let ran = check(&bench, "same.onnx", "golden.onnx", "structure = 'same'", "-o outcome.txt").expect(2);
    assert!(ran.stderr.contains(".json or .xml"), "{}", ran.stderr);
    bench.run("golden record golden.onnx record --data npz:data.npz").expect(0);
    let manifest = std::fs::read(bench.path("record/golden.json")).unwrap();
    for (output, says) in [("record/golden.json", "a file of the golden record"), ("absent/outcome.json", "absent")] {
        let ran = check(&bench, "same.onnx", "record", "outputs.z = {}", &format!("-o {output}")).expect(2);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    assert_eq!(std::fs::read(bench.path("record/golden.json")).unwrap(), manifest);
    let ran = check(&bench, "same.onnx", "golden.onnx", "structure = 'same'", "-o golden.onnx");
    assert_eq!(ran.code, 2);
    assert_eq!(std::fs::read(bench.path("golden.onnx")).unwrap(), linear());
}

#[test]
fn a_record_stands_for_the_golden_model() {
    let policy = "outputs.z = { atol = 1e-6 }\naccuracy.maximum_drop = 0\npredictions.maximum_flip_rate = 0";
    for (format, options) in [("onnx", ""), ("npz", ""), ("npz", "--batch 3"), ("onnx", "--batch 4 --with-model")] {
        let bench = bench();
        let command = format!("golden record golden.onnx record --data npz:data.npz --format {format} {options}");
        bench.run(&command).expect(0);
        std::fs::remove_file(bench.path("golden.onnx")).unwrap();
        std::fs::remove_file(bench.path("data.npz")).unwrap();
        check(&bench, "same.onnx", "record", policy, "").expect(0);
        check(&bench, "near.onnx", "record", policy, "").expect(1);
        let found = outcome(&bench, "far.onnx", "record", policy, "");
        assert_eq!(found["golden"]["recorded_samples"], 10);
        for rule in ["outputs", "predictions"] {
            assert_eq!(statuses(&found, rule), ["fail"], "{format} {options}");
        }
    }
}

#[test]
fn the_same_record_is_the_same_bytes_and_is_replaced_only_when_told() {
    let bench = bench();
    for format in ["onnx", "npz"] {
        let record = |folder: &str, options: &str| {
            bench.run(&format!("golden record golden.onnx {folder} --data npz:data.npz --format {format} {options}"))
        };
        record(&format!("a-{format}"), "").expect(0);
        record(&format!("b-{format}"), "").expect(0);
        let files = |folder: &str| {
            let root = bench.path(folder);
            let all = bench.everything().into_iter().filter(|(path, _)| path.starts_with(&root));
            all.map(|(path, bytes)| (path.strip_prefix(&root).unwrap().to_owned(), bytes)).collect::<Vec<_>>()
        };
        let before = files(&format!("a-{format}"));
        assert_eq!(before, files(&format!("b-{format}")));
        let ran = record(&format!("a-{format}"), "").expect(2);
        assert!(ran.stderr.contains("--force"), "{}", ran.stderr);
        record(&format!("a-{format}"), "--samples 3 --force").expect(0);
        assert_ne!(before, files(&format!("a-{format}")));
    }
    bench.put("mine/notes.txt", b"mine");
    bench.put("a-npz/notes.txt", b"mine");
    for folder in ["mine", "a-npz"] {
        let ran = bench.run(&format!("golden record golden.onnx {folder} --data npz:data.npz --force")).expect(2);
        assert!(ran.stderr.contains("other files"), "{}", ran.stderr);
        assert_eq!(std::fs::read(bench.path(folder).join("notes.txt")).unwrap(), b"mine");
    }
}

#[test]
fn records_of_other_tools_are_read() {
    let bench = bench();
    let tensor = |name: &str, shape: &[i64], values: &[f32]| TensorProto {
        dims: shape.to_vec(),
        data_type: ElementType::Float32.onnx(),
        float_data: values.to_vec(),
        name: name.to_owned(),
        ..TensorProto::default()
    };
    let scores: Vec<f32> = crate::net::scores(4).into_iter().flatten().map(|score| score as f32).collect();
    for (folder, [input, output]) in [("named", ["x", "z"]), ("nameless", ["", ""])] {
        let set = format!("{folder}/test_data_set_0");
        bench.put(&format!("{set}/input_0.pb"), &tensor(input, &[10, 3], &x()).encode_to_vec());
        bench.put(&format!("{set}/output_0.pb"), &tensor(output, &[10, 4], &scores).encode_to_vec());
        check(&bench, "same.onnx", folder, "outputs.z = { atol = 1e-5 }", "").expect(0);
        check(&bench, "near.onnx", folder, "outputs.z = { atol = 1e-5 }", "").expect(1);
        let ran = check(&bench, "same.onnx", folder, "accuracy.minimum = 0", "").expect(2);
        assert!(ran.stderr.contains("no labelled samples"), "{}", ran.stderr);
    }
    let arrays = [floats("x", &[10, 3], &x()), floats("z", &[10, 4], &scores)];
    bench.put("arrays/test_set_0.npz", &archive(&arrays, 4));
    check(&bench, "same.onnx", "arrays", "outputs.z = { atol = 1e-5 }", "").expect(0);
    check(&bench, "near.onnx", "arrays", "outputs.z = { atol = 1e-5 }", "").expect(1);
    bench.put("named/test_data_set_0/output_0.pb", b"\x08\xff\xff\xff");
    let ran = check(&bench, "same.onnx", "named", "outputs.z = {}", "").expect(2);
    assert!(ran.stderr.contains("output_0.pb"), "{}", ran.stderr);
}

#[test]
fn drift_of_a_machine_is_told_from_a_candidate_that_is_worse() {
    let bench = bench();
    bench.run("golden record golden.onnx record --data npz:data.npz --with-model").expect(0);
    let policy = "outputs.z = { atol = 1e-4 }";
    let file = bench.path("record/test_data_set_0/output_0.pb");
    let mut output = TensorProto::decode(std::fs::read(&file).unwrap().as_slice()).unwrap();
    let elsewhere =
        output.raw_data.as_chunks::<4>().0.iter().flat_map(|chunk| (f32::from_le_bytes(*chunk) + 0.01).to_le_bytes());
    output.raw_data = elsewhere.collect::<Vec<u8>>().into();
    std::fs::write(&file, output.encode_to_vec()).unwrap();
    let manifest = bench.path("record/golden.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replacen("\"engine_version\": \"", "\"engine_version\": \"0.", 1)).unwrap();

    let found = outcome(&bench, "same.onnx", "record", policy, "");
    assert_eq!((statuses(&found, "drift"), statuses(&found, "outputs")), (vec!["fail"], vec!["pass"]));
    let ran = check(&bench, "same.onnx", "record", policy, "").expect(1);
    assert!(ran.stdout.contains("recorded on onnxruntime 0."), "{}", ran.stdout);
    let tolerant = format!("drift = 'note'\n{policy}");
    check(&bench, "same.onnx", "record", &tolerant, "").expect(0);
    let found = outcome(&bench, "far.onnx", "record", &tolerant, "");
    assert_eq!((statuses(&found, "drift"), statuses(&found, "outputs")), (vec!["noted"], vec!["fail"]));

    // Without the golden model it can only be suspected; the very model that was recorded has certainly drifted.
    std::fs::remove_file(bench.path("record/model.onnx")).unwrap();
    let ran = check(&bench, "near.onnx", "record", policy, "").expect(1);
    assert!(ran.stdout.contains("may be drift of the machine (engine's version"), "{}", ran.stdout);
    let ran = check(&bench, "same.onnx", "record", policy, "").expect(1);
    assert!(ran.stdout.contains("the very model that was recorded"), "{}", ran.stdout);

    bench.put("record/model.onnx", &shifted(1.0));
    let ran = check(&bench, "same.onnx", "record", policy, "").expect(2);
    assert!(ran.stderr.contains("is not the model that was recorded"), "{}", ran.stderr);
}

#[test]
fn every_engine_of_the_policy_runs_and_the_outcome_is_told_in_every_format() {
    let bench = bench();
    let policy = "engines = ['ort', 'tract']\noutputs.z = { atol = 1e-4 }";
    let ran = check(
        &bench,
        "far.onnx",
        "golden.onnx",
        policy,
        "--data npz:data.npz --format github -o outcome.json -o outcome.xml",
    )
    .expect(1);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.starts_with("::error file=far.onnx,title=")), "{lines:?}");
    let outcome: Value = serde_json::from_slice(&std::fs::read(bench.path("outcome.json")).unwrap()).unwrap();
    let engines: Vec<&str> =
        outcome["environments"].as_array().unwrap().iter().map(|there| there["engine"].as_str().unwrap()).collect();
    assert_eq!((engines, statuses(&outcome, "outputs")), (vec!["onnxruntime", "tract"], vec!["fail", "fail"]));
    let xml = std::fs::read_to_string(bench.path("outcome.xml")).unwrap();
    assert!(xml.starts_with("<?xml") && xml.contains(r#"failures="2""#), "{xml}");
}

/// What stands between two lines of a text.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    text.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).unwrap_or_else(|| panic!("{begin}")).0
}

/// A folder as the recipe finds it: a model, a corrected one, the policy of the docs, and data.
fn merge_request() -> Bench {
    let bench = Bench::with_fashion();
    std::fs::rename(bench.path("fashion-noisy"), bench.path("data")).unwrap();
    std::fs::copy(model("lenet"), bench.path("original.onnx")).unwrap();
    let ran = format!("original.onnx better.onnx --data {} --val {} --alpha 3000", data("train"), data("val"));
    bench.run(&ran).expect(0);
    let docs = std::fs::read_to_string(repository("docs/checking.md")).unwrap();
    let policy = between(&docs, "<!-- policy: run by the test suite -->\n\n```toml\n", "```");
    bench.put("policy.toml", policy.as_bytes());
    bench
}

/// Runs a script with the built command on the path.
fn shell(bench: &Bench, script: &str, environment: &[(&str, &str)]) -> Ran {
    let built = assert_cmd::cargo::cargo_bin("onnx-sap");
    // The action finds the command where it has installed it.
    let installed = bench.path("onnx-sap/bin");
    std::fs::create_dir_all(&installed).unwrap();
    if !installed.join("onnx-sap").exists() {
        std::os::unix::fs::symlink(built, installed.join("onnx-sap")).unwrap();
    }
    let path = format!("{}:{}", installed.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-e", "-o", "pipefail", "-c", script]).current_dir(bench.path(".")).env("PATH", path);
    let output = command.env("RUNNER_TEMP", bench.path(".")).envs(environment.iter().copied()).output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn the_recipe_of_the_docs_passes_a_correction_and_refuses_another_model() {
    let bench = merge_request();
    let docs = std::fs::read_to_string(repository("docs/checking.md")).unwrap();
    let recipe = docs.split_once("<!-- recipe: run by the test suite -->").unwrap().1;
    let commands: Vec<&str> =
        recipe.split("```console\n").skip(1).map(|block| block.split_once("```").unwrap().0).collect();
    let [record, check] = commands.as_slice() else { panic!("{commands:?}") };
    shell(&bench, record, &[]).expect(0);
    shell(&bench, check, &[]).expect(0);
    std::fs::copy(model("mlp"), bench.path("better.onnx")).unwrap();
    let ran = shell(&bench, check, &[]).expect(1);
    assert!(ran.stderr.contains("structure"), "{}", ran.stderr);
    assert!(bench.path("check.xml").exists());
}

#[test]
fn the_action_runs_as_it_stands() {
    let action = std::fs::read_to_string(repository("action.yml")).unwrap();
    let step = action.split_once("- name: Check\n").unwrap().1;
    let block = step.split_once("run: |\n").unwrap().1;
    let script = block.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let bench = merge_request();
    let inputs = |candidate: &'static str, options: &'static str| {
        [
            ("CANDIDATE", candidate),
            ("GOLDEN", "original.onnx"),
            ("POLICY", "policy.toml"),
            ("DATA", "fashion-mnist:data#val"),
            ("OPTIONS", options),
            ("REPORTS", "outcome"),
        ]
    };
    for (variable, _) in inputs("", "") {
        let input = format!("{variable}: ${{{{ inputs.{} }}}}", variable.to_lowercase());
        assert!(step.contains(&input), "{input}");
    }
    let ran = shell(&bench, &script, &inputs("better.onnx", "--samples 64 --engine tract")).expect(0);
    assert!(ran.stdout.starts_with("::notice file=better.onnx,title=onnx-sap check::"), "{}", ran.stdout);
    let outcome: Value = serde_json::from_slice(&std::fs::read(bench.path("outcome.json")).unwrap()).unwrap();
    assert_eq!(outcome["verdict"], "pass");
    std::fs::copy(model("mlp"), bench.path("other.onnx")).unwrap();
    let ran = shell(&bench, &script, &inputs("other.onnx", "")).expect(1);
    assert!(ran.stdout.starts_with("::error file=other.onnx,title=onnx-sap check%3A structure"), "{}", ran.stdout);
}

#[test]
fn the_docs_know_every_rule() {
    let path = repository("docs/checking.md");
    let docs = std::fs::read_to_string(&path).unwrap();
    let begin =
        "<!-- rules: those of src/check/rules, checked by the test suite -->\n\n| rule | judges |\n| --- | --- |\n";
    let end = "\n<!-- end of rules -->\n";
    let wanted: Vec<String> = RULES.iter().map(|rule| format!("| {} | {} |\n", rule.name(), rule.summary())).collect();
    let wanted = wanted.concat();
    let held = between(&docs, begin, end);
    if std::env::var_os("UPDATE_README").is_some() {
        let (before, after) = (docs.split_once(begin).unwrap().0, docs.split_once(end).unwrap().1);
        std::fs::write(&path, [before, begin, &wanted, end, after].concat()).unwrap();
        return;
    }
    assert_eq!(held, wanted, "write it with `UPDATE_README=1 cargo test --test suite the_docs_know`");
}
