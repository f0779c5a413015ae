//! How large logits should be, so that their softmax is a probability (temperature scaling, Guo et al. 2017).
//!
//! A closed form decides which class is the largest, not by how much: outputs of a ridge regression lie between 0 and 1, and
//! their softmax would be almost even. The scale is the one with the least cross-entropy on held-out labels. Where these are
//! wrong in a share of cases, so is what it makes of the largest probability, on average: it is that of the label.

use super::LinearHead;
use ndarray::Array2;

/// The most samples that the scale is chosen on: its minimum is flat.
const MOST_SAMPLES: usize = 4096;

/// The scales that are possible, as logarithms.
const RANGE: (f64, f64) = (-7.0, 9.0);

/// Chooses the scale of a head from held-out samples.
#[derive(Clone, Debug, Default)]
pub(super) struct Scale {
    /// The features of the samples, and their labels.
    samples: Vec<(Vec<f64>, usize)>,
}

impl Scale {
    /// Takes samples in, as many as are needed: their features, a row each, and their labels.
    pub(super) fn add(&mut self, features: &Array2<f64>, labels: &[usize]) {
        let free = MOST_SAMPLES.saturating_sub(self.samples.len());
        let new = features.rows().into_iter().zip(labels).take(free);
        self.samples.extend(new.map(|(row, &label)| (row.to_vec(), label)));
    }

    /// Whether more samples would not be looked at.
    pub(super) fn is_full(&self) -> bool {
        self.samples.len() >= MOST_SAMPLES
    }

    /// The head with logits of the best size. Without samples it stays as it is.
    pub(super) fn of(&self, head: &LinearHead) -> LinearHead {
        let Some((first, _)) = self.samples.first() else { return head.clone() };
        let features: Vec<f64> = self.samples.iter().flat_map(|(features, _)| features.iter().copied()).collect();
        let Ok(features) = Array2::from_shape_vec((self.samples.len(), first.len()), features) else {
            return head.clone();
        };
        let logits = head.logits(&features);
        let labels: Vec<usize> = self.samples.iter().map(|(_, label)| *label).collect();
        let best = least(RANGE, |logarithm| cross_entropy(&logits, &labels, logarithm.exp()));
        head.scaled(best.exp())
    }
}

/// The mean cross-entropy of the softmax of `scale · logits`: convex in the scale.
fn cross_entropy(logits: &Array2<f64>, labels: &[usize], scale: f64) -> f64 {
    let known = |(_, label): &(ndarray::ArrayView1<'_, f64>, &usize)| **label < logits.ncols();
    let loss = |(row, &label): (ndarray::ArrayView1<'_, f64>, &usize)| {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = row.iter().map(|logit| (scale * (logit - largest)).exp()).sum();
        total.ln() - scale * (row[label] - largest)
    };
    logits.rows().into_iter().zip(labels).filter(known).map(loss).sum::<f64>() / labels.len() as f64
}

/// Where a function with one minimum has it, by golden sections.
fn least((mut low, mut high): (f64, f64), function: impl Fn(f64) -> f64) -> f64 {
    let ratio = (5_f64.sqrt() - 1.0) / 2.0;
    while high - low > 1e-3 {
        let (left, right) = (high - ratio * (high - low), low + ratio * (high - low));
        if function(left) <= function(right) {
            high = right;
        } else {
            low = left;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    #[test]
    fn where_three_of_four_labels_are_what_is_predicted_the_probability_becomes_three_quarters() {
        let head = LinearHead { weight: array![[0.01], [-0.01]], bias: Array1::zeros(2) };
        let mut scale = Scale::default();
        scale.add(&array![[1.0], [1.0], [1.0], [1.0]], &[0, 0, 0, 1]);
        let logits = scale.of(&head).logits(&array![[1.0]]);
        let probability = 1.0 / (1.0 + (logits[(0, 1)] - logits[(0, 0)]).exp());
        assert!((probability - 0.75).abs() < 1e-3, "{probability}");
    }

    #[test]
    fn without_samples_nothing_changes() {
        let head = LinearHead { weight: array![[1.0]], bias: array![2.0] };
        assert_eq!(Scale::default().of(&head), head);
    }
}
