//! The rules: each judges one part of a policy, and says nothing where the policy does not ask.

mod accuracy;
mod drift;
mod flips;
mod outputs;
mod structure;
mod tensors;

use super::{Evidence, Finding, Policy, Run, Status};

/// The rules, in the order of a report.
pub const RULES: &[&dyn Rule] =
    &[&structure::STRUCTURE, &tensors::TENSORS, &drift::DRIFT, &outputs::OUTPUTS, &accuracy::ACCURACY, &flips::FLIPS];

/// A rule.
pub trait Rule: Sync {
    /// Its name in reports.
    fn name(&self) -> &'static str;
    /// One line for the docs: what of a policy it judges, and what it needs.
    fn summary(&self) -> &'static str;
    /// What holds and what does not; nothing where the policy does not ask.
    fn judge(&self, policy: &Policy, evidence: &Evidence) -> Vec<Finding>;
}

/// What all rules find, after what could not be run.
pub fn judge(policy: &Policy, evidence: &Evidence) -> Vec<Finding> {
    let failed = evidence.runs.iter().filter_map(|(engine, run)| {
        let reason = run.as_ref().err()?;
        Some(Finding::new("engine", "", Status::NotChecked, reason.clone()).with_engine(engine))
    });
    failed.chain(RULES.iter().flat_map(|rule| rule.judge(policy, evidence))).collect()
}

/// What was run, engine by engine.
fn runs(evidence: &Evidence) -> impl Iterator<Item = (&str, &Run)> {
    evidence.runs.iter().filter_map(|(engine, run)| Some((engine.as_str(), run.as_ref().ok()?)))
}

/// What rules on files say where the golden model is not there.
const NO_MODEL: &str = "the golden model is not there, only what it gave: name the model, or record it --with-model";

/// What rules on predictions say where there is nothing to predict.
const NO_LABELS: &str = "there are no labelled samples: give --data SPEC, or record with `onnx-sap golden record`";

/// A share as people read it, with digits enough to tell it from its limit.
fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
