//! Samples and what a model says of their labels as rows of a table, under the names that cleanlab's users know.

use super::table::{Cell, Column, Kind, Record};
use crate::detect::Opinion;

/// A sample.
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

    #[test]
    fn only_an_issue_has_another_label_suggested() {
        let likely = vec![(1, 0.75), (0, 0.25)];
        let opinion = Opinion { label: 0, predicted: 1, loss: 4_f64.ln(), self_confidence: 0.25, margin: -0.5, likely };
        let row = |is_issue| Issue::of(&opinion, is_issue, "a.png".to_owned());
        assert_eq!((row(true).suggested_label, row(false).suggested_label), (Some(1), None));
        assert_eq!(row(true).cells().len(), Issue::COLUMNS.len());
    }
}
