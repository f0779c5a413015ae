//! `[predictions] maximum_flip_rate`: how many predictions may be others than the golden model's.

use super::accuracy::compared;
use super::{Rule, percent, runs};
use crate::check::{Evidence, Finding, Policy, Run, Status};

pub(super) struct FlippedPredictions;

pub(super) const FLIPS: FlippedPredictions = FlippedPredictions;

impl Rule for FlippedPredictions {
    fn name(&self) -> &'static str {
        "predictions"
    }

    fn summary(&self) -> &'static str {
        "`[predictions] maximum_flip_rate`: the share of predictions that are others than the golden model's; needs samples"
    }

    fn judge(&self, policy: &Policy, evidence: &Evidence) -> Vec<Finding> {
        let Some(limit) = policy.predictions.map(|predictions| predictions.maximum_flip_rate) else {
            return Vec::new();
        };
        let of_run = |(engine, run): (&str, &Run)| {
            let finding = match compared(run).and_then(|(basis, change)| Some((basis, change.flip_rate()?, change))) {
                None => {
                    let message = "there are no samples for which both models' predictions are known: give --data SPEC and the golden \
                                   model, or record with `onnx-sap golden record`";
                    Finding::new(self.name(), "maximum_flip_rate", Status::NotChecked, message)
                }
                Some((basis, rate, change)) => {
                    let (flips, samples) = (change.flips.len(), change.samples());
                    let message =
                        format!("{flips} of {samples} predictions on {} differ, {}", basis.what, percent(rate));
                    Finding::new(self.name(), "maximum_flip_rate", Status::of(rate <= limit), message)
                        .measured(rate, limit)
                }
            };
            finding.with_engine(engine)
        };
        runs(evidence).map(of_run).collect()
    }
}
