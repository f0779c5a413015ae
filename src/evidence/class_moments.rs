//! The features before a linear head, by class: all that a closed-form head is computed from.

use super::{EvidenceError, Forward};
use crate::data::{Batch, Stream};
use crate::linalg::{Order, Part, Strip, add_product};
use crate::progress::Observer;
use ndarray::Array2;

/// Sums over the features `φ` of samples, in float64. Those of parts of a set add up.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassMoments {
    /// The number of samples of each class.
    pub counts: Vec<usize>,
    /// `Σ φ` over the samples of each class, `[classes, d]`.
    pub sums: Array2<f64>,
    /// `Σ φφᵀ` over all samples, `[d, d]`; only what is on and below the diagonal.
    lower: Array2<f64>,
}

impl ClassMoments {
    /// Of no sample.
    pub fn new(classes: usize, features: usize) -> Self {
        Self {
            counts: vec![0; classes],
            sums: Array2::zeros((classes, features)),
            lower: Array2::zeros((features, features)),
        }
    }

    /// Adds samples: their features, a row each, and their labels, which are below the number of classes.
    pub fn add(&mut self, features: &Array2<f64>, labels: &[usize]) {
        let rows = features.as_standard_layout();
        let (samples, d) = rows.dim();
        for (row, &label) in rows.rows().into_iter().zip(labels) {
            self.counts[label] += 1;
            let mut sum = self.sums.row_mut(label);
            sum += &row;
        }
        let (Some(values), Some(lower)) = (rows.as_slice(), self.lower.as_slice_mut()) else { return };
        let columns = Strip { values, rows: d, length: samples, order: Order::Columns, stride: d };
        add_product(lower, columns, columns, Part::Lower);
    }

    /// The number of samples.
    pub fn samples(&self) -> usize {
        self.counts.iter().sum()
    }

    /// `Σ φφᵀ`, `[d, d]`.
    pub fn second(&self) -> Array2<f64> {
        Array2::from_shape_fn(self.lower.dim(), |(i, j)| self.lower[(i.max(j), i.min(j))])
    }
}

/// Sums the features of samples, as steps of whatever phase the observer is in. `forward` reads the features; each sample has
/// a label below `classes`.
///
/// # Errors
/// Those of data and engine; an interruption.
pub fn class_moments(
    forward: &mut Forward,
    stream: &Stream<'_>,
    (samples, batch): (&[usize], usize),
    classes: usize,
    observer: &dyn Observer,
) -> Result<ClassMoments, EvidenceError> {
    let mut moments: Option<ClassMoments> = None;
    for_each_features(forward, stream, (samples, batch), observer, |batch, features| {
        moments.get_or_insert_with(|| ClassMoments::new(classes, features.ncols())).add(features, &batch.labels);
    })?;
    moments.ok_or(EvidenceError::NoneUsable)
}

/// Shows what `forward` reads of samples, batch by batch, a row each.
///
/// # Errors
/// Those of data and engine; an interruption.
pub fn for_each_features(
    forward: &mut Forward,
    stream: &Stream<'_>,
    (samples, batch): (&[usize], usize),
    observer: &dyn Observer,
    mut each: impl FnMut(&Batch, &Array2<f64>),
) -> Result<(), EvidenceError> {
    stream.for_each_usable(samples, batch, |batch: Batch| {
        if let Some(signal) = observer.stopped() {
            return Err(EvidenceError::Stopped(signal));
        }
        if !batch.indices.is_empty() {
            let features = forward.scores(&batch.inputs)?.rows;
            each(&batch, &features);
        }
        observer.advance(batch.indices.len() + batch.quarantined.len());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn batches_add_up_to_the_sums_of_their_definition() {
        let features = array![[1.0, 2.0], [3.0, -1.0], [0.5, 4.0]];
        let mut moments = ClassMoments::new(3, 2);
        moments.add(&features.slice(ndarray::s![..2, ..]).to_owned(), &[2, 0]);
        moments.add(&features.slice(ndarray::s![2.., ..]).to_owned(), &[2]);
        assert_eq!((moments.counts.as_slice(), moments.samples()), ([1, 0, 2].as_slice(), 3));
        assert_eq!(moments.sums, array![[3.0, -1.0], [0.0, 0.0], [1.5, 6.0]]);
        assert_eq!(moments.second(), features.t().dot(&features));
    }
}
