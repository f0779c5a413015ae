//! The page of `onnx-sap compare`: every method by what it gains and what it costs, as a chart and as numbers.

use super::chart::{Axis, Chart, Ink, Mark, WIDTH, draw};
use super::numbers::{count, counted, percent, percent_tick, points};
use super::parts::{facts, figure, legend, missing, section, table, text};
use super::{document, file_name};
use crate::report::{ComparisonReport, ForgetBy, MeanReport, MethodReport, RanReport, RunReport, Statistic};
use maud::{Markup, html};
use std::io;

/// The figures of the page, by the ids of their elements.
pub const FIGURES: &[&str] = &["fig-cost", "fig-methods", "fig-runs", "fig-command", "fig-sources"];

const SECTIONS: &[(&str, &str)] =
    &[("methods", "Accuracy and cost"), ("runs", "What was chosen"), ("provenance", "Provenance")];

/// The height of the chart, in units, and about what of width and height is between the axes.
const HEIGHT: u32 = 330;
const BETWEEN_AXES: (f64, f64) = (330.0, 255.0);

/// About how wide a letter is, and how far apart the middles of words must be so that these do not touch, in units.
const LETTER: f64 = 7.5;
const LINE: f64 = 16.0;

/// Writes the page. `command`: what makes it again.
///
/// # Errors
/// Those of writing.
pub fn write(report: &ComparisonReport, command: &str, to: &mut dyn io::Write) -> io::Result<()> {
    to.write_all(page(report, command).into_string().as_bytes())
}

fn page(report: &ComparisonReport, command: &str) -> Markup {
    let top = html! { p.verdict { (verdict(report)) } };
    let main = html! { (methods(report)) (runs(report)) (provenance(report, command)) };
    document(&file_name(&report.model.path), &top, SECTIONS, &main)
}

/// Which method is the most accurate, in a sentence.
fn verdict(report: &ComparisonReport) -> String {
    let original = report.original.test.accuracy;
    let means = report.methods.iter().filter_map(|method| Some((method.method, method.mean?.test.mean)));
    let best = means.reduce(|best, next| if next.1 > best.1 { next } else { best });
    match best {
        Some((method, accuracy)) if accuracy > original => format!(
            "The most accurate is {method}: {} of test labels, {} points over the original's {}.",
            percent(accuracy),
            points(accuracy - original),
            percent(original)
        ),
        _ => {
            format!("No method is more accurate on test data than the original, which predicts {}.", percent(original))
        }
    }
}

fn methods(report: &ComparisonReport) -> Markup {
    let lead = html! {
        "Each method was run as the main command runs it, with the same data and validation, and what came out was judged on the same "
        "samples: the test data, " (report.test.spec) ", which took no part in any choice, and the training data, divided in two. "
        (forget_set(report))
    };
    let body = html! { div.pair { (over_cost(report)) } (by_method(report)) };
    section("methods", "Accuracy and cost", &lead, &body)
}

/// What is to be forgotten, and how far that can be relied on.
fn forget_set(report: &ComparisonReport) -> Markup {
    let forget = &report.forget;
    html! {
        b { (count(forget.count)) " of " (counted(forget.of, "sample", "samples")) } " are to be forgotten, " (forget.by.describe()) "."
        @if let ForgetBy::Losses { method, separates } = &forget.by {
            @if !separates { b { " These do not tell right labels from wrong ones." } }
            @if method.is_some() { " That favours this method in the columns forget and retain." }
        }
    }
}

/// The methods that could be had, with their means.
fn means(report: &ComparisonReport) -> Vec<(&MethodReport, MeanReport)> {
    report.methods.iter().filter_map(|method| Some((method, method.mean?))).collect()
}

