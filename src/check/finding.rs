//! What a rule found.

use serde::Serialize;

/// The outcome of a rule for one thing that it judges.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: &'static str,
    /// Of what: an output, a class, a tensor; empty where it is the model as a whole.
    pub subject: String,
    /// With which engine, where one ran the model for it.
    pub engine: Option<String>,
    /// The outcome.
    pub status: Status,
    /// What was measured, where that is a number.
    pub measured: Option<f64>,
    /// What it may be.
    pub limit: Option<f64>,
    /// The outcome in words.
    pub message: String,
}

/// An outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It holds.
    Pass,
    /// Something to know, which is no failure by the policy.
    Noted,
    /// It could not be judged, which is never a pass.
    NotChecked,
    /// It does not hold.
    Fail,
}

/// What all findings come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every rule holds.
    Pass,
    /// One does not.
    Fail,
    /// None fails, but one could not be judged.
    NotChecked,
}

impl Finding {
    /// An outcome in words.
    pub fn new(rule: &'static str, subject: impl Into<String>, status: Status, message: impl Into<String>) -> Self {
        let (subject, message) = (subject.into(), message.into());
        Self { rule, subject, engine: None, status, measured: None, limit: None, message }
    }

    /// With which engine.
    #[must_use]
    pub fn with_engine(self, engine: &str) -> Self {
        Self { engine: Some(engine.to_owned()), ..self }
    }

    /// What was measured, and its limit.
    #[must_use]
    pub fn measured(self, measured: f64, limit: f64) -> Self {
        Self { measured: Some(measured), limit: Some(limit), ..self }
    }
}

impl Status {
    /// Whether something holds.
    pub fn of(holds: bool) -> Self {
        if holds { Self::Pass } else { Self::Fail }
    }

    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Noted => "note",
            Self::NotChecked => "not checked",
            Self::Fail => "FAIL",
        }
    }
}

impl Verdict {
    /// Of all findings. Where there are none, nothing was checked.
    pub fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(|finding| finding.status).max() {
            Some(Status::Fail) => Self::Fail,
            Some(Status::Pass | Status::Noted) if findings.iter().any(|finding| finding.status == Status::Pass) => {
                Self::Pass
            }
            _ => Self::NotChecked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Status::{Fail, NotChecked, Noted, Pass};
    use super::*;

    #[test]
    fn only_what_was_checked_passes() {
        let finding = |status| Finding::new("rule", "", status, "");
        let verdict = |of: &[Status]| Verdict::of(&of.iter().map(|status| finding(*status)).collect::<Vec<_>>());
        assert_eq!(verdict(&[Pass, Noted]), Verdict::Pass);
        assert_eq!(verdict(&[Pass, NotChecked]), Verdict::NotChecked);
        assert_eq!(verdict(&[NotChecked, Fail, Pass]), Verdict::Fail);
        assert_eq!(verdict(&[Noted]), Verdict::NotChecked);
        assert_eq!(verdict(&[]), Verdict::NotChecked);
    }
}
