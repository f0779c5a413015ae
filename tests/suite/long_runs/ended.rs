//! A run that was ended goes on where it was, and gives the same bytes as one that was left alone.

use super::wait_until;
use crate::support::{Bench, data, model, samples};
use std::fs;
use std::io::Read;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Many small batches, so that there are many moments to be ended at, and some seconds of them.
fn scoring(name: &str, batch: usize) -> String {
    format!("score {} --data {} --batch {batch} -o scores.parquet", model(name).display(), data("train"))
}

fn correcting() -> String {
    let (model, train, val) = (model("lenet"), data("train"), data("val"));
    format!("{} out.onnx --data {train} --val {val} --batch 50 --trusted 4000 --alpha 3000", model.display())
}

/// What `arguments` give without any interruption.
fn undisturbed(arguments: &str, output: &str) -> Vec<u8> {
    let bench = Bench::new();
    bench.run(arguments).expect(0);
    fs::read(bench.path(output)).unwrap()
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap().success());
}

#[test]
fn scores_are_the_same_however_often_the_process_was_killed() {
    let scoring = scoring("vit", 8);
    let wanted = undisturbed(&scoring, "scores.parquet");
    let bench = Bench::new();
    let again = format!("{scoring} --work work");
    let mut kept = Vec::new();
    for more in [1, 3, 40, 200, 7] {
        let before = bench.batches_kept();
        let mut child = bench.start(&again);
        wait_until(&mut child, || bench.batches_kept() >= before + more);
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "it had ended before it was killed");
        kept.push(bench.batches_kept());
        assert!(!bench.path("scores.parquet").exists());
    }
    assert!(kept.is_sorted() && kept[4] < 1250, "{kept:?}");
    bench.run(&again).expect(0);
    assert!(fs::read(bench.path("scores.parquet")).unwrap() == wanted);
}

#[test]
fn the_corrected_model_is_the_same_whenever_the_process_was_killed() {
    let began = Instant::now();
    let wanted = undisturbed(&correcting(), "out.onnx");
    let whole = began.elapsed();
    let bench = Bench::new();
    let again = format!("{} --work work", correcting());
    for tenth in [2, 5, 8] {
        let mut child = bench.start(&again);
        std::thread::sleep(whole * tenth / 10);
        // Where it was quicker than the first run, it has ended, and there is nothing left to be killed.
        child.kill().unwrap();
        child.wait().unwrap();
    }
    bench.run(&format!("{again} --force")).expect(0);
    assert!(fs::read(bench.path("out.onnx")).unwrap() == wanted);
}

#[test]
fn a_training_goes_on_behind_the_last_epoch_that_came_to_its_end() {
    let (model, train, val) = (model("mlp"), data("train"), data("val"));
    let usual = format!("{} out.onnx --data {train} --val {val} --method finetune --epochs 3 --force", model.display());
    let training = format!("{usual} --lr 0.01 --mixup 1");
    let wanted = undisturbed(&training, "out.onnx");
    let bench = Bench::new();
    let again = format!("{training} --work work");
    let kept = bench.path("work/training-1/training.safetensors");
    let written = || fs::metadata(&kept).and_then(|file| file.modified()).ok();
    for _ in 0..2 {
        let before = written();
        let mut child = bench.start(&again);
        wait_until(&mut child, || written() != before);
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "it had ended before it was killed");
    }
    let ran = bench.run(&format!("{usual} --lr 0.02 --mixup 1 --work work")).expect(2);
    for says in ["training.safetensors belongs to another run", "lr 0.01", "lr 0.02", "--work"] {
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    bench.run(&again).expect(0);
    assert!(fs::read(bench.path("out.onnx")).unwrap() == wanted);
    let before = written();
    bench.run(&again).expect(0);
    assert_eq!(written(), before, "there is nothing left to be learnt");
}

#[cfg(unix)]
#[test]
fn signals_end_a_run_with_their_exit_code_and_say_how_to_go_on() {
    for (name, code, work, says) in [
        ("INT", 130, "", "--work DIR"),
        ("TERM", 143, "", "--work DIR"),
        ("INT", 130, " --work work", "kept in work"),
        ("TERM", 143, " --work work", "kept in work"),
    ] {
        let bench = Bench::new();
        let mut child = bench.start(&format!("{}{work}", scoring("vit", 1)));
        let begun = Instant::now();
        wait_until(&mut child, || {
            begun.elapsed() > Duration::from_secs(1) && (work.is_empty() || bench.batches_kept() > 0)
        });
        signal(&child, name);
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{stderr}");
        assert!(stderr.contains(&format!("stopped by SIG{name}")) && stderr.contains(says), "{stderr}");
        assert!(!bench.path("scores.parquet").exists());
    }
}

/// The moments over nearly all samples, whose scores are in the folder.
fn measuring(bench: &Bench) -> String {
    bench.run(&scoring("lenet", 8)).expect(0);
    let (model, data) = (model("lenet"), data("train"));
    let options = "--scores scores.parquet --batch 8 --trusted 9000";
    format!("evidence {} --data {data} {options} -o evidence.safetensors", model.display())
}

#[cfg(unix)]
#[test]
fn moments_that_a_signal_ended_are_gone_on_with() {
    let bench = Bench::new();
    let measuring = measuring(&bench);
    bench.run(&measuring).expect(0);
    let wanted = fs::read(bench.path("evidence.safetensors")).unwrap();
    fs::remove_file(bench.path("evidence.safetensors")).unwrap();
    let again = format!("{measuring} --work work");
    let mut child = bench.start(&again);
    wait_until(&mut child, || bench.path("work/lock").exists());
    // What comes before the first batch of the moments takes a fraction of a second, and they take several.
    std::thread::sleep(Duration::from_millis(1500));
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(bench.path("work/moments.safetensors").exists() && !bench.path("evidence.safetensors").exists());
    bench.run(&again).expect(0);
    assert!(fs::read(bench.path("evidence.safetensors")).unwrap() == wanted);
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_the_run_goes_on_once_there_is_room() {
    let bench = Bench::with_small_model();
    let count = 20_000;
    let values: Vec<f32> = (0..count * 64).map(|value| (value % 251) as f32 / 251.0).collect();
    bench.put("data.npz", &samples_of(count, &values));
    let scoring = "score in.onnx --data npz:data.npz --batch 100 -o scores.parquet";
    bench.run(scoring).expect(0);
    let wanted = fs::read(bench.path("scores.parquet")).unwrap();
    fs::remove_file(bench.path("scores.parquet")).unwrap();
    let again = format!("{scoring} --work work");
    let program = assert_cmd::cargo::cargo_bin("onnx-sap");
    // A file that may not grow beyond 64 KiB fails as on a full disk, in the middle of a line.
    let limited = format!("trap '' XFSZ; ulimit -f 64; exec {} {again}", program.display());
    let ran = Command::new("bash").args(["-c", &limited]).current_dir(bench.path(".")).output().unwrap();
    let stderr = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("scores.jsonl") && stderr.contains("make room"), "{stderr}");
    assert!(bench.batches_kept() > 5 && !bench.path("scores.parquet").exists());
    bench.run(&again).expect(0);
    assert!(fs::read(bench.path("scores.parquet")).unwrap() == wanted);
}

fn samples_of(count: usize, values: &[f32]) -> Vec<u8> {
    let labels: Vec<u8> = (0..count).map(|index| (index % 4) as u8).collect();
    samples(&[count, 1, 8, 8], values, &labels)
}
