//! What `onnx-sap detect` finds, as data.

use super::ModelReport;
use super::figures::MOST_CLASSES;
use crate::data::{DataSet, Quarantined};
use crate::detect::{Detection, Opinion, Overlap, Separation};
use crate::engine::EngineInfo;
use crate::evidence::{Quality, Scores};
use serde::Serialize;

/// The labels of a set, as a model sees them.
#[derive(Clone, Debug, Serialize)]
pub struct DetectionReport {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// What ran the model.
    pub engine: EngineInfo,
    /// The model.
    pub model: ModelReport,
    /// The data, as it was named.
    pub data: String,
    /// How well the model fits the given labels.
    pub quality: Quality,
    /// Samples that could not be used, and why.
    pub quarantined: Vec<Quarantined>,
    /// What was found.
    #[serde(flatten)]
    pub labels: LabelReport,
}

/// Which labels of a set are likely wrong, and which way.
#[derive(Clone, Debug, Serialize)]
pub struct LabelReport {
    /// How many labels are likely wrong.
    pub issues: usize,
    /// The estimated share of wrong labels.
    pub noise_rate: f64,
    /// The same by the confident joint alone.
    pub noise_rate_by_joint: f64,
    /// Whether losses tell right labels from wrong ones.
    pub separation: Separation,
    /// Each class.
    pub classes: Vec<ClassReport>,
    /// With which probability each class (row) carries each label (column); nothing for more than 100 classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transition: Option<Vec<Vec<f64>>>,
    /// Classes that are taken for each other, those of the largest share first.
    pub overlaps: Vec<Overlap>,
}

/// A class.
#[derive(Clone, Debug, Serialize)]
pub struct ClassReport {
    /// Its number.
    pub class: usize,
    /// Its name, where the data carries one.
    pub name: Option<String>,
    /// How many samples carry its label.
    pub samples: usize,
    /// How many of those labels are likely wrong.
    pub issues: usize,
    /// The estimated share of its labels that are wrong.
    pub label_noise: f64,
}

impl DetectionReport {
    /// Of what was found.
    pub fn of(
        (model, engine, data): (ModelReport, EngineInfo, String),
        set: &dyn DataSet,
        scores: &Scores,
        opinions: &[Opinion],
        found: &Detection,
    ) -> Self {
        Self {
            schema_version: super::SCHEMA_VERSION,
            engine,
            model,
            data,
            quality: scores.quality(),
            quarantined: scores.quarantined.clone(),
            labels: LabelReport::of(set, scores.classes(), opinions, found),
        }
    }
}

impl LabelReport {
    /// Of what was found in a set of so many classes.
    pub fn of(set: &dyn DataSet, classes: usize, opinions: &[Opinion], found: &Detection) -> Self {
        let mut counts = vec![(0, 0); classes];
        for (opinion, &is_issue) in opinions.iter().zip(&found.is_issue) {
            counts[opinion.label].0 += 1;
            counts[opinion.label].1 += usize::from(is_issue);
        }
        let class = |(class, (samples, issues)): (usize, (usize, usize))| ClassReport {
            class,
            name: set.class_names().and_then(|names| names.get(class).cloned()),
            samples,
            issues,
            label_noise: found.joint.label_noise(class),
        };
        let rows = |transition: ndarray::Array2<f64>| transition.rows().into_iter().map(|row| row.to_vec()).collect();
        Self {
            issues: found.issues(),
            noise_rate: found.noise_rate(),
            noise_rate_by_joint: found.joint.noise_rate(),
            separation: found.separation,
            classes: counts.into_iter().enumerate().map(class).collect(),
            transition: (classes <= MOST_CLASSES).then(|| rows(found.joint.transition())),
            overlaps: found.joint.overlaps(),
        }
    }

    /// What a class is called: by its name, or by its number.
    pub fn name(&self, class: usize) -> String {
        let name = self.classes.get(class).and_then(|class| class.name.clone());
        name.unwrap_or_else(|| class.to_string())
    }
}
