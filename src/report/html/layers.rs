//! The layers: how much each changed, what its inputs are like, and the ledger of all weights.

use super::chart::{Axis, Chart, Ink, Mark, WIDTH, draw};
use super::numbers::{count, counted, decimal, shape};
use super::parts::{figure, legend, section, shown, table, text};
use crate::report::figures::{Figures, Spectrum};
use crate::report::{LayerReport, LayerStatus, Report};
use maud::{Markup, html};

/// Spectra that are shown at once; the others are folded away.
const OPEN: usize = 6;

/// Three of them stand side by side on a page, and one fills a phone.
const NARROW: u32 = 320;

/// Energies below are rounding.
const LEAST_ENERGY: f64 = 1e-12;

pub(super) fn draw_section(report: &Report, figures: &Figures) -> Markup {
    let rewritten: Vec<&LayerReport> =
        report.layers.iter().filter(|layer| layer.status == LayerStatus::Rewritten).collect();
    let lead = html! {
        (counted(rewritten.len(), "weight is", "weights are")) " rewritten"
        @match report.layers.len() - rewritten.len() {
            0 => "; no other one is there to be.",
            1 => "; another one stays as it is, for the reason that the ledger names.",
            others => { "; " (count(others)) " stay as they are, each for the reason that the ledger names." }
        }
    };
    let body = html! {
        (changes(&rewritten))
        (shown("fig-spectra", "Energy of each layer's inputs", &figures.spectra, |spectra| all_spectra(spectra)))
        (ledger(&report.layers))
    };
    section("layers", "Layers", &lead, &body)
}

fn changes(layers: &[&LayerReport]) -> Markup {
    let change = |layer: &&LayerReport| layer.relative_change.unwrap_or_default();
    let most = layers.iter().map(change).fold(0.0, f64::max);
    // Few bars are no wider than those of many.
    let half = 0.36 * (layers.len() as f64 / 8.0).clamp(0.2, 1.0);
    let bar = |(at, layer): (usize, &&LayerReport)| {
        let at = at as f64;
        Mark::Bar((at - half, 0.0), (at + half, change(layer)), Ink::After)
    };
    // Numbers of many layers would run into each other.
    let every = layers.len().div_ceil(14).max(1);
    let numbers = (0..layers.len()).map(|at| if at % every == 0 { (at + 1).to_string() } else { String::new() });
    let chart = Chart {
        label: format!("Relative change of {} layers", layers.len()),
        x: Axis { name: "layer, as numbered in the ledger".to_owned(), ..Axis::names(numbers) },
        y: Axis::linear("relative change", (0.0, (1.08 * most).max(0.01)), |at| {
            decimal(Some(at), if most < 0.1 { 3 } else { 2 })
        }),
        width: WIDTH,
        height: 230,
        marks: layers.iter().enumerate().map(bar).collect(),
    };
    let caption = html! { "How far each weight W moved, ‖Ŵ − W‖ / ‖W‖: 0 is unchanged, 1 as far as it was from 0." };
    figure("fig-changes", "How much each layer changed", &html! {}, &draw(&chart), &caption)
}

fn all_spectra(spectra: &[Spectrum]) -> Markup {
    let (open, folded) = spectra.split_at(spectra.len().min(OPEN));
    let body = html! {
        div.spectra { @for spectrum in open { (one(spectrum)) } }
        @if !folded.is_empty() {
            details {
                summary { (counted(folded.len(), "more layer", "more layers")) }
                div.spectra { @for spectrum in folded { (one(spectrum)) } }
            }
        }
    };
    let caption = html! {
        "Directions of a layer's inputs over the trusted samples, those of most energy first. The upper curve is a direction's \
         share of the energy (σ), the lower one how much of it passes: λ = ασ / ((α − 1)σ + 1)."
    };
    let inks = [(Ink::Text, "share of the energy, σ"), (Ink::After, "share that is kept, λ")];
    figure("fig-spectra", "Energy of each layer's inputs", &legend(&inks), &body, &caption)
}

fn one(spectrum: &Spectrum) -> Markup {
    let across = |name: &str| Axis::decades(name, (0.0, (spectrum.directions as f64).log10()));
    let place = |rank: usize| (rank as f64).log10();
    let energy = |energy: f64| energy.max(LEAST_ENERGY).log10();
    let energies: Vec<(f64, f64)> = spectrum.listed.iter().map(|of| (place(of.rank), energy(of.energy))).collect();
    let least = energies.iter().map(|(_, energy)| *energy).fold(-1.0, f64::min).floor();
    let upper = Chart {
        label: format!("Energies of the inputs of {}", spectrum.weight),
        x: Axis { ticks: Vec::new(), ..across("") },
        y: Axis::decades("energy", (least, 0.0)),
        width: NARROW,
        height: 160,
        marks: vec![Mark::Line(energies, Ink::Text)],
    };
    let kept: Vec<(f64, f64)> = spectrum.listed.iter().filter_map(|of| Some((place(of.rank), of.kept?))).collect();
    let lower = Chart {
        label: format!("What of each direction {} keeps", spectrum.weight),
        x: across("direction"),
        y: Axis::linear("kept", (0.0, 1.0), |at| format!("{:.0} %", 100.0 * at)),
        width: NARROW,
        height: 170,
        marks: vec![Mark::Area(kept.clone(), Ink::After), Mark::Line(kept, Ink::After)],
    };
    html! {
        div.spectrum {
            h4 { (spectrum.weight) }
            @if spectrum.listed.is_empty() {
                p.missing { "All of its inputs are zero: there is nothing to project onto, and the weight stays." }
            } @else {
                p.note { (said(spectrum)) }
                (draw(&upper))
                @if spectrum.alpha.is_some() { (draw(&lower)) }
            }
        }
    }
}

fn said(spectrum: &Spectrum) -> String {
    let all = counted(spectrum.directions, "direction", "directions");
    match spectrum.alpha.zip(spectrum.mostly_kept) {
        Some((alpha, kept)) => format!("α = {alpha}: at least half of {} of {all} is kept", count(kept)),
        None => format!("{all}; this layer was not projected, but kept or computed anew"),
    }
}

fn ledger(layers: &[LayerReport]) -> Markup {
    let row = |(at, layer): (usize, &LayerReport)| {
        let entry = &layer.entry;
        let is_rewritten = layer.status == LayerStatus::Rewritten;
        let cells = [
            if is_rewritten { (at + 1).to_string() } else { String::new() },
            entry.weight.clone().unwrap_or_else(|| entry.node.clone()),
            entry.op.clone(),
            entry.shape.as_ref().map_or(String::new(), |extents| shape(extents)),
            entry.dim.map_or(String::new(), count),
            layer.rows.map_or(String::new(), count),
            decimal(layer.effective_rank, 1),
            decimal(layer.relative_change, 3),
            if is_rewritten { "rewritten" } else { "stays" }.to_owned(),
            entry.reason.clone().unwrap_or_default(),
        ];
        cells.map(text).to_vec()
    };
    let rows: Vec<Vec<Markup>> = layers.iter().enumerate().map(row).collect();
    let header = ["", "weight", "op", "shape", "d", "rows", "eff. rank", "change", "", "note"];
    let caption = html! {
        "Every weight of the model. d: directions of its inputs; rows: inputs that were measured; eff. rank: how many \
         directions of equal energy would be as spread out."
    };
    figure("fig-ledger", "Ledger", &html! {}, &table(&header, &[0, 4, 5, 6, 7], &rows), &caption)
}
