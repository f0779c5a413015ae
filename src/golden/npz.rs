//! `test_set_N.npz`: one numpy archive a batch, of arrays `inputs/NAME` and `outputs/NAME`.
//!
//! In archives of other tools arrays may be called as the model's inputs and outputs themselves.

use super::{Format, GoldenError, TestSet};
use crate::data::{read_arrays, write_array};
use crate::model::{Port, write_atomically};
use crate::tensor::NamedTensor;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// See the head of this file.
pub(super) struct Npz;

/// What a test set's file is called, before its number.
const FILE: &str = "test_set_";

const INPUTS: &str = "inputs/";
const OUTPUTS: &str = "outputs/";

const ADVICE: &str = "record it again with `onnx-sap golden record`";

impl Format for Npz {
    fn name(&self) -> &'static str {
        "npz"
    }

    fn summary(&self) -> &'static str {
        "test_set_N.npz, a numpy archive of inputs/NAME and outputs/NAME"
    }

    fn owns(&self, name: &str) -> bool {
        name.starts_with(FILE)
    }

    fn write(&self, folder: &Path, number: usize, set: &TestSet) -> Result<(), GoldenError> {
        let path = file(folder, number);
        let archive = archive(set).map_err(|source| GoldenError::write(&path, source))?;
        Ok(write_atomically(&path, |to| to.write_all(&archive))?)
    }

    fn read(
        &self,
        folder: &Path,
        number: usize,
        (inputs, outputs): (&[Port], &[Port]),
    ) -> Result<Option<TestSet>, GoldenError> {
        let path = file(folder, number);
        if !path.is_file() {
            return Ok(None);
        }
        let arrays = read_arrays(&path).map_err(|reason| GoldenError::content(&path, reason, ADVICE))?;
        let mut set = TestSet::default();
        for NamedTensor { name, tensor } in arrays {
            let is_one_of = |ports: &[Port]| ports.iter().any(|port| port.name == name);
            if let Some(name) = name.strip_prefix(INPUTS) {
                set.inputs.push(NamedTensor { name: name.to_owned(), tensor });
            } else if let Some(name) = name.strip_prefix(OUTPUTS) {
                set.outputs.push(NamedTensor { name: name.to_owned(), tensor });
            } else if is_one_of(inputs) {
                set.inputs.push(NamedTensor { name, tensor });
            } else if is_one_of(outputs) {
                set.outputs.push(NamedTensor { name, tensor });
            }
        }
        if set.inputs.is_empty() || set.outputs.is_empty() {
            let reason = "holds no array inputs/NAME or none outputs/NAME";
            return Err(GoldenError::content(&path, reason, ADVICE));
        }
        Ok(Some(set))
    }
}

fn file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("{FILE}{number}.npz"))
}

fn archive(set: &TestSet) -> io::Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (prefix, tensors) in [(INPUTS, &set.inputs), (OUTPUTS, &set.outputs)] {
        for NamedTensor { name, tensor } in tensors {
            // Without the time of the day the same record is the same bytes.
            archive.start_file(format!("{prefix}{name}.npy"), SimpleFileOptions::default().large_file(true))?;
            write_array(tensor, &mut archive)?;
        }
    }
    archive.flush()?;
    Ok(archive.finish()?.into_inner())
}
