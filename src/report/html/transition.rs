//! Which classes are labelled as which.

use super::matrix::{MOST_CLASSES, Matrix};
use super::numbers::{count, percent, share};
use super::parts::{figure, section, table, text};
use crate::report::figures::{Figures, LabelsFigure};
use crate::report::{ClassReport, LabelReport};
use maud::{Markup, html};

const TITLE: &str = "With which probability a class carries a label";

/// Pairs of classes that are listed where a matrix would be too large.
const PAIRS: usize = 20;

pub(super) fn draw_section(figures: &Figures) -> Markup {
    let lead = html! { "Where the wrong labels come from, as the corrected model sees it." };
    let body = html! {
        div.pair {
            (transition(figures, &figures.labels.labels))
            (noise(figures, &figures.labels))
        }
    };
    section("transition", "How labels went wrong", &lead, &body)
}

fn transition(figures: &Figures, found: &LabelReport) -> Markup {
    let names = &figures.class_names;
    match &found.transition {
        Some(transition) if names.len() <= MOST_CLASSES => {
            // Empty cells leave the few flows that matter to be seen.
            let words = |share: f64| if share < 0.0005 { String::new() } else { format!("{:.1}", 100.0 * share) };
            let row = |row: &Vec<f64>| row.iter().map(|&share| (share, words(share))).collect();
            let cells = transition.iter().map(row).collect();
            let matrix = Matrix { rows: "class", columns: "label, in %", names, cells };
            let caption = html! {
                "An estimate from the samples that the model is sure of (confident joint). It finds too few rather than too \
                 many: labels that the model still half believes count as right."
            };
            figure("fig-transition", TITLE, &html! {}, &matrix.draw(), &caption)
        }
        _ => {
            let pairs: Vec<Vec<Markup>> = found
                .overlaps
                .iter()
                .take(PAIRS)
                .map(|overlap| {
                    let (a, b) = overlap.classes;
                    [figures.class(a), figures.class(b), percent(overlap.share)].map(text).to_vec()
                })
                .collect();
            let header = ["taken for each other", "", "of all samples"];
            let caption =
                html! { "The pairs of classes that are taken for each other most: there are too many for a matrix." };
            figure(
                "fig-transition",
                "Classes that are taken for each other",
                &html! {},
                &table(&header, &[2], &pairs),
                &caption,
            )
        }
    }
}

fn noise(figures: &Figures, found: &LabelsFigure) -> Markup {
    let mut classes: Vec<&ClassReport> = found.labels.classes.iter().collect();
    let all = classes.len();
    if all > MOST_CLASSES {
        classes.sort_by(|a, b| b.label_noise.total_cmp(&a.label_noise).then(a.class.cmp(&b.class)));
        classes.truncate(MOST_CLASSES);
    }
    let row = |class: &&ClassReport| {
        let cells = [
            figures.class(class.class),
            count(class.samples),
            count(class.issues),
            percent(share(class.issues, class.samples)),
        ];
        cells.map(text).to_vec()
    };
    let rows: Vec<Vec<Markup>> = classes.iter().map(row).collect();
    let caption = html! {
        "Labels that are likely wrong, by the label that was given."
        @if all > classes.len() { " Of " (count(all)) " classes those of which most is wrong." }
    };
    let header = ["label", "samples", "likely wrong", "share"];
    figure("fig-noise", "Wrong labels of each class", &html! {}, &table(&header, &[1, 2, 3], &rows), &caption)
}
