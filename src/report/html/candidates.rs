//! What was tried, and what was chosen of it.

use super::chart::{Axis, Chart, Ink, Mark, WIDTH, draw};
use super::numbers::{count, decimal, percent, percent_tick, points};
use super::parts::{figure, legend, missing, section, table, text};
use crate::report::{CandidateReport, Report};
use maud::{Markup, html};

const TITLE: &str = "Accuracy over α";

/// Candidates of a table; of more, the most accurate.
const LISTED: usize = 16;

pub(super) fn draw_section(report: &Report) -> Markup {
    let recipe = &report.chosen.recipe;
    let lead = html! {
        @if let Some(strength) = &recipe.strength {
            "A correction of strength α keeps the directions that trusted samples use. A large α changes little, a small one \
             a lot. Chosen: "
            b { "α = " (strength) }
            @if recipe.recalibrated { ", recalibrated" }
            ", last layer " (recipe.head) "."
        } @else {
            "Only the last layer was corrected. Chosen: "
            b { (recipe.head) }
            "."
        }
    };
    let body = html! { div.pair { (over_alpha(report)) (listed(report)) } };
    section("candidates", "Candidates", &lead, &body)
}

/// Where a candidate stands in the chart, if it was judged.
fn place(candidate: &CandidateReport) -> Option<(f64, f64)> {
    Some((candidate.recipe.alpha()?.get().log10(), candidate.val_accuracy?))
}

fn over_alpha(report: &Report) -> Markup {
    let judged: Vec<(&CandidateReport, (f64, f64))> =
        report.candidates.iter().filter_map(|candidate| Some((candidate, place(candidate)?))).collect();
    if report.candidates.iter().all(|candidate| candidate.recipe.strength.is_none()) {
        let why = "No candidate has a strength: the method corrects the last layer only. The table has what was tried.";
        return missing("fig-candidates", TITLE, why);
    }
    let Some(original) = report.before.validation.filter(|_| !judged.is_empty()) else {
        return missing(
            "fig-candidates",
            TITLE,
            "Nothing was compared: there is no held-out data to compare models on.",
        );
    };
    let is_chosen = |candidate: &CandidateReport| candidate.recipe == report.chosen.recipe;
    let (mut low, mut high) = (original.accuracy, original.accuracy);
    let (mut left, mut right) = (f64::INFINITY, f64::NEG_INFINITY);
    for (_, (alpha, accuracy)) in &judged {
        (low, high) = (low.min(*accuracy), high.max(*accuracy));
        (left, right) = (left.min(*alpha), right.max(*alpha));
    }
    let margin = (0.12 * (high - low)).max(0.005);
    // Two decades at least, so that some of them are named.
    let beyond = ((2.0 - (right - left)) / 2.0).max(0.3);
    let (left, right) = (left - beyond, right + beyond);
    let mut marks = vec![Mark::Dashes((left, original.accuracy), (right, original.accuracy), Ink::Before)];
    let plain = judged.iter().filter(|(candidate, _)| candidate.recipe.is_plain() && candidate.complete);
    marks.push(Mark::Line(plain.map(|(_, place)| *place).collect(), Ink::Other));
    for (candidate, place) in judged.iter().filter(|(candidate, _)| !is_chosen(candidate)) {
        let plain = candidate.recipe.is_plain();
        marks.push(Mark::Ring(*place, if plain { Ink::Text } else { Ink::Other }));
    }
    marks.extend(
        judged.iter().filter(|(candidate, _)| is_chosen(candidate)).map(|(_, place)| Mark::Dot(*place, Ink::After)),
    );
    marks.push(Mark::Word((right, original.accuracy - 0.45 * margin), "original".to_owned(), Ink::Before));
    let chart = Chart {
        label: format!("Validation accuracy of {} candidates over alpha", judged.len()),
        x: Axis::decades("α", (left, right)),
        y: Axis::linear("validation accuracy", ((low - margin).max(0.0), (high + margin).min(1.0)), percent_tick),
        width: WIDTH,
        height: 270,
        marks,
    };
    let inks =
        [(Ink::After, "chosen"), (Ink::Text, "projection alone"), (Ink::Other, "refined"), (Ink::Before, "original")];
    let caption = html! {
        "On " (count(original.samples)) " validation samples. From the original to the chosen one it is "
        (points(report.chosen.advantage.accuracy)) " points, with a standard error of "
        (format!("{:.1}", 100.0 * report.chosen.advantage.standard_error)) "."
    };
    figure("fig-candidates", TITLE, &legend(&inks), &draw(&chart), &caption)
}

fn listed(report: &Report) -> Markup {
    let chosen = |candidate: &CandidateReport| candidate.recipe == report.chosen.recipe;
    let accuracy = |candidate: &CandidateReport| candidate.val_accuracy.unwrap_or_default();
    let mut shown: Vec<&CandidateReport> = report.candidates.iter().collect();
    shown.sort_by(|a, b| chosen(b).cmp(&chosen(a)).then(accuracy(b).total_cmp(&accuracy(a))));
    shown.truncate(LISTED);
    let row = |candidate: &&CandidateReport| {
        let judged =
            if candidate.complete { String::new() } else { format!("after {} samples", count(candidate.val_samples)) };
        let note = if chosen(candidate) { "chosen".to_owned() } else { judged };
        let cells = [
            candidate.recipe.strength.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string),
            candidate.recipe.head.to_string(),
            if candidate.recipe.recalibrated { "yes" } else { "no" }.to_owned(),
            candidate.val_accuracy.map_or(String::new(), percent),
            decimal(candidate.val_loss, 3),
            note,
        ];
        cells.map(text).to_vec()
    };
    let rows: Vec<Vec<Markup>> = shown.iter().map(row).collect();
    let others = report.candidates.len() - shown.len();
    let caption = html! {
        "The most accurate first."
        @if others > 0 { " " (count(others)) " more are in the JSON report." }
    };
    let header = ["α", "last layer", "recalibrated", "accuracy", "loss", ""];
    figure("fig-tried", "The same as numbers", &html! {}, &table(&header, &[0, 3, 4], &rows), &caption)
}
