//! `onnx-sap attribute`: what the first stages of pruning find.

use super::Answer;
use super::options::{DataArgs, Format, InterfaceArgs, RunnerArgs, refuse_losing};
use super::ui::{Ui, percent, table};
use crate::autodiff::parameters;
use crate::error::Error;
use crate::layers::{Ledger, Selection};
use crate::model::{Classifier, GraphIndex, Model};
use crate::pipeline::Prepared;
use crate::progress::Observer;
use crate::report::stages::{SampleRow, read_quality};
use crate::report::table as file;
use crate::report::{AttributionReport, ModelReport};
use crate::store::Location;
use crate::tune::{HiddenLayer, Inspection, NamedNeuron, Opinions, Partition, Quality};
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;

/// Find the samples whose losses stand out by their gradients, and the neurons that answer to them: the first stages of prune
#[derive(Args)]
pub(super) struct AttributeArgs {
    /// The model
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,
    #[command(flatten)]
    interface: InterfaceArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Rank neurons by this quality of samples, of which only these are looked at: a table as -o FILE.csv writes it [default: by
    /// attributions]
    #[arg(long, value_name = "FILE", conflicts_with = "output", help_heading = "Stages")]
    quality: Option<PathBuf>,
    /// Where a row for each sample goes, the lowest quality first: .csv, .jsonl or .parquet
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Option<Location>,
    /// Where a row for each hidden neuron goes, the one to prune first at the top: .csv, .jsonl or .parquet
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    neurons: Option<Location>,
    /// How to show what was found
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    format: Format,
    #[command(flatten)]
    runner: RunnerArgs,
}

pub(super) fn run(args: &AttributeArgs, ui: &Ui) -> Result<Answer, Error> {
    let outputs = [("samples", args.output.as_ref()), ("neurons", args.neurons.as_ref())];
    for (what, output) in outputs {
        output.map(|output| file::format(what, output)).transpose()?;
    }
    let given = args.quality.as_deref().map(read_quality).transpose()?;
    let runner = args.runner.runner()?;
    let model = Model::open(&args.input)?;
    let graph = GraphIndex::new(&model)?;
    let classifier = Classifier::of(&graph, &args.interface.interface())?;
    let data = Prepared::open(&args.data.data()?, &args.data.preprocessing(), &classifier, ui)?;
    for path in outputs.iter().filter_map(|(_, output)| output.and_then(Location::local)) {
        model.check_output(path, true)?;
        data.check_output(path)?;
        if let Some(quality) = &args.quality {
            refuse_losing(quality, "the table of --quality", &[path])?;
        }
    }
    let ledger = Ledger::survey(&graph, &Selection::default()).map_err(Error::Usage)?;
    let (engine, mut forward) = runner.start(&model, &classifier, ui)?;
    let (stream, batch) = (data.stream(None), data.batch(runner.batch));
    let said = Opinions::of(&mut forward, &stream, (&data.all(), batch), ui)?;
    // What the class scores mean may have shown only now.
    let classifier = forward.classifier();
    let hidden = HiddenLayer::of(&ledger.layers, &parameters(&graph), classifier);
    let engine = engine.as_ref();
    let inspection = Inspection { model: &model, classifier, engine, stream, said: &said, hidden, batch, observer: ui };
    let partition = if given.is_none() { Some(inspection.partition()?) } else { None };
    let quality = match (&partition, given) {
        (Some(partition), _) => partition.quality.clone(),
        (None, given) => Quality::given(&given.unwrap_or_default(), stream.set, &said.samples)?,
    };
    let neurons: Vec<NamedNeuron> =
        inspection.neurons(&quality)?.into_iter().map(|neuron| inspection.name(neuron)).collect();
    if let Some((output, partition)) = args.output.as_ref().zip(partition.as_ref()) {
        let format = file::format("samples", output)?;
        output.write(|to| file::write(format, rows(&inspection, partition), "", to))?;
    }
    if let Some(output) = &args.neurons {
        let format = file::format("neurons", output)?;
        output.write(|to| file::write(format, neurons.iter().cloned(), "", to))?;
    }
    let about = (ModelReport::of(&model), engine.info().clone(), data.spec.to_string());
    let report = AttributionReport::of(about, &quality, partition.as_ref(), neurons);
    if let Some(doubt) = partition.as_ref().and_then(Partition::doubt) {
        ui.warn(&format!(
            "{doubt}: if the model has memorised its labels, correct it first, and look at what that gives"
        ));
    }
    match args.format {
        Format::Text => ui.summary(&summary(&report, args)),
        Format::Json => ui.json(&report)?,
    }
    Ok(Answer::Yes)
}

/// The samples, those of the lowest quality first.
fn rows(inspection: &Inspection<'_>, partition: &Partition) -> Vec<SampleRow> {
    let Inspection { said, stream, .. } = inspection;
    let of = |(at, opinion)| {
        let path = stream.set.id(said.samples[at]).0;
        SampleRow::of(opinion, path, partition.attributions[at], partition.quality.probabilities[at])
    };
    let mut rows: Vec<SampleRow> = said.opinions.iter().enumerate().map(of).collect();
    rows.sort_by(|a, b| a.quality.total_cmp(&b.quality));
    rows
}

/// Neurons that a person is shown.
const SHOWN: usize = 10;

/// What a person sees at the end.
fn summary(report: &AttributionReport, args: &AttributeArgs) -> String {
    let share = report.high_quality as f64 / report.samples.max(1) as f64;
    let (measured_in, distance) = match &report.attributions {
        Some(found) => (found.measured_in.clone(), format!("{:.1} deviations", found.distance)),
        None => ("given".to_owned(), String::new()),
    };
    let overview =
        vec![report.samples.to_string(), report.high_quality.to_string(), percent(share), measured_in, distance];
    let mut text = table(&["samples", "high quality", "share", "attributed to", "apart"], &[0, 1, 2], [overview]);
    let row = |NamedNeuron { weight, output, sensitivity }: &NamedNeuron| {
        vec![weight.clone(), output.to_string(), format!("{sensitivity:.3}")]
    };
    if !report.neurons.is_empty() {
        let header = ["answers to noise", "neuron", "sensitivity"];
        let _ = write!(text, "\n{}", table(&header, &[1, 2], report.neurons.iter().take(SHOWN).map(row)));
    }
    if args.output.is_some() || args.neurons.is_some() {
        text.push('\n');
    }
    for (what, output) in [("samples", &args.output), ("neurons", &args.neurons)] {
        if let Some(output) = output {
            let _ = writeln!(text, "{what}   {output}");
        }
    }
    text
}
