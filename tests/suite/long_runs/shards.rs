//! Work that is split over processes, and put together again, gives what one process gives.

use crate::oracle::{relative_difference, rewritten, weights};
use crate::support::{Bench, Ran, data, model};
use std::fs;

/// The score of everything, and the evidence over it, in one process.
const TRUSTED: &str = "--trusted 300";

impl Bench {
    fn score(&self, options: &str, output: &str) -> Ran {
        let (model, data) = (model("lenet"), data("val"));
        self.run(&format!("score {} --data {data} --batch 32 {options} -o {output}", model.display())).expect(0)
    }

    fn evidence(&self, options: &str, output: &str) -> Ran {
        let (model, data) = (model("lenet"), data("val"));
        let options = format!("--batch 32 {TRUSTED} --scores scores.parquet {options}");
        self.run(&format!("evidence {} --data {data} {options} -o {output}", model.display())).expect(0)
    }

    fn correct(&self, options: &str) -> Ran {
        let (model, data, val) = (model("lenet"), data("val"), data("test"));
        self.run(&format!("{} out.onnx --data {data} --val {val} --alpha 3000 --force {options}", model.display()))
    }
}

#[test]
fn shards_of_any_number_make_the_scores_and_the_weights_of_one_run() {
    let whole = Bench::new();
    whole.score("", "scores.parquet");
    whole.correct(&format!("--batch 32 {TRUSTED}")).expect(0);
    let names = rewritten(&whole.report());
    let wanted = weights(&whole.path("out.onnx"), &names);
    for count in [1, 2, 7] {
        let bench = Bench::new();
        for shard in (0..count).rev() {
            let ran = bench.score(&format!("--shard {shard}/{count}"), "scores/");
            assert!(ran.stderr.contains(&format!("shard {shard}/{count}")), "{}", ran.stderr);
        }
        bench.run("merge scores -o scores.parquet").expect(0);
        let (one, several) = (whole.path("scores.parquet"), bench.path("scores.parquet"));
        assert!(fs::read(one).unwrap() == fs::read(several).unwrap(), "{count} shards");

        for shard in 0..count {
            bench.evidence(&format!("--shard {shard}/{count}"), "evidence/");
        }
        bench.run("merge evidence -o evidence.safetensors").expect(0);
        bench.correct("--evidence evidence.safetensors").expect(0);
        let found = weights(&bench.path("out.onnx"), &names);
        for name in &names {
            let difference = relative_difference(&found[name], &wanted[name]);
            assert!(difference <= 1e-10, "{count} shards: {name} differs by {difference:.1e} · max|W|");
        }
        for key in ["ids", "count", "selection"] {
            assert_eq!(bench.report()["trusted"][key], whole.report()["trusted"][key]);
        }
        assert_eq!(bench.report()["data"]["sha256"], whole.report()["data"]["sha256"]);
    }
}

#[test]
fn a_shard_that_runs_twice_writes_the_same_bytes() {
    let bench = Bench::new();
    bench.score("--shard 1/3", "a.parquet");
    bench.score("--shard 1/3 --threads 1", "b.parquet");
    bench.score("--shard 1/3 --work work", "c.parquet");
    let read = |name: &str| fs::read(bench.path(name)).unwrap();
    assert!(read("a.parquet") == read("c.parquet"));
    assert!(read("a.parquet") == read("b.parquet"));
}

#[test]
fn shards_that_do_not_make_a_whole_are_refused() {
    let bench = Bench::new();
    for shard in 0..3 {
        bench.score(&format!("--shard {shard}/3"), &format!("{shard}.parquet"));
    }
    bench.score("--shard 0/2", "half.parquet");
    let other = format!("score {} --data {} --batch 32 --shard 2/3", model("mlp").display(), data("val"));
    bench.run(&format!("{other} -o foreign.parquet")).expect(0);
    let mut damaged = fs::read(bench.path("1.parquet")).unwrap();
    damaged[40] ^= 1;
    bench.put("damaged.parquet", &damaged);
    for (parts, says) in [
        ("0.parquet 2.parquet", "1 of 3 shards are missing: 1/3"),
        ("0.parquet 1.parquet 2.parquet 1.parquet", "both shard 1/3"),
        ("half.parquet 1.parquet 2.parquet", "shard 0/2"),
        ("0.parquet 1.parquet foreign.parquet", "foreign.parquet belongs to another run: its model is"),
        ("0.parquet damaged.parquet 2.parquet", "damaged.parquet is damaged"),
        ("0.parquet absent.parquet", "absent.parquet"),
    ] {
        let ran = bench.run(&format!("merge {parts} -o whole.parquet")).expect(2);
        assert!(ran.stderr.contains(says), "{parts}: {}", ran.stderr);
        assert!(!bench.path("whole.parquet").exists());
    }
}

#[test]
fn evidence_of_another_model_data_set_or_of_a_shard_alone_is_refused() {
    let bench = Bench::new();
    bench.score("", "scores.parquet");
    bench.evidence("", "evidence.safetensors");
    bench.evidence("--shard 0/2", "half.safetensors");
    bench.evidence("--exclude conv1", "fewer.safetensors");
    let refused = |arguments: &str, says: &str| {
        let ran = bench.run(arguments).expect(2);
        assert!(ran.stderr.contains(says), "{arguments}: {}", ran.stderr);
        assert!(!bench.path("out.onnx").exists());
    };
    let (lenet, mlp, val, test) = (model("lenet"), model("mlp"), data("val"), data("test"));
    let run = |model: &std::path::Path, data: &str, file: &str| {
        format!("{} out.onnx --data {data} --val {test} --alpha 3000 --evidence {file}", model.display())
    };
    refused(&run(&lenet, &val, "half.safetensors"), "onnx-sap merge");
    refused(&run(&lenet, &val, "fewer.safetensors"), "its layers is");
    refused(&run(&mlp, &val, "evidence.safetensors"), "belongs to another run");
    refused(&run(&lenet, &data("train"), "evidence.safetensors"), "its data set is 2000 samples");
    refused(&run(&lenet, &val, "scores.parquet"), "scores.parquet is damaged");
    refused(&format!("{} --trusted 3", run(&lenet, &val, "evidence.safetensors")), "cannot be used with");
}

#[test]
fn the_environment_of_an_array_job_says_which_shard_it_is() {
    let bench = Bench::new();
    let command = format!("score {} --data {} --shard auto/4 -o part.parquet", model("mlp").display(), data("val"));
    for (variable, index) in
        [("JOB_COMPLETION_INDEX", "3"), ("SLURM_ARRAY_TASK_ID", "2"), ("AWS_BATCH_JOB_ARRAY_INDEX", "0")]
    {
        let ran = bench.run_with(&command, &[(variable, index)]).expect(0);
        assert!(ran.stderr.contains(&format!("shard {index}/4")), "{}", ran.stderr);
    }
    let ran = bench.run(&command).expect(2);
    assert!(ran.stderr.contains("--shard I/N"), "{}", ran.stderr);
}
