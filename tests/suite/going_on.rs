//! Methods that go on with gradients, as their users run them.

use crate::oracle::unpacked;
use crate::support::{Bench, data, model, samples, small};
use onnx_sap::model::proto::ModelProto;
use prost::Message;
use serde_json::Value;

/// Held-out data, and as little time as the noisy set takes.
fn command(options: &str) -> String {
    command_of("mlp", options)
}

fn command_of(network: &str, options: &str) -> String {
    let input = model(network);
    let (train, val) = (data("train"), data("val"));
    format!("{} out.onnx --data {train} --val {val} {options}", input.display())
}

const SAP: &str = "--preset fast --alpha 1000,3162";

fn accuracy(report: &Value, when: &str) -> f64 {
    report[when]["validation"]["accuracy"].as_f64().unwrap()
}

fn tuned(report: &Value) -> Vec<(String, f64)> {
    let candidates = report["candidates"].as_array().unwrap().iter();
    let of = |candidate: &Value| {
        Some((candidate["tuning"].as_str()?.to_owned(), candidate["val_accuracy"].as_f64().unwrap_or_default()))
    };
    candidates.filter_map(of).collect()
}

#[test]
fn a_correction_goes_on_learning_and_what_comes_of_it_is_chosen_by_validation() {
    let bench = Bench::new();
    bench.run(&command(SAP)).expect(0);
    let sap = accuracy(&bench.report(), "after");
    let ran = bench.run(&command(&format!("{SAP} --method sap+elr --lr 0.02 --epochs 3 --force"))).expect(0);
    let report = bench.report();
    let chosen = report["chosen"]["tuning"].as_str().expect("what went on learning is better");
    assert!(chosen.starts_with("elr lr 0.02 epochs "), "{chosen}");
    assert!(accuracy(&report, "after") > sap, "{} after {sap}", accuracy(&report, "after"));
    assert_eq!(report["params"]["loss"], "elr");
    assert_eq!(report["params"]["start"], "corrected");
    assert!(report["passes"]["backward"].as_u64().unwrap() > 0);
    // Biases went on learning as well: three layers have one each.
    assert_eq!(report["verify"]["structure"]["weights"], 6);
    assert!(ran.stdout.contains("tuned") || ran.stderr.contains("tuned"), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let bytes = |seed: usize| {
        let bench = Bench::new();
        bench.run(&command(&format!("--method finetune --lr 0.01 --epochs 1 --seed {seed} --force"))).expect(0);
        std::fs::read(bench.path("out.onnx")).unwrap()
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2), "it draws the order of samples");
}

#[test]
fn every_method_tries_what_it_is_asked_for_and_says_what_came_of_it() {
    for (options, begins, count) in [
        (
            "--method sap+finetune --start original --loss ce --learn-from agreed --lr 0.02 --epochs 1 --ema 0.9",
            "finetune lr 0.02",
            1,
        ),
        (
            "--method sap+finetune --loss sce --learn-from trusted --lr 0.01 --epochs 1 --shift no",
            "finetune lr 0.01",
            1,
        ),
        ("--method sap+finetune --loss gce --lr 0.01 --epochs 1 --train-batch 50", "finetune lr 0.01", 1),
        ("--method sap+finetune --lr 0.01 --epochs 1", "finetune lr 0.01", 1),
        ("--method sap+elr --start original --mixup 1 --ema 0.9 --lr 0.01 --epochs 1", "elr lr 0.01", 1),
        ("--method sap+finetune --loss gce --mixup 0.4 --lr 0.01 --epochs 1 --shift no", "finetune lr 0.01", 1),
        ("--method sap+ssd --ssd-alpha 3 --ssd-lambda 1 --forget-fraction 0.2", "ssd α 3 λ 1", 1),
        ("--method sap+scrub --lr 0.001 --epochs 2 --away 1", "scrub lr 0.001 epochs ", 1),
        ("--method sap+prune --prune 0.05 --lr 0.01 --epochs 1", "prune share 0.05", 2),
    ] {
        let bench = Bench::new();
        bench.run(&command(&format!("{SAP} {options}"))).expect(0);
        let found = tuned(&bench.report());
        assert_eq!(found.len(), count, "{options}: {found:?}");
        assert!(found.iter().all(|(tuning, _)| tuning.starts_with(begins)), "{options}: {found:?}");
    }
}

