//! `onnx-sap score`: the loss, prediction and confidence of every sample.

use super::Answer;
use super::options::{DataArgs, InterfaceArgs, RunnerArgs};
use super::ui::{Ui, table};
use crate::error::Error;
use crate::evidence::score;
use crate::model::{Classifier, GraphIndex, Model, write_atomically};
use crate::pipeline::Prepared;
use crate::report::scores::{FORMATS, Format, rows};
use clap::Args;
use std::path::{Path, PathBuf};

/// Write the loss, the predicted label and the confidence of every sample
#[derive(Args)]
pub(super) struct ScoreArgs {
    /// The model
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,
    #[command(flatten)]
    interface: InterfaceArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Where the scores go: .csv, .jsonl or .parquet
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: PathBuf,
    #[command(flatten)]
    runner: RunnerArgs,
}

pub(super) fn run(args: &ScoreArgs, ui: &Ui) -> Result<Answer, Error> {
    let format = format(&args.output)?;
    let runner = args.runner.runner()?;
    let model = Model::open(&args.input)?;
    model.check_output(&args.output, true)?;
    let classifier = Classifier::of(&GraphIndex::new(&model)?, &args.interface.interface())?;
    let data = Prepared::open(&args.data.data()?, &args.data.preprocessing(), &classifier, ui)?;
    data.check_output(&args.output)?;
    let (engine, mut forward) = runner.start(&model, &classifier, ui)?;
    let scores = score(&mut forward, &data.stream(None), data.batch(runner.batch), ui)?;
    let encoded = format.encode(&rows(&scores, data.set.as_ref()));
    let encoded = encoded.map_err(|error| Error::Usage(format!("the scores cannot be encoded: {error}")))?;
    write_atomically(&args.output, &encoded)?;
    let quality = scores.quality();
    let info = engine.info();
    ui.summary(&table(
        &["samples", "accuracy", "mean loss", "engine", "scores"],
        &[0, 1, 2],
        [vec![
            quality.samples.to_string(),
            format!("{:.1} %", 100.0 * quality.accuracy),
            format!("{:.4}", quality.mean_loss),
            format!("{} {} on {}", info.name, info.version, info.device),
            args.output.display().to_string(),
        ]],
    ));
    Ok(Answer::Yes)
}

/// The format that a file's name asks for.
fn format(path: &Path) -> Result<&'static dyn Format, Error> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    FORMATS.iter().copied().find(|format| format.extension() == extension).ok_or_else(|| {
        let known: Vec<String> = FORMATS.iter().map(|format| format!(".{}", format.extension())).collect();
        let (last, others) = known.split_last().map_or(("", String::new()), |(last, rest)| (last, rest.join(", ")));
        Error::Usage(format!("cannot write scores to {}: its name must end in {others} or {last}", path.display()))
    })
}
