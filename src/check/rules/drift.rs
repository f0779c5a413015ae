//! Whether the golden model still gives, here, what was recorded of it: a machine's doing, not the candidate's.

use super::outputs::compare;
use super::{Rule, runs};
use crate::check::{Drift, Evidence, Finding, Outputs, Policy, Run, Status};

pub(super) struct MachineDrift;

pub(super) const DRIFT: MachineDrift = MachineDrift;

impl Rule for MachineDrift {
    fn name(&self) -> &'static str {
        "drift"
    }

    fn summary(&self) -> &'static str {
        "`drift = \"fail\"` or `\"note\"`: whether the golden model gives here what was recorded, within `[outputs]`; \
         judged where a record holds the model"
    }

    fn judge(&self, policy: &Policy, evidence: &Evidence) -> Vec<Finding> {
        let of_run = |(engine, run): (&str, &Run)| -> Vec<Finding> {
            let Some(Outputs { recorded: Some(recorded), golden: Some(golden), .. }) = &run.outputs else {
                return Vec::new();
            };
            let there = evidence.recorded.as_ref();
            let there =
                there.map_or_else(String::new, |there| format!("; recorded on {there}; here {}", run.environment));
            // What a policy names and no output has is told of by the rule on outputs.
            let found = compare(self.name(), policy, recorded, golden, &there).into_iter();
            let found = found.filter(|finding| finding.status != Status::NotChecked);
            found.map(|finding| settled(policy.drift, finding.with_engine(engine))).collect()
        };
        runs(evidence).flat_map(of_run).collect()
    }
}

fn settled(drift: Drift, finding: Finding) -> Finding {
    let status = match (finding.status, drift) {
        (Status::Fail, Drift::Note) => Status::Noted,
        (status, _) => status,
    };
    let message = format!("the golden model here against its record: {}", finding.message);
    Finding { status, message, ..finding }
}
