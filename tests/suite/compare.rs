//! `onnx-sap compare`: its numbers are those of the main command, and all models are judged on the same samples.

use crate::support::Bench;
use onnx_sap::methods::METHODS;
use onnx_sap::report::html::comparison::FIGURES;
use serde_json::Value;
use std::collections::BTreeMap;

/// Samples of the small data set, which is training data and test data here.
const SAMPLES: u64 = 64;

/// What `compare` says of the small model as JSON.
fn compared(bench: &Bench, options: &str) -> Value {
    let sets = "--data npz:data.npz --test npz:data.npz";
    let ran = bench.run(&format!("compare in.onnx {sets} --format json --quiet {options}")).expect(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn method<'r>(report: &'r Value, name: &str) -> &'r Value {
    report["methods"].as_array().unwrap().iter().find(|method| method["method"] == name).unwrap()
}

/// Whether the model predicts the label of each sample, by the sample's id.
fn right(bench: &Bench, model: &str) -> BTreeMap<String, bool> {
    bench.run(&format!("score {model} --data npz:data.npz -o scores.csv -q")).expect(0);
    let scores = std::fs::read_to_string(bench.path("scores.csv")).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (cells[0].to_owned(), cells[1] == cells[2])
    };
    scores.lines().skip(1).map(row).collect()
}

/// The share that is right of those samples.
fn share<'b>(of: impl IntoIterator<Item = &'b bool>) -> f64 {
    let all: Vec<bool> = of.into_iter().copied().collect();
    all.iter().filter(|right| **right).count() as f64 / all.len() as f64
}

#[test]
fn every_method_of_the_registry_does_as_with_the_main_command() {
    let bench = Bench::with_small_model();
    let report = compared(&bench, "--seeds 3");
    assert_eq!(report["methods"].as_array().unwrap().len(), METHODS.len());
    let stays = |name: &str| &method(&report, name)["runs"][0]["original_stays"];
    assert_eq!((stays("sap"), stays("influence")), (&false.into(), &true.into()), "both cases are to be seen");
    for (compared, registered) in report["methods"].as_array().unwrap().iter().zip(METHODS) {
        let name = registered.name();
        assert_eq!(compared["method"], name);
        let run = &compared["runs"][0];
        assert_eq!(run["seed"], 3);
        let command = format!("in.onnx out.onnx --data npz:data.npz --seed 3 --method {name} --dry-run -q");
        let alone = bench.run(&format!("{command} --test npz:data.npz"));
        if run["status"] == "impossible" {
            let reason = run["reason"].as_str().unwrap();
            assert!(alone.code == 2 && alone.stderr.contains(reason), "{name}: {reason}; {}", alone.stderr);
            continue;
        }
        let alone = bench.report();
        assert_eq!(
            (&run["verdict"], &run["chosen"]),
            (&alone["chosen"]["verdict"], &recipe(&alone["chosen"])),
            "{name}"
        );
        assert_eq!(run["trials"].as_u64().unwrap(), alone["candidates"].as_array().unwrap().len() as u64, "{name}");
        assert_eq!(run["validation"], alone["after"]["validation"], "{name}");
        assert_eq!(run["params"]["method"], name);
        let stays = run["original_stays"].as_bool().unwrap();
        assert_eq!(stays, alone["chosen"]["verdict"] == "not_better", "{name}");
        let kept = if stays { &alone["before"] } else { &alone["after"] };
        assert_eq!(run["accuracy"]["test"], kept["test"], "{name}");
        // The main command runs the original and the corrected model over the test data, too.
        let fed = alone["passes"]["forward"].as_u64().unwrap() - 2 * SAMPLES;
        assert_eq!(run["passes"]["forward"].as_u64().unwrap(), fed, "{name}");
        assert_eq!(run["passes"]["backward"], alone["passes"]["backward"], "{name}");
        assert_eq!(compared["mean"]["forward"]["mean"].as_f64().unwrap(), fed as f64 / SAMPLES as f64, "{name}");
        assert_eq!(report["original"]["test"], alone["before"]["test"]);
    }
}

/// What the report of the main command says of the chosen candidate besides how good it is.
fn recipe(chosen: &Value) -> Value {
    let mut recipe = chosen.clone();
    for other in ["verdict", "advantage", "runner_up"] {
        recipe.as_object_mut().unwrap().remove(other);
    }
    recipe
}

