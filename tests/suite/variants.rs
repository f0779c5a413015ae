//! Variants of the projection: against an independent float64 implementation (`fixtures/variants/oracle.py`), and what is refused.

use crate::oracle::{npz, record, relative_difference, weights};
use crate::support::{Bench, data, model, repository, small};
use ndarray::ArrayD;
use onnx_sap::evidence::TrustScore;
use onnx_sap::linalg::SCALINGS;
use onnx_sap::methods::PROJECTIONS;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

/// How far a weight may be from the oracle's, relative to the largest value of that weight: where the model holds float64, and where
/// the activations of float32 are rounded.
const TOLERANCES: [(&str, f64); 2] = [("conv", 2e-6), ("dense", 1e-10)];

/// The options of every case of `fixtures/variants/build.py`.
const CASES: [(&str, &str); 14] = [
    ("sap", "--alpha 100"),
    ("sgp", "--scaling sgp --alpha 30"),
    ("sgp-strong", "--scaling sgp --alpha 3"),
    ("gpm", "--scaling gpm --alpha 100"),
    ("gpm-strong", "--scaling gpm --alpha 20"),
    ("i-mf", "--projection i-mf --alpha 0.3"),
    ("mr-mi", "--projection mr-mi --alpha 100"),
    ("mr-mi-5", "--projection mr-mi --alpha 100 --alpha-forget 5"),
    ("i-(mf-mi)", "--projection i-(mf-mi) --alpha 100"),
    ("i-(mf-mi)-30", "--projection i-(mf-mi) --alpha 10 --alpha-forget 30"),
    ("sgp-i-(mf-mi)", "--projection i-(mf-mi) --scaling sgp --alpha 10 --alpha-forget 3"),
    ("gpm-mr-mi", "--projection mr-mi --scaling gpm --alpha 100 --alpha-forget 2"),
    ("curvature", "--score curvature --alpha 100"),
    ("rounds", "--alpha 100 --rounds 2"),
];

/// A file of `fixtures/variants`.
fn fixture(name: &str) -> PathBuf {
    repository("fixtures/variants").join(name)
}

/// The command that a case was made for: a third of the samples is trusted, a fifth forgotten where the projection forgets.
fn command(net: &str, options: &str) -> String {
    let (model, data) = (fixture(&format!("{net}.onnx")), fixture(&format!("{net}.npz")));
    let forgets = options.contains("--projection");
    let forget = if forgets && !options.contains("--forget") { "--forget-fraction 0.2" } else { "" };
    format!("{} out.onnx --data npz:{} --trusted 60 {options} {forget} --force", model.display(), data.display())
}

/// What the oracle made, by `NET/CASE/WEIGHT`, with the samples of `NET/CASE/trusted` and `NET/CASE/forgotten`.
fn expected() -> BTreeMap<String, ArrayD<f64>> {
    npz::read(&fixture("expected.npz"))
}

