//! `onnx-sap score`: the loss, prediction and confidence of every sample.

use super::Answer;
use super::options::{DataArgs, RunnerArgs};
use super::ui::{Ui, table};
use crate::error::Error;
use crate::evidence::{Scores, score};
use crate::model::{Classifier, GraphIndex, Model, write_atomically};
use crate::pipeline::Prepared;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Write the loss, the predicted label and the confidence of every sample
#[derive(Args)]
pub(super) struct ScoreArgs {
    /// The model
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Where the scores go: .csv or .jsonl
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    runner: RunnerArgs,
}

/// A line of the output.
#[derive(Serialize)]
struct Row {
    id: String,
    label: usize,
    predicted: usize,
    confidence: f64,
    loss: f64,
}

/// How rows are written.
#[derive(Clone, Copy)]
enum Format {
    Csv,
    JsonLines,
}

impl Format {
    fn of(path: &Path) -> Result<Self, Error> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl") => Ok(Self::JsonLines),
            _ => Err(Error::Usage(format!("{} must end in .csv or .jsonl", path.display()))),
        }
    }

    fn encode(self, rows: &[Row]) -> Result<Vec<u8>, Error> {
        let failed = |error: &dyn std::error::Error| Error::Usage(format!("the scores cannot be encoded: {error}"));
        match self {
            Self::Csv => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                rows.iter().try_for_each(|row| writer.serialize(row)).map_err(|error| failed(&error))?;
                writer.into_inner().map_err(|error| failed(&error))
            }
            Self::JsonLines => {
                let mut bytes = Vec::new();
                for row in rows {
                    serde_json::to_writer(&mut bytes, row).map_err(|error| failed(&error))?;
                    bytes.push(b'\n');
                }
                Ok(bytes)
            }
        }
    }
}

pub(super) fn run(args: &ScoreArgs, ui: &Ui) -> Result<Answer, Error> {
    let format = Format::of(&args.output)?;
    let runner = args.runner.runner()?;
    let model = Model::open(&args.input)?;
    model.check_output(&args.output, true)?;
    let classifier = Classifier::of(&GraphIndex::new(&model)?)?;
    let data = Prepared::open(&args.data.data()?, &args.data.preprocessing(), &classifier)?;
    let (engine, mut forward) = runner.start(&model, &classifier, ui)?;
    let scores = score(&mut forward, &data.stream(None), data.batch(runner.batch), ui)?;
    write_atomically(&args.output, &format.encode(&rows(&scores, &data))?)?;
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

fn rows(scores: &Scores, data: &Prepared) -> Vec<Row> {
    let row = |(index, prediction): (usize, &crate::evidence::Prediction)| Row {
        id: data.set.id(index).0,
        label: prediction.label,
        predicted: prediction.predicted,
        confidence: prediction.confidence,
        loss: prediction.loss,
    };
    scores.predictions.iter().enumerate().map(row).collect()
}
