//! `[tensors] may_change`: every other tensor is that of the golden model, bit by bit.

use super::{NO_MODEL, Rule};
use crate::check::evidence::Files;
use crate::check::policy::Tensors;
use crate::check::{Evidence, Finding, Policy, Status};

pub(super) struct ChangedTensors;

pub(super) const TENSORS: ChangedTensors = ChangedTensors;

impl Rule for ChangedTensors {
    fn name(&self) -> &'static str {
        "tensors"
    }

    fn summary(&self) -> &'static str {
        "`[tensors] may_change`: names, as regular expressions; all others must be the golden ones, bit by bit; needs the golden model"
    }

    fn judge(&self, policy: &Policy, evidence: &Evidence) -> Vec<Finding> {
        match (&policy.tensors, &evidence.files) {
            (None, _) => Vec::new(),
            (Some(_), None) => vec![Finding::new(self.name(), "", Status::NotChecked, NO_MODEL)],
            (Some(allowed), Some(files)) => judge(self.name(), allowed, files),
        }
    }
}

fn judge(rule: &'static str, allowed: &Tensors, files: &Files) -> Vec<Finding> {
    let patterns = match allowed.patterns() {
        Ok(patterns) => patterns,
        Err(reason) => return vec![Finding::new(rule, "", Status::NotChecked, reason)],
    };
    let added = files.tensors.different.iter().map(|change| &change.name);
    let known: Vec<&String> = files.names.iter().chain(added).collect();
    let idle =
        patterns.iter().zip(&allowed.may_change).filter(|(regex, _)| !known.iter().any(|name| regex.is_match(name)));
    let mut found: Vec<Finding> = idle
        .map(|(_, pattern)| {
            let message = "no tensor has such a name: mend the pattern, or take it out";
            Finding::new(rule, pattern.clone(), Status::NotChecked, message)
        })
        .collect();
    let is_allowed = |name: &str| patterns.iter().any(|pattern| pattern.is_match(name));
    let (fine, others): (Vec<_>, Vec<_>) = files.tensors.different.iter().partition(|change| is_allowed(&change.name));
    found.extend(others.iter().map(|change| {
        let by = change.distance.and_then(|distance| distance.relative);
        let by = by.map_or_else(String::new, |by| format!(" by {by:.2e} of its norm"));
        Finding::new(rule, change.name.clone(), Status::Fail, format!("changed{by}, and may not"))
    }));
    if others.is_empty() {
        let message = format!("{} changed, all of them may; {} are the same", fine.len(), files.tensors.same);
        found.push(Finding::new(rule, "", Status::Pass, message));
    }
    found
}
