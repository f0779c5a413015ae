//! What `onnx-sap attribute` finds, as data.

use super::ModelReport;
use crate::engine::EngineInfo;
use crate::tune::{NamedNeuron, Partition, Quality};
use serde::Serialize;

/// Samples by the gradients of their losses, and neurons by how they answer to them.
#[derive(Clone, Debug, Serialize)]
pub struct AttributionReport {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// What ran the model.
    pub engine: EngineInfo,
    /// The model.
    pub model: ModelReport,
    /// The data, as it was named.
    pub data: String,
    /// How many samples were looked at.
    pub samples: usize,
    /// How many of them are likelier labelled rightly than not.
    pub high_quality: usize,
    /// What tells that; nothing where it was given.
    pub attributions: Option<AttributedTo>,
    /// The hidden neurons, those that answer to noise the most first.
    pub neurons: Vec<NamedNeuron>,
}

/// What tells samples of high quality from others.
#[derive(Clone, Debug, Serialize)]
pub struct AttributedTo {
    /// The name of an input, of the last layer's weight, or of the scores.
    pub measured_in: String,
    /// How many deviations the means of the two parts lie apart.
    pub distance: f64,
    /// Whether that is enough.
    pub separates: bool,
}

impl AttributionReport {
    /// Of what was found.
    pub fn of(
        (model, engine, data): (ModelReport, EngineInfo, String),
        quality: &Quality,
        partition: Option<&Partition>,
        neurons: Vec<NamedNeuron>,
    ) -> Self {
        let attributed_to = |Partition { measured_in, mixture, .. }: &Partition| AttributedTo {
            measured_in: measured_in.clone(),
            distance: mixture.distance,
            separates: mixture.has_two_humps(),
        };
        Self {
            schema_version: super::SCHEMA_VERSION,
            engine,
            model,
            data,
            samples: quality.samples.len(),
            high_quality: quality.high().len(),
            attributions: partition.map(attributed_to),
            neurons,
        }
    }
}