fn over_cost(report: &ComparisonReport) -> Markup {
    const TITLE: &str = "Accuracy over seconds";
    // What takes no time that can be measured has no place on a logarithmic axis.
    let place = |mean: &MeanReport| (mean.seconds.mean.max(1e-3).log10(), mean.test.mean);
    let methods: Vec<(&str, (f64, f64))> =
        means(report).iter().map(|(method, mean)| (method.method, place(mean))).collect();
    if methods.is_empty() {
        return missing("fig-cost", TITLE, "No method could be had.");
    }
    let original = report.original.test.accuracy;
    let ((left, right), (low, high)) = ranges(&methods, original);
    let column = column(methods.iter().map(|(name, _)| *name).chain(["original"]), (left, right));
    let mut named: Vec<Named<'_>> = methods.iter().map(|&(name, at)| Named { name, at, ink: Ink::Text }).collect();
    named.push(Named { name: "original", at: (right, original), ink: Ink::Before });
    let mut marks = labels(&mut named, &column, (low, high));
    marks.push(Mark::Dashes((left, original), (right, original), Ink::Before));
    marks.extend(methods.iter().map(|(_, at)| Mark::Dot(*at, Ink::After)));
    // Beyond the points there are names, and no seconds.
    let seconds = Axis { range: (left, column.end), ..Axis::decades("seconds", (left, right)) };
    let chart = Chart {
        label: format!("Test accuracy of {} methods over their seconds", methods.len()),
        x: seconds,
        y: Axis::linear("test accuracy", (low, high), percent_tick),
        width: WIDTH,
        height: HEIGHT,
        marks,
    };
    let inks = [(Ink::After, "a method"), (Ink::Before, "original")];
    let caption = html! {
        "On " (counted(report.test.samples, "test sample", "test samples")) ". The seconds are those of a run of the main command without "
        "test data, on " (report.engine.device) "; their axis is logarithmic. Of points at one height the fastest has its name lowest."
    };
    figure("fig-cost", TITLE, &legend(&inks), &draw(&chart), &caption)
}

/// What the axes reach: powers of ten of seconds, and accuracies.
fn ranges(methods: &[(&str, (f64, f64))], original: f64) -> ((f64, f64), (f64, f64)) {
    let (mut left, mut right) = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut low, mut high) = (original, original);
    for (_, (seconds, accuracy)) in methods {
        (left, right) = (left.min(*seconds), right.max(*seconds));
        (low, high) = (low.min(*accuracy), high.max(*accuracy));
    }
    // A decade at least, so that some places on it are named.
    let beyond = ((1.0 - (right - left)) / 2.0).max(0.25);
    // Words of points at the same height need room.
    let margin = (0.15 * (high - low)).max(0.01);
    ((left - beyond, right + beyond), ((low - margin).max(0.0), (high + margin).min(1.0)))
}

/// A point with a name.
struct Named<'n> {
    name: &'n str,
    at: (f64, f64),
    ink: Ink,
}

/// Where a column of names is, to the right of everything from `left` to `right`.
struct Column {
    /// Where lines to it leave their height.
    right: f64,
    /// Where they end.
    edge: f64,
    /// Where names begin.
    names: f64,
    /// Where it ends.
    end: f64,
}

fn column<'n>(names: impl Iterator<Item = &'n str>, (left, right): (f64, f64)) -> Column {
    let letters = names.map(|name| name.chars().count()).max().unwrap_or(0);
    let share = ((letters as f64 + 3.0) * LETTER / BETWEEN_AXES.0).min(0.6);
    let end = left + (right - left) / (1.0 - share);
    let letter = LETTER * (end - left) / BETWEEN_AXES.0;
    Column { right, edge: right + 2.0 * letter, names: right + 2.5 * letter, end }
}

