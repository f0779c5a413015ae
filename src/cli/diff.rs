//! `onnx-sap diff`: what differs between two models.

use super::Answer;
use super::options::{Format, InterfaceArgs, MaxBad, PreparationArgs, RunnerArgs};
use super::ui::{Ui, percent, shape_text, table};
use crate::difference::{self, ClassChange, Depth, Difference, Direction, PredictionChange, TensorChange, TensorForm};
use crate::error::Error;
use crate::evidence::{Quality, Scores, predict};
use crate::model::{Classifier, GraphIndex, Model};
use crate::pipeline::{Prepared, Runner};
use crate::progress::Observer;
use crate::report::{DifferenceReport, ModelReport, PredictionReport, SCHEMA_VERSION};
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;

/// Show what differs between two models: tensors and by how much, structure, metadata and predictions
///
/// Predictions are compared where --data is given. Exit code 0 where nothing differs, 1 where something does.
#[derive(Args)]
pub(super) struct DiffArgs {
    /// The first model, such as the original
    #[arg(value_name = "A.onnx")]
    a: PathBuf,
    /// The second, such as the corrected one
    #[arg(value_name = "B.onnx")]
    b: PathBuf,
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    interface: InterfaceArgs,
    /// Data on which predictions are compared, as NAME[:PATH][#SPLIT]
    #[arg(long, value_name = "SPEC", help_heading = "Data")]
    data: Option<String>,
    #[command(flatten)]
    preparation: PreparationArgs,
    #[command(flatten)]
    runner: RunnerArgs,
    #[command(flatten)]
    bad: MaxBad,
}

pub(super) fn run(args: &DiffArgs, ui: &Ui) -> Result<Answer, Error> {
    // Before anything runs on its threads.
    let runner = args.runner.runner()?;
    let (a, b) = (Model::open(&args.a)?, Model::open(&args.b)?);
    let (structure, metadata) = (difference::structure(&a, &b), difference::metadata(&a, &b));
    let tensors = difference::tensors(&a, &b, Depth::Spectra)?;
    let predictions = args.data.as_deref().map(|data| args.predictions([&a, &b], data, &runner, ui)).transpose()?;
    let report = DifferenceReport {
        schema_version: SCHEMA_VERSION,
        identical: structure.is_empty() && metadata.is_empty() && tensors.different.is_empty(),
        a: ModelReport::of(&a),
        b: ModelReport::of(&b),
        structure,
        metadata,
        tensors,
        predictions,
    };
    match args.format {
        Format::Text => ui.result(&text(&report)),
        Format::Json => ui.json(&report)?,
    }
    Ok(if report.identical { Answer::Yes } else { Answer::No })
}

impl DiffArgs {
    fn predictions(
        &self,
        [a, b]: [&Model; 2],
        data: &str,
        runner: &Runner,
        ui: &Ui,
    ) -> Result<PredictionReport, Error> {
        let spec = self.preparation.spec(data)?;
        let predict_with = |model: &Model| -> Result<_, Error> {
            let graph = GraphIndex::new(model)?;
            let classifier = Classifier::of(&graph, &self.interface.interface())?;
            let data = Prepared::open(&spec, &self.preparation.preprocessing(), &classifier, ui)?;
            let (engine, mut forward) = runner.start(model, &classifier, ui)?;
            let (samples, batch) = (data.all(), data.batch(runner.batch));
            let phase = model.path().file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
            ui.begin(&phase, samples.len(), "samples");
            let stream = data.stream(None);
            let limit = self.bad.max_bad;
            let scores: Scores = predict(&mut forward, &stream, (&samples, batch), limit, ui, &mut |_| false)?;
            ui.end();
            Ok((scores, data, engine.info().clone()))
        };
        let (first, ..) = predict_with(a)?;
        let (second, data, engine) = predict_with(b)?;
        let change = PredictionChange::between(&first, &second);
        Ok(PredictionReport::of(engine, data.spec.to_string(), data.set.as_ref(), change))
    }
}

/// Tensors, facts, classes and directions of each kind that a person is shown.
const SHOWN: usize = 10;

fn text(report: &DifferenceReport) -> String {
    let mut text = String::new();
    for (name, model) in [("A", &report.a), ("B", &report.b)] {
        let _ = writeln!(text, "{name}          {}, SHA-256 {:.16}…", model.path.display(), model.sha256);
    }
    let count = report.tensors.same + report.tensors.different.len();
    let different = report.tensors.different.len();
    let facts = |count: usize| match count {
        0 => "the same".to_owned(),
        1 => "1 difference".to_owned(),
        _ => format!("{count} differences"),
    };
    let _ = writeln!(text, "structure  {}", facts(report.structure.len()));
    let _ = writeln!(text, "tensors    {different} of {count} differ");
    let _ = writeln!(text, "metadata   {}", facts(report.metadata.len()));
    for (what, differences) in [("structure", &report.structure), ("metadata", &report.metadata)] {
        if !differences.is_empty() {
            let _ = write!(text, "\n{}", facts_table(what, differences));
        }
    }
    if different > 0 {
        let _ = write!(text, "\n{}", tensors(&report.tensors.different));
    }
    if let Some(found) = &report.predictions {
        let _ = write!(text, "\n{}", predictions(found));
    }
    text
}

