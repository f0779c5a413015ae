//! Runs that are ended on their way, run out of disk, or meet samples that cannot be used.

mod bad_samples;
mod ended;
mod kept;
mod shards;

use crate::support::Bench;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

impl Bench {
    /// Starts `onnx-sap` in the folder and does not wait for it.
    fn start(&self, arguments: &str) -> Child {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("onnx-sap"));
        command.current_dir(self.path(".")).args(arguments.split_whitespace()).env_remove("ONNX_SAP_DATA");
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The number of batches whose scores the work folder keeps.
    fn batches_kept(&self) -> usize {
        let log = std::fs::read(self.path("work/scores.jsonl")).unwrap_or_default();
        log.split(|&byte| byte == b'\n').count().saturating_sub(2)
    }
}

/// Waits until something holds of a running process, or it has ended.
fn wait_until(child: &mut Child, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_mins(2);
    while !holds() && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "nothing happens");
        std::thread::sleep(Duration::from_millis(2));
    }
}
