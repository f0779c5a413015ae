//! What a person sees: help, tables and messages, as snapshots, and which stream each goes to.
//!
//! Snapshots lie in `snapshots/`; `INSTA_UPDATE=always cargo test cli::` writes them anew, to be read before they are
//! committed. Paths, versions and digits that may differ from one processor to the next are filtered.

use crate::support::{Bench, Ran, data, model, repository, samples};
use onnx_sap::model::{GraphIndex, Model};

/// Makes what differs between machines the same.
fn filtered(check: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("snapshots");
    for (pattern, replacement) in [
        (regex::escape(repository("").to_str().unwrap()), "[repository]/"),
        (r"onnxruntime \d+\.\d+\.\d+".into(), "onnxruntime [version]"),
        (r"tract \d+\.\d+\.\d+".into(), "tract [version]"),
        (r"onnx-sap \d+\.\d+\.\d+\S*".into(), "onnx-sap [version]"),
        (r"agrees within \d\.\de-\d".into(), "agrees within [difference]"),
        (r"on cpu, \w+ \w+.*".into(), "on cpu, [machine]"),
    ] {
        settings.add_filter(&pattern, replacement);
    }
    settings.bind(check);
}

/// The same, and what was measured becomes `N`, so that the table keeps its shape.
fn measured(check: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    for (pattern, replacement) in [
        (r"\b\d\d\.\d %", "NN.N %"),
        (r"[+-]\d\.\d\b", "+N.N"),
        (r" \d\.\d{4}\b", " N.NNNN"),
        (r" \d\.\d{3}\b", " N.NNN"),
        (r" \d\.\d\b", " N.N"),
    ] {
        settings.add_filter(pattern, replacement);
    }
    settings.bind(|| filtered(check));
}

/// The command, with help as wide as a terminal of 100 columns.
fn run(bench: &Bench, arguments: &str) -> Ran {
    bench.run_with(arguments, &[("COLUMNS", "100"), ("NO_COLOR", "1")])
}

/// The main command on the small model, with one candidate.
fn small_run(options: &str) -> String {
    format!("in.onnx out.onnx --data npz:data.npz --alpha 300 {options}")
}

#[test]
fn help_says_what_there_is() {
    let bench = Bench::new();
    for (name, arguments) in [
        ("help", "--help"),
        ("help_short", "-h"),
        ("help_inspect", "inspect --help"),
        ("help_score", "score --help"),
        ("help_detect", "detect --help"),
        ("help_attribute", "attribute --help"),
        ("help_compare", "compare --help"),
        ("help_diff", "diff --help"),
        ("help_grad", "grad --help"),
        ("help_check", "check --help"),
        ("help_golden", "golden record --help"),
        ("help_runtime", "runtime --help"),
        ("version", "--version"),
    ] {
        let ran = run(&bench, arguments).expect(0);
        assert_eq!(ran.stderr, "", "{arguments}");
        filtered(|| insta::assert_snapshot!(name, ran.stdout));
    }
}

#[test]
fn shells_and_man_know_every_command_and_option() {
    let bench = Bench::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(&bench, &format!("completions {shell}")).expect(0).stdout;
        for word in ["detect", "inspect", "runtime", "alpha-per-layer", "max-memory"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let page = run(&bench, "man").expect(0).stdout;
    assert!(page.contains(".TH onnx-sap 1") && page.contains(r"\-\-alpha\-per\-layer"), "{page}");
    run(&bench, "man pages/man1").expect(0);
    for page in ["onnx-sap.1", "onnx-sap-detect.1", "onnx-sap-runtime-install.1"] {
        assert!(bench.path("pages/man1").join(page).is_file(), "{page}");
    }
    let ran = run(&bench, "completions tcsh").expect(2);
    assert!(ran.stderr.contains("bash, elvish, fish"), "{}", ran.stderr);
}

#[test]
fn without_arguments_it_shows_how_it_is_used_and_fails() {
    let bench = Bench::new();
    let ran = run(&bench, "").expect(2);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("Usage: onnx-sap [OPTIONS] --data <SPEC> <IN.onnx> <OUT.onnx>"), "{}", ran.stderr);
    let ran = run(&bench, "runtime").expect(2);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("Usage: onnx-sap runtime"), "{}", ran.stderr);
}

#[test]
fn grad_tells_what_the_new_model_takes_and_gives() {
    let bench = Bench::new();
    std::fs::copy(model("mlp"), bench.path("mlp.onnx")).unwrap();
    let ran = run(&bench, "grad mlp.onnx gradients.onnx --wrt ^fc3 --norms --sample-weights").expect(0);
    filtered(|| insta::assert_snapshot!("grad", ran.stdout));
    assert_eq!(run(&bench, "grad mlp.onnx other.onnx --wrt inputs --quiet").expect(0).stdout, "");
}

