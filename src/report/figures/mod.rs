//! What a page shows beyond what every run measures: filled where a page is asked for, since it costs passes.

mod held_out;
mod histogram;
mod labels;
mod spectrum;
mod thumbnail;

pub use held_out::{ClassAccuracy, Confusion, HeldOutFigure, Mistake, Role};
pub use histogram::Histogram;
pub use labels::{LabelsFigure, Suspect, WORST};
pub use spectrum::{Direction, Spectrum};
pub use thumbnail::Thumbnail;

use serde::Serialize;

/// Matrices of more classes are left out: they would be larger than all the rest.
pub(super) const MOST_CLASSES: usize = 100;

/// What a page shows of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The command that made the run.
    pub command: String,
    /// What each class is called: by its name, or by its number.
    pub class_names: Vec<String>,
    /// How the original and the chosen candidate predict held-out labels.
    pub held_out: Figure<HeldOutFigure>,
    /// The losses of the original on the training data; marked are the trusted samples.
    pub losses_before: Figure<Histogram>,
    /// The losses of the chosen candidate there; marked are the labels that are likely wrong.
    pub losses_after: Histogram,
    /// Which training labels are likely wrong, as the chosen candidate sees them.
    pub labels: LabelsFigure,
    /// What the inputs of each layer that is rewritten are like.
    pub spectra: Figure<Vec<Spectrum>>,
}

/// Something to show, or the reason why there is nothing: a page has no silent gap.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Figure<T> {
    /// There it is.
    Shown(T),
    /// There is none.
    Missing {
        /// Why, as a sentence.
        missing: String,
    },
}

impl<T> Figure<T> {
    /// The reason why there is nothing to show.
    pub fn missing(reason: impl Into<String>) -> Self {
        Self::Missing { missing: reason.into() }
    }

    /// What is shown, if anything is.
    pub fn shown(&self) -> Option<&T> {
        match self {
            Self::Shown(figure) => Some(figure),
            Self::Missing { .. } => None,
        }
    }
}

impl Figures {
    /// What a class is called.
    pub fn class(&self, class: usize) -> String {
        self.class_names.get(class).cloned().unwrap_or_else(|| class.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_says_why() {
        let json = |figure: &Figure<usize>| serde_json::to_string(figure).unwrap();
        assert_eq!(json(&Figure::Shown(3)), "3");
        assert_eq!(json(&Figure::missing("nobody counted")), r#"{"missing":"nobody counted"}"#);
    }
}
