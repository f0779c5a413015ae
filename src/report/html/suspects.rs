//! The samples whose labels are likely wrong, to look at.

use super::numbers::{count, percent, share};
use super::parts::{figure, section, table, text};
use crate::data::SampleId;
use crate::report::figures::{Figures, LabelsFigure, Suspect, Thumbnail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{Markup, html};

/// Up to this size, in pixels, pictures are shown larger than they are: then each pixel is to be seen.
const SMALL: u32 = 48;

pub(super) fn draw_section(figures: &Figures) -> Markup {
    let found = &figures.labels;
    let (issues, samples) = (found.labels.issues, found.quality.samples);
    let lead = html! {
        "The corrected model takes " b { (count(issues)) " of " (count(samples)) } " training labels for wrong ("
        (percent(share(issues, samples))) "). " (doubt(found))
    };
    section("suspects", "Suspect labels", &lead, &suspects(figures, found))
}

/// Whether the model can tell.
fn doubt(found: &LabelsFigure) -> Markup {
    html! {
        @if found.labels.separation.separates {
            "Its losses tell right labels from wrong ones, and put the share of wrong ones at "
            (percent(found.labels.noise_rate)) "."
        } @else {
            b { "Do not rely on this: " }
            "its losses do not tell right labels from wrong ones. Either few labels are wrong, or it still believes what it \
             memorised."
        }
    }
}

fn suspects(figures: &Figures, found: &LabelsFigure) -> Markup {
    let pictured = found.suspects.iter().any(|suspect| suspect.thumbnail.is_some());
    let body = match (found.suspects.is_empty(), pictured) {
        (true, _) => html! { p.missing { "No label is likely wrong." } },
        (false, true) => html! { ul.suspects { @for suspect in &found.suspects { (card(figures, suspect)) } } },
        (false, false) => rows(figures, &found.suspects),
    };
    let others = found.labels.issues - found.suspects.len().min(found.labels.issues);
    let caption = html! {
        "Given label → what it should be, by the corrected model; those of the largest loss first."
        @if others > 0 { " " (count(others)) " more are in the table that " code { "onnx-sap detect" } " writes." }
    };
    figure("fig-suspects", "The likeliest wrong", &html! {}, &body, &caption)
}

fn card(figures: &Figures, suspect: &Suspect) -> Markup {
    let (given, suggested) = (figures.class(suspect.given), figures.class(suspect.suggested));
    html! {
        li {
            @match &suspect.thumbnail {
                Some(thumbnail) => { (picture(thumbnail, &suspect.id)) }
                None => { div.picture {} }
            }
            div.labels { span.before { (given) } " → " span.after { (suggested) } }
            div.note { "loss " (format!("{:.2}", suspect.loss)) }
            div.note.id { (suspect.id) }
        }
    }
}

fn picture(Thumbnail { png, width, height }: &Thumbnail, id: &SampleId) -> Markup {
    let source = format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png));
    let class = if *width.max(height) <= SMALL { "picture small" } else { "picture" };
    html! { img class=(class) src=(source) width=(width) height=(height) alt={ "sample " (id) }; }
}

fn rows(figures: &Figures, suspects: &[Suspect]) -> Markup {
    let row = |suspect: &Suspect| {
        let cells = [
            suspect.id.to_string(),
            figures.class(suspect.given),
            figures.class(suspect.suggested),
            format!("{:.2}", suspect.loss),
        ];
        cells.map(text).to_vec()
    };
    let rows: Vec<Vec<Markup>> = suspects.iter().map(row).collect();
    html! { div.short { (table(&["sample", "given", "suggested", "loss"], &[3], &rows)) } }
}