#[test]
fn what_is_to_be_forgotten_is_given_and_the_rest_is_retained() {
    let bench = Bench::with_small_model();
    let ids = ["5", "11", "40", "41", "63"];
    bench.put("forget.txt", ids.join("\n").as_bytes());
    let report = compared(&bench, "--methods sap --forget-ids forget.txt");
    assert_eq!(report["forget"]["ids"], serde_json::json!(ids));
    assert_eq!((&report["forget"]["by"], &report["forget"]["count"]), (&"given".into(), &5.into()));
    bench.run("in.onnx out.onnx --data npz:data.npz -q").expect(0);
    let judged = [("in.onnx", &report["original"]), ("out.onnx", &method(&report, "sap")["runs"][0]["accuracy"])];
    for (model, accuracy) in judged {
        let right = right(&bench, model);
        let (forget, retain): (Vec<_>, Vec<_>) = right.iter().partition(|(id, _)| ids.contains(&id.as_str()));
        for (part, samples) in [("forget", forget), ("retain", retain)] {
            let wanted = share(samples.iter().map(|(_, right)| *right));
            assert_eq!(accuracy[part]["accuracy"].as_f64().unwrap(), wanted, "{model}: {part}");
            assert_eq!(accuracy[part]["samples"].as_u64().unwrap(), samples.len() as u64, "{model}: {part}");
        }
        assert_eq!(accuracy["test"]["accuracy"].as_f64().unwrap(), share(right.values()), "{model}");
    }
}

#[test]
fn all_models_are_judged_on_what_the_first_corrected_one_tells_to_forget() {
    let bench = Bench::with_small_model();
    let of = |methods: &str| compared(&bench, &format!("--methods {methods}"))["forget"].clone();
    let (alone, first, second) = (of("sap"), of("sap,influence"), of("influence,sap"));
    assert_eq!((&alone["by"], &alone["method"]), (&"losses".into(), &"sap".into()));
    // The influence method changes nothing here, so that it does not settle anything.
    assert_eq!((&first, &second), (&alone, &alone));
    assert_eq!(of("influence")["method"], Value::Null, "the original settles it where nothing better is found");
}

