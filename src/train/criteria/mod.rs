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
}

/// The losses that fine-tuning knows, the default first.
pub const CRITERIA: &[NamedCriterion] = &[
    NamedCriterion {
        name: "elr",
        summary: "early-learning regularisation: cross-entropy, held back from labels that earlier predictions contradict (Liu et al. 2020)",
        criterion: &EarlyLearning::PUBLISHED,
    },
    NamedCriterion { name: "ce", summary: "cross-entropy", criterion: &CrossEntropy },
    NamedCriterion {
        name: "sce",
        summary: "symmetric cross-entropy (Wang et al. 2019)",
        criterion: &Symmetric::PUBLISHED,
    },
    NamedCriterion {
        name: "gce",
        summary: "generalised cross-entropy, between it and the absolute error (Zhang and Sabuncu 2018)",
        criterion: &Generalized::PUBLISHED,
    },
];

/// The loss of that name.
pub fn criterion(name: &str) -> Option<&'static NamedCriterion> {
    CRITERIA.iter().find(|named| named.name == name)
}
