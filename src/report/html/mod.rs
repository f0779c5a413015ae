//! The report as a page for people: one file that needs no network and runs no script.
//!
//! Every number on it comes from the [`Report`] that is written as JSON. Its parts come in the order in which someone with two
//! minutes wants them, one file each; [`FIGURES`] names what there is. Words are escaped by the templates, which are the only way
//! to a page; what a chart looks like, `chart/` alone knows.

mod before_after;
mod candidates;
mod chart;
pub mod comparison;
mod layers;
mod losses;
mod matrix;
mod numbers;
mod parts;
mod provenance;
mod suspects;
mod transition;
mod verdict;

use super::Report;
use super::figures::Figures;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::io;
use std::path::Path;

/// The figures of a page, by the ids of their elements: each is there, or the reason why it is not.
pub const FIGURES: &[&str] = &[
    "fig-headline",
    "fig-accuracy",
    "fig-classes",
    "fig-confusion",
    "fig-suspects",
    "fig-transition",
    "fig-noise",
    "fig-losses",
    "fig-losses-after",
    "fig-candidates",
    "fig-tried",
    "fig-changes",
    "fig-spectra",
    "fig-ledger",
    "fig-command",
    "fig-sources",
    "fig-verified",
    "fig-options",
    "fig-times",
];

/// Whatever a sample is called, nothing is fetched and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

const SECTIONS: &[(&str, &str)] = &[
    ("before-after", "Before and after"),
    ("suspects", "Suspect labels"),
    ("transition", "How labels went wrong"),
    ("losses", "Losses"),
    ("candidates", "Candidates"),
    ("layers", "Layers"),
    ("provenance", "Provenance"),
];

/// Writes the page.
///
/// # Errors
/// Those of writing.
pub fn write(report: &Report, figures: &Figures, to: &mut dyn io::Write) -> io::Result<()> {
    to.write_all(page(report, figures).into_string().as_bytes())
}

fn page(report: &Report, figures: &Figures) -> Markup {
    let name = file_name(&report.model.path);
    let top = html! {
        p.verdict { (verdict::sentence(report)) }
        (verdict::headline(report, figures))
    };
    let main = html! {
        (before_after::draw_section(figures))
        (suspects::draw_section(figures))
        (transition::draw_section(figures))
        (losses::draw_section(report, figures))
        (candidates::draw_section(report))
        (layers::draw_section(report, figures))
        (provenance::draw_section(report, figures))
    };
    document(&name, &top, SECTIONS, &main)
}

/// What a model is called on a page.
fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| Path::new(name).display().to_string())
}

/// A whole page under a name, which stands alone: what it comes to, and the sections that the `top` is followed by.
fn document(name: &str, top: &Markup, sections: &[(&str, &str)], main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (name) " · onnx-sap" }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                header {
                    p.program { "onnx-sap " (env!("CARGO_PKG_VERSION")) }
                    h1 { (name) }
                    (top)
                    nav { @for (id, title) in sections { a href={ "#" (id) } { (title) } } }
                }
                main { (main) }
            }
        }
    }
}

#[cfg(test)]
mod tests;
