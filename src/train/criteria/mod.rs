//! What a training makes small, one file each.

mod early_learning;
mod generalized;
mod symmetric;
mod teacher;

pub use early_learning::EarlyLearning;
pub use generalized::Generalized;
pub use symmetric::Symmetric;
pub use teacher::Teacher;

use crate::autodiff::{Criterion, CrossEntropy};

/// A loss that fine-tuning can be asked for by name.
#[derive(Clone, Copy, Debug)]
pub struct NamedCriterion {
    /// On the command line.
    pub name: &'static str,
    /// One line for `--help`.
    pub summary: &'static str,
    /// The loss, as published.
    pub criterion: &'static dyn Criterion,
    /// Whether it is made for labels of which some are wrong.
    pub bears_wrong_labels: bool,
    /// The same for mixed samples, where it is another one.
    pub of_mixed: Option<OfMixed>,
}

/// A loss of mixed samples, which takes what is remembered as it is given: that follows what the model says of samples as they are.
#[derive(Clone, Copy, Debug)]
pub struct OfMixed {
    /// The loss.
    pub criterion: &'static dyn Criterion,
    /// How much of what was remembered stays after an epoch.
    pub momentum: f64,
}

/// The losses that fine-tuning knows.
pub const CRITERIA: &[NamedCriterion] = &[
    NamedCriterion {
        name: "elr",
        summary: "early-learning regularisation: cross-entropy, held back from labels that earlier predictions contradict (Liu et al. 2020)",
        criterion: &EarlyLearning::PUBLISHED,
        bears_wrong_labels: true,
        of_mixed: Some(OfMixed { criterion: &EarlyLearning::HELD, momentum: EarlyLearning::PUBLISHED.momentum }),
    },
    NamedCriterion {
        name: "ce",
        summary: "cross-entropy",
        criterion: &CrossEntropy,
        bears_wrong_labels: false,
        of_mixed: None,
    },
    NamedCriterion {
        name: "sce",
        summary: "symmetric cross-entropy (Wang et al. 2019)",
        criterion: &Symmetric::PUBLISHED,
        bears_wrong_labels: true,
        of_mixed: None,
    },
    NamedCriterion {
        name: "gce",
        summary: "generalised cross-entropy, between it and the absolute error (Zhang and Sabuncu 2018)",
        criterion: &Generalized::PUBLISHED,
        bears_wrong_labels: true,
        of_mixed: None,
    },
];

/// The loss of that name.
pub fn criterion(name: &str) -> Option<&'static NamedCriterion> {
    CRITERIA.iter().find(|named| named.name == name)
}
