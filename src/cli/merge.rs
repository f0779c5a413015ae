//! `onnx-sap merge`: what all shards have written becomes what one run would have written.

use super::Answer;
use super::options::MaxBad;
use super::ui::{self, Ui};
use crate::error::Error;
use crate::evidence::Quarantine;
use crate::partial::{EvidenceFile, EvidenceMerge, PartialError, ScorePart};
use crate::report::table;
use crate::store::Location;
use clap::Args;

/// Put together the scores, or the evidence, of all shards
#[derive(Args)]
pub(super) struct MergeArgs {
    /// The files of the shards, or the folder that they are in
    #[arg(value_name = "PART", required = true)]
    parts: Vec<Location>,
    /// Where the whole goes: of scores .parquet, .csv or .jsonl, of evidence .safetensors
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Location,
    #[command(flatten)]
    bad: MaxBad,
}

/// What the files of shards begin with.
const PARQUET: &[u8] = b"PAR1";

pub(super) fn run(args: &MergeArgs, ui: &Ui) -> Result<Answer, Error> {
    let (mut scores, mut evidence) = (Vec::new(), EvidenceMerge::default());
    for part in &args.parts {
        for file in part.files()?.into_iter().filter(|file| *file != args.output) {
            let (path, bytes) = (file.to_string(), file.read()?);
            if bytes.starts_with(PARQUET) {
                scores.push(ScorePart::decode(&path, bytes)?);
            } else {
                evidence.add(EvidenceFile::decode(&path, &bytes)?)?;
            }
        }
    }
    match (scores.first(), evidence.first()) {
        (Some(scores), Some(evidence)) => {
            let reason = format!("{} holds scores, and {evidence} holds evidence", scores.path());
            let advice = "merge the ones first, and the others apart".to_owned();
            Err(PartialError::Shards { reason, advice }.into())
        }
        (None, Some(_)) => merge_evidence(args, evidence, ui),
        _ => merge_scores(args, scores, ui),
    }
}

fn merge_scores(args: &MergeArgs, parts: Vec<ScorePart>, ui: &Ui) -> Result<Answer, Error> {
    let count = parts.len();
    let whole = ScorePart::merge(parts)?;
    Quarantine::check(whole.header.samples, args.bad.max_bad, &whole.header.quarantined)?;
    let format = table::format("scores", &args.output)?;
    let about = whole.header.encode()?;
    args.output.write(|file| table::write(format, whole.rows.iter().cloned(), &about, file))?;
    ui.summary(&ui::table(
        &["shards", "samples", "left out", "scores"],
        &[0, 1, 2],
        [vec![
            count.to_string(),
            whole.rows.len().to_string(),
            whole.header.quarantined.len().to_string(),
            args.output.to_string(),
        ]],
    ));
    Ok(Answer::Yes)
}

fn merge_evidence(args: &MergeArgs, parts: EvidenceMerge, ui: &Ui) -> Result<Answer, Error> {
    let (count, whole) = parts.finish()?;
    let (trusted, layers) = (whole.content.more.trusted.len(), whole.content.sums.sums.len());
    let bytes = whole.encode()?;
    args.output.write(|file| file.write_all(&bytes))?;
    ui.summary(&ui::table(
        &["shards", "trusted", "moments", "evidence"],
        &[0, 1, 2],
        [vec![count.to_string(), trusted.to_string(), layers.to_string(), args.output.to_string()]],
    ));
    Ok(Answer::Yes)
}
