//! The features before a linear head, by class: all that a closed-form head is computed from.

use super::{EvidenceError, Forward};
use crate::data::{Batch, Stream};
use crate::linalg::{Order, Part, Strip, add_product};
use crate::progress::Observer;
use ndarray::{Array2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

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

    /// Those of several parts together, of which there is one at least.
    pub fn together<'m>(parts: impl IntoIterator<Item = &'m Self>) -> Option<Self> {
        let mut parts = parts.into_iter();
        let mut all = parts.next()?.clone();
        for part in parts {
            all.counts.iter_mut().zip(&part.counts).for_each(|(all, part)| *all += part);
            all.sums += &part.sums;
            all.lower += &part.lower;
        }
        Some(all)
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

/// Parts of a set that what is fitted to the others can be judged on (cross-validation). The seed says where a sample belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folds {
    /// How many there are, one at least.
    pub count: usize,
    /// Draws them.
    pub seed: u64,
}

impl Folds {
    /// All samples in one.
    pub const ONE: Self = Self { count: 1, seed: 0 };

    /// That of a sample.
    pub fn of(self, sample: usize) -> usize {
        if self.count < 2 {
            return 0;
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(sample as u64);
        random.random_range(0..self.count)
    }
}

/// Sums the features of the samples of each fold, as steps of whatever phase the observer is in. `forward` reads the features;
/// each sample has a label below `classes`.
///
/// # Errors
/// Those of data and engine; an interruption.
pub fn class_moments(
    forward: &mut Forward,
    stream: &Stream<'_>,
    (samples, batch): (&[usize], usize),
    (classes, folds): (usize, Folds),
    observer: &dyn Observer,
) -> Result<Vec<ClassMoments>, EvidenceError> {
    let mut moments = Vec::new();
    for_each_features(forward, stream, (samples, batch), observer, |batch, features| {
        if moments.is_empty() {
            moments = vec![ClassMoments::new(classes, features.ncols()); folds.count];
        }
        let of_samples: Vec<usize> = batch.indices.iter().map(|&sample| folds.of(sample)).collect();
        for (fold, moments) in moments.iter_mut().enumerate() {
            let rows: Vec<usize> = (0..of_samples.len()).filter(|&row| of_samples[row] == fold).collect();
            let labels: Vec<usize> = rows.iter().map(|&row| batch.labels[row]).collect();
            moments.add(&features.select(Axis(0), &rows), &labels);
        }
    })?;
    if moments.is_empty() { Err(EvidenceError::NoneUsable) } else { Ok(moments) }
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

    #[test]
    fn folds_add_up_to_the_whole() {
        let features = Array2::from_shape_fn((60, 3), |(sample, j)| ((sample * 7 + j * 5) % 11) as f64);
        let labels: Vec<usize> = (0..60).map(|sample| sample % 2).collect();
        let mut whole = ClassMoments::new(2, 3);
        whole.add(&features, &labels);
        let folds = Folds { count: 4, seed: 1 };
        let part = |fold: usize| {
            let rows: Vec<usize> = (0..60).filter(|&sample| folds.of(sample) == fold).collect();
            let mut moments = ClassMoments::new(2, 3);
            moments.add(&features.select(Axis(0), &rows), &rows.iter().map(|&row| labels[row]).collect::<Vec<_>>());
            moments
        };
        let parts: Vec<ClassMoments> = (0..4).map(part).collect();
        assert!(parts.iter().all(|part| part.samples() > 5), "each has its share");
        assert_eq!(ClassMoments::together(&parts), Some(whole));
        assert_eq!(ClassMoments::together([]), None);
    }
}
