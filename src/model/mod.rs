//! The model file: what it holds, where each weight lies in it, and how it is rewritten.
//!
//! A [`Model`] is the bytes of the file and a decoded view of them. A [`GraphIndex`] finds weights, which change through
//! [`WeightPatch`]es, and written by [`Staged`]; everything that no patch touches keeps its bytes (`wire.rs`).

mod additions;
mod chain;
mod classifier;
mod error;
mod external;
mod flat;
pub mod fragment;
mod graph;
mod patch;
mod place;
pub mod proto;
mod quantized;
mod read;
mod resize;
mod save;
mod stored;
mod tensors;
mod view;
pub mod wire;

pub use additions::{Additions, inlined};
pub use classifier::{Assignment, Classifier, ConstantInput, DataInput, Head, Interface, Link};
pub use error::ModelError;
pub use external::{ExternalCopy, Rest};
pub use flat::{Flat, FlatNode, Holder, MAIN, Scope, ScopeIndex};
pub use fragment::Fragment;
pub use graph::{Constant, GraphIndex, NodeIndex, Operand, Use, ValueId};
pub use patch::{OutputPlan, PROVENANCE_PREFIX, WeightCopy, WeightPatch};
pub use place::Place;
pub use quantized::Quantization;
pub use resize::Resized;
pub use save::{Staged, write_atomically};
pub use view::{Axis, MatrixView, View};

use crate::tensor::ElementType;
use bytes::Bytes;
use prost::Message;
use proto::{EXTERNAL, GraphProto, ModelProto, OperatorSetIdProto, ValueInfoProto, operator_set};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// An ONNX model as it lies on disk.
#[derive(Debug)]
pub struct Model {
    path: PathBuf,
    folder: PathBuf,
    bytes: Bytes,
    proto: ModelProto,
    graph: GraphProto,
    sha256: OnceLock<String>,
}

/// An input that must be fed or an output that is computed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Port {
    /// The name of the value.
    pub name: String,
    /// The element type, where this crate knows it.
    pub element: Option<ElementType>,
    /// The extent of each axis, `None` where it is dynamic; no axes at all where the model does not say.
    pub shape: Option<Vec<Option<usize>>>,
}

impl Model {
    /// Reads and checks a model file.
    ///
    /// # Errors
    /// Unreadable files, bytes that are no ONNX model, tensors whose bytes do not fit their shape, external data that
    /// is missing, too short, or outside the model's folder.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let bytes = read::file(path).map_err(|source| ModelError::Read { path: path.into(), source })?;
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        Self::decode(path, folder, bytes.into())
    }

    /// Checks the bytes of a model file that is, or would be, at `path`; its external data is in `folder`.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn decode(path: &Path, folder: PathBuf, bytes: Bytes) -> Result<Self, ModelError> {
        let not_onnx = |reason: String| ModelError::NotOnnx { path: path.into(), reason };
        if bytes.is_empty() {
            return Err(not_onnx("the file is empty".into()));
        }
        let mut proto = ModelProto::decode(bytes.clone())
            .map_err(|error| not_onnx(format!("{error}, so it is truncated or of another format")))?;
        let graph = proto.graph.take().ok_or_else(|| not_onnx("it holds no graph".into()))?;
        if graph.node.is_empty() {
            return Err(not_onnx("its graph has no nodes".into()));
        }
        if proto.opset_import.is_empty() {
            return Err(not_onnx("it imports no operator set".into()));
        }
        let model = Self { path: path.into(), folder, bytes, proto, graph, sha256: OnceLock::new() };
        for tensor in &model.graph.initializer {
            model.check(tensor)?;
        }
        Ok(model)
    }

    /// The file that the model was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that external data is relative to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The decoded main graph.
    pub fn graph(&self) -> &GraphProto {
        &self.graph
    }

    /// The decoded model without its main graph.
    pub fn header(&self) -> &ModelProto {
        &self.proto
    }

    /// The version of ONNX's own operator set, 0 where the model imports only others.
    pub fn opset(&self) -> i64 {
        let standard = |set: &&OperatorSetIdProto| operator_set(&set.domain).is_empty();
        self.proto.opset_import.iter().find(standard).map_or(0, |set| set.version)
    }

    /// The version of each operator set that the model imports; ONNX's own is called `ai.onnx`.
    pub fn opsets(&self) -> BTreeMap<String, i64> {
        let name = |domain: &str| if domain.is_empty() { "ai.onnx".to_owned() } else { domain.to_owned() };
        self.proto.opset_import.iter().map(|set| (name(&set.domain), set.version)).collect()
    }

    /// SHA-256 of the model file, in hexadecimal; external data is not included.
    pub fn sha256(&self) -> &str {
        // Identities, provenance and report name it, and the file may be large.
        self.sha256.get_or_init(|| hexadecimal(&Sha256::digest(&self.bytes)))
    }

    /// The inputs that must be fed: those without an initializer of the same name.
    pub fn inputs(&self) -> Vec<Port> {
        let constants: BTreeSet<&str> = self.graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        self.graph.input.iter().filter(|input| !constants.contains(input.name.as_str())).map(Port::of).collect()
    }

    /// The outputs.
    pub fn outputs(&self) -> Vec<Port> {
        self.graph.output.iter().map(Port::of).collect()
    }

    /// The files of external data, as the model names them, each once.
    pub fn external_files(&self) -> BTreeSet<String> {
        let external = self.tensors().into_iter().filter(|(_, tensor)| tensor.data_location == EXTERNAL);
        external.filter_map(|(_, tensor)| tensors::location(tensor)).collect()
    }
}

impl Port {
    fn of(info: &ValueInfoProto) -> Self {
        let tensor = info.tensor();
        let shape = tensor.and_then(|tensor| tensor.shape.as_ref()).map(|shape| {
            shape.dim.iter().map(|dim| dim.dim_value.and_then(|value| usize::try_from(value).ok())).collect()
        });
        let element = tensor.and_then(|tensor| ElementType::from_onnx(tensor.elem_type));
        Self { name: info.name.clone(), element, shape }
    }

    /// `float32 [?, 1, 28, 28]`, as messages show it.
    pub fn describe(&self) -> String {
        let element = self.element.map_or("unknown type".into(), |element| element.to_string());
        let extent = |extent: &Option<usize>| extent.map_or("?".into(), |extent| extent.to_string());
        match &self.shape {
            Some(shape) => format!("{element} [{}]", shape.iter().map(extent).collect::<Vec<_>>().join(", ")),
            None => format!("{element} of unknown shape"),
        }
    }
}

/// Lower-case hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
