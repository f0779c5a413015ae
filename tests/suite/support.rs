//! Runs the command as its user would, in a folder of its own, and reads what it leaves behind.

use assert_cmd::Command;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A temporary folder to run the command in.
pub struct Bench {
    folder: TempDir,
}

/// What a run left on its streams.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Bench {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `onnx-sap` in the folder, with arguments split at spaces.
    pub fn run(&self, arguments: &str) -> Ran {
        self.run_with(arguments, &[])
    }

    /// The same with environment variables.
    pub fn run_with(&self, arguments: &str, environment: &[(&str, &str)]) -> Ran {
        let mut command = Command::cargo_bin("onnx-sap").unwrap();
        command.current_dir(self.folder.path()).args(arguments.split_whitespace()).env_remove("ONNX_SAP_DATA");
        for (name, value) in environment {
            command.env(name, value);
        }
        let output = command.output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The report of a run whose output is `out.onnx`.
    pub fn report(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.path("out.report.json")).unwrap()).unwrap()
    }
}

impl Ran {
    /// Fails with both streams where the exit code is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// A file of this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A reference model, by its short name.
pub fn model(name: &str) -> PathBuf {
    repository(&format!("models/fashion-{name}.onnx"))
}

/// The noisy data of the reference models, with a split.
pub fn data(split: &str) -> String {
    format!("fashion-mnist:{}#{split}", repository("fixtures/fashion-noisy").display())
}
