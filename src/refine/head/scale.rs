//! How large logits should be, so that their softmax is a probability (temperature scaling, Guo et al. 2017).
//!
//! A closed form decides which class is the largest, not by how much: outputs of a ridge regression lie between 0 and 1, and
//! their softmax would be almost even. The scale is the one with the least cross-entropy on held-out labels. Where these are
//! wrong in a share of cases, so is what it makes of the largest probability, on average: it is that of the label.

use super::LinearHead;
use ndarray::Array2;

/// Samples that are enough to choose the scale on: its minimum is flat.
pub(super) const ENOUGH_SAMPLES: usize = 4096;

/// The scales that are possible, as logarithms.
const RANGE: (f64, f64) = (-7.0, 9.0);

/// The head with logits of the best size for samples, as many as are needed: their features, a row each, and their labels,
/// part by part. Without samples it stays as it is.
pub(super) fn scaled<'s>(head: &LinearHead, parts: impl Iterator<Item = (&'s Array2<f64>, &'s [usize])>) -> LinearHead {
    let mut samples: Vec<(Vec<f64>, usize)> = Vec::new();
    for (features, labels) in parts {
        let logits = head.logits(features);
        let known = logits.rows().into_iter().zip(labels).filter(|(row, label)| **label < row.len());
        samples.extend(known.map(|(row, &label)| (row.to_vec(), label)));
    }
    if samples.is_empty() {
        return head.clone();
    }
    head.scaled(least(RANGE, |logarithm| cross_entropy(&samples, logarithm.exp())).exp())
}

/// The mean cross-entropy of the softmax of `scale` times the logits of samples with labels: convex in the scale.
fn cross_entropy(samples: &[(Vec<f64>, usize)], scale: f64) -> f64 {
    let loss = |(logits, label): &(Vec<f64>, usize)| {
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|logit| (scale * (logit - largest)).exp()).sum();
        total.ln() - scale * (logits[*label] - largest)
    };
    samples.iter().map(loss).sum::<f64>() / samples.len() as f64
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
        let (features, labels) = (array![[1.0], [1.0], [1.0], [1.0]], [0, 0, 0, 1]);
        let logits = scaled(&head, std::iter::once((&features, &labels[..]))).logits(&array![[1.0]]);
        let probability = 1.0 / (1.0 + (logits[(0, 1)] - logits[(0, 0)]).exp());
        assert!((probability - 0.75).abs() < 1e-3, "{probability}");
    }

    #[test]
    fn without_samples_nothing_changes() {
        let head = LinearHead { weight: array![[1.0]], bias: array![2.0] };
        assert_eq!(scaled(&head, std::iter::empty()), head);
    }
}
