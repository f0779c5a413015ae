//! What came of the run, in a sentence and four numbers.

use super::numbers::{count, counted, percent, points, share};
use crate::evidence::Quality;
use crate::report::figures::Figures;
use crate::report::{Held, LayerStatus, Report};
use crate::search::Verdict;
use maud::{Markup, html};

/// How the run ended, as far as the report tells.
pub(super) fn sentence(report: &Report) -> String {
    let judged = match report.chosen.verdict {
        Verdict::Better => "The correction predicts held-out labels better than the original.",
        Verdict::NotBetter => "No correction beats the original.",
        Verdict::AsGiven => "The correction that was asked for was made as it is.",
        Verdict::Unjudged => "A correction was made unjudged: there is no held-out data to compare models on.",
    };
    let failure = report.verify.as_ref().and_then(crate::verify::Verification::failure);
    let dry_run = report.params.get("dry_run").is_some_and(|dry_run| *dry_run == serde_json::Value::Bool(true));
    let written = match (&report.output, failure) {
        (Some(_), _) => "The corrected model is written.".to_owned(),
        (None, Some(reason)) => format!("It failed its verification, and nothing is written: {reason}."),
        (None, None) if report.verify.is_some() && dry_run => {
            "It was verified, and not written, as it was a dry run.".to_owned()
        }
        (None, None) if report.chosen.verdict == Verdict::NotBetter => {
            "Nothing is written. What this page shows as corrected is the best candidate.".to_owned()
        }
        (None, None) => "It failed its verification, and nothing is written.".to_owned(),
    };
    format!("{judged} {written}")
}

/// The data that a person trusts most: test data, else validation data.
fn accuracy(Held { validation, test }: &Held) -> Option<Quality> {
    test.or(*validation)
}

/// The numbers that a person came for.
pub(super) fn headline(report: &Report, figures: &Figures) -> Markup {
    let on = if report.before.test.is_some() { "test" } else { "validation" };
    let changed = report.layers.iter().filter(|layer| layer.status == LayerStatus::Rewritten).count();
    html! {
        div.tiles id="fig-headline" {
            @match accuracy(&report.before).zip(accuracy(&report.after)) {
                Some((before, after)) => {
                    (tile("wide", &format!("accuracy on {on} data"), &html! {
                        span.before { (percent(before.accuracy)) } " → " span.after { (percent(after.accuracy)) }
                    }, &format!("{} points on {} samples", points(after.accuracy - before.accuracy), count(after.samples))))
                }
                None => { (tile("wide", "accuracy", &html! { "unknown" }, "no held-out data was given")) }
            }
            @let found = &figures.labels;
            @let (issues, samples) = (found.labels.issues, found.quality.samples);
            (tile("", "labels likely wrong", &html! { (count(issues)) },
                &format!("{} of {} training labels", percent(share(issues, samples)), count(samples))))
            (tile("", "layers rewritten", &html! { (count(changed)) },
                &format!("of {}", counted(report.layers.len(), "weight", "weights"))))
            (tile("", "samples trusted", &html! { (count(report.trusted.count)) },
                &format!("of {}, {}", count(report.data.samples), report.trusted.selection)))
        }
    }
}

fn tile(class: &str, name: &str, value: &Markup, note: &str) -> Markup {
    html! {
        div class={ "tile " (class) } {
            div.name { (name) }
            div.value { (value) }
            div.note { (note) }
        }
    }
}
