//! What `onnx-sap diff` finds, as data.

use super::ModelReport;
use crate::data::{DataSet, SampleId};
use crate::difference::{Difference, PredictionChange, TensorDifferences};
use crate::engine::EngineInfo;
use serde::Serialize;

/// What differs between two models.
#[derive(Clone, Debug, Serialize)]
pub struct DifferenceReport {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// Whether structure, tensors and metadata are the same.
    pub identical: bool,
    /// The first model.
    pub a: ModelReport,
    /// The second.
    pub b: ModelReport,
    /// Differences of the structure.
    pub structure: Vec<Difference>,
    /// Differences of what the models say of themselves.
    pub metadata: Vec<Difference>,
    /// Differences of the tensors.
    pub tensors: TensorDifferences,
    /// Differences of the predictions, where data was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predictions: Option<PredictionReport>,
}

/// What differs between the predictions of two models.
#[derive(Clone, Debug, Serialize)]
pub struct PredictionReport {
    /// What ran both models.
    pub engine: EngineInfo,
    /// The data, as it was named.
    pub data: String,
    /// The names of the classes, where the data carries them.
    pub class_names: Option<Vec<String>>,
    /// The share of predictions that differ.
    pub flip_rate: Option<f64>,
    /// What differs.
    #[serde(flatten)]
    pub change: PredictionChange,
    /// The stable names of the samples in `flips`, in their order.
    pub flipped: Vec<SampleId>,
}

impl PredictionReport {
    /// Of a set.
    pub fn of(engine: EngineInfo, data: String, set: &dyn DataSet, change: PredictionChange) -> Self {
        Self {
            engine,
            data,
            class_names: set.class_names().map(<[String]>::to_vec),
            flip_rate: change.flip_rate(),
            flipped: change.flips.iter().map(|flip| set.id(flip.sample)).collect(),
            change,
        }
    }

    /// What a class is called: by its name, or by its number.
    pub fn name(&self, class: usize) -> String {
        let name = self.class_names.as_ref().and_then(|names| names.get(class).cloned());
        name.unwrap_or_else(|| class.to_string())
    }
}
