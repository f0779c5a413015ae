//! Golden records: what a model was fed on some machine, and what it gave.
//!
//! A record is a folder of test sets, each a batch of inputs and the outputs that they gave, in one of [`FORMATS`], and
//! `golden.json`, which says of which model, of which samples and on what machine ([`Manifest`]). Folders that other tools
//! wrote have no such file: their inputs and outputs are read all the same, and what only it could tell is not known.

mod environment;
mod error;
mod manifest;
mod npz;
mod onnx;
mod record;
mod take;

pub use environment::Environment;
pub use error::GoldenError;
pub use manifest::{MANIFEST, Manifest, RecordedSample};
pub use record::{MODEL, Record, TestSet, check_folder};
pub use take::{Taking, run_sets, spread, take};

use crate::model::Port;
use std::path::Path;

/// The formats of test sets, the default first.
pub const FORMATS: &[&dyn Format] = &[&onnx::OnnxProtobuf, &npz::Npz];

/// A way to keep test sets in a folder.
pub trait Format: Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;
    /// One line for `--help`.
    fn summary(&self) -> &'static str;
    /// Whether it writes files or folders of that name.
    fn owns(&self, name: &str) -> bool;
    /// Writes the test set of that number.
    ///
    /// # Errors
    /// [`GoldenError`]: files that cannot be written, types that the format does not know.
    fn write(&self, folder: &Path, number: usize, set: &TestSet) -> Result<(), GoldenError>;
    /// Reads the test set of that number, if there is one. Names of a model's inputs and outputs are found by `inputs` and
    /// `outputs`.
    ///
    /// # Errors
    /// [`GoldenError`]: files that cannot be read or hold something else.
    fn read(&self, folder: &Path, number: usize, ports: (&[Port], &[Port])) -> Result<Option<TestSet>, GoldenError>;
}

/// The format of that name.
pub fn format(name: &str) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|format| format.name() == name)
}