#[test]
fn inspect_lists_every_weight() {
    let bench = Bench::new();
    let lenet = model("lenet").display().to_string();
    let text = run(&bench, &format!("inspect {lenet}")).expect(0);
    let json = run(&bench, &format!("inspect {lenet} --format json")).expect(0);
    let left = run(&bench, &format!("inspect {lenet} --include conv --exclude conv2.weight")).expect(0);
    let others = repository("fixtures/weights-everywhere/other-ops.onnx");
    let skipped = run(&bench, &format!("inspect {}", others.display())).expect(0);
    filtered(|| {
        insta::assert_snapshot!("inspect", text.stdout);
        insta::assert_snapshot!("inspect_json", json.stdout);
        insta::assert_snapshot!("inspect_include", left.stdout);
        insta::assert_snapshot!("inspect_skipped", skipped.stdout);
    });
    assert_eq!(text.stderr + &json.stderr, "");
    serde_json::from_str::<serde_json::Value>(&json.stdout).unwrap();
}

#[test]
fn the_main_command_ends_with_tables_of_layers_candidates_and_accuracy() {
    let bench = Bench::with_fashion();
    let (mlp, data) = (model("mlp").display().to_string(), "fashion-mnist:fashion-noisy");
    let arguments = format!(
        "{mlp} out.onnx --data {data} --test {data}#test --alpha 300,3000 --dry-run --device cpu \
                             --preset fast --recalibrate auto"
    );
    let ran = run(&bench, &arguments).expect(0);
    measured(|| insta::assert_snapshot!("correct", ran.stdout));
    assert_eq!(ran.stderr, "", "no progress where stderr is no terminal");
    assert!(!bench.path("out.onnx").exists());
    assert_eq!(bench.report()["params"]["dry_run"], true);
}

#[test]
fn attribute_ends_with_what_losses_are_attributed_to_and_the_neurons_that_answer() {
    let bench = Bench::with_small_model();
    let ran = run(&bench, "attribute in.onnx --data npz:data.npz -o samples.csv --neurons neurons.csv --device cpu")
        .expect(0);
    measured(|| insta::assert_snapshot!("attribute", format!("{}{}", ran.stdout, ran.stderr)));
    let ran = run(&bench, "attribute in.onnx --data npz:data.npz --neurons neurons.txt").expect(2);
    assert!(ran.stderr.contains("cannot write neurons to neurons.txt"), "{}", ran.stderr);
    let ran = run(&bench, "attribute in.onnx --data npz:data.npz --quality neurons.csv").expect(2);
    assert!(ran.stderr.contains("neurons.csv has no column path"), "{}", ran.stderr);
    let ran =
        run(&bench, "attribute in.onnx --data npz:data.npz --quality samples.csv --neurons samples.csv").expect(2);
    assert!(ran.stderr.contains("samples.csv is the table of --quality"), "{}", ran.stderr);
}

