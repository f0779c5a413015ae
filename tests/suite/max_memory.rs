//! `--max-memory`: several passes, each with its part of the moments, give what one pass with all of them gives.

use crate::net::{Net, SAMPLES, archive, floats, x};
use crate::support::Bench;
use onnx_sap::tensor::ElementType::Float32;
use std::fs;
use std::process::Command;
use std::time::SystemTime;

const LAYERS: usize = 5;
/// So wide that the moment of a layer takes some 26 MB, and its weight next to nothing.
const WIDTH: i64 = 1800;

const OPTIONS: &str = "in.onnx out.onnx --data npz:data.npz --val npz:data.npz --trusted 8 --batch 3 --force";

/// Layers side by side, each of which reads the input in another way.
fn bench() -> Bench {
    let mut net = Net::default().input("x", Float32, &["N", "3"]).integers("repeats", &[2], &[1, WIDTH / 3]);
    net = net.node("Tile", &["x", "repeats"], "wide", vec![]);
    let numbers = |seed: usize, count: i64| -> Vec<f32> {
        (0..count as usize).map(|at| ((at * 7919 + seed * 31) % 1009) as f32 / 504.0 - 1.0).collect()
    };
    for layer in 0..LAYERS {
        let [ramp, bent, weight, part] = ["ramp", "bent", "w", "part"].map(|name| format!("{name}_{layer}"));
        let scaled = format!("scaled_{layer}");
        net = net
            .floats(&ramp, &[WIDTH], &numbers(layer, WIDTH))
            .floats(&weight, &[WIDTH, 4], &numbers(layer + 100, 4 * WIDTH))
            .node("Mul", &["wide", &ramp], &scaled, vec![])
            .node("Sin", &[&scaled], &bent, vec![])
            .node("MatMul", &[&bent, &weight], &part, vec![]);
    }
    let net = net.node("Sum", &["part_0", "part_1", "part_2", "part_3", "part_4"], "z", vec![]);
    let bench = Bench::new();
    bench.put("in.onnx", &net.output("z", Float32, &["N", "4"]).bytes());
    bench.put("data.npz", &archive(&[floats("x", &[SAMPLES, 3], &x())], 4));
    bench
}

fn output(bench: &Bench, options: &str) -> Vec<u8> {
    bench.run(&format!("{OPTIONS} {options}")).expect(0);
    fs::read(bench.path("out.onnx")).unwrap()
}

/// The least limit that would do, as the refusal of a smaller one says it.
fn least(bench: &Bench) -> String {
    let stderr = bench.run(&format!("{OPTIONS} --max-memory 1MB")).expect(2).stderr;
    let said = stderr.split("; give ").nth(1).and_then(|rest| rest.split(' ').next());
    said.unwrap_or_else(|| panic!("no size in {stderr}")).to_owned()
}

#[test]
fn several_passes_give_the_bytes_of_one() {
    let bench = bench();
    let least = least(&bench);
    for alphas in ["--alpha 3000", "--alpha auto", "--alpha 30,300 --solver eigh", "--alpha 30,300 --max-rows 5"] {
        let wanted = output(&bench, alphas);
        assert_eq!(bench.report()["moments_passes"], 1);
        assert!(output(&bench, &format!("{alphas} --max-memory {least}")) == wanted, "{alphas}");
        let report = bench.report();
        assert!(report["moments_passes"].as_u64().unwrap() >= 2, "{alphas}: {}", report["moments_passes"]);
        assert!(report["params"]["max_memory"].as_u64().unwrap() > 1_000_000);
        assert!(output(&bench, &format!("{alphas} --max-memory 64GiB")) == wanted, "{alphas}");
        assert_eq!(bench.report()["moments_passes"], 1);
    }
    let left = fs::read_dir(bench.path(".")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = left.filter(|name| name.starts_with(".onnx-sap")).collect();
    assert!(left.is_empty(), "{left:?} is left");
}

#[test]
fn a_limit_that_cannot_be_held_is_refused_with_the_least_that_would_do() {
    let bench = bench();
    let ran = bench.run(&format!("{OPTIONS} --max-memory 1MB --work work")).expect(2);
    assert!(ran.stderr.contains("--max-memory 1MB is too little: solving the layer w_"), "{}", ran.stderr);
    assert!(!bench.path("out.onnx").exists() && !bench.path("work/scores.jsonl").exists(), "nothing was begun");
    let least: usize = least(&bench).trim_end_matches("MB").parse().unwrap();
    bench.run(&format!("{OPTIONS} --alpha 30 --max-memory {}MB", least - 1)).expect(2);
    bench.run(&format!("{OPTIONS} --alpha 30 --max-memory {least}MB")).expect(0);
    let ran = bench.run(&format!("{OPTIONS} --max-memory much")).expect(2);
    assert!(ran.stderr.contains("2GB"), "{}", ran.stderr);
    bench.run(&format!("{OPTIONS} --max-memory 2GB --evidence file")).expect(2);
}

#[test]
fn what_was_put_aside_is_not_measured_again_and_belongs_to_its_run() {
    let bench = bench();
    let limited = format!("--alpha 3000 --work work --max-memory {}", least(&bench));
    let wanted = output(&bench, "--alpha 3000");
    assert!(output(&bench, &limited) == wanted);
    let file = |input: usize| bench.path(&format!("work/moment-{input}.safetensors"));
    let written = |input: usize| -> SystemTime { fs::metadata(file(input)).unwrap().modified().unwrap() };
    let before: Vec<SystemTime> = (0..LAYERS).map(written).collect();
    assert!(!bench.path("work/moments.safetensors").exists());

    // As a run leaves it that was ended in its last pass; whatever the limit is then.
    fs::remove_file(file(LAYERS - 1)).unwrap();
    assert!(output(&bench, "--alpha 3000 --work work --max-memory 64GB") == wanted);
    let after: Vec<SystemTime> = (0..LAYERS).map(written).collect();
    assert_eq!(after[..LAYERS - 1], before[..LAYERS - 1]);
    assert!(after[LAYERS - 1] > before[LAYERS - 1]);

    let ran = bench.run(&format!("{OPTIONS} {limited} --include w_1")).expect(2);
    assert!(ran.stderr.contains("belongs to another run: its layers"), "{}", ran.stderr);
    let mut damaged = fs::read(file(2)).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(file(2), damaged).unwrap();
    let ran = bench.run(&format!("{OPTIONS} {limited}")).expect(2);
    assert!(ran.stderr.contains("moment-2.safetensors is damaged"), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_is_an_error_that_says_so() {
    let bench = bench();
    let options = format!("{OPTIONS} --alpha 3000 --max-memory {}", least(&bench));
    let program = assert_cmd::cargo::cargo_bin("onnx-sap");
    // A file that may not grow beyond 16 MiB fails as on a full disk.
    let limited = format!("trap '' XFSZ; ulimit -f 16384; exec {} {options}", program.display());
    let ran = Command::new("bash").args(["-c", &limited]).current_dir(bench.path(".")).output().unwrap();
    let stderr = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("cannot put moments aside") && stderr.contains("make room"), "{stderr}");
    assert!(!bench.path("out.onnx").exists());
}
