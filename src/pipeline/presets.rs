//! Settings that belong together. What a user gives by an option of its own counts more.

use super::job::{HeadOption, Recalibrate, TrustedCount};
use crate::evidence::{Ranking, RowLimit};

/// A recipe for a whole run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preset {
    /// The name on the command line.
    pub name: &'static str,
    /// One line for `--help`.
    pub summary: &'static str,
    /// The method, where none is named.
    pub method: &'static str,
    /// The values of α that are tried; nothing where they are searched for.
    pub alphas: Option<&'static [f64]>,
    /// The passes over the validation data that a search may take.
    pub budget: f64,
    /// How many samples are trusted.
    pub trusted: TrustedCount,
    /// How they are chosen.
    pub ranking: Ranking,
    /// How many rows enter the moments.
    pub rows: RowLimit,
    /// Whether layers are recalibrated.
    pub recalibrate: Recalibrate,
    /// What the last layer becomes.
    pub head: HeadOption,
}

const STANDARD: Preset = Preset {
    name: "standard",
    summary: "",
    method: "sap",
    alphas: None,
    budget: 5.0,
    trusted: TrustedCount::Auto,
    ranking: Ranking::Balanced,
    rows: RowLimit::All,
    recalibrate: Recalibrate::Auto,
    head: HeadOption::Auto,
};

/// The presets, the default first.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "standard",
        summary: "more trusted samples than published, α searched, recalibration and new heads where validation says so",
        ..STANDARD
    },
    Preset {
        name: "best",
        summary: "what gave the best accuracy in docs/accuracy.md: as standard, and then learning on, with the method sap+learn",
        method: "sap+learn",
        ..STANDARD
    },
    Preset {
        name: "fast",
        summary: "1,000 trusted samples, three passes to search α, weights are projected and nothing else",
        method: "sap",
        alphas: None,
        budget: 3.0,
        trusted: TrustedCount::Count(1000),
        ranking: Ranking::Balanced,
        rows: RowLimit::All,
        recalibrate: Recalibrate::Off,
        head: HeadOption::Project,
    },
    Preset {
        name: "paper",
        summary: "as published: the 1,000 lowest losses, at most 50,000 rows a layer, α from 10³ to 10⁶, weights are projected \
                  and nothing else",
        method: "sap",
        alphas: Some(&[1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6]),
        budget: 7.0,
        trusted: TrustedCount::Count(1000),
        ranking: Ranking::Global,
        rows: RowLimit::AtMost(50_000),
        recalibrate: Recalibrate::Off,
        head: HeadOption::Project,
    },
];

/// The preset of that name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::method;

    #[test]
    fn every_preset_names_a_method_that_there_is() {
        assert!(PRESETS.iter().all(|preset| method(preset.method).is_some()));
        assert_eq!(PRESETS[0].method, "sap", "it is what scripts rely on");
    }
}
