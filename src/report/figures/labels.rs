//! Which training labels are likely wrong, and the worst of them to look at.

use super::Thumbnail;
use crate::data::SampleId;
use crate::evidence::Quality;
use crate::report::LabelReport;
use serde::Serialize;

/// Samples that are shown: as many as a person looks at.
pub const WORST: usize = 40;

/// The training labels as a model sees them.
#[derive(Clone, Debug, Serialize)]
pub struct LabelsFigure {
    /// How well the model fits them.
    pub quality: Quality,
    /// What was found.
    #[serde(flatten)]
    pub labels: LabelReport,
    /// The likeliest wrong, the worst first.
    pub suspects: Vec<Suspect>,
}

/// A sample whose label is likely wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suspect {
    /// The sample.
    pub id: SampleId,
    /// Its label.
    pub given: usize,
    /// What it should be.
    pub suggested: usize,
    /// The cross-entropy of the label, in nats.
    pub loss: f64,
    /// The sample itself, where it is an image. It is no number, and a page alone has it.
    #[serde(skip)]
    pub thumbnail: Option<Thumbnail>,
}
