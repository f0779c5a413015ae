//! `[accuracy]`: how many labels must be predicted, of all samples and of those of each class.

use super::{NO_LABELS, Rule, percent, runs};
use crate::check::{Accuracy, Basis, Evidence, Finding, PerClass, Policy, Run, Status};
use crate::difference::PredictionChange;
use crate::evidence::Scores;

pub(super) struct LabelsPredicted;

pub(super) const ACCURACY: LabelsPredicted = LabelsPredicted;

/// What a rule says of the golden model's accuracy where that is not known.
const NO_GOLDEN: &str =
    "what the golden model predicts is not known: name the model, or record with `onnx-sap golden record`";

impl Rule for LabelsPredicted {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn summary(&self) -> &'static str {
        "`[accuracy]`: the least share of labels that are predicted (`minimum`) and by how much it may be below the golden model's \
         (`maximum_drop`), also for each class (`per_class`); needs labelled samples"
    }

    fn judge(&self, policy: &Policy, evidence: &Evidence) -> Vec<Finding> {
        let Some(accuracy) = policy.accuracy else { return Vec::new() };
        let of_run = |(engine, run): (&str, &Run)| -> Vec<Finding> {
            let overall = overall(self.name(), accuracy, run);
            let classes = accuracy.per_class.map(|per_class| by_class(self.name(), per_class, run, evidence));
            let found = overall.into_iter().chain(classes.into_iter().flatten());
            found.map(|finding| finding.with_engine(engine)).collect()
        };
        runs(evidence).flat_map(of_run).collect()
    }
}

/// The best samples on which both models are known.
pub(super) fn compared(run: &Run) -> Option<(&Basis, PredictionChange)> {
    run.bases.iter().find_map(|basis| {
        let change = PredictionChange::between(basis.golden.as_ref()?, &basis.candidate);
        (change.samples() > 0).then_some((basis, change))
    })
}

fn overall(rule: &'static str, accuracy: Accuracy, run: &Run) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(minimum) = accuracy.minimum {
        found.push(match run.bases.first().and_then(|basis| Some((basis, basis.candidate.quality().judged()?))) {
            None => Finding::new(rule, "minimum", Status::NotChecked, NO_LABELS),
            Some((basis, quality)) => {
                let message = format!("{} of the labels of {} are predicted", percent(quality.accuracy), basis.what);
                Finding::new(rule, "minimum", Status::of(quality.accuracy >= minimum), message)
                    .measured(quality.accuracy, minimum)
            }
        });
    }
    if let Some(maximum) = accuracy.maximum_drop {
        found.push(match compared(run) {
            None => Finding::new(rule, "maximum_drop", Status::NotChecked, NO_GOLDEN),
            Some((basis, change)) => {
                let drop = change.a.accuracy - change.b.accuracy;
                let (golden, candidate) = (percent(change.a.accuracy), percent(change.b.accuracy));
                let message = format!("{candidate} on {}, and the golden model {golden}", basis.what);
                Finding::new(rule, "maximum_drop", Status::of(drop <= maximum), message).measured(drop, maximum)
            }
        });
    }
    found
}

/// Only classes that fail or cannot be judged are named, and the worst of those that hold.
fn by_class(rule: &'static str, limits: PerClass, run: &Run, evidence: &Evidence) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(minimum) = limits.minimum {
        let shares = run.bases.first().map(|basis| shares(&basis.candidate)).unwrap_or_default();
        let classes: Vec<_> = shares.into_iter().map(|share| share.map(|share| (share, share >= minimum))).collect();
        let say = |share: f64| format!("{} of its labels are predicted", percent(share));
        found.extend(worst(rule, ("minimum", minimum), &classes, f64::lt, say, evidence));
    }
    if let Some(maximum) = limits.maximum_drop {
        let classes = compared(run).map(|(_, change)| change.classes).unwrap_or_default();
        let drop = |class: &crate::difference::ClassChange| {
            let lost = class.right_a as f64 - class.right_b as f64;
            (class.samples > 0).then(|| lost / class.samples as f64).map(|drop| (drop, drop <= maximum))
        };
        let say = |drop: f64| format!("{} fewer of its labels are predicted than by the golden model", percent(drop));
        let classes: Vec<_> = classes.iter().map(drop).collect();
        found.extend(worst(rule, ("maximum_drop", maximum), &classes, f64::gt, say, evidence));
    }
    found
}

/// The share of each class's labels that are predicted; nothing for a class without samples.
fn shares(scores: &Scores) -> Vec<Option<f64>> {
    let mut counts = vec![(0_usize, 0_usize); scores.classes()];
    for prediction in &scores.predictions {
        let (samples, right) = &mut counts[prediction.label];
        *samples += 1;
        *right += usize::from(prediction.label == prediction.predicted);
    }
    counts.into_iter().map(|(samples, right)| (samples > 0).then(|| right as f64 / samples as f64)).collect()
}

/// A finding for each class that fails, one for those that have no samples, and one for the worst class where all hold.
fn worst(
    rule: &'static str,
    (key, limit): (&str, f64),
    classes: &[Option<(f64, bool)>],
    is_worse: fn(&f64, &f64) -> bool,
    say: impl Fn(f64) -> String,
    evidence: &Evidence,
) -> Vec<Finding> {
    if classes.is_empty() {
        return vec![Finding::new(rule, format!("per_class.{key}"), Status::NotChecked, NO_LABELS)];
    }
    let judged = |class: usize, measured: f64, status| {
        let subject = format!("per_class.{key} of {}", evidence.class(class));
        Finding::new(rule, subject, status, say(measured)).measured(measured, limit)
    };
    let known = || {
        classes.iter().enumerate().filter_map(|(class, found)| found.map(|(measured, holds)| (class, measured, holds)))
    };
    let failed = known().filter(|(.., holds)| !holds).map(|(class, measured, _)| judged(class, measured, Status::Fail));
    let mut found: Vec<Finding> = failed.collect();
    let empty: Vec<String> = classes
        .iter()
        .enumerate()
        .filter(|(_, found)| found.is_none())
        .map(|(class, _)| evidence.class(class))
        .collect();
    if !empty.is_empty() {
        let (count, names) = (empty.len(), empty[..empty.len().min(5)].join(", "));
        let message = format!("{count} classes have no samples: {names}");
        found.push(Finding::new(rule, format!("per_class.{key}"), Status::NotChecked, message));
    }
    if found.is_empty() {
        let worst = known().reduce(|worst, other| if is_worse(&other.1, &worst.1) { other } else { worst });
        found.extend(worst.map(|(class, measured, _)| judged(class, measured, Status::Pass)));
    }
    found
}