fn ids(report: &Value) -> BTreeSet<String> {
    report["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

fn oracle_ids(expected: &BTreeMap<String, ArrayD<f64>>, key: &str) -> BTreeSet<String> {
    expected[key].iter().map(ToString::to_string).collect()
}

#[test]
fn every_variant_gives_the_oracles_weights_from_the_oracles_samples() {
    let expected = expected();
    for (net, tolerance) in TOLERANCES {
        let of_net: BTreeSet<&str> = expected.keys().filter_map(|key| key.strip_prefix(&format!("{net}/"))).collect();
        let cases: BTreeSet<&str> = of_net.iter().filter_map(|key| key.split_once('/')).map(|(case, _)| case).collect();
        assert_eq!(cases, CASES.iter().map(|(case, _)| *case).collect(), "the oracle's cases are those that are tried");
        let mut worst: f64 = 0.0;
        for (case, options) in CASES {
            let bench = Bench::new();
            bench.run(&command(net, options)).expect(0);
            let report = bench.report();
            let key = |what: &str| format!("{net}/{case}/{what}");
            assert_eq!(ids(&report["trusted"]), oracle_ids(&expected, &key("trusted")), "{net}/{case}");
            if options.contains("--projection") {
                assert_eq!(ids(&report["forgotten"]), oracle_ids(&expected, &key("forgotten")), "{net}/{case}");
            } else {
                assert!(report.get("forgotten").is_none_or(Value::is_null), "{net}/{case}");
            }
            let prefix = key("");
            let wanted = expected.iter().filter_map(|(key, values)| Some((key.strip_prefix(&prefix)?, values)));
            let wanted: BTreeMap<String, &ArrayD<f64>> =
                wanted.filter(|(name, _)| name.contains('.')).map(|(name, values)| (name.to_owned(), values)).collect();
            assert_eq!(wanted.len(), if net == "conv" { 4 } else { 3 });
            for (name, found) in weights(&bench.path("out.onnx"), wanted.keys()) {
                let difference = relative_difference(&found, wanted[&name]);
                assert!(difference <= tolerance, "{net}/{case}: {name} differs by {difference:.2e} · max|W|");
                worst = worst.max(difference);
            }
        }
        record(&format!("{net}: at most {worst:.2e} · max|W|"));
    }
}

#[test]
fn every_solver_that_has_a_variant_gives_the_same() {
    let expected = expected();
    for (case, options) in CASES.iter().filter(|(_, options)| !options.contains("curvature")) {
        let rational = !options.contains("--scaling");
        let solvers = if rational { ["cholesky", "eigh", "svd"].as_slice() } else { &["eigh", "svd"] };
        for solver in solvers {
            let bench = Bench::new();
            bench.run(&command("dense", &format!("{options} --solver {solver}"))).expect(0);
            let name = "hidden.weight".to_owned();
            let found = &weights(&bench.path("out.onnx"), [&name])[&name];
            let difference = relative_difference(found, &expected[&format!("dense/{case}/{name}")]);
            assert!(difference <= 1e-10, "{case} by {solver}: {difference:.2e} · max|W|");
        }
    }
}

#[test]
fn the_report_says_which_variant_it_was() {
    let bench = Bench::new();
    let params = |options: &str| {
        bench.run(&command("dense", options)).expect(0);
        let params = bench.report()["params"].clone();
        ["scaling", "projection", "score", "forget", "alpha_forget"].map(|name| params[name].clone())
    };
    let null = Value::Null;
    assert_eq!(params("--alpha 100"), [json!("sap"), json!("mr"), json!("loss"), null.clone(), null.clone()]);
    let all = "--scaling sgp --projection mr-mi --score curvature --alpha 10 --alpha-forget 2";
    assert_eq!(params(all), [json!("sgp"), json!("mr-mi"), json!("curvature"), json!(0.2), json!(2.0)]);
    let one = "--projection i-mf --alpha 0.1";
    assert_eq!(params(one), [json!("sap"), json!("i-mf"), json!("loss"), json!(0.2), null]);
}

#[test]
fn where_nothing_says_how_many_as_many_are_forgotten_as_are_trusted_or_losses_say_are_wrong() {
    let bench = Bench::new();
    let run = command("dense", "--projection mr-mi --alpha 100").replace("--forget-fraction 0.2", "");
    bench.run(&run).expect(0);
    let forgotten = bench.report()["forgotten"].clone();
    let (by, count) = (forgotten["by"].as_str().unwrap(), forgotten["count"].as_u64().unwrap());
    assert!(by == "trusted" && count == 60 || by == "losses" && (10..90).contains(&count), "{forgotten}");
}

#[test]
fn samples_to_forget_by_their_ids_are_not_trusted() {
    let bench = Bench::new();
    bench.run(&command("dense", "--alpha 100")).expect(0);
    let trusted = ids(&bench.report()["trusted"]);
    let some: Vec<String> = trusted.iter().take(5).cloned().chain(["1".to_owned()]).collect();
    bench.put("forget.txt", some.join("\n").as_bytes());
    bench.run(&command("dense", "--projection i-(mf-mi) --forget-ids forget.txt --alpha 100")).expect(0);
    let report = bench.report();
    assert_eq!(ids(&report["forgotten"]), some.iter().cloned().collect());
    assert_eq!(report["forgotten"]["by"], "given");
    assert_eq!(ids(&report["trusted"]), &trusted - &some.iter().cloned().collect());
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_is_written() {
    let bench = Bench::new();
    bench.put("ids.txt", b"3\n4\n5");
    bench.put("unknown.txt", b"3\nnobody");
    bench.put("evidence.safetensors", b"");
    let (text, tokens) = (small("token-classifier.onnx"), small("tokens.npz"));
    let cases = [
        ("--solver cholesky --scaling sgp", "which --scaling sgp needs; use --solver eigh or svd"),
        ("--projection mr-mi --evidence evidence.safetensors", "--evidence cannot go with --projection mr-mi"),
        ("--projection mr-mi --max-memory 1GB", "--max-memory cannot go with --projection mr-mi"),
        ("--projection i-mf --method sap+influence", "use --method sap"),
        ("--method influence --scaling gpm", "--scaling is for methods that correct layers"),
        ("--method influence --score curvature", "--score is for methods that correct layers"),
        ("--alpha-forget 3", "--alpha-forget is for projections of two spaces, and mr is of one"),
        ("--projection i-mf --alpha-forget 3", "--alpha-forget is for projections of two spaces, and i-mf is of one"),
        ("--forget-fraction 0.1", "--forget-fraction is for methods that forget"),
        ("--scaling gpm --alpha-per-layer", "--alpha-per-layer tries the strengths that suit --scaling sap"),
        ("--score curvature --trusted-ids ids.txt", "cannot be used with"),
        ("--rounds 2 --evidence evidence.safetensors", "--evidence cannot go with --rounds"),
        ("--rounds 2 --max-memory 1GB", "--max-memory cannot go with --rounds"),
        ("--rounds 2 --html page.html", "--html cannot go with --rounds"),
        ("--rounds 2 --method sap+influence", "--rounds is for --method sap"),
        ("--rounds 0", "invalid value"),
        ("--projection mr-mi --forget-fraction 0.9", "162 of 180 samples are to be forgotten, and 120 are not trusted"),
        ("--projection mr-mi --forget-ids unknown.txt", "--forget-ids names nobody"),
    ];
    for (options, message) in cases {
        let trusted =
            if options.contains("--trusted-ids") || options.contains("--evidence") { "--trusted 60 " } else { "" };
        let run = command("dense", options).replace(trusted, "").replace("--forget-fraction 0.2", "");
        let alpha = if options.contains("per-layer") || options.contains("influence") { "" } else { "--alpha 10" };
        let ran = bench.run(&format!("{run} {alpha}")).expect(2);
        assert!(ran.stderr.contains(message), "{options}: {}", ran.stderr);
    }
    let both = "--projection mr-mi --alpha 10 --trusted-ids ids.txt --forget-ids ids.txt";
    let ran = bench.run(&command("dense", both).replace("--trusted 60", "")).expect(2);
    assert!(ran.stderr.contains("3 is in --trusted-ids and in --forget-ids"), "{}", ran.stderr);
    let run = format!("{} out.onnx --data npz:{} --alpha 10 --score curvature", text.display(), tokens.display());
    let ran = bench.run(&run).expect(2);
    assert!(ran.stderr.contains("holds int64, and --score curvature moves inputs"), "{}", ran.stderr);
    assert!(!bench.path("out.onnx").exists() && !bench.path("out.report.json").exists());
}

#[test]
fn a_model_without_a_gradient_has_no_curvature_and_the_message_names_the_node() {
    let bench = Bench::new();
    let run = format!("{} out.onnx --data npz:{}", small("loop.onnx").display(), small("data.npz").display());
    let ran = bench.run(&format!("{run} --alpha 10 --score curvature")).expect(2);
    assert!(
        ran.stderr.contains("--score curvature needs the gradient") && ran.stderr.contains("Loop"),
        "{}",
        ran.stderr
    );
    assert!(!bench.path("out.onnx").exists());
}

#[test]
fn evidence_by_curvature_is_that_of_the_main_command() {
    let bench = Bench::new();
    let (model, data) = (fixture("dense.onnx"), fixture("dense.npz"));
    let common = format!("--data npz:{}", data.display());
    let gather = format!("evidence {} {common} --trusted 60 -o kept.safetensors", model.display());
    bench.run(&format!("{gather} --score curvature")).expect(0);
    bench.run(&command("dense", "--alpha 100 --score curvature")).expect(0);
    let direct = (std::fs::read(bench.path("out.onnx")).unwrap(), bench.report()["trusted"].clone());
    let run = format!("{} out.onnx {common} --alpha 100 --evidence kept.safetensors --force", model.display());
    bench.run(&run).expect(0);
    assert_eq!(direct, (std::fs::read(bench.path("out.onnx")).unwrap(), bench.report()["trusted"].clone()));
    bench.run(&format!("score {} {common} -o scores.parquet", model.display())).expect(0);
    let ran = bench.run(&format!("{gather} --score curvature --scores scores.parquet")).expect(2);
    assert!(
        ran.stderr.contains("--scores holds losses, and --score curvature ranks by something else"),
        "{}",
        ran.stderr
    );
}

#[test]
fn curvature_depends_on_the_seed_and_on_nothing_else() {
    let bench = Bench::new();
    let run = |options: &str| {
        bench.run(&command("dense", &format!("--alpha 100 --score curvature {options}"))).expect(0);
        std::fs::read(bench.path("out.onnx")).unwrap()
    };
    let one = run("--batch 7 --threads 1");
    assert_eq!(one, run("--batch 7 --threads 2"));
    run("--batch 64");
    let trusted = ids(&bench.report()["trusted"]);
    assert_eq!(trusted, oracle_ids(&expected(), "dense/curvature/trusted"));
}

#[test]
fn every_round_trusts_anew_and_says_what_it_did() {
    let expected = expected();
    for (net, _) in TOLERANCES {
        let bench = Bench::new();
        bench.run(&command(net, "--alpha 100 --rounds 2 --work kept")).expect(0);
        let (report, once) = (bench.report(), std::fs::read(bench.path("out.onnx")).unwrap());
        let rounds = report["rounds"].as_array().unwrap();
        assert_eq!((report["params"]["rounds"].as_u64(), rounds.len()), (Some(2), 2));
        let alphas: Vec<f64> = rounds.iter().map(|round| round["alpha"].as_f64().unwrap()).collect();
        assert_eq!(alphas, [100.0, 1000.0]);
        for (round, key) in rounds.iter().zip(["trusted", "trusted-2"]) {
            let trusted: BTreeSet<String> =
                round["trusted"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
            assert_eq!(trusted, oracle_ids(&expected, &format!("{net}/rounds/{key}")), "{net}");
        }
        // The same command goes on from what is kept, round by round.
        bench.run(&command(net, "--alpha 100 --rounds 2 --work kept")).expect(0);
        assert_eq!(std::fs::read(bench.path("out.onnx")).unwrap(), once);
    }
}

#[test]
fn rounds_end_where_validation_finds_nothing_better() {
    let bench = Bench::new();
    let held_out = format!("--val npz:{}", fixture("dense.npz").display());
    bench.run(&command("dense", &format!("--alpha 1000,1000000 --rounds 5 {held_out}"))).expect(0);
    let report = bench.report();
    let rounds = report["rounds"].as_array().unwrap();
    assert!(rounds.len() < 5, "{rounds:?}");
    assert_eq!(rounds.last().unwrap()["verdict"], "not_better");
    // Without held-out data on which candidates can be compared, nothing tells whether a round is better.
    let run =
        format!("{} out.onnx --data {} --rounds 2 --val perturb --force", model("lenet").display(), data("train"));
    let ran = bench.run(&run).expect(2);
    assert!(ran.stderr.contains("--rounds compares each round with the one before"), "{}", ran.stderr);
}

#[test]
fn a_weight_that_gets_a_copy_cannot_be_followed_through_rounds() {
    let bench = Bench::new();
    let (model, data) = (small("shared-two-ways.onnx"), small("data.npz"));
    let run = format!("{} out.onnx --data npz:{} --alpha 100 --rounds 2", model.display(), data.display());
    let ran = bench.run(&run).expect(2);
    assert!(ran.stderr.contains("gets a copy for some of its readers"), "{}", ran.stderr);
}

/// Set to anything, the test writes what it would otherwise miss.
const UPDATE: &str = "UPDATE_README";

/// The tables of `docs/variants.md`, by what their marks call them.
fn tables() -> [(&'static str, String); 2] {
    let mut scalings = "| scaling | Λ | tried where α is searched for |\n| --- | --- | --- |\n".to_owned();
    for scaling in SCALINGS {
        let numbers = |alphas: &[f64]| alphas.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let tried = scaling.alphas().map_or_else(|| "a bracket around the best".to_owned(), numbers);
        let _ = writeln!(scalings, "| `{}` | {} | {tried} |", scaling.name(), scaling.summary());
    }
    let mut projections = "| projection | P | α is that of |\n| --- | --- | --- |\n".to_owned();
    for projection in PROJECTIONS {
        let of = match (projection.retains(), projection.forgets()) {
            (true, true) => "Mr, with `--alpha-forget` for Mf",
            (true, false) => "Mr",
            (false, _) => "Mf",
        };
        let _ = writeln!(projections, "| `{}` | {} | {of} |", projection.name(), projection.summary());
    }
    [
        ("scalings: generated from src/linalg/scaling", scalings),
        ("projections: generated from src/methods/projections", projections),
    ]
}

#[test]
fn the_tables_of_the_documentation_are_those_of_the_registries() {
    let path = repository("docs/variants.md");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (title, wanted) in tables() {
        let begin = format!("<!-- {title}, checked by the test suite -->\n\n");
        let end = format!("\n<!-- end of {} -->\n", title.split(':').next().unwrap());
        let (before, rest) = text.split_once(&begin).expect("the page has the mark before the table");
        let (held, after) = rest.split_once(&end).expect("the page has the mark behind the table");
        let advice = format!("write it with `{UPDATE}=1 cargo test --test suite variants`");
        assert!(std::env::var_os(UPDATE).is_some() || held == wanted, "the table must be\n\n{wanted}\n{advice}");
        text = [before, &begin, &wanted, &end, after].concat();
    }
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, text).unwrap();
    }
}

#[test]
fn help_lists_every_variant() {
    let help = Bench::new().run("--help").expect(0).stdout;
    let summaries = SCALINGS.iter().map(|of| (of.name(), of.summary()));
    for (name, summary) in summaries.chain(PROJECTIONS.iter().map(|of| (of.name(), of.summary()))) {
        let words = summary.split_whitespace().next().unwrap();
        assert!(help.contains(name) && help.contains(words), "{name}: {help}");
    }
    assert!(TrustScore::NAMES.iter().all(|name| help.contains(name)));
}
