//! Which predictions differ between two models on the same samples, and which way.

use crate::evidence::{Prediction, Quality, Scores};
use serde::Serialize;
use std::collections::BTreeMap;

/// What differs between the predictions of two models. Labels may be wrong: they say which way a prediction went, not which
/// one is right.
#[derive(Clone, Debug, Serialize)]
pub struct PredictionChange {
    /// The first model on the samples that both can use.
    pub a: Quality,
    /// The second.
    pub b: Quality,
    /// How many samples only one of them can use.
    pub left_out: usize,
    /// Predictions that became the label.
    pub gained: usize,
    /// Predictions that were the label and no longer are.
    pub lost: usize,
    /// By class.
    pub classes: Vec<ClassChange>,
    /// From which class to which, the most frequent first.
    pub directions: Vec<Direction>,
    /// Each sample whose prediction differs, in the order of the set.
    pub flips: Vec<Flip>,
}

/// A class of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClassChange {
    /// The class.
    pub class: usize,
    /// How many samples carry its label.
    pub samples: usize,
    /// For how many of them the first model predicts it.
    pub right_a: usize,
    /// For how many the second.
    pub right_b: usize,
    /// Of how many the prediction differs.
    pub flips: usize,
}

/// Predictions that went from one class to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Direction {
    /// What the first model predicts.
    pub from: usize,
    /// What the second predicts.
    pub to: usize,
    /// For how many samples.
    pub flips: usize,
    /// How many of these have the label `from`.
    pub lost: usize,
    /// How many have the label `to`.
    pub gained: usize,
}

/// A sample whose prediction differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flip {
    /// Its position in the set.
    pub sample: usize,
    /// Its (possibly wrong) label.
    pub label: usize,
    /// What the first model predicts.
    pub from: usize,
    /// What the second predicts.
    pub to: usize,
}

impl PredictionChange {
    /// Compares what two models say of the samples of one set, as far as both could use them.
    pub fn between(a: &Scores, b: &Scores) -> Self {
        let other: BTreeMap<usize, &Prediction> = b.samples.iter().copied().zip(&b.predictions).collect();
        let (mut first, mut second, mut flips) = (Vec::new(), Vec::new(), Vec::new());
        for (sample, old) in a.samples.iter().zip(&a.predictions) {
            let Some(new) = other.get(sample) else { continue };
            first.push(*old);
            second.push(**new);
            if old.predicted != new.predicted {
                let (label, from, to) = (old.label, old.predicted, new.predicted);
                flips.push(Flip { sample: *sample, label, from, to });
            }
        }
        let classes = a.classes().max(b.classes());
        Self {
            a: Quality::of(&first),
            b: Quality::of(&second),
            left_out: a.samples.len() + b.samples.len() - 2 * first.len(),
            gained: flips.iter().filter(|flip| flip.to == flip.label).count(),
            lost: flips.iter().filter(|flip| flip.from == flip.label).count(),
            classes: by_class(classes, &first, &second),
            directions: directions(&flips),
            flips,
        }
    }

    /// The number of samples that both models could use.
    pub fn samples(&self) -> usize {
        self.a.samples
    }

    /// The share of predictions that differ; of no samples nothing.
    pub fn flip_rate(&self) -> Option<f64> {
        (self.samples() > 0).then(|| self.flips.len() as f64 / self.samples() as f64)
    }
}

fn by_class(classes: usize, a: &[Prediction], b: &[Prediction]) -> Vec<ClassChange> {
    let empty = |class| ClassChange { class, samples: 0, right_a: 0, right_b: 0, flips: 0 };
    let mut found: Vec<ClassChange> = (0..classes).map(empty).collect();
    for (old, new) in a.iter().zip(b) {
        let class = &mut found[old.label];
        class.samples += 1;
        class.right_a += usize::from(old.predicted == old.label);
        class.right_b += usize::from(new.predicted == new.label);
        class.flips += usize::from(old.predicted != new.predicted);
    }
    found
}

fn directions(flips: &[Flip]) -> Vec<Direction> {
    let mut found: BTreeMap<(usize, usize), Direction> = BTreeMap::new();
    for &Flip { label, from, to, .. } in flips {
        let way = found.entry((from, to)).or_insert(Direction { from, to, flips: 0, lost: 0, gained: 0 });
        way.flips += 1;
        way.lost += usize::from(label == from);
        way.gained += usize::from(label == to);
    }
    let mut found: Vec<Direction> = found.into_values().collect();
    found.sort_by_key(|way| std::cmp::Reverse(way.flips));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Meaning;
    use crate::model::Link;

    /// Samples with their labels and what is predicted for them, of three classes.
    fn scores(of: &[(usize, usize, usize)]) -> Scores {
        let prediction = |&(_, label, predicted)| Prediction { label, predicted, confidence: 0.5, loss: 1.0 };
        Scores {
            samples: of.iter().map(|(sample, ..)| *sample).collect(),
            predictions: of.iter().map(prediction).collect(),
            meaning: Some(Meaning { classes: 3, link: Link::Softmax }),
            ..Scores::default()
        }
    }

    #[test]
    fn flips_are_counted_by_class_and_direction() {
        let a = scores(&[(0, 0, 0), (1, 1, 0), (2, 1, 0), (3, 2, 0), (4, 2, 2)]);
        let b = scores(&[(0, 0, 1), (1, 1, 1), (2, 1, 0), (3, 2, 1), (5, 2, 2)]);
        let change = PredictionChange::between(&a, &b);
        assert_eq!((change.samples(), change.left_out), (4, 2));
        assert_eq!((change.gained, change.lost, change.flip_rate()), (1, 1, Some(0.75)));
        assert_eq!((change.a.accuracy, change.b.accuracy), (0.25, 0.25));
        assert_eq!(change.directions, [Direction { from: 0, to: 1, flips: 3, lost: 1, gained: 1 }]);
        assert_eq!(change.classes[1], ClassChange { class: 1, samples: 2, right_a: 0, right_b: 1, flips: 1 });
        assert_eq!(change.classes[2], ClassChange { class: 2, samples: 1, right_a: 0, right_b: 0, flips: 1 });
        assert_eq!(change.flips.iter().map(|flip| flip.sample).collect::<Vec<_>>(), [0, 1, 3]);
    }

    #[test]
    fn of_no_common_samples_nothing_is_said() {
        let change = PredictionChange::between(&scores(&[(0, 0, 0)]), &scores(&[(1, 0, 0)]));
        assert_eq!((change.samples(), change.left_out, change.flip_rate()), (0, 2, None));
    }
}
