//! `onnx-sap score`: the loss, prediction and confidence of every sample.

use super::Answer;
use super::options::{DataArgs, InterfaceArgs, LongRunArgs, RunnerArgs};
use super::shard::ShardChoice;
use super::ui::{self, Ui};
use crate::error::Error;
use crate::evidence::{Scores, Shard};
use crate::model::{Classifier, GraphIndex, Model};
use crate::partial::{ScoreFacts, ScoreHeader, WorkFolder};
use crate::pipeline::{Prepared, ScoreSummary, Subject};
use crate::report::scores::rows;
use crate::report::table::{self, Format};
use crate::store::Location;
use clap::Args;
use std::path::PathBuf;

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
    /// Where the scores go: .csv, .jsonl or .parquet; of a shard, a folder too (s3:// and gs:// where they are built in)
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Location,
    #[command(flatten)]
    runner: RunnerArgs,
    #[command(flatten)]
    long: LongRunArgs,
    /// Score part I of N only, counted from 0; `auto` asks Slurm, Kubernetes or AWS Batch, `auto/N` for the index alone
    #[arg(long, value_name = "I/N|auto", help_heading = "Long runs")]
    shard: Option<ShardChoice>,
}

pub(super) fn run(args: &ScoreArgs, ui: &Ui) -> Result<Answer, Error> {
    let shard = super::shard::announce(args.shard, ui)?;
    let output = part(&args.output, "scores", shard, "parquet")?;
    let format = format(&output, args.shard.is_some())?;
    let runner = args.runner.runner()?;
    let work = args.long.work.as_deref().map(WorkFolder::open).transpose()?;
    let model = Model::open(&args.input)?;
    let graph = GraphIndex::new(&model)?;
    let classifier = Classifier::of(&graph, &args.interface.interface())?;
    let data = Prepared::open(&args.data.data()?, &args.data.preprocessing(), &classifier, ui)?;
    if let Some(path) = output.local() {
        model.check_output(path, true)?;
        data.check_output(path)?;
    }
    let (engine, mut forward) = runner.start(&model, &classifier, ui)?;
    let (limit, work) = (args.long.bad.max_bad, work.as_ref());
    let subject = Subject { graph: &graph, data: &data, engine: engine.as_ref(), batch: runner.batch, limit, work };
    let scores = subject.score(&mut forward, shard, ui).map_err(|error| error.kept_in(args.long.work.as_deref()))?;
    if args.shard.is_none() {
        // Refuses a set of which nothing could be scored.
        ScoreSummary::of(&scores, forward.classifier())?;
    }
    let rows = || rows(&scores, data.set.as_ref());
    let about = ScoreHeader::new(facts(&subject, &classifier, &scores, shard)?, rows()).encode()?;
    output.write(|file| table::write(format, rows(), &about, file))?;
    let info = engine.info();
    let engine = format!("{} {} on {}", info.name, info.version, info.device);
    ui.summary(&summary(&scores, engine, output.to_string()));
    Ok(Answer::Yes)
}

/// What a file of scores says of itself. The classifier is the one that was asked for, before scores showed what they are.
fn facts(subject: &Subject<'_>, classifier: &Classifier, scores: &Scores, shard: Shard) -> Result<ScoreFacts, Error> {
    let set = subject.data.set.as_ref();
    Ok(ScoreFacts {
        identity: subject.scoring(classifier)?,
        shard,
        samples: set.len() + set.quarantined().len(),
        meaning: scores.meaning,
        digest: scores.digest,
        quarantined: scores.quarantined.clone(),
    })
}

fn summary(scores: &Scores, engine: String, output: String) -> String {
    let quality = (!scores.samples.is_empty()).then(|| scores.quality());
    let number = |value: Option<String>| value.unwrap_or_default();
    ui::table(
        &["samples", "left out", "accuracy", "mean loss", "engine", "scores"],
        &[0, 1, 2, 3],
        [vec![
            scores.samples.len().to_string(),
            scores.quarantined.len().to_string(),
            number(quality.map(|quality| format!("{:.1} %", 100.0 * quality.accuracy))),
            number(quality.map(|quality| format!("{:.4}", quality.mean_loss))),
            engine,
            output,
        ]],
    )
}

/// The file of a shard: the one that is named, or one in the folder that is named, which is made where it is not there.
pub(super) fn part(output: &Location, what: &str, shard: Shard, extension: &str) -> Result<Location, Error> {
    if !output.is_folder() {
        return Ok(output.clone());
    }
    output.make_folder()?;
    Ok(output.join(&format!("{what}-{:05}-of-{:05}.{extension}", shard.index(), shard.count())))
}

/// The format that a file's name asks for. Only one of them can say what a shard is a shard of.
fn format(output: &Location, sharded: bool) -> Result<&'static dyn Format, Error> {
    if sharded && output.extension() != "parquet" {
        return Err(Error::Usage(format!("the scores of a shard go to a .parquet file, and {output} is none")));
    }
    table::format("scores", output)
}
