//! The features before a linear head, sample by sample: for what no sums tell.

use super::class_moments::for_each_features;
use super::{EvidenceError, Forward};
use crate::data::Stream;
use crate::progress::Observer;
use ndarray::{Array2, Axis};

/// Samples as the last layer sees them.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureRows {
    /// Their positions in the set.
    pub samples: Vec<usize>,
    /// Their (possibly wrong) labels, below the number of classes.
    pub labels: Vec<usize>,
    /// Their features, a row each.
    pub features: Array2<f64>,
}

/// Keeps the features of samples, as steps of whatever phase the observer is in. `forward` reads the features; each sample has a
/// label that the model knows.
///
/// # Errors
/// Those of data and engine; an interruption.
pub fn feature_rows(
    forward: &mut Forward,
    stream: &Stream<'_>,
    (samples, batch): (&[usize], usize),
    observer: &dyn Observer,
) -> Result<FeatureRows, EvidenceError> {
    let mut found: Option<FeatureRows> = None;
    let mut other_width = None;
    for_each_features(forward, stream, (samples, batch), observer, |batch, features| {
        let rows = found.get_or_insert_with(|| FeatureRows {
            samples: Vec::new(),
            labels: Vec::new(),
            features: Array2::zeros((0, features.ncols())),
        });
        rows.samples.extend(&batch.indices);
        rows.labels.extend(&batch.labels);
        if rows.features.append(Axis(0), features.view()).is_err() {
            other_width = Some(features.shape().to_vec());
        }
    })?;
    match other_width {
        None => found.ok_or(EvidenceError::NoneUsable),
        Some(found) => {
            let (output, samples) = (forward.classifier().head.value.clone(), found[0]);
            Err(EvidenceError::Logits { output, found, samples })
        }
    }
}