#[test]
fn two_ways_to_learn_compete_by_validation() {
    let bench = Bench::new();
    bench.run(&command(&format!("{SAP} --method sap+learn --lr 0.02 --epochs 2"))).expect(0);
    let report = bench.report();
    let found = tuned(&report);
    let names: Vec<&str> = found.iter().map(|(tuning, _)| tuning.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["elr", "finetune"]);
    let better = if found[1].1 > found[0].1 { &found[1].0 } else { &found[0].0 };
    assert_eq!(report["chosen"]["tuning"], better.as_str(), "{found:?}");
    assert_eq!(report["params"]["loss"], serde_json::json!(["elr", "ce"]));
}

/// The normalizations of the reference `ResNet` were folded into its weights.
#[test]
fn long_gradients_are_shortened_so_that_a_network_keeps_what_it_knows() {
    let learn = "--method elr --learn-from trusted --trusted 2000 --lr 0.06 --epochs 1 --force";
    let accuracies = |options: &str| {
        let bench = Bench::new();
        bench.run(&command_of("resnet", &format!("{learn} {options}"))).expect(0);
        let report = bench.report();
        (accuracy(&report, "before"), accuracy(&report, "after"))
    };
    let (before, after) = accuracies("");
    assert!(after > before, "{after} after {before}");
    let (_, unclipped) = accuracies("--clip 1e9");
    assert!(unclipped < 0.2, "without, it is left with chance: {unclipped}");
}

#[test]
fn smaller_rates_are_tried_only_while_larger_ones_do_not_help() {
    // Cross-entropy on all labels learns the wrong ones again, so no rate helps what a projection has made.
    for (options, wanted) in [
        ("--method sap+elr --epochs 2", ["0.06", "0.02"].as_slice()),
        ("--method sap+finetune --learn-from all --epochs 1", &["0.06", "0.02", "0.006", "0.002"]),
    ] {
        let bench = Bench::new();
        bench.run(&command(&format!("{SAP} {options}"))).expect(0);
        let found = tuned(&bench.report());
        let rates: Vec<&str> = found.iter().filter_map(|(tuning, _)| tuning.split(' ').nth(2)).collect();
        assert_eq!(rates, wanted, "{options}: {found:?}");
    }
}

#[test]
fn what_was_forgotten_stands_in_the_report() {
    let bench = Bench::new();
    let [given, right] = ["train", "train-clean"]
        .map(|labels| unpacked(&format!("fixtures/fashion-noisy/{labels}-labels-idx1-ubyte.gz"), 8));
    let wrong: Vec<String> = (0..given.len()).filter(|&at| given[at] != right[at]).map(|at| at.to_string()).collect();
    bench.put("ids.txt", wrong.join("\n").as_bytes());
    let options = "--method finetune --lr 0.02 --epochs 1 --force";
    bench.run(&command(options)).expect(0);
    assert!(bench.report()["forgotten"].is_null() && bench.report()["params"]["forget"].is_null());
    let options = "--method scrub --lr 0.002 --epochs 3 --away 1 --forget-ids ids.txt --force";
    bench.run(&command(options)).expect(0);
    let report = bench.report();
    assert_eq!(report["params"]["forget"], wrong.len());
    assert!(report["chosen"]["tuning"].is_string(), "{}", report["chosen"]);
    assert_eq!(report["forgotten"]["ids"], serde_json::json!(wrong));
    assert_eq!(report["forgotten"]["by"], "given");
}

