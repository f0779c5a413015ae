//! `onnx-sap detect`: the samples whose labels are likely wrong.

use super::Answer;
use super::options::{DataArgs, Format, InterfaceArgs, MaxBad, RunnerArgs};
use super::ui::{Ui, percent, table};
use crate::detect::{Detection, Opinion};
use crate::error::Error;
use crate::evidence::{EvidenceError, predict_showing};
use crate::model::{Classifier, GraphIndex, Model};
use crate::pipeline::Prepared;
use crate::progress::Observer;
use crate::report::issues::Issue;
use crate::report::table as file;
use crate::report::{ClassReport, DetectionReport, ModelReport};
use crate::store::Location;
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;

/// Find the samples whose labels are likely wrong: best with a corrected model, as one that memorised its labels believes them
#[derive(Args)]
pub(super) struct DetectArgs {
    /// The model
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,
    #[command(flatten)]
    interface: InterfaceArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Where a row for each sample goes, the likeliest wrong first: .csv, .jsonl or .parquet
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Option<Location>,
    /// How to show what was found
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    format: Format,
    #[command(flatten)]
    runner: RunnerArgs,
    #[command(flatten)]
    bad: MaxBad,
}

pub(super) fn run(args: &DetectArgs, ui: &Ui) -> Result<Answer, Error> {
    let output = args.output.as_ref();
    let format = output.map(|output| file::format("samples", output)).transpose()?;
    let runner = args.runner.runner()?;
    let model = Model::open(&args.input)?;
    let graph = GraphIndex::new(&model)?;
    let classifier = Classifier::of(&graph, &args.interface.interface())?;
    let data = Prepared::open(&args.data.data()?, &args.data.preprocessing(), &classifier, ui)?;
    if let Some(path) = output.and_then(Location::local) {
        model.check_output(path, true)?;
        data.check_output(path)?;
    }
    let (engine, mut forward) = runner.start(&model, &classifier, ui)?;
    let (set, samples) = (data.set.as_ref(), data.all());
    let (stream, batch) = (data.stream(None), data.batch(runner.batch));
    let mut opinions = Vec::new();
    ui.begin("scoring", samples.len(), "samples");
    let scores = predict_showing(
        &mut forward,
        &stream,
        (&samples, batch),
        args.bad.max_bad,
        ui,
        &mut |_| false,
        &mut |prediction, row, link| opinions.push(Opinion::of(prediction, row, link)),
    )?;
    ui.end();
    let classes = scores.meaning.ok_or(EvidenceError::NoneUsable)?.classes;
    let found = Detection::of(&opinions, classes);
    let worst = Detection::worst_first(&opinions);
    let issue = |at: &usize| Issue::of(&opinions[*at], found.is_issue[*at], set.id(scores.samples[*at]).0);
    if let Some((output, format)) = output.zip(format) {
        output.write(|to| file::write(format, worst.iter().map(issue), "", to))?;
    }
    let about = (ModelReport::of(&model), engine.info().clone(), data.spec.to_string());
    let report = DetectionReport::of(about, set, &scores, &opinions, &found);
    if !report.labels.separation.separates {
        ui.warn(&doubtful(&report));
    }
    match args.format {
        Format::Text => {
            let worst: Vec<Issue> = worst.iter().filter(|at| found.is_issue[**at]).take(SHOWN).map(issue).collect();
            ui.summary(&summary(&report, &worst, output));
        }
        Format::Json => ui.json(&report)?,
    }
    Ok(Answer::Yes)
}

/// Classes, pairs of them and samples that a person is shown.
const SHOWN: usize = 10;

/// Why the findings cannot be relied on.
fn doubtful(report: &DetectionReport) -> String {
    let fits = percent(report.quality.accuracy);
    format!(
        "losses do not tell right labels from wrong ones (two humps {:.1} deviations apart, where 2 are needed on either side of \
         even odds): the model predicts {fits} of its labels; if it has memorised them, correct it first (`onnx-sap IN.onnx \
         OUT.onnx --data SPEC`) and detect with OUT.onnx; else few labels are wrong",
        report.labels.separation.distance
    )
}

/// What a person sees at the end.
fn summary(report: &DetectionReport, worst: &[Issue], output: Option<&Location>) -> String {
    let share = report.labels.issues as f64 / report.quality.samples as f64;
    let by = if report.labels.separation.separates { "losses" } else { "confident joint" };
    let overview = vec![
        report.quality.samples.to_string(),
        report.quarantined.len().to_string(),
        report.labels.issues.to_string(),
        percent(share),
        format!("{} (by {by})", percent(report.labels.noise_rate)),
    ];
    let header = ["samples", "left out", "likely wrong", "share", "noise rate"];
    let mut text = table(&header, &[0, 1, 2, 3], [overview]);
    let _ = write!(text, "\n{}", classes(report));
    let pairs = report.labels.overlaps.iter().take(SHOWN).map(|overlap| {
        let (a, b) = overlap.classes;
        vec![report.labels.name(a), report.labels.name(b), percent(overlap.share)]
    });
    if !report.labels.overlaps.is_empty() {
        let _ = write!(text, "\n{}", table(&["taken for each other", "", "of all samples"], &[2], pairs));
    }
    if !worst.is_empty() {
        let row = |issue: &Issue| {
            let suggested = issue.suggested_label.map_or(String::new(), |class| report.labels.name(class));
            vec![report.labels.name(issue.given_label), suggested, format!("{:.2}", issue.loss), issue.path.clone()]
        };
        let worst = table(&["given", "suggested", "loss", "likeliest wrong"], &[2], worst.iter().map(row));
        let _ = write!(text, "\n{worst}");
    }
    if let Some(output) = output {
        let _ = writeln!(text, "\nsamples   {output}");
    }
    text
}

/// The classes, of many those with the largest share of labels that are likely wrong.
fn classes(report: &DetectionReport) -> String {
    let mut classes: Vec<&ClassReport> = report.labels.classes.iter().collect();
    if classes.len() > 2 * SHOWN {
        classes.sort_by(|a, b| b.label_noise.total_cmp(&a.label_noise).then(a.class.cmp(&b.class)));
        classes.truncate(SHOWN);
    }
    let row = |class: &&ClassReport| {
        let share =
            if class.samples == 0 { String::new() } else { percent(class.issues as f64 / class.samples as f64) };
        vec![report.labels.name(class.class), class.samples.to_string(), class.issues.to_string(), share]
    };
    let mut text = table(&["class", "samples", "likely wrong", "share"], &[1, 2, 3], classes.iter().map(row));
    let others = report.labels.classes.len() - classes.len();
    if others > 0 {
        let _ = writeln!(text, "{others} other classes are in --format json");
    }
    text
}
