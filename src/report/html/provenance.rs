//! Who made this of what, and how to make it again.

use super::numbers::{count, counted};
use super::parts::{facts, figure, missing, section, table, text};
use crate::report::Report;
use crate::report::figures::Figures;
use crate::verify::{AgreementStatus, Verification};
use maud::{Markup, html};

pub(super) fn draw_section(report: &Report, figures: &Figures) -> Markup {
    let lead = html! { "The same command gives the same bytes. What it ran on is named by its SHA-256." };
    let body = html! {
        (command(figures))
        (sources(report))
        (verified(report))
        div.pair { (parameters(report)) (times(report)) }
    };
    section("provenance", "Provenance", &lead, &body)
}

fn command(figures: &Figures) -> Markup {
    let body = html! { pre.command tabindex="0" { code { (figures.command) } } };
    let caption = html! { "In the folder in which it was given, with the same files." };
    figure("fig-command", "The command", &html! {}, &body, &caption)
}

fn sources(report: &Report) -> Markup {
    let hash = |hash: &str| html! { code.hash { (hash) } };
    let versions: Vec<String> = report.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let engine = &report.engine.info;
    let mut rows = vec![
        ("versions", text(versions.join(", "))),
        ("ran on", text(format!("{} {}, {} on {}", engine.name, engine.version, engine.provider, engine.device))),
        (
            "original",
            html! { (report.model.path.display()) " (" (count(report.model.bytes)) " bytes, opset " (report.model.opset) ")" },
        ),
        ("its SHA-256", hash(&report.model.sha256)),
        (
            "training data",
            html! {
                (report.data.spec) " (" (counted(report.data.samples, "sample", "samples")) ", "
                (counted(report.data.classes, "class", "classes"))
                @if !report.data.quarantined.is_empty() { ", " (count(report.data.quarantined.len())) " left out" }
                ")"
            },
        ),
        ("their SHA-256", hash(&report.data.sha256)),
    ];
    if let Some(output) = &report.output {
        rows.push(("corrected", text(output.path.display().to_string())));
        rows.push(("its SHA-256", hash(&output.sha256)));
    }
    figure(
        "fig-sources",
        "From what",
        &html! {},
        &facts(&rows),
        &html! { "All trusted samples are named in the JSON report." },
    )
}

fn verified(report: &Report) -> Markup {
    let Some(Verification { structure, engine, tract }) = &report.verify else {
        return missing("fig-verified", "Verified", "No model was to be written, so that there was nothing to verify.");
    };
    let second = match tract.status {
        AgreementStatus::Agrees => {
            let difference = tract.max_abs_diff.map_or(String::new(), |difference| format!(" within {difference:.1e}"));
            format!(
                "tract, an independent engine, agrees{difference} on {}",
                counted(tract.samples, "sample", "samples")
            )
        }
        _ => tract.reason.clone().unwrap_or_else(|| "tract computes something else".to_owned()),
    };
    let rest = if structure.in_place {
        "every other byte stands where it stood"
    } else {
        "everything else is the same, field by field"
    };
    let copies = if structure.copies == 0 {
        String::new()
    } else {
        format!(", {} added", counted(structure.copies, "copy", "copies"))
    };
    let finite = if engine.finite { "finite outputs" } else { "outputs that are not all finite" };
    let rows = [
        ("untouched", text(format!("{} rewritten{copies}; {rest}", counted(structure.weights, "weight", "weights")))),
        ("runs", text(format!("{finite} on {}", counted(engine.samples, "sample", "samples")))),
        ("second opinion", text(second)),
    ];
    figure(
        "fig-verified",
        "Verified",
        &html! {},
        &facts(&rows),
        &html! { "Of the file as it was written, before it was moved into place." },
    )
}

fn parameters(report: &Report) -> Markup {
    let row = |(name, value): (&&'static str, &serde_json::Value)| {
        let value = match value {
            serde_json::Value::String(words) => words.clone(),
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        };
        vec![html! { code { (name) } }, text(value)]
    };
    let rows: Vec<Vec<Markup>> = report.params.iter().map(row).collect();
    let all = counted(rows.len(), "option", "options");
    let body = html! { details { summary { (all) } (table(&["option", "value"], &[], &rows)) } };
    figure("fig-options", "Options", &html! {}, &body, &html! { "As they were settled, whether given or not." })
}

fn times(report: &Report) -> Markup {
    let rows: Vec<Vec<Markup>> = report
        .seconds
        .iter()
        .map(|(phase, seconds)| [(*phase).to_owned(), format!("{seconds:.2}")].map(text).to_vec())
        .collect();
    let all: f64 = report.seconds.values().sum();
    let body =
        html! { details { summary { (format!("{all:.1} seconds")) } (table(&["phase", "seconds"], &[1], &rows)) } };
    let caption = html! {
        "Samples went through the network " (count(report.passes.forward as usize)) " times forward and "
        (count(report.passes.backward as usize)) " times backward. "
        @if let Some(peak) = report.peak_rss_bytes { "At its peak the run held " (count((peak >> 20) as usize)) " MiB." }
    };
    figure("fig-times", "Time", &html! {}, &body, &caption)
}
