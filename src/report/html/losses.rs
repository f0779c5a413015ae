//! How losses on the training data are distributed, before and after.

use super::chart::{Axis, Chart, Ink, Mark, WIDTH, draw};
use super::numbers::{count, percent, share};
use super::parts::{figure, legend, section, shown};
use crate::report::Report;
use crate::report::figures::{Figures, Histogram};
use maud::{Markup, html};

pub(super) fn draw_section(report: &Report, figures: &Figures) -> Markup {
    let lead = html! {
        "The loss of every training sample says how little a model believes its label. What was trusted, and why the corrected \
         model can tell wrong labels where the original cannot, shows here."
    };
    let across = across(figures);
    let body = html! {
        div.pair {
            (shown("fig-losses", "The original", &figures.losses_before, |losses| before(report, losses, across)))
            (after(&figures.losses_after, across))
        }
    };
    section("losses", "Losses", &lead, &body)
}

/// From which loss to which both charts go, as exponents of ten.
fn across(figures: &Figures) -> (f64, f64) {
    let both = figures.losses_before.shown().into_iter().chain([&figures.losses_after]);
    let edges = both.flat_map(|losses| losses.edges.iter().map(|edge| edge.log10()));
    let (least, largest) =
        edges.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), edge| (low.min(edge), high.max(edge)));
    if least < largest { (least, largest) } else { (-1.0, 1.0) }
}

fn before(report: &Report, losses: &Histogram, across: (f64, f64)) -> Markup {
    let (all, trusted) = (losses.samples(), losses.marked_samples());
    let caption = html! {
        (count(trusted)) " of " (count(all)) " samples are trusted"
        @if report.trusted.selection != "given" { ": those of low loss" }
        ". A network that has memorised its labels gives wrong \
         ones a low loss, too."
    };
    let inks = [(Ink::Other, "all samples"), (Ink::After, "trusted")];
    let label =
        format!("Losses of the original on {} training samples, of which {} are trusted", count(all), count(trusted));
    figure("fig-losses", "The original", &legend(&inks), &draw(&chart(label, losses, across, Ink::After)), &caption)
}

fn after(losses: &Histogram, across: (f64, f64)) -> Markup {
    let (all, wrong) = (losses.samples(), losses.marked_samples());
    let caption = html! {
        (count(wrong)) " of " (count(all)) " labels (" (percent(share(wrong, all))) ") are likely wrong: another class is \
         predicted, and the loss is one of the upper hump, where there are two."
    };
    let inks = [(Ink::Other, "all samples"), (Ink::Before, "likely wrong")];
    let label = format!(
        "Losses of the corrected model on {} training samples, of which {} are likely wrong",
        count(all),
        count(wrong)
    );
    figure(
        "fig-losses-after",
        "The corrected model",
        &legend(&inks),
        &draw(&chart(label, losses, across, Ink::Before)),
        &caption,
    )
}

fn chart(label: String, losses: &Histogram, across: (f64, f64), ink: Ink) -> Chart {
    let mut marks = Vec::new();
    let bins = losses.edges.windows(2).zip(losses.counts.iter().zip(&losses.marked));
    for (edges, (&all, &marked)) in bins.filter(|(_, (all, _))| **all > 0) {
        let (from, to) = (edges[0].log10(), edges[1].log10());
        // A gap tells bars apart.
        let to = to - 0.08 * (to - from);
        marks.push(Mark::Bar((from, 0.0), (to, all as f64), Ink::Other));
        if marked > 0 {
            marks.push(Mark::Bar((from, 0.0), (to, marked as f64), ink));
        }
    }
    let most = losses.counts.iter().copied().max().unwrap_or(1).max(1);
    Chart {
        label,
        x: Axis::decades("loss, in nats", across),
        y: Axis::linear("samples", (0.0, 1.05 * most as f64), |at| count(at.round() as usize)),
        width: WIDTH,
        height: 250,
        marks,
    }
}
