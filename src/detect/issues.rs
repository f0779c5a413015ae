//! The samples whose labels are likely wrong.

use super::{ConfidentJoint, Opinion, Separation};
use crate::report::table::{Cell, Column, Kind, Record};

/// What is found in a set of samples.
#[derive(Clone, Debug)]
pub struct Detection {
    /// Whether losses tell right labels from wrong ones.
    pub separation: Separation,
    /// Which classes are labelled as which.
    pub joint: ConfidentJoint,
    /// For each sample, whether its label is likely wrong.
    pub is_issue: Vec<bool>,
}

/// A sample as a row of a table, under the names that cleanlab's users know.
#[derive(Clone, Debug, PartialEq)]
pub struct Issue {
    /// Whether its label is likely wrong.
    pub is_label_issue: bool,
    /// The probability of its label: the smaller, the likelier it is wrong.
    pub label_score: f64,
    /// Its label.
    pub given_label: usize,
    /// The most probable class.
    pub predicted_label: usize,
    /// That, where the label is likely wrong.
    pub suggested_label: Option<usize>,
    /// The cross-entropy of the label, in nats.
    pub loss: f64,
    /// The probability of the label less that of the most probable other class.
    pub margin: f64,
    /// The sample's stable name.
    pub path: String,
}

impl Detection {
    /// From what a model says of samples of so many classes, of which there is one at least.
    ///
    /// A label is likely wrong where the model predicts another class and, if losses separate, where it is likelier than not one
    /// of the wrong ones by its loss.
    pub fn of(opinions: &[Opinion], classes: usize) -> Self {
        let separation = Separation::of(opinions.iter().map(|opinion| opinion.loss));
        let is_wrong = |opinion: &Opinion| !separation.separates || separation.wrong(opinion.loss) > 0.5;
        let is_issue = opinions.iter().map(|opinion| opinion.predicted != opinion.label && is_wrong(opinion)).collect();
        Self { separation, joint: ConfidentJoint::of(opinions, classes), is_issue }
    }

    /// The number of labels that are likely wrong.
    pub fn issues(&self) -> usize {
        self.is_issue.iter().filter(|is_issue| **is_issue).count()
    }

    /// The share of labels that are wrong, by the losses where they separate, else by the confident joint, which then finds too
    /// few.
    pub fn noise_rate(&self) -> f64 {
        if self.separation.separates { self.separation.wrong_share } else { self.joint.noise_rate() }
    }

    /// The positions of the samples, those whose labels are likeliest wrong first.
    pub fn worst_first(opinions: &[Opinion]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..opinions.len()).collect();
        order.sort_by(|&a, &b| opinions[b].loss.total_cmp(&opinions[a].loss).then(a.cmp(&b)));
        order
    }
}

impl Issue {
    /// A sample of that name.
    pub fn of(opinion: &Opinion, is_label_issue: bool, path: String) -> Self {
        Self {
            is_label_issue,
            label_score: opinion.self_confidence,
            given_label: opinion.label,
            predicted_label: opinion.predicted,
            suggested_label: is_label_issue.then_some(opinion.predicted),
            loss: opinion.loss,
            margin: opinion.margin,
            path,
        }
    }
}

impl Record for Issue {
    const COLUMNS: &'static [Column] = &[
        Column { name: "is_label_issue", kind: Kind::Flag },
        Column { name: "label_score", kind: Kind::Number },
        Column { name: "given_label", kind: Kind::Count },
        Column { name: "predicted_label", kind: Kind::Count },
        Column { name: "suggested_label", kind: Kind::OptionalCount },
        Column { name: "loss", kind: Kind::Number },
        Column { name: "margin", kind: Kind::Number },
        Column { name: "path", kind: Kind::Text },
    ];

    fn cells(self) -> Vec<Cell> {
        vec![
            Cell::Flag(self.is_label_issue),
            Cell::Number(self.label_score),
            Cell::Count(self.given_label),
            Cell::Count(self.predicted_label),
            self.suggested_label.map_or(Cell::Missing, Cell::Count),
            Cell::Number(self.loss),
            Cell::Number(self.margin),
            Cell::Text(self.path),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample of class 0 of two, to which the model gives so much.
    fn opinion(probability: f64) -> Opinion {
        let mut likely = vec![(0, probability), (1, 1.0 - probability)];
        likely.sort_by(|a, b| b.1.total_cmp(&a.1));
        let (loss, margin) = (-probability.ln(), 2.0 * probability - 1.0);
        Opinion { label: 0, predicted: likely[0].0, loss, self_confidence: probability, margin, likely }
    }

    #[test]
    fn labels_that_the_model_does_not_believe_are_issues() {
        let believed = (0..80).map(|at| opinion(0.95 - 0.001 * f64::from(at)));
        let doubted = (0..20).map(|at| opinion(0.05 + 0.001 * f64::from(at)));
        let opinions: Vec<Opinion> = believed.chain(doubted).collect();
        let found = Detection::of(&opinions, 2);
        assert!(found.separation.separates);
        assert_eq!((found.issues(), found.is_issue[0], found.is_issue[80]), (20, false, true));
        assert!((found.noise_rate() - 0.2).abs() < 0.01);
        assert_eq!(Detection::worst_first(&opinions)[..2], [80, 81]);
    }

    #[test]
    fn only_an_issue_has_another_label_suggested() {
        let row = |is_issue| Issue::of(&opinion(0.25), is_issue, "a.png".to_owned());
        assert_eq!((row(true).suggested_label, row(false).suggested_label), (Some(1), None));
        assert_eq!(row(true).cells().len(), Issue::COLUMNS.len());
    }
}
