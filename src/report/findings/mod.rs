//! The outcome of a check as other programs read it: one file a format, one line in [`FORMATS`].

mod github;
mod json;
mod junit;

use super::CheckReport;
use crate::error::Error;

/// The formats.
pub const FORMATS: &[&dyn Format] = &[&json::Json, &junit::JUnit, &github::GitHub];

/// A way to write the outcome of a check.
pub trait Format: Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;
    /// The extension of its files, where it is kept in files.
    fn extension(&self) -> Option<&'static str>;
    /// The whole outcome.
    ///
    /// # Errors
    /// What the format cannot say.
    fn render(&self, report: &CheckReport) -> Result<String, Error>;
}

/// The format of that name.
pub fn format(name: &str) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|format| format.name() == name)
}

/// The format of files with that extension.
///
/// # Errors
/// [`Error::Usage`], which lists those that there are.
pub fn format_of(extension: &str) -> Result<&'static dyn Format, Error> {
    FORMATS.iter().copied().find(|format| format.extension() == Some(extension)).ok_or_else(|| {
        let known: Vec<String> =
            FORMATS.iter().filter_map(|format| Some(format!(".{}", format.extension()?))).collect();
        Error::Usage(format!("the outcome of a check is written to files that end in {}", known.join(" or ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Finding, Policy, Status, Verdict};
    use crate::report::{GoldenReport, ModelReport};

    /// A report whose texts hold everything that a format might trip over.
    pub(super) fn example() -> CheckReport {
        let model = ModelReport {
            path: "models/a,b:c.onnx".into(),
            sha256: String::new(),
            opset: 17,
            opsets: std::collections::BTreeMap::new(),
            ir_version: 8,
            bytes: 0,
            external: std::collections::BTreeMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        let odd = "50 % <\"&'>\u{1b}[31m\nof ::error";
        let golden = GoldenReport {
            path: "golden".into(),
            model: None,
            recorded_sets: None,
            recorded_samples: None,
            recorded_on: None,
        };
        CheckReport {
            schema_version: 1,
            version: "0",
            verdict: Verdict::Fail,
            candidate: model,
            golden,
            data: None,
            environments: Vec::new(),
            policy: Policy::default(),
            findings: vec![
                Finding::new("structure", "", Status::Pass, "the same"),
                Finding::new("outputs", odd, Status::Fail, odd).with_engine("tract").measured(0.5, 0.25),
                Finding::new("accuracy", "minimum", Status::NotChecked, "no labels"),
                Finding::new("drift", "z", Status::Noted, "elsewhere"),
            ],
        }
    }

    #[test]
    fn every_format_has_a_name_and_tells_every_failure() {
        for format in FORMATS {
            assert!(super::format(format.name()).is_some());
            let text = format.render(&example()).unwrap();
            assert!(text.ends_with('\n'), "{}", format.name());
            for said in ["outputs", "no labels"] {
                assert!(text.contains(said), "{}: {text}", format.name());
            }
            assert!(!text.contains('\u{1b}'), "{}", format.name());
        }
        assert!(format_of("txt").is_err());
    }
}
