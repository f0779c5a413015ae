//! Several heads on the same features: one pass over validation samples judges them all.

use super::LinearHead;
use super::scale::{ENOUGH_SAMPLES, scaled};
use crate::evidence::{Prediction, Scores};
use crate::model::Link;
use ndarray::Array2;

/// Heads that are compared, and what they predicted so far.
#[derive(Debug)]
pub struct Contest {
    entrants: Vec<Entrant>,
    link: Link,
    /// What came before there were enough samples to know the scales; nothing from then on.
    waiting: Option<Vec<Shown>>,
}

/// Samples as a contest sees them.
#[derive(Debug)]
struct Shown {
    indices: Vec<usize>,
    labels: Vec<usize>,
    /// A row a sample.
    features: Array2<f64>,
}

/// A head, and its predictions.
#[derive(Debug)]
pub struct Entrant {
    /// The head, its logits as large as they should be.
    pub head: LinearHead,
    /// What it predicts.
    pub scores: Scores,
    /// Whether the size of its logits is to be found.
    scalable: bool,
}

impl Contest {
    /// Of heads whose logits become probabilities in that way; `scalable`: whether their size is to be chosen.
    pub fn new(heads: impl IntoIterator<Item = (LinearHead, bool)>, link: Link) -> Self {
        let entrant = |(head, scalable)| Entrant { head, scores: Scores::default(), scalable };
        let entrants = heads.into_iter().map(entrant).collect();
        Self { entrants, link, waiting: Some(Vec::new()) }
    }

    /// Takes samples: their indices, their labels, and their features, a row each.
    pub fn add(&mut self, indices: &[usize], labels: &[usize], features: &Array2<f64>) {
        let shown = Shown { indices: indices.to_vec(), labels: labels.to_vec(), features: features.clone() };
        let Some(waiting) = &mut self.waiting else { return self.judge(&shown) };
        waiting.push(shown);
        if waiting.iter().map(|shown| shown.labels.len()).sum::<usize>() >= ENOUGH_SAMPLES {
            self.settle();
        }
    }

    /// The heads with everything that they predicted, in the order in which they were given.
    pub fn finish(mut self) -> Vec<Entrant> {
        self.settle();
        self.entrants
    }

    /// Finds the scales, and judges what waited for them.
    fn settle(&mut self) {
        let waiting = self.waiting.take().unwrap_or_default();
        if waiting.is_empty() {
            return;
        }
        for entrant in self.entrants.iter_mut().filter(|entrant| entrant.scalable) {
            let parts = waiting.iter().map(|shown| (&shown.features, shown.labels.as_slice()));
            entrant.head = scaled(&entrant.head, parts);
        }
        for shown in &waiting {
            self.judge(shown);
        }
    }

    fn judge(&mut self, shown: &Shown) {
        for Entrant { head, scores, .. } in &mut self.entrants {
            let logits = head.logits(&shown.features);
            let classes = self.link.classes(logits.ncols());
            for ((&index, &label), row) in shown.indices.iter().zip(&shown.labels).zip(logits.rows()) {
                // As in scoring, what cannot be judged is left out.
                if label < classes && row.iter().all(|logit| logit.is_finite()) {
                    scores.samples.push(index);
                    scores.predictions.push(Prediction::of(&row, self.link, label));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    #[test]
    fn every_sample_is_judged_once_by_every_head_before_and_after_the_scales_are_known() {
        let right = LinearHead { weight: array![[-1.0], [1.0]], bias: Array1::zeros(2) };
        let wrong = LinearHead { weight: array![[1.0], [-1.0]], bias: Array1::zeros(2) };
        let mut contest = Contest::new([(right.clone(), true), (wrong, false)], Link::Softmax);
        let labels: Vec<usize> = (0..1000).map(|sample| sample % 2).collect();
        let features = Array2::from_shape_fn((1000, 1), |(sample, _)| if sample % 2 == 1 { 1.0 } else { -1.0 });
        for first in 0..6 {
            let indices: Vec<usize> = (first * 1000..(first + 1) * 1000).collect();
            contest.add(&indices, &labels, &features);
        }
        let entrants = contest.finish();
        assert_eq!(entrants[0].scores.samples, (0..6000).collect::<Vec<_>>());
        assert_eq!(entrants[0].scores.quality().accuracy, 1.0);
        assert_eq!(entrants[1].scores.quality().accuracy, 0.0);
        assert!(entrants[0].scores.quality().mean_loss < 1e-3, "all are right, so logits become large");
        assert_ne!(entrants[0].head, right);
    }

    #[test]
    fn a_label_that_the_head_does_not_know_is_left_out() {
        let head = LinearHead { weight: array![[-1.0], [1.0]], bias: Array1::zeros(2) };
        let mut contest = Contest::new([(head, false)], Link::Softmax);
        contest.add(&[0, 1], &[0, 2], &array![[-1.0], [1.0]]);
        assert_eq!(contest.finish()[0].scores.samples, [0]);
    }
}
