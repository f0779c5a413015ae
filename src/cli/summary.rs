//! What a person sees at the end of the main command: layers, candidates, and accuracy before and after.

use super::ui::{percent, shape_text, table};
use crate::evidence::Quality;
use crate::linalg::Alpha;
use crate::pipeline::{Ending, Job, MemoryLimit, Outcome};
use crate::refine::Recipe;
use crate::report::{CandidateReport, CompactReport, EngineReport, LayerReport, LayerStatus, Report};
use crate::search::Verdict;
use crate::verify::{AgreementStatus, Verification};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What a person sees at the end.
pub(super) fn summary(job: &Job, outcome: &Outcome) -> String {
    let report = &outcome.report;
    let mut text = layers(report);
    let _ = writeln!(text, "\n{}", candidates(report));
    let _ = writeln!(text, "{}", before_and_after(outcome));
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<9} {value}");
    };
    if job.method.of_layers().is_some() {
        let (trusted, all) = (&report.trusted, report.data.samples);
        fact("trusted", format!("{} of {all} samples, {}", trusted.count, trusted.selection));
    }
    if let Some(forgotten) = &report.forgotten {
        let by = match forgotten.by {
            "given" => "as given".to_owned(),
            "trusted" => "as many as are trusted".to_owned(),
            by => format!("by {by}"),
        };
        fact("forgotten", format!("{} of {} samples, {by}", forgotten.count, forgotten.of));
    }
    if !report.rounds.is_empty() {
        let better = report.rounds.iter().filter(|round| round.verdict != Verdict::NotBetter).count();
        fact("rounds", format!("{better} of {} count, at most {}", report.rounds.len(), job.variant.rounds));
    }
    if let Some(unlabeled) = &report.unlabeled {
        fact("measured", format!("{} samples of {}, without their labels", unlabeled.samples, unlabeled.spec));
    }
    fact("engine", engine(&report.engine));
    if let Some(limit) = job.max_memory {
        let passes = if report.moments_passes == 1 { "1 pass" } else { &format!("{} passes", report.moments_passes) };
        let peak =
            report.peak_rss_bytes.map_or(String::new(), |peak| format!(", {} at the peak", MemoryLimit::of(peak)));
        fact("memory", format!("{passes} for {limit}{peak}"));
    }
    if !report.data.quarantined.is_empty() {
        fact("left out", format!("{} samples that cannot be used; the report says why", report.data.quarantined.len()));
    }
    if let Some(verification) = &report.verify {
        fact("verified", verified(verification));
    }
    match &outcome.ending {
        Ending::Written => fact("model", job.output.display().to_string()),
        Ending::DryRun => fact("model", format!("{} (dry run: not written)", job.output.display())),
        Ending::NotBetter | Ending::Unverified(_) => {}
    }
    if let Some(compact) = report.output.as_ref().and_then(|output| output.compact.as_ref()) {
        fact("compact", compacted(compact));
    }
    fact("report", job.report.display().to_string());
    if let Some(page) = &job.page {
        fact("page", page.path.display().to_string());
    }
    text
}

/// The smaller model, and what it is without.
fn compacted(compact: &CompactReport) -> String {
    let (cut, zero) = compact.channels.iter().fold((0, 0), |(cut, zero), of| (cut + of.cut, zero + of.zero));
    format!("{}, without {cut} of {zero} channels that are always 0", compact.path.display())
}

/// What ran the model, and what of it ran elsewhere.
fn engine(EngineReport { info, nodes_on_cpu }: &EngineReport) -> String {
    let elsewhere = nodes_on_cpu.iter().flatten().filter(|(_, count)| **count > 0);
    let elsewhere: Vec<String> = elsewhere.map(|(operator, count)| format!("{count} {operator}")).collect();
    let elsewhere = if elsewhere.is_empty() { String::new() } else { format!("; on the CPU {}", elsewhere.join(", ")) };
    format!("{} {}, {} on {}{elsewhere}", info.name, info.version, info.provider, info.device)
}

fn layers(report: &Report) -> String {
    let none = BTreeMap::new();
    let of_weights = report.chosen.recipe.strength.as_ref().map_or(&none, |strength| &strength.of_weights);
    let row = |layer: &LayerReport| {
        let number =
            |value: Option<f64>, digits: usize| value.map_or(String::new(), |value| format!("{value:.digits$}"));
        let mut cells = vec![
            layer.entry.weight.clone().unwrap_or_default(),
            layer.entry.op.clone(),
            layer.entry.shape.as_ref().map_or(String::new(), |shape| shape_text(shape)),
            layer.entry.dim.map_or(String::new(), |dim| dim.to_string()),
            layer.rows.map_or(String::new(), |rows| rows.to_string()),
            number(layer.effective_rank, 1),
            number(layer.relative_change, 3),
        ];
        if !of_weights.is_empty() {
            let own = layer.entry.weight.as_ref().and_then(|weight| of_weights.get(weight));
            cells.push(own.map_or(String::new(), Alpha::to_string));
        }
        cells.push(layer.entry.reason.clone().unwrap_or_default());
        cells
    };
    let rewritten = report.layers.iter().filter(|layer| layer.status == LayerStatus::Rewritten);
    let own = (!of_weights.is_empty()).then_some("own α");
    let columns = ["layer", "op", "shape", "d", "rows", "eff. rank", "change"];
    let header: Vec<&str> = columns.into_iter().chain(own).chain([""]).collect();
    let mut text = table(&header, &[3, 4, 5, 6, 7][..header.len() - 4], rewritten.map(row));
    let skipped = report.layers.iter().filter(|layer| layer.status == LayerStatus::Skipped).count();
    if skipped > 0 {
        let _ = writeln!(
            text,
            "{skipped} other weights and products stay as they are: see the report, or `onnx-sap inspect`"
        );
    }
    text
}