#[test]
fn several_seeds_have_a_mean_and_a_deviation() {
    let bench = Bench::with_small_model();
    let report = compared(&bench, "--methods sap --seeds 4,1,2 --max-rows 40");
    let sap = method(&report, "sap");
    let runs = sap["runs"].as_array().unwrap();
    assert_eq!(runs.iter().map(|run| run["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [4, 1, 2]);
    let tested: Vec<f64> = runs.iter().map(|run| run["accuracy"]["test"]["accuracy"].as_f64().unwrap()).collect();
    let mean = tested.iter().sum::<f64>() / 3.0;
    let deviation = (tested.iter().map(|accuracy| (accuracy - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    let close = |found: &Value, wanted: f64| (found.as_f64().unwrap() - wanted).abs() < 1e-12;
    assert!(close(&sap["mean"]["test"]["mean"], mean) && close(&sap["mean"]["test"]["sd"], deviation), "{sap}");
    let one = compared(&bench, "--methods sap --seeds 4 --max-rows 40");
    let alone = &method(&one, "sap")["runs"][0];
    assert_eq!((&alone["chosen"], &alone["accuracy"]["test"]), (&runs[0]["chosen"], &runs[0]["accuracy"]["test"]));
    assert_eq!(method(&one, "sap")["mean"]["test"]["sd"], Value::Null);
}

#[test]
fn a_method_that_cannot_be_had_is_a_row_and_none_at_all_an_error() {
    let bench = Bench::with_small_model();
    let sets = "compare in.onnx --data npz:data.npz --test npz:data.npz --skip-head";
    let ran = bench.run(&format!("{sets} --methods sap,influence")).expect(0);
    let row = ran.stdout.lines().find(|line| line.trim_start().starts_with("influence")).unwrap();
    assert!(row.contains("cannot be had: the method influence corrects the last layer"), "{row}");
    assert!(ran.stderr.contains("warning: influence, seed 0: the method influence corrects"), "{}", ran.stderr);
    let report = compared(&bench, "--skip-head --methods sap,influence");
    assert_eq!(method(&report, "influence")["mean"], Value::Null);
    assert_eq!(method(&report, "influence")["runs"][0]["status"], "impossible");
    assert_eq!(method(&report, "sap")["runs"][0]["status"], "ran");
    let ran = bench.run(&format!("{sets} --methods influence -q")).expect(2);
    assert!(ran.stderr.starts_with("error: no method can be had for this model: influence: "), "{}", ran.stderr);
    assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1));
}

#[test]
fn the_page_says_what_the_json_says_and_nothing_else_is_written() {
    let bench = Bench::with_small_model();
    let before = bench.everything();
    let report = compared(&bench, "--methods sap,influence -o compared.json --html page.html");
    let written: Value = serde_json::from_slice(&std::fs::read(bench.path("compared.json")).unwrap()).unwrap();
    assert_eq!(written, report);
    let mut left: Vec<_> = bench.everything().into_keys().filter(|path| !before.contains_key(path)).collect();
    left.sort();
    assert_eq!(left, [bench.path("compared.json"), bench.path("page.html")]);
    let page = std::fs::read_to_string(bench.path("page.html")).unwrap();
    for id in FIGURES {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
    for outside in ["<script", "http:", "https:", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let percent = |quality: &Value| format!(">{:.1} %<", 100.0 * quality["accuracy"].as_f64().unwrap());
    let rows = page.split("id=\"fig-methods\"").nth(1).unwrap().split("</figure>").next().unwrap();
    assert!(rows.contains(&percent(&report["original"]["test"])), "{rows}");
    for name in ["sap", "influence"] {
        let run = &method(&report, name)["runs"][0];
        let row = rows.split("<tr>").find(|row| row.contains(&format!(">{name}<"))).unwrap();
        assert!(row.contains(&percent(&run["accuracy"]["test"])), "{row}");
        let fed = run["passes"]["forward"].as_f64().unwrap() / SAMPLES as f64;
        assert!(row.contains(&format!(">{fed:.1}<")), "{fed} in {row}");
    }
    assert!(page.contains("compare in.onnx --data npz:data.npz"), "the command that makes it again");
}

#[test]
fn no_input_is_overwritten() {
    let bench = Bench::with_small_model();
    bench.put("forget.txt", b"1\n");
    std::fs::copy(bench.path("data.npz"), bench.path("val.npz")).unwrap();
    let before = bench.everything();
    let cases = [
        ("-o in.onnx", "in.onnx"),
        ("--html data.npz", "data.npz is a file of the data"),
        ("--val npz:val.npz -o val.npz", "val.npz is a file of the data"),
        ("-o forget.txt --forget-ids forget.txt", "forget.txt is the list of --forget-ids"),
        ("-o both --html both", "cannot be both the page and the JSON"),
        ("-o absent/compared.json", "absent"),
    ];
    for (options, says) in cases {
        let sets = "--data npz:data.npz --test npz:data.npz";
        let ran = bench.run(&format!("compare in.onnx {sets} --methods sap {options}")).expect(2);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(says), "{options}: {}", ran.stderr);
    }
    assert_eq!(bench.everything(), before);
}

#[test]
fn what_makes_no_sense_is_refused_with_the_way_out() {
    let bench = Bench::with_small_model();
    bench.put("forget.txt", b"1\nnine\n");
    let cases = [
        ("--methods sap,lobotomy", "lobotomy"),
        ("--methods sap,sap", "--methods names sap twice"),
        ("--seeds 1,1", "--seeds names 1 twice"),
        ("--seeds one", "--seeds"),
        ("--methods influence --alpha 3", "--alpha is for methods that correct layers, and influence does not"),
        ("--methods sap --damping 1", "--damping is for methods that forget, and sap does not"),
        ("--methods sap,influence --epochs 3", "the methods sap and influence make no use of --epochs"),
        ("--methods sap --forget-ids forget.txt", "--forget-ids names nine"),
        ("--methods sap --test npz:absent.npz", "absent.npz"),
    ];
    for (options, says) in cases {
        let test = if options.contains("--test") { "" } else { "--test npz:data.npz" };
        let ran = bench.run(&format!("compare in.onnx --data npz:data.npz {test} {options}")).expect(2);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(says), "{options}: {}", ran.stderr);
    }
    // One of the methods takes it.
    let sets = "--data npz:data.npz --test npz:data.npz --quiet";
    bench.run(&format!("compare in.onnx {sets} --methods sap,influence --alpha 300 --damping 3")).expect(0);
}
