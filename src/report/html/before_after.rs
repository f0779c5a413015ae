//! Accuracy by class and confusion matrices on held-out data, before and after.

use super::chart::{Axis, Chart, Ink, Mark, WIDTH, draw};
use super::matrix::{MOST_CLASSES, Matrix};
use super::numbers::{count, percent, points, share};
use super::parts::{figure, legend, section, shown, table, text};
use crate::report::figures::{ClassAccuracy, Figures, HeldOutFigure, Role};
use maud::{Markup, html};

const INKS: [(Ink, &str); 2] = [(Ink::Before, "original"), (Ink::After, "corrected")];

/// Classes of a chart; of more, those that change most.
const CHARTED: usize = 24;

pub(super) fn draw_section(figures: &Figures) -> Markup {
    let lead = match figures.held_out.shown().map(|held_out| (held_out.role, &held_out.data)) {
        Some((Role::Test, data)) => {
            html! { "Both models on the test data, " (data) ", which took no part in any choice." }
        }
        Some((Role::Validation, data)) => html! {
            "Both models on " (data) ". Candidates are compared on this data, so that the chosen one may look a little better \
             here than elsewhere."
        },
        None => html! { "What the correction does to predictions." },
    };
    let body = html! {
        div.pair {
            (shown("fig-accuracy", "Accuracy of each class", &figures.held_out, |held_out| by_class(figures, held_out)))
            (shown("fig-classes", "The same as numbers", &figures.held_out, |held_out| classes(figures, held_out)))
        }
        (shown("fig-confusion", "What labels are predicted as", &figures.held_out, |held_out| confusion(figures, held_out)))
    };
    section("before-after", "Before and after", &lead, &body)
}

/// The classes of a chart, by their place: all, or those that change most.
fn charted(held_out: &HeldOutFigure) -> Vec<usize> {
    let mut classes: Vec<usize> =
        (0..held_out.classes.len()).filter(|&class| held_out.classes[class].samples > 0).collect();
    if classes.len() > CHARTED {
        let change = |class: &usize| (gain(&held_out.classes[*class])).abs();
        classes.sort_by(|a, b| change(b).total_cmp(&change(a)).then(a.cmp(b)));
        classes.truncate(CHARTED);
        classes.sort_unstable();
    }
    classes
}

fn gain(class: &ClassAccuracy) -> f64 {
    share(class.after, class.samples) - share(class.before, class.samples)
}

fn by_class(figures: &Figures, held_out: &HeldOutFigure) -> Markup {
    let classes = charted(held_out);
    let last = classes.len().saturating_sub(1) as f64;
    let mut marks = Vec::new();
    let mut lowest = 1.0_f64;
    for (at, &class) in classes.iter().enumerate() {
        let of = held_out.classes[class];
        let (before, after) = (share(of.before, of.samples), share(of.after, of.samples));
        lowest = lowest.min(before).min(after);
        // The first class stands on top.
        let place = last - at as f64;
        marks.push(Mark::Line(vec![(before, place), (after, place)], Ink::Other));
        marks.push(Mark::Dot((before, place), Ink::Before));
        marks.push(Mark::Dot((after, place), Ink::After));
    }
    let from = ((lowest - 0.02).max(0.0) * 10.0).floor() / 10.0;
    let chart = Chart {
        label: format!("Accuracy of {} classes on {}, before and after", classes.len(), held_out.data),
        x: Axis::linear("predicted of its labels", (from, 1.0), |at| format!("{:.0} %", 100.0 * at)),
        y: Axis::names(classes.iter().rev().map(|&class| figures.class(class))),
        width: WIDTH,
        height: 80 + 24 * classes.len() as u32,
        marks,
    };
    let others = held_out.classes.len() - classes.len();
    let caption = html! {
        "Each line is a class: from where the original was to where the corrected model is."
        @if others > 0 { " " (count(others)) " classes that change less, or have no samples, are left out." }
    };
    figure("fig-accuracy", "Accuracy of each class", &legend(&INKS), &draw(&chart), &caption)
}

fn classes(figures: &Figures, held_out: &HeldOutFigure) -> Markup {
    let row = |class: usize| {
        let of = held_out.classes[class];
        let cells = [
            figures.class(class),
            count(of.samples),
            percent(share(of.before, of.samples)),
            percent(share(of.after, of.samples)),
            points(gain(&of)),
        ];
        cells.map(text).to_vec()
    };
    let rows: Vec<Vec<Markup>> = charted(held_out).into_iter().map(row).collect();
    let header = ["class", "samples", "before", "after", "points"];
    let caption = html! { "Of the samples of each label, the share that is predicted as it." };
    figure("fig-classes", "The same as numbers", &html! {}, &table(&header, &[1, 2, 3, 4], &rows), &caption)
}

fn confusion(figures: &Figures, held_out: &HeldOutFigure) -> Markup {
    let title = "What labels are predicted as";
    let names = &figures.class_names;
    match &held_out.confusion {
        Some(confusion) if names.len() <= MOST_CLASSES => {
            let matrix = |counts: &[Vec<usize>]| Matrix::of_counts("label", "predicted", names, counts).draw();
            let body = html! {
                div.pair {
                    div { h4.before { "original" } (matrix(&confusion.before)) }
                    div { h4.after { "corrected" } (matrix(&confusion.after)) }
                }
            };
            let caption = html! {
                "Counts of samples: the larger its share of the row, the darker a cell. What lies off the diagonal is \
                 predicted as another class than its label."
            };
            figure("fig-confusion", title, &html! {}, &body, &caption)
        }
        _ => {
            let rows: Vec<Vec<Markup>> = held_out
                .mistakes
                .iter()
                .map(|mistake| {
                    let cells = [
                        figures.class(mistake.label),
                        figures.class(mistake.predicted),
                        count(mistake.before),
                        count(mistake.after),
                    ];
                    cells.map(text).to_vec()
                })
                .collect();
            let header = ["label", "predicted as", "before", "after"];
            let caption = html! { "The most frequent mistakes: there are too many classes for a matrix." };
            figure("fig-confusion", title, &html! {}, &table(&header, &[2, 3], &rows), &caption)
        }
    }
}