#[test]
fn detect_ends_with_classes_pairs_and_the_likeliest_wrong() {
    let bench = Bench::with_small_model();
    let values: Vec<f32> = (0..40 * 64).map(|at| ((at * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let labels: Vec<u8> = (0..40).map(|sample| sample % 4).collect();
    bench.put("data.npz", &samples(&[40, 1, 8, 8], &values, &labels));
    let ran = run(&bench, "detect in.onnx --data npz:data.npz -o issues.csv --device cpu").expect(0);
    measured(|| insta::assert_snapshot!("detect", ran.stdout));
    assert_eq!(ran.stderr, "");
}

#[test]
fn compare_ends_with_methods_runs_and_what_they_were_judged_on() {
    let bench = Bench::with_small_model();
    bench.put("forget.txt", b"1\n2\n3\n");
    let sets = "--data npz:data.npz --test npz:data.npz --forget-ids forget.txt --alpha 3000,30000 --device cpu";
    let ran = run(&bench, &format!("compare in.onnx {sets} --methods sap,influence --skip-head -q")).expect(0);
    let mut settings = insta::Settings::clone_current();
    // What was measured, and how wide it makes a column.
    settings.add_filter(r" \d+\.\d\b", " N.N");
    settings.add_filter(r"α = .+?  ", "[recipe]  ");
    settings.add_filter(r" {2,}", "  ");
    settings.bind(|| filtered(|| insta::assert_snapshot!("compare", ran.stdout)));
    assert_eq!(ran.stderr, "");
}

#[test]
fn diff_shows_structure_tensors_and_flips() {
    let bench = crate::check::bench();
    let ran = run(&bench, "diff golden.onnx far.onnx --data npz:data.npz").expect(1);
    filtered(|| insta::assert_snapshot!("diff", ran.stdout));
    assert_eq!(ran.stderr, "");
    let ran = run(&bench, "diff golden.onnx same.onnx").expect(0);
    filtered(|| insta::assert_snapshot!("diff_same", ran.stdout));
}

#[test]
fn check_ends_with_a_line_for_each_finding_and_the_reason_of_a_no() {
    let bench = crate::check::bench();
    let ran = run(&bench, "golden record golden.onnx record --data npz:data.npz --with-model").expect(0);
    filtered(|| insta::assert_snapshot!("golden_record", ran.stdout));
    let policy = "structure = 'same'\ntensors.may_change = ['b']\noutputs.z = { atol = 1 }\naccuracy.minimum = 0.25\n\
                  predictions.maximum_flip_rate = 0.5";
    bench.put("policy.toml", policy.as_bytes());
    let ran = run(&bench, "check far.onnx --golden record --policy policy.toml").expect(1);
    filtered(|| insta::assert_snapshot!("check", format!("{}{}", ran.stdout, ran.stderr)));
}

#[test]
fn score_ends_with_one_line_of_figures() {
    let bench = Bench::new();
    let arguments = format!("score {} --data {} -o scores.csv --device cpu", model("mlp").display(), data("val"));
    let ran = run(&bench, &arguments).expect(0);
    measured(|| insta::assert_snapshot!("score", ran.stdout));
    assert_eq!(ran.stderr, "");
    let scores = std::fs::read_to_string(bench.path("scores.csv")).unwrap();
    assert_eq!(scores.lines().next(), Some("id,label,predicted,confidence,loss"));
    assert_eq!(scores.lines().count(), 2001);
}

#[test]
fn errors_read_as_one_sentence() {
    let bench = Bench::with_small_model();
    bench.put("cut.onnx", &std::fs::read(bench.path("in.onnx")).unwrap()[..1000]);
    bench.put("ids.txt", b"7\n7\n");
    let cases = [
        "missing.onnx out.onnx --data npz:data.npz",
        "cut.onnx out.onnx --data npz:data.npz",
        "data.npz out.onnx --data npz:data.npz",
        "in.onnx in.onnx --data npz:data.npz",
        "in.onnx data.npz --data npz:data.npz",
        "in.onnx absent/out.onnx --data npz:data.npz",
        "in.onnx out.onnx --data imagenet:data",
        "in.onnx out.onnx --data mnist",
        "in.onnx out.onnx --data npz:data.npz --size 9",
        "in.onnx out.onnx --data npz:data.npz --include encoder",
        "in.onnx out.onnx --data npz:data.npz --exclude .",
        "in.onnx out.onnx --data npz:data.npz --trusted-ids ids.txt",
        "in.onnx out.onnx --data npz:data.npz --device cuda --engine tract",
        "in.onnx out.onnx --data npz:data.npz --alpha 1,,2",
        "in.onnx out.onnx --data npz:data.npz --trusted 0",
        "in.onnx out.onnx --data npz:data.npz --engine torch",
        "in.onnx out.onnx --data npz:data.npz --solver lu",
        "in.onnx out.onnx --data npz:data.npz --include (",
        "in.onnx out.onnx",
        "score in.onnx --data npz:data.npz -o scores.txt",
    ];
    let told = cases.map(|arguments| {
        let ran = run(&bench, arguments).expect(2);
        assert_eq!(ran.stdout, "");
        format!("$ onnx-sap {arguments}\n{}", ran.stderr)
    });
    filtered(|| insta::assert_snapshot!("errors", told.join("\n")));
}

#[test]
fn a_no_is_told_on_stderr_with_the_way_to_override_it() {
    let bench = Bench::with_small_model();
    let ran = run(&bench, "in.onnx out.onnx --data npz:data.npz --preset fast --alpha 0.0001,0.0002").expect(1);
    insta::assert_snapshot!(ran.stderr, @"onnx-sap: no candidate beats the original on 64 perturbed training images; out.onnx is not written (--force writes it)");
    assert!(ran.stdout.contains("accuracy on") && !bench.path("out.onnx").exists());
    assert!(bench.path("out.report.json").exists());
}

#[test]
fn quiet_prints_nothing_where_all_is_well() {
    let bench = Bench::with_small_model();
    for arguments in [small_run("-q"), "score in.onnx --data npz:data.npz -o scores.jsonl --quiet".into()] {
        let ran = run(&bench, &arguments).expect(0);
        assert_eq!(ran.stdout + &ran.stderr, "", "{arguments}");
    }
    let ran = run(&bench, &small_run("--quiet")).expect(2);
    assert!(ran.stdout.is_empty() && ran.stderr.starts_with("error: out.onnx exists"), "{}", ran.stderr);
}

#[test]
fn verbose_explains_the_choice_of_the_engine_on_stderr() {
    let bench = Bench::with_small_model();
    let ran = run(&bench, &small_run("-v --engine tract")).expect(0);
    assert_eq!(ran.stderr, "asked for by `--engine tract`\n");
    let ran = run(&bench, &small_run("-v --engine ort --device cpu --force")).expect(0);
    assert!(ran.stderr.starts_with("ONNX Runtime ") && ran.stderr.ends_with("device cpu was asked for\n"));
    assert!(!ran.stdout.contains("was asked for"));
}

#[test]
fn nothing_is_coloured_and_nothing_moves_where_no_terminal_is() {
    let bench = Bench::with_small_model();
    for environment in [&[][..], &[("NO_COLOR", "1")], &[("TERM", "xterm-256color")]] {
        let ran = bench.run_with(&small_run("--force"), environment).expect(0);
        assert_eq!(ran.stderr, "");
        assert!(!ran.stdout.contains(['\u{1b}', '\r']), "{}", ran.stdout);
        let ran = bench.run_with("--help", environment).expect(0);
        assert!(!ran.stdout.contains('\u{1b}'));
    }
}

#[test]
fn runtime_status_names_what_would_be_used() {
    let ran = run(&Bench::new(), "runtime status").expect(0);
    assert!(ran.stdout.starts_with("ONNX Runtime, in the order of the search\n"), "{}", ran.stdout);
    assert!(ran.stdout.lines().last().unwrap().contains("would "), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
}

/// Runs with no ONNX Runtime on this machine and no way to fetch one.
fn offline(bench: &Bench, arguments: &str) -> Ran {
    let nowhere = bench.path("nowhere").display().to_string();
    let variables = ["ONNX_SAP_CACHE", "HOME", "XDG_CACHE_HOME", "VIRTUAL_ENV", "PATH", "LD_LIBRARY_PATH"];
    let mut environment: Vec<(&str, &str)> = variables.map(|name| (name, nowhere.as_str())).to_vec();
    environment.extend([("ONNX_SAP_OFFLINE", "1"), ("ORT_DYLIB_PATH", ""), ("DYLD_LIBRARY_PATH", nowhere.as_str())]);
    bench.run_with(arguments, &environment)
}

#[test]
fn without_onnx_runtime_tract_gives_the_same_weights_and_says_so() {
    let bench = Bench::new();
    let (mlp, train) = (model("mlp").display().to_string(), data("train"));
    bench.run(&format!("{mlp} ort.onnx --data {train} --alpha 3000 --engine ort")).expect(0);
    let arguments = format!("{mlp} out.onnx --data {train} --alpha 3000");
    let ran = offline(&bench, &arguments).expect(0);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.starts_with("warning: tract runs the model"), "{}", ran.stderr);
    assert!(ran.stderr.contains("ONNX_SAP_OFFLINE forbids fetching"), "{}", ran.stderr);
    assert_eq!(bench.report()["engine"]["name"], "tract");
    assert_eq!(bench.report()["verify"]["tract"]["status"], "same_engine");

    let [ours, theirs] = ["ort.onnx", "out.onnx"].map(|name| Model::open(&bench.path(name)).unwrap());
    let original = Model::open(&model("mlp")).unwrap();
    let index = GraphIndex::new(&ours).unwrap();
    for weight in ["fc1.weight", "fc2.weight", "fc3.weight"] {
        let constant = index.constant(weight).unwrap();
        let [a, b, before] = [&ours, &theirs, &original].map(|model| model.values(constant).unwrap());
        let largest = a.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let apart = (&a - &b).iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        assert!(apart <= 1e-5 * largest.max(1.0), "{weight}: {apart}");
        assert!((&a - &before).iter().any(|change| change.abs() > 1e-3 * largest), "{weight} was corrected");
    }
}

#[test]
fn an_engine_that_was_asked_for_and_cannot_be_had_is_an_error() {
    let bench = Bench::with_small_model();
    let ran = offline(&bench, &small_run("--engine ort")).expect(2);
    assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1), "{}", ran.stderr);
    for part in ["error: onnxruntime is not available", "ONNX_SAP_OFFLINE", "ORT_DYLIB_PATH", "`--engine tract`"] {
        assert!(ran.stderr.contains(part), "no {part} in {}", ran.stderr);
    }
    assert!(!bench.path("out.onnx").exists() && !bench.path("nowhere").exists());
    let ran = offline(&bench, "runtime status").expect(0);
    assert!(ran.stdout.lines().last().unwrap().starts_with("would use tract"), "{}", ran.stdout);
}
