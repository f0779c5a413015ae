//! `onnx-sap evidence`: the second moments over the trusted samples, for a correction later or elsewhere.

use super::Answer;
use super::layers::LayerArgs;
use super::options::{DataArgs, InterfaceArgs, LongRunArgs, RunnerArgs};
use super::score::part;
use super::shard::{ShardChoice, announce};
use super::trust::{SeedArgs, TrustArgs};
use super::ui::{Ui, table};
use crate::error::Error;
use crate::evidence::{Inputs, Precision, TrustScore};
use crate::layers::Ledger;
use crate::model::{Classifier, GraphIndex, Model};
use crate::partial::{EvidenceFacts, MomentsFile, WorkFolder};
use crate::pipeline::{Measurement, PRESETS, Prepared, Subject};
use crate::store::Location;
use clap::Args;
use std::path::PathBuf;

/// Measure the moments over the trusted samples, all of them or a shard
#[derive(Args)]
pub(super) struct EvidenceArgs {
    /// The model
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,
    #[command(flatten)]
    interface: InterfaceArgs,
    #[command(flatten)]
    data: DataArgs,
    /// The scores by which samples are trusted: a .parquet file of `onnx-sap score` or `merge` [default: score them now]
    #[arg(long, value_name = "FILE", help_heading = "Correction")]
    scores: Option<Location>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    seed: SeedArgs,
    #[command(flatten)]
    layers: LayerArgs,
    /// Where the evidence goes: a .safetensors file or a folder (s3:// and gs:// where they are built in)
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Location,
    #[command(flatten)]
    runner: RunnerArgs,
    #[command(flatten)]
    long: LongRunArgs,
    /// Measure part I of N only, counted from 0; `auto` asks Slurm, Kubernetes or AWS Batch, `auto/N` for the index alone
    #[arg(long, value_name = "I/N|auto", requires = "scores", help_heading = "Long runs")]
    shard: Option<ShardChoice>,
}

pub(super) fn run(args: &EvidenceArgs, ui: &Ui) -> Result<Answer, Error> {
    gather(args, ui).map_err(|error| error.kept_in(args.long.work.as_deref()))
}

fn gather(args: &EvidenceArgs, ui: &Ui) -> Result<Answer, Error> {
    let shard = announce(args.shard, ui)?;
    let output = part(&args.output, "evidence", shard, "safetensors")?;
    let outputs: Vec<_> = output.local().into_iter().collect();
    let trusted = args.trust.choice(&outputs, (&PRESETS[0], args.seed.seed))?;
    if args.scores.is_some() && trusted.score() != TrustScore::Loss {
        return Err(Error::Usage(format!(
            "--scores holds losses, and --score {} ranks by something else; leave out one of them",
            trusted.score()
        )));
    }
    let runner = args.runner.runner()?;
    let work = args.long.work.as_deref().map(WorkFolder::open).transpose()?;
    let model = Model::open(&args.input)?;
    let graph = GraphIndex::new(&model)?;
    let classifier = Classifier::of(&graph, &args.interface.interface())?;
    let ledger = Ledger::survey(&graph, &args.layers.selection()).map_err(Error::Usage)?;
    let data = Prepared::open(&args.data.data()?, &args.data.preprocessing(), &classifier, ui)?;
    if let Some(path) = output.local() {
        model.check_output(path, true)?;
        data.check_output(path)?;
    }
    let (engine, mut forward) = runner.start(&model, &classifier, ui)?;
    let (limit, work) = (args.long.bad.max_bad, work.as_ref());
    let subject = Subject { graph: &graph, data: &data, engine: engine.as_ref(), batch: runner.batch, limit, work };
    let choice = subject.choose(&mut forward, &trusted, args.scores.as_ref(), ui)?;
    let classifier = forward.classifier().clone();
    drop(forward);
    let measurement = Measurement {
        layers: &ledger.layers,
        trusted: &choice.trusted,
        shard,
        rows: args.trust.rows(&PRESETS[0]),
        // It serves any α.
        precision: Precision::Float64,
        seed: args.seed.seed,
    };
    let sums = subject.measure(&classifier, &measurement, Inputs::All, ui)?;
    let identity = subject.measuring(&classifier, &measurement)?;
    let set = data.set.as_ref();
    let ids = choice.trusted.samples.iter().map(|&sample| set.id(sample)).collect();
    let measured = sums.range.len();
    let facts = EvidenceFacts { shard, trusted: ids, selection: choice.selection, scores: choice.scores };
    let bytes = MomentsFile::encode(&identity, &sums, facts)?;
    output.write(|file| file.write_all(&bytes))?;
    let info = engine.info();
    ui.summary(&table(
        &["layers", "trusted", "measured", "engine", "evidence"],
        &[0, 1, 2],
        [vec![
            ledger.layers.len().to_string(),
            choice.trusted.samples.len().to_string(),
            measured.to_string(),
            format!("{} {} on {}", info.name, info.version, info.device),
            output.to_string(),
        ]],
    ));
    Ok(Answer::Yes)
}
