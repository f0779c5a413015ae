//! How often each class is labelled as each other one: the confident joint of confident learning (Northcutt, Jiang and
//! Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70, 2021).
//!
//! A class counts for a sample where its probability is at least its mean over the samples that carry its label; of
//! several the most probable one. Counts are then scaled, so that each label occurs as often as it does.

use super::Opinion;
use ndarray::Array2;
use serde::Serialize;

/// The joint distribution of given labels and of the classes that they should be.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfidentJoint {
    /// `[given, class]`: shares that sum to 1.
    shares: Array2<f64>,
}

/// Two classes that are taken for each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Overlap {
    /// The classes, the smaller first.
    pub classes: (usize, usize),
    /// The share of all samples that are of one and labelled as the other.
    pub share: f64,
}

impl ConfidentJoint {
    /// From what a model says of samples of so many classes.
    pub fn of(opinions: &[Opinion], classes: usize) -> Self {
        let mut labelled = vec![0.0; classes];
        let mut confidence = vec![0.0; classes];
        for Opinion { label, self_confidence, .. } in opinions {
            labelled[*label] += 1.0;
            confidence[*label] += self_confidence;
        }
        // The mean of equal numbers may be above them by rounding.
        let reached =
            |class: usize, probability: f64| probability * labelled[class] >= confidence[class] * (1.0 - 1e-12);
        let mut shares = Array2::zeros((classes, classes));
        for Opinion { label, likely, .. } in opinions {
            let confident =
                likely.iter().find(|&&(class, probability)| labelled[class] > 0.0 && reached(class, probability));
            if let Some(&(class, _)) = confident {
                shares[[*label, class]] += 1.0;
            }
        }
        let all = opinions.len().max(1) as f64;
        for (given, mut row) in shares.rows_mut().into_iter().enumerate() {
            let counted = row.sum();
            if counted > 0.0 {
                row *= labelled[given] / counted / all;
            } else {
                // Nobody is sure of any of them: they are left as they are labelled.
                row[given] = labelled[given] / all;
            }
        }
        Self { shares }
    }

    /// The share of labels that are wrong.
    pub fn noise_rate(&self) -> f64 {
        let right: f64 = self.shares.diag().sum();
        (1.0 - right).clamp(0.0, 1.0)
    }

    /// `[class, given]`: with which probability a class carries a label. The row of a class that does not occur is that of
    /// the identity.
    pub fn transition(&self) -> Array2<f64> {
        let mut transition = self.shares.t().to_owned();
        for (class, mut row) in transition.rows_mut().into_iter().enumerate() {
            let all = row.sum();
            if all > 0.0 {
                row /= all;
            } else {
                row[class] = 1.0;
            }
        }
        transition
    }

    /// Of the labels of a class, the share that are wrong.
    pub fn label_noise(&self, class: usize) -> f64 {
        let row = self.shares.row(class);
        let all = row.sum();
        if all > 0.0 { 1.0 - row[class] / all } else { 0.0 }
    }

    /// The classes that are taken for each other, those of the largest share first.
    pub fn overlaps(&self) -> Vec<Overlap> {
        let classes = self.shares.nrows();
        let pairs = (0..classes).flat_map(|a| (a + 1..classes).map(move |b| (a, b)));
        let overlap = |(a, b)| Overlap { classes: (a, b), share: self.shares[[a, b]] + self.shares[[b, a]] };
        let mut overlaps: Vec<Overlap> = pairs.map(overlap).filter(|overlap| overlap.share > 0.0).collect();
        overlaps.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.classes.cmp(&b.classes)));
        overlaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample of that label, of which the model says that.
    fn opinion(label: usize, probabilities: [f64; 3]) -> Opinion {
        let mut likely: Vec<(usize, f64)> = probabilities.into_iter().enumerate().collect();
        likely.sort_by(|a, b| b.1.total_cmp(&a.1));
        let self_confidence = probabilities[label];
        Opinion { label, predicted: likely[0].0, loss: -self_confidence.ln(), self_confidence, margin: 0.0, likely }
    }

    fn sure(label: usize, class: usize) -> Opinion {
        let mut probabilities = [0.05; 3];
        probabilities[class] = 0.9;
        opinion(label, probabilities)
    }

    #[test]
    fn labels_are_counted_by_the_class_that_the_model_is_sure_of() {
        // Of ten samples of class 0 three are labelled 1, and everything else is right.
        let mut opinions = vec![sure(1, 0); 3];
        opinions.extend(vec![sure(0, 0); 7]);
        opinions.extend(vec![sure(1, 1); 7]);
        opinions.extend(vec![sure(2, 2); 10]);
        let joint = ConfidentJoint::of(&opinions, 3);
        assert!((joint.noise_rate() - 3.0 / 27.0).abs() < 1e-12);
        let transition = joint.transition();
        assert!((transition[[0, 1]] - 0.3).abs() < 1e-12 && transition[[2, 2]] == 1.0, "{transition}");
        assert!((joint.label_noise(1) - 0.3).abs() < 1e-12);
        assert_eq!(joint.overlaps().len(), 1);
        assert_eq!(joint.overlaps()[0].classes, (0, 1));
    }

    #[test]
    fn a_class_of_which_the_model_is_never_sure_needs_less_to_count() {
        // By the most probable class all samples of class 1 would be of class 0.
        let unsure = opinion(1, [0.5, 0.45, 0.05]);
        let opinions = [vec![sure(0, 0); 10], vec![unsure; 5]].concat();
        assert_eq!(ConfidentJoint::of(&opinions, 3).noise_rate(), 0.0);
    }

    #[test]
    fn labels_occur_as_often_as_they_do_whoever_was_counted() {
        // Half of the samples of class 0 are below its mean, and count for none.
        let opinions =
            [vec![opinion(0, [0.4, 0.3, 0.3]); 5], vec![sure(0, 0); 4], vec![sure(0, 1)], vec![sure(1, 1)]].concat();
        let joint = ConfidentJoint::of(&opinions, 3);
        assert!((joint.shares.row(0).sum() - 10.0 / 11.0).abs() < 1e-12);
        assert!((joint.shares.sum() - 1.0).abs() < 1e-12);
        assert_eq!(joint.transition()[[2, 2]], 1.0, "class 2 does not occur");
    }
}
