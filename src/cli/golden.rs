//! `onnx-sap golden record`: keeps what a model is fed and gives, for `onnx-sap check` here or elsewhere.

use super::Answer;
use super::options::{DataArgs, InterfaceArgs, MaxBad, RunnerArgs, positive};
use super::ui::{Ui, table};
use crate::error::Error;
use crate::golden::{self, FORMATS, MODEL, Record, Taking};
use crate::model::{Classifier, GraphIndex, Model};
use crate::pipeline::Prepared;
use crate::progress::Observer;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

/// Keep what a golden model gives, for `onnx-sap check`
#[derive(Subcommand)]
pub(super) enum GoldenCommand {
    Record(Box<RecordArgs>),
}

/// Run a model on some samples, and keep inputs and outputs in a folder
#[derive(Args)]
pub(super) struct RecordArgs {
    /// The model
    #[arg(value_name = "GOLDEN.onnx")]
    input: PathBuf,
    /// The folder, which is made
    #[arg(value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    interface: InterfaceArgs,
    #[command(flatten)]
    data: DataArgs,
    /// How many samples are recorded, spread over the data
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = positive, help_heading = "Data")]
    samples: usize,
    /// How inputs and outputs are kept: onnx, the layout of ONNX's own test cases, or npz
    #[arg(long, value_name = "FORMAT", default_value = FORMATS[0].name(), value_parser = PossibleValuesParser::new(FORMATS.iter().map(|f| f.name())), help_heading = "Output")]
    format: String,
    /// Keep a copy of the model beside them: then `check` tells drift of a machine from a candidate that is worse, and compares
    /// structure and tensors, too
    #[arg(long, help_heading = "Output")]
    with_model: bool,
    /// Replace a record that is there
    #[arg(long, help_heading = "Output")]
    force: bool,
    #[command(flatten)]
    runner: RunnerArgs,
    #[command(flatten)]
    bad: MaxBad,
}

pub(super) fn run(command: &GoldenCommand, ui: &Ui) -> Result<Answer, Error> {
    let GoldenCommand::Record(args) = command;
    record(args, ui)
}

fn record(args: &RecordArgs, ui: &Ui) -> Result<Answer, Error> {
    let format = golden::format(&args.format)
        .ok_or_else(|| Error::Usage(format!("there is no format {:?} of records", args.format)))?;
    golden::check_folder(&args.output, args.force)?;
    let runner = args.runner.runner()?;
    let model = Model::open(&args.input)?;
    let classifier = Classifier::of(&GraphIndex::new(&model)?, &args.interface.interface())?;
    let data = Prepared::open(&args.data.data()?, &args.data.preprocessing(), &classifier, ui)?;
    let (engine, _) = runner.start(&model, &classifier, ui)?;
    let (samples, batch, limit) = (args.samples, runner.batch, args.bad.max_bad);
    let taking = Taking { model: &model, classifier: &classifier, data: &data, samples, batch, limit };
    let record = golden::take(&taking, engine.as_ref(), ui)?;
    for output in model.outputs().iter().filter(|output| output.element.is_none()) {
        ui.warn(&format!("the output {} is of a type that is not recorded", output.name));
    }
    record.write(&args.output, format, args.with_model.then_some(&model))?;
    ui.summary(&summary(&record, &args.output));
    Ok(Answer::Yes)
}

fn summary(record: &Record, folder: &Path) -> String {
    let samples = record.manifest.iter().flat_map(|manifest| &manifest.sets).map(Vec::len).sum::<usize>();
    let on = record.manifest.as_ref().map_or_else(String::new, |manifest| manifest.environment.to_string());
    let outputs = record.sets.first().map_or(0, |set| set.outputs.len());
    let cells =
        vec![record.sets.len().to_string(), samples.to_string(), outputs.to_string(), folder.display().to_string(), on];
    let with_model = folder.join(MODEL).is_file();
    let text = table(&["test sets", "samples", "outputs", "record", "engine"], &[0, 1, 2], [cells]);
    if with_model { format!("{text}model     {}\n", folder.join(MODEL).display()) } else { text }
}