/// What a table leaves out.
fn others(text: &mut String, all: usize, what: &str) {
    if all > SHOWN {
        let _ = writeln!(text, "{} other {what} are in --format json", all - SHOWN);
    }
}

fn facts_table(what: &str, differences: &[Difference]) -> String {
    let side = |side: &Option<String>| side.as_deref().map_or_else(|| "-".to_owned(), shortened);
    let rows = differences.iter().take(SHOWN).map(|fact| vec![fact.part.clone(), side(&fact.a), side(&fact.b)]);
    let mut text = table(&[what, "A", "B"], &[], rows);
    others(&mut text, differences.len(), "differences");
    text
}

/// So much of a text as fits beside another.
fn shortened(text: &str) -> String {
    const WIDTH: usize = 48;
    let start: String = text.chars().take(WIDTH).collect();
    if start.len() < text.len() { start + "…" } else { start }
}

fn tensors(changes: &[TensorChange]) -> String {
    let relative = |change: &TensorChange| change.distance.and_then(|distance| distance.relative);
    let mut changes: Vec<&TensorChange> = changes.iter().collect();
    // Those of which nothing can be measured first, then the largest.
    changes.sort_by(|a, b| {
        let size = |change: &TensorChange| relative(change).unwrap_or(f64::INFINITY);
        size(b).total_cmp(&size(a))
    });
    let form = |form: &TensorForm| format!("{} {}", form.dtype, shape_text(&form.shape));
    let row = |change: &&TensorChange| {
        let what = match (&change.a, &change.b) {
            (Some(a), Some(b)) if a == b => form(a),
            (a, b) => {
                let side = |side: &Option<TensorForm>| side.as_ref().map_or_else(|| "-".to_owned(), form);
                format!("{} → {}", side(a), side(b))
            }
        };
        let number =
            |value: Option<f64>, digits: usize| value.map_or(String::new(), |value| format!("{value:.digits$}"));
        let distance = change.distance.as_ref();
        let spectra = distance.and_then(|distance| distance.spectra);
        let arrow = |of: fn(&crate::linalg::Spectrum) -> f64, digits: usize| {
            spectra.map_or(String::new(), |[a, b]| format!("{:.digits$} → {:.digits$}", of(&a), of(&b)))
        };
        vec![
            change.name.clone(),
            what,
            number(relative(change), 4),
            distance.and_then(|distance| distance.max_abs).map_or(String::new(), |largest| format!("{largest:.2e}")),
            arrow(|spectrum| spectrum.norm, 3),
            arrow(|spectrum| spectrum.effective_rank, 1),
        ]
    };
    let header = ["tensor", "", "change", "largest", "norm", "eff. rank"];
    let mut text = table(&header, &[2, 3, 4, 5], changes.iter().take(SHOWN).map(row));
    others(&mut text, changes.len(), "tensors");
    text
}

fn predictions(report: &PredictionReport) -> String {
    let change = &report.change;
    let share = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), percent);
    let accuracy = |quality: &Quality| share(quality.judged().map(|quality| quality.accuracy));
    let overview = vec![
        report.data.clone(),
        change.samples().to_string(),
        accuracy(&change.a),
        accuracy(&change.b),
        change.flips.len().to_string(),
        share(report.flip_rate),
        change.gained.to_string(),
        change.lost.to_string(),
    ];
    let header = ["predictions", "samples", "A", "B", "flips", "share", "to the label", "from it"];
    let mut text = table(&header, &[1, 2, 3, 4, 5, 6, 7], [overview]);
    if change.left_out > 0 {
        let _ = writeln!(text, "{} samples can be used by one of the models only", change.left_out);
    }
    if change.flips.is_empty() {
        return text;
    }
    let mut classes: Vec<&ClassChange> = change.classes.iter().filter(|class| class.flips > 0).collect();
    classes.sort_by_key(|class| std::cmp::Reverse(class.flips));
    let class = |class: &&ClassChange| {
        let of = |right: usize| percent(right as f64 / class.samples as f64);
        vec![
            report.name(class.class),
            class.samples.to_string(),
            of(class.right_a),
            of(class.right_b),
            class.flips.to_string(),
        ]
    };
    let header = ["class", "samples", "A", "B", "flips"];
    let _ = write!(text, "\n{}", table(&header, &[1, 2, 3, 4], classes.iter().take(SHOWN).map(class)));
    others(&mut text, classes.len(), "classes");
    let way = |way: &Direction| {
        let counts = [way.flips, way.gained, way.lost].map(|count| count.to_string());
        [report.name(way.from), report.name(way.to)].into_iter().chain(counts).collect()
    };
    let header = ["from", "to", "flips", "to the label", "from it"];
    let ways = change.directions.iter().take(SHOWN).map(way);
    let _ = write!(text, "\n{}", table(&header, &[2, 3, 4], ways));
    others(&mut text, change.directions.len(), "directions");
    text
}