#[test]
fn bad_settings_end_with_a_verdict_and_the_original_untouched() {
    for (options, says) in [
        ("--method finetune --lr 1e30 --epochs 1", "finetune diverges"),
        ("--method scrub --lr 1e30 --forget-fraction 0.2", "every training diverges"),
        ("--method ssd --forget-fraction 0.00001", "nothing is to be forgotten"),
        ("--method scrub --forget-fraction 0.00001", "nothing is to be forgotten"),
        // A network that has memorised its labels is as sure of wrong ones as of right ones.
        ("--method prune", "attributions do not tell right labels from wrong ones"),
    ] {
        let bench = Bench::new();
        let ran = bench.run(&command(options)).expect(1);
        assert!(ran.stderr.contains(says), "{options}: {}", ran.stderr);
        assert!(ran.stderr.contains("no candidate beats the original"), "{options}: {}", ran.stderr);
        assert!(!bench.path("out.onnx").exists(), "{options}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (options, says) in [
        ("--method sap --loss ce", "the method sap makes no use of --loss"),
        ("--method ssd --epochs 3", "the method ssd makes no use of --epochs"),
        ("--method finetune --forget-fraction 0.1", "--forget-fraction is for methods that forget"),
        ("--method finetune --alpha 3", "--alpha is for methods that correct layers"),
        ("--method sap+finetune --rounds 2", "--rounds is for --method sap"),
        ("--method finetune --lr 0", "give auto or a number above 0"),
        ("--method finetune --mixup 0", "give a number above 0"),
        ("--method elr --loss ce", "the method elr makes no use of --loss"),
        ("--method finetune --epochs 0", "does nothing in no epochs"),
        ("--method finetune --quality samples.csv", "the method finetune makes no use of --quality"),
        ("--method finetune --compact small.onnx", "--compact is for methods that prune"),
        ("--method prune --compact out.onnx", "cannot be both the model and the smaller model"),
        ("--method prune --quality nowhere.csv", "nowhere.csv"),
        ("--method finetune --learn-from some", "neither trusted nor agreed nor all"),
    ] {
        let bench = Bench::new();
        let ran = bench.run(&command(options)).expect(2);
        assert!(ran.stderr.contains(says), "{options}: {}", ran.stderr);
        assert!(!bench.path("out.onnx").exists(), "{options}");
    }
}

/// A model of `fixtures/weights-everywhere` as `in.onnx`, and data that it takes, which are no images.
fn small_bench(name: &str) -> Bench {
    let bench = Bench::with_small_model();
    bench.put("in.onnx", &std::fs::read(small(name)).unwrap());
    bench
}

#[test]
fn what_cannot_be_differentiated_is_refused_by_name_and_left_as_corrected_by_the_preset() {
    let bench = small_bench("einsum.onnx");
    let usual = "in.onnx out.onnx --data npz:data.npz --val npz:data.npz --force --alpha 30,300";
    let ran = bench.run(&format!("{usual} --method sap+finetune")).expect(2);
    assert!(ran.stderr.contains("Einsum"), "{}", ran.stderr);
    assert!(!bench.path("out.onnx").exists());
    let ran = bench.run(&format!("{usual} --preset best")).expect(0);
    assert!(
        ran.stderr.contains("the model does not go on learning") && ran.stderr.contains("Einsum"),
        "{}",
        ran.stderr
    );
    assert!(bench.path("out.onnx").exists());
}

/// A model of vectors, which nothing perturbs: the last layer of another.
fn of_vectors() -> Vec<u8> {
    let mut model = ModelProto::decode(std::fs::read(small("conv2d.onnx")).unwrap().as_slice()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    graph.node.retain(|node| node.op_type == "Gemm");
    graph.node[0].input[0] = "input".into();
    let shape = graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape.as_mut().unwrap();
    shape.dim.truncate(2);
    shape.dim[1].dim_value = Some(20);
    model.encode_to_vec()
}

#[test]
fn without_anything_to_compare_on_nothing_goes_on_learning() {
    let bench = Bench::new();
    bench.put("in.onnx", &of_vectors());
    let values: Vec<f32> = (0..160).map(|at| ((at * 37) % 101) as f32 / 50.0 - 1.0).collect();
    bench.put("data.npz", &samples(&[8, 20], &values, &[0, 1, 2, 3, 0, 1, 2, 3]));
    let usual = "in.onnx out.onnx --data npz:data.npz --force";
    let ran = bench.run(&format!("{usual} --method sap+finetune")).expect(2);
    assert!(ran.stderr.contains("the method sap+finetune needs data to compare models on"), "{}", ran.stderr);
    assert!(!bench.path("out.onnx").exists());
    bench.run(&format!("{usual} --preset best")).expect(0);
    assert_eq!(bench.report()["chosen"]["verdict"], "unjudged");
    assert!(tuned(&bench.report()).is_empty());
}

/// The columns of a table that `attribute` writes, a row for each line.
fn rows(bench: &Bench, file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(bench.path(file)).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn every_stage_of_pruning_can_be_run_by_itself_and_looked_at() {
    let bench = Bench::new();
    bench.run(&command(SAP)).expect(0);
    std::fs::rename(bench.path("out.onnx"), bench.path("sap.onnx")).unwrap();
    let (train, val) = (data("train"), data("val"));
    let usual = format!("--data {train} --val {val} --method prune");

    let ran = bench.run(&format!("attribute sap.onnx --data {train} -o samples.csv --neurons neurons.csv")).expect(0);
    assert!(ran.stdout.contains("high quality") && ran.stdout.contains("answers to noise"), "{}", ran.stdout);
    let samples = rows(&bench, "samples.csv");
    let quality: Vec<f64> = samples.iter().map(|row| row[4].parse().unwrap()).collect();
    assert!(quality.is_sorted() && quality[0] < 0.01 && quality[quality.len() - 1] > 0.99, "{quality:?}");
    let wrong = |rows: &[Vec<String>]| rows.iter().filter(|row| row[1] != row[2]).count();
    let tenth = samples.len() / 10;
    assert!(wrong(&samples[..tenth]) > 5 * wrong(&samples[samples.len() - tenth..]).max(1), "labels stand out");

    // The regression alone gives the same neurons.
    bench.run(&format!("attribute sap.onnx --data {train} --quality samples.csv --neurons again.csv")).expect(0);
    let neurons = rows(&bench, "neurons.csv");
    assert_eq!(neurons, rows(&bench, "again.csv"));
    assert_eq!(neurons.len(), 256 + 128, "all hidden ones");

    // Pruning alone: of those that were asked for, the first ones.
    let given = "--quality samples.csv --neurons neurons.csv --prune 0.05 --epochs 0 --force";
    bench.run(&format!("sap.onnx pruned.onnx {usual} {given} --compact small.onnx")).expect(0);
    let report: Value = serde_json::from_slice(&std::fs::read(bench.path("pruned.report.json")).unwrap()).unwrap();
    let compact = &report["output"]["compact"];
    let channels = compact["channels"].as_array().unwrap();
    let cut: u64 = channels.iter().map(|of| of["cut"].as_u64().unwrap()).sum();
    assert_eq!(cut, (0.05 * neurons.len() as f64).round() as u64, "{compact}");
    for of in channels {
        let first = neurons[..cut as usize].iter().filter(|row| row[0] == of["weight"].as_str().unwrap()).count();
        assert_eq!(of["cut"], first, "{compact}");
    }

    // The smaller model gives the same.
    let bytes = |file: &str| std::fs::metadata(bench.path(file)).unwrap().len();
    assert!(bytes("small.onnx") < bytes("pruned.onnx"));
    let scores = |model: &str| {
        bench.run(&format!("score {model}.onnx --data {val} -o {model}.csv")).expect(0);
        rows(&bench, &format!("{model}.csv"))
    };
    let (pruned, small) = (scores("pruned"), scores("small"));
    assert_eq!(pruned.len(), small.len());
    for (a, b) in pruned.iter().zip(&small) {
        for (a, b) in a.iter().zip(b) {
            match (a.parse::<f64>(), b.parse::<f64>()) {
                (Ok(a), Ok(b)) => assert!((a - b).abs() < 1e-3, "{a} and {b}"),
                _ => assert_eq!(a, b),
            }
        }
    }

    // Learning alone, from those that are likelier right.
    let good: Vec<&str> =
        samples.iter().filter(|row| row[4].parse::<f64>().unwrap() > 0.5).map(|row| &*row[0]).collect();
    bench.put("good.txt", good.join("\n").as_bytes());
    let learn = "--method finetune --loss ce --learn-from trusted --trusted-ids good.txt --lr 0.006 --epochs 1 --force";
    bench.run(&format!("pruned.onnx out.onnx --data {train} --val {val} {learn}")).expect(0);
    assert_eq!(bench.report()["trusted"]["count"], good.len());
}

#[test]
fn a_smaller_model_is_written_only_where_the_model_is() {
    let bench = Bench::new();
    let ran = bench.run(&command("--method prune --compact small.onnx")).expect(1);
    assert!(ran.stderr.contains("no candidate beats the original"), "{}", ran.stderr);
    assert!(!bench.path("small.onnx").exists() && !bench.path("out.onnx").exists());
    bench.put("small.onnx", b"mine");
    let ran = bench.run(&command("--method prune --compact small.onnx")).expect(2);
    assert!(ran.stderr.contains("small.onnx"), "{}", ran.stderr);
    assert_eq!(std::fs::read(bench.path("small.onnx")).unwrap(), b"mine");
}