/// Names in a column, each with a line to its point, and no nearer to each other than can be read.
fn labels(named: &mut [Named<'_>], column: &Column, (low, high): (f64, f64)) -> Vec<Mark> {
    named.sort_by(|a, b| a.at.1.total_cmp(&b.at.1).then(a.at.0.total_cmp(&b.at.0)));
    let apart = (high - low) * LINE / BETWEEN_AXES.1;
    let mut heights: Vec<f64> = named.iter().map(|named| named.at.1).collect();
    spread(&mut heights, apart, (low + apart / 2.0, high - apart / 2.0));
    let places = || named.iter().zip(&heights);
    let line = |(named, &height): (&Named<'_>, &f64)| {
        Mark::Line(vec![named.at, (column.right, named.at.1), (column.edge, height)], Ink::Line)
    };
    let name =
        |(named, &height): (&Named<'_>, &f64)| Mark::Label((column.names, height), named.name.to_owned(), named.ink);
    // Lines lie below all names.
    places().map(line).chain(places().map(name)).collect()
}

/// Moves ascending places apart, as little as needed, and into a range as far as they fit.
fn spread(places: &mut [f64], apart: f64, (low, high): (f64, f64)) {
    let mut least = low;
    for place in places.iter_mut() {
        *place = place.max(least);
        least = *place + apart;
    }
    let mut most = high;
    for place in places.iter_mut().rev() {
        *place = place.min(most);
        most = *place - apart;
    }
}

fn by_method(report: &ComparisonReport) -> Markup {
    let part = |quality: Option<crate::evidence::Quality>| quality.map_or(String::new(), |of| percent(of.accuracy));
    let original = &report.original;
    let mut rows = vec![vec![
        text("original"),
        text(percent(original.test.accuracy)),
        text(part(original.forget)),
        text(part(original.retain)),
        text(""),
        text(""),
        text(""),
        text(""),
    ]];
    rows.extend(report.methods.iter().map(|method| row(method, report.original.test.accuracy)));
    let header = ["method", "test accuracy", "forget", "retain", "seconds", "forward passes", "backward passes", ""];
    let caption = html! {
        "Forget and retain are accuracies on the given training labels: of what is to be forgotten the less the better, of the rest the "
        "more. Passes are those over the training data (" (counted(report.data.samples, "sample", "samples")) ")"
        @if several_seeds(report) { "; behind ± stands the standard deviation over seeds" }
        "."
    };
    figure("fig-methods", "Every method", &html! {}, &table(&header, &[1, 2, 3, 4, 5, 6], &rows), &caption)
}

fn several_seeds(report: &ComparisonReport) -> bool {
    report.methods.iter().any(|method| method.runs.len() > 1)
}

fn row(method: &MethodReport, original: f64) -> Vec<Markup> {
    let mut cells = vec![text(method.method)];
    match &method.mean {
        None => cells.extend((0..6).map(|_| text(""))),
        Some(mean) => {
            let of_part = |part: Option<Statistic>| part.map_or(String::new(), |part| part.percent());
            cells.extend([mean.test.percent(), of_part(mean.forget), of_part(mean.retain)].map(text));
            cells.extend([mean.seconds, mean.forward, mean.backward].map(|number| text(number.decimal())));
        }
    }
    cells.push(match (method.impossible(), method.mean) {
        (Some(reason), _) => text(format!("cannot be had: {reason}")),
        (None, Some(mean)) => text(format!("{} points", points(mean.test.mean - original))),
        (None, None) => text(""),
    });
    cells
}

fn runs(report: &ComparisonReport) -> Markup {
    let rows: Vec<Vec<Markup>> =
        report.methods.iter().flat_map(|method| method.runs.iter().map(|run| run_row(method.method, run))).collect();
    let header = ["method", "seed", "chosen", "candidates", "validation accuracy", "test accuracy", "verdict"];
    let caption = html! {
        "Where no candidate beats the original by more than chance would, the original stays, and its accuracies are those of the run."
    };
    let lead = html! { "Candidates were compared on " (report.validation) "." };
    let body = figure("fig-runs", "Every run", &html! {}, &table(&header, &[1, 3, 4, 5], &rows), &caption);
    section("runs", "What was chosen", &lead, &body)
}

fn run_row(method: &str, run: &RunReport) -> Vec<Markup> {
    let (name, seed) = (text(method), text(run.seed.to_string()));
    match run.ran() {
        None => {
            let reason = format!("cannot be had: {}", run.impossible().unwrap_or_default());
            vec![name, seed, text(""), text(""), text(""), text(""), text(reason)]
        }
        Some(ran) => {
            let RanReport { chosen, trials, validation, accuracy, .. } = ran;
            let on_validation = validation.map_or(String::new(), |quality| percent(quality.accuracy));
            let cells =
                [chosen.to_string(), count(*trials), on_validation, percent(accuracy.test.accuracy), ran.verdict()];
            [name, seed].into_iter().chain(cells.map(text)).collect()
        }
    }
}

fn provenance(report: &ComparisonReport, command: &str) -> Markup {
    let engine = &report.engine;
    let versions: Vec<String> = report.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let set = |spec: &str, samples| text(format!("{spec} ({})", counted(samples, "sample", "samples")));
    let rows = [
        ("versions", text(versions.join(", "))),
        ("ran on", text(format!("{} {}, {} on {}", engine.name, engine.version, engine.provider, engine.device))),
        ("original", text(format!("{} ({} bytes)", report.model.path.display(), count(report.model.bytes)))),
        ("its SHA-256", html! { code.hash { (report.model.sha256) } }),
        ("training data", set(&report.data.spec, report.data.samples)),
        ("test data", set(&report.test.spec, report.test.samples)),
    ];
    let lead = html! { "The same command gives the same models. How long they take depends on the machine." };
    let body = html! {
        (figure("fig-command", "The command", &html! {}, &html! { pre.command tabindex="0" { code { (command) } } },
            &html! { "In the folder in which it was given, with the same files." }))
        (figure("fig-sources", "From what", &html! {}, &facts(&rows),
            &html! { "Every option, and what is to be forgotten, is in the JSON." }))
    };
    section("provenance", "Provenance", &lead, &body)
}

#[cfg(test)]
#[path = "comparison_tests.rs"]
mod tests;
