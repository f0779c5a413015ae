//! `[outputs]`: how far values may be from the golden ones.

use super::{Rule, runs};
use crate::check::{ANY_OUTPUT, Comparison, Evidence, Finding, Outputs, Policy, Run, Status, Tolerance};
use crate::tensor::{NamedTensor, Tensor};
use std::collections::BTreeSet;

pub(super) struct OutputValues;

pub(super) const OUTPUTS: OutputValues = OutputValues;

impl Rule for OutputValues {
    fn name(&self) -> &'static str {
        "outputs"
    }

    fn summary(&self) -> &'static str {
        "`[outputs]`: `atol`, `rtol` and the share of `outliers`, by output or for all (`\"*\"`); needs a record, or the golden model and data"
    }

    fn judge(&self, policy: &Policy, evidence: &Evidence) -> Vec<Finding> {
        if policy.outputs.is_empty() {
            return Vec::new();
        }
        let of_run = |(engine, run): (&str, &Run)| -> Vec<Finding> {
            let wanted = run.outputs.as_ref().and_then(|outputs| Some((outputs, outputs.wanted()?)));
            let found = if let Some((outputs, wanted)) = wanted {
                compare(self.name(), policy, wanted, &outputs.candidate, &origin(outputs, run, evidence))
            } else {
                let message = "there are no golden outputs: give a record, or the golden model and --data SPEC";
                vec![Finding::new(self.name(), "", Status::NotChecked, message)]
            };
            found.into_iter().map(|finding| finding.with_engine(engine)).collect()
        };
        runs(evidence).flat_map(of_run).collect()
    }
}

/// What a difference may come from besides the candidate, where it is compared with what was recorded elsewhere.
fn origin(outputs: &Outputs, run: &Run, evidence: &Evidence) -> String {
    if outputs.golden.is_some() {
        return String::new();
    }
    if evidence.is_recorded_model == Some(true) {
        return "; the candidate is the very model that was recorded, so this is drift of the machine".to_owned();
    }
    let differences = evidence.recorded.as_ref().map(|there| run.environment.differences(there)).unwrap_or_default();
    if differences.is_empty() {
        return String::new();
    }
    let named: Vec<String> =
        differences.iter().map(|(what, here, there)| format!("{what} {here}, recorded with {there}")).collect();
    format!("; this may be drift of the machine ({}): a record made --with-model tells", named.join("; "))
}

/// Compares every output that the policy names, set by set. `origin` follows the message of a failure.
pub(super) fn compare(
    rule: &'static str,
    policy: &Policy,
    wanted: &[Vec<NamedTensor>],
    found: &[Vec<NamedTensor>],
    origin: &str,
) -> Vec<Finding> {
    let golden: BTreeSet<&str> = wanted.iter().flatten().map(|output| output.name.as_str()).collect();
    let absent = policy.outputs.keys().filter(|name| *name != ANY_OUTPUT && !golden.contains(name.as_str()));
    let absent = absent.map(|name| {
        let known: Vec<&str> = golden.iter().copied().collect();
        let message = format!("no golden output has that name; there are {}", known.join(", "));
        Finding::new(rule, name.clone(), Status::NotChecked, message)
    });
    let compared = golden.iter().filter_map(|name| {
        let tolerance = policy.tolerance(name)?;
        Some(compare_output(rule, name, tolerance, wanted, found, origin))
    });
    absent.chain(compared).collect()
}

fn compare_output(
    rule: &'static str,
    name: &str,
    tolerance: Tolerance,
    wanted: &[Vec<NamedTensor>],
    found: &[Vec<NamedTensor>],
    origin: &str,
) -> Finding {
    let of = |set: &[NamedTensor]| -> Option<Tensor> {
        set.iter().find(|output| output.name == name).map(|output| output.tensor.clone())
    };
    let mut comparison = Comparison::default();
    for (wanted, found) in wanted.iter().zip(found) {
        let Some(golden) = of(wanted) else { continue };
        let Some(candidate) = of(found) else {
            return Finding::new(rule, name, Status::Fail, "the candidate has no such output");
        };
        if let Err(reason) = comparison.add(&golden, &candidate, tolerance) {
            return Finding::new(rule, name, Status::Fail, reason);
        }
    }
    if comparison.values == 0 {
        return Finding::new(rule, name, Status::NotChecked, "it holds no values");
    }
    let (outliers, limit) = (comparison.outliers(), tolerance.outliers);
    let holds = outliers <= limit;
    let Comparison { values, outside, max_abs } = comparison;
    let (atol, rtol) = (tolerance.atol, tolerance.rtol);
    let message = format!(
        "{outside} of {values} values are further away than {atol:?} + {rtol:?}·|golden|; the largest difference is {max_abs:.2e}{}",
        if holds { "" } else { origin }
    );
    Finding::new(rule, name, Status::of(holds), message).measured(outliers, limit)
}
