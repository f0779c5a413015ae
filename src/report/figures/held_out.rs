//! How two models predict the labels of the same held-out samples.

use super::MOST_CLASSES;
use crate::evidence::{Prediction, Scores};
use serde::Serialize;
use std::collections::BTreeMap;

/// Pairs of classes that are listed.
const MISTAKES: usize = 20;

/// The original and the chosen candidate on held-out data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldOutFigure {
    /// What the data is called.
    pub data: String,
    /// What it is for.
    pub role: Role,
    /// The number of its samples that could be used.
    pub samples: usize,
    /// How many labels of each class are predicted.
    pub classes: Vec<ClassAccuracy>,
    /// How often a label (row) is predicted as a class (column); nothing for more than 100 classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    /// The most frequent mistakes of both, those that were most frequent before first.
    pub mistakes: Vec<Mistake>,
}

/// What held-out data is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It took no part in any choice.
    Test,
    /// Candidates were compared on it.
    Validation,
}

/// A class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClassAccuracy {
    /// How many samples carry its label.
    pub samples: usize,
    /// For how many of them the original predicts it.
    pub before: usize,
    /// For how many the chosen candidate does.
    pub after: usize,
}

/// Counts of samples by label (row) and prediction (column).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// Of the original.
    pub before: Vec<Vec<usize>>,
    /// Of the chosen candidate.
    pub after: Vec<Vec<usize>>,
}

/// Samples of one label that are predicted as another class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The label.
    pub label: usize,
    /// The class.
    pub predicted: usize,
    /// How often the original makes it.
    pub before: usize,
    /// How often the chosen candidate does.
    pub after: usize,
}

impl HeldOutFigure {
    /// From the predictions of both for data of so many classes.
    pub fn of((role, data): (Role, String), classes: usize, before: &Scores, after: &Scores) -> Self {
        let mut by_class = vec![ClassAccuracy { samples: 0, before: 0, after: 0 }; classes];
        let mut mistakes: BTreeMap<(usize, usize), (usize, usize)> = BTreeMap::new();
        let is_right = |prediction: &Prediction| usize::from(prediction.label == prediction.predicted);
        for prediction in &before.predictions {
            by_class[prediction.label].samples += 1;
            by_class[prediction.label].before += is_right(prediction);
            mistakes.entry((prediction.label, prediction.predicted)).or_default().0 += 1;
        }
        for prediction in &after.predictions {
            by_class[prediction.label].after += is_right(prediction);
            mistakes.entry((prediction.label, prediction.predicted)).or_default().1 += 1;
        }
        let small = classes <= MOST_CLASSES;
        let confusion = small.then(|| Confusion { before: matrix(classes, before), after: matrix(classes, after) });
        let mistake = |((label, predicted), (before, after))| Mistake { label, predicted, before, after };
        let mut mistakes: Vec<Mistake> =
            mistakes.into_iter().filter(|((label, predicted), _)| label != predicted).map(mistake).collect();
        // What a correction makes right, or new, is shown whichever of the two it is.
        mistakes.sort_by_key(|mistake| std::cmp::Reverse(mistake.before.max(mistake.after)));
        mistakes.truncate(MISTAKES);
        mistakes.sort_by_key(|mistake| std::cmp::Reverse(mistake.before));
        Self { data, role, samples: before.predictions.len(), classes: by_class, confusion, mistakes }
    }
}

fn matrix(classes: usize, scores: &Scores) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; classes]; classes];
    for prediction in &scores.predictions {
        counts[prediction.label][prediction.predicted] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(pairs: &[(usize, usize)]) -> Scores {
        let prediction = |&(label, predicted)| Prediction { label, predicted, confidence: 1.0, loss: 0.0 };
        Scores { predictions: pairs.iter().map(prediction).collect(), ..Scores::default() }
    }

    #[test]
    fn classes_and_mistakes_are_those_of_the_matrices() {
        let before = scores(&[(0, 0), (0, 1), (0, 1), (1, 1), (2, 0)]);
        let after = scores(&[(0, 0), (0, 0), (0, 1), (1, 2), (2, 2)]);
        let figure = HeldOutFigure::of((Role::Test, "data".to_owned()), 3, &before, &after);
        let confusion = figure.confusion.unwrap();
        assert_eq!(confusion.before, [[1, 2, 0], [0, 1, 0], [1, 0, 0]]);
        assert_eq!(confusion.after, [[2, 1, 0], [0, 0, 1], [0, 0, 1]]);
        for (class, accuracy) in figure.classes.iter().enumerate() {
            assert_eq!(accuracy.samples, confusion.before[class].iter().sum::<usize>());
            assert_eq!(
                (accuracy.before, accuracy.after),
                (confusion.before[class][class], confusion.after[class][class])
            );
        }
        let first = Mistake { label: 0, predicted: 1, before: 2, after: 1 };
        assert_eq!((figure.mistakes.len(), figure.mistakes[0]), (3, first));
    }

    #[test]
    fn of_many_classes_only_the_mistakes_are_listed() {
        let all: Vec<(usize, usize)> = (0..200).map(|label| (label, (label + 1) % 200)).collect();
        let figure = HeldOutFigure::of((Role::Validation, String::new()), 200, &scores(&all), &scores(&all));
        assert_eq!((figure.confusion, figure.mistakes.len()), (None, MISTAKES));
    }
}
