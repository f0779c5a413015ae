//! `test_data_set_N/input_M.pb` and `output_M.pb`: one `TensorProto` a file, as in ONNX's own test cases and model zoo.
//!
//! Source: "ONNX Backend Test" and "Model zoo" in the ONNX repository. Inputs and outputs are known by the names in the
//! files; those without one by their position.

use super::{Format, GoldenError, TestSet};
use crate::model::Port;
use crate::model::proto::TensorProto;
use crate::model::write_atomically;
use crate::tensor::{ElementType, NamedTensor, Tensor};
use prost::Message;
use std::io::Write;
use std::path::Path;

/// See the head of this file.
pub(super) struct OnnxProtobuf;

/// What a test set's folder is called, before its number.
const FOLDER: &str = "test_data_set_";

const ADVICE: &str = "record it again with `onnx-sap golden record`";

impl Format for OnnxProtobuf {
    fn name(&self) -> &'static str {
        "onnx"
    }

    fn summary(&self) -> &'static str {
        "test_data_set_N/input_M.pb and output_M.pb, as ONNX's own test cases"
    }

    fn owns(&self, name: &str) -> bool {
        name.starts_with(FOLDER)
    }

    fn write(&self, folder: &Path, number: usize, set: &TestSet) -> Result<(), GoldenError> {
        let folder = set_folder(folder, number);
        std::fs::create_dir_all(&folder).map_err(|error| GoldenError::write(&folder, error))?;
        for (kind, tensors) in [("input", &set.inputs), ("output", &set.outputs)] {
            for (position, named) in tensors.iter().enumerate() {
                let path = folder.join(format!("{kind}_{position}.pb"));
                let bytes = encoded(named).encode_to_vec();
                write_atomically(&path, |file| file.write_all(&bytes))?;
            }
        }
        Ok(())
    }

    fn read(
        &self,
        folder: &Path,
        number: usize,
        (inputs, outputs): (&[Port], &[Port]),
    ) -> Result<Option<TestSet>, GoldenError> {
        let folder = set_folder(folder, number);
        if !folder.is_dir() {
            return Ok(None);
        }
        let set =
            TestSet { inputs: read_all(&folder, "input", inputs)?, outputs: read_all(&folder, "output", outputs)? };
        if set.inputs.is_empty() || set.outputs.is_empty() {
            return Err(GoldenError::content(&folder, "holds no inputs or no outputs", ADVICE));
        }
        Ok(Some(set))
    }
}

fn set_folder(folder: &Path, number: usize) -> std::path::PathBuf {
    folder.join(format!("{FOLDER}{number}"))
}

fn read_all(folder: &Path, kind: &str, ports: &[Port]) -> Result<Vec<NamedTensor>, GoldenError> {
    let mut found = Vec::new();
    loop {
        let path = folder.join(format!("{kind}_{}.pb", found.len()));
        if !path.is_file() {
            return Ok(found);
        }
        let bytes = std::fs::read(&path).map_err(|error| GoldenError::read(&path, error))?;
        let wrong = |reason: String| GoldenError::content(&path, reason, ADVICE);
        let proto = TensorProto::decode(bytes.as_slice()).map_err(|error| wrong(format!("is no tensor: {error}")))?;
        let tensor = decoded(&proto).map_err(wrong)?;
        let name = match (proto.name.as_str(), ports.get(found.len())) {
            ("", Some(port)) => port.name.clone(),
            ("", None) => return Err(wrong(format!("has no name, and the model has no {kind} {}", found.len()))),
            (name, _) => name.to_owned(),
        };
        found.push(NamedTensor { name, tensor });
    }
}

fn encoded(named: &NamedTensor) -> TensorProto {
    TensorProto {
        dims: named.tensor.shape().iter().map(|&extent| extent as i64).collect(),
        data_type: named.tensor.element_type().onnx(),
        name: named.name.clone(),
        raw_data: named.tensor.to_little_endian().into(),
        ..TensorProto::default()
    }
}

fn decoded(proto: &TensorProto) -> Result<Tensor, String> {
    let element = ElementType::from_onnx(proto.data_type);
    let element = element.ok_or_else(|| format!("holds elements of type {}, which are not read", proto.type_name()))?;
    let shape = proto.extents().map_err(|error| error.to_string())?;
    let bytes = proto.held().ok_or("has its data in another file")?;
    Tensor::from_little_endian(element, &shape, &bytes)
        .ok_or_else(|| format!("holds {} bytes, which do not fit its shape {shape:?}", bytes.len()))
}