/// Refinements that a person is shown besides the chosen one and those that went on with gradients: the most accurate.
const SHOWN_REFINEMENTS: usize = 5;

fn candidates(report: &Report) -> String {
    let tried = &report.candidates;
    let (plain, refined): (Vec<&CandidateReport>, Vec<&CandidateReport>) =
        tried.iter().partition(|candidate| candidate.recipe.is_plain());
    let is_chosen = |candidate: &CandidateReport| candidate.recipe == report.chosen.recipe;
    let accuracy = |candidate: &CandidateReport| candidate.val_accuracy.unwrap_or_default();
    let mut best = refined.clone();
    best.sort_by(|a, b| accuracy(b).total_cmp(&accuracy(a)));
    best.truncate(SHOWN_REFINEMENTS);
    let shown = |candidate: &&CandidateReport| {
        let tuned = candidate.recipe.tuning.is_some();
        tuned || is_chosen(candidate) || best.iter().any(|best| best.recipe == candidate.recipe)
    };
    let refined_shown: Vec<&CandidateReport> = refined.iter().copied().filter(shown).collect();
    let has_tuned = refined.iter().any(|candidate| candidate.recipe.tuning.is_some());
    let row = |candidate: &CandidateReport| {
        let Recipe { strength, recalibrated, head, tuning } = &candidate.recipe;
        let mut cells = vec![strength.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)];
        if !refined.is_empty() {
            cells.extend([if *recalibrated { "yes" } else { "" }.to_owned(), head.to_string()]);
        }
        if has_tuned {
            cells.push(tuning.as_ref().map_or(String::new(), ToString::to_string));
        }
        let mark = match candidate {
            chosen if is_chosen(chosen) => "chosen".to_owned(),
            CandidateReport { complete: false, val_samples, .. } => format!("given up after {val_samples} samples"),
            _ => String::new(),
        };
        let loss = candidate.val_loss.map_or(String::new(), |loss| format!("{loss:.3}"));
        cells.extend([candidate.val_accuracy.map_or(String::new(), percent), loss, mark]);
        cells
    };
    let rows = plain.iter().chain(&refined_shown).map(|candidate| row(candidate));
    if refined.is_empty() {
        return table(&["α", "val. accuracy", "val. loss", ""], &[0, 1, 2], rows);
    }
    let tuned = has_tuned.then_some("tuned");
    let header: Vec<&str> = ["α", "recalibrated", "head"].into_iter().chain(tuned).collect();
    let numbers = [0, header.len(), header.len() + 1];
    let header: Vec<&str> = header.into_iter().chain(["val. accuracy", "val. loss", ""]).collect();
    let mut text = table(&header, &numbers, rows);
    let others = refined.len() - refined_shown.len();
    if others > 0 {
        let _ = writeln!(text, "{others} other refinements are in the report");
    }
    text
}

fn before_and_after(outcome: &Outcome) -> String {
    let (before, after) = (&outcome.report.before, &outcome.report.after);
    let row = |name: &String, before: Quality, after: Quality| {
        let change = 100.0 * (after.accuracy - before.accuracy);
        vec![name.clone(), percent(before.accuracy), percent(after.accuracy), format!("{change:+.1}")]
    };
    let judged = [
        (Some(&outcome.validation), before.validation, after.validation),
        (outcome.test.as_ref(), before.test, after.test),
    ];
    let rows: Vec<_> =
        judged.into_iter().filter_map(|(name, before, after)| Some(row(name?, before?, after?))).collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["accuracy on", "before", "after", "points"], &[1, 2, 3], rows)
}

fn verified(verification: &Verification) -> String {
    let tract = &verification.tract;
    let second = match (tract.status, tract.max_abs_diff, &tract.reason) {
        (AgreementStatus::Agrees, Some(difference), _) => {
            format!("tract agrees within {difference:.1e} on {} samples", tract.samples)
        }
        (AgreementStatus::Unsupported, _, Some(reason)) => format!("tract cannot run it ({reason})"),
        (_, _, Some(reason)) => reason.clone(),
        _ => "tract was not asked".to_owned(),
    };
    let weights = verification.structure.weights;
    let differ = if weights == 1 { "1 weight differs" } else { &format!("{weights} weights differ") };
    format!("only {differ}; {second}")
}
