//! Runs the command as its user would, in a folder of its own, and reads what it leaves behind.

#![expect(unreachable_pub, reason = "a module of the suite")]

use assert_cmd::Command;
use std::collections::BTreeMap;
use std::io::{Cursor, Write};
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

    /// A folder with the noisy data of the reference models in `fashion-noisy`, for output that shows its path.
    pub fn with_fashion() -> Self {
        let bench = Self::new();
        std::fs::create_dir(bench.path("fashion-noisy")).unwrap();
        for file in std::fs::read_dir(repository("fixtures/fashion-noisy")).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), bench.path("fashion-noisy").join(file.file_name())).unwrap();
        }
        bench
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

/// A model or data file of `fixtures/weights-everywhere`: small, so that a run takes a fraction of a second.
pub fn small(name: &str) -> PathBuf {
    repository("fixtures/weights-everywhere").join(name)
}

impl Bench {
    /// With a small model as `in.onnx` and data that it takes as `data.npz`.
    pub fn with_small_model() -> Self {
        let bench = Self::new();
        bench.put("in.onnx", &std::fs::read(small("conv2d.onnx")).unwrap());
        bench.put("data.npz", &std::fs::read(small("data.npz")).unwrap());
        bench
    }

    /// Writes a file, in a sub-folder where the name says so.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Everything in the folder: what is a file with its bytes, what is a link with its target, and the rest.
    pub fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.folder.path().to_path_buf()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let kind = path.symlink_metadata().unwrap().file_type();
                let content = if kind.is_symlink() {
                    path.read_link().unwrap().into_os_string().into_encoded_bytes()
                } else if kind.is_file() {
                    std::fs::read(&path).unwrap()
                } else {
                    Vec::new()
                };
                if kind.is_dir() {
                    open.push(path.clone());
                }
                found.insert(path, content);
            }
        }
        found
    }
}

/// A numpy archive with stored arrays: name, type string, shape, bytes.
pub fn npz(arrays: &[(&str, &str, &[usize], Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, descr, shape, data) in arrays {
        let shape = shape.iter().fold(String::new(), |text, extent| format!("{text}{extent},"));
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        archive.start_file(format!("{name}.npy"), stored).unwrap();
        archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
        archive.write_all(&u16::try_from(header.len()).unwrap().to_le_bytes()).unwrap();
        archive.write_all(header.as_bytes()).unwrap();
        archive.write_all(data).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// An archive of float samples, all of the same shape, with their labels.
pub fn samples(shape: &[usize], values: &[f32], labels: &[u8]) -> Vec<u8> {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    npz(&[("x", "<f4", shape, bytes), ("y", "|u1", &[labels.len()], labels.to_vec())])
}

/// An IDX file of bytes.
pub fn idx(shape: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, u8::try_from(shape.len()).unwrap()];
    bytes.extend(shape.iter().flat_map(|extent| extent.to_be_bytes()));
    bytes.extend(data);
    bytes
}
