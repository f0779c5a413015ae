//! Which samples are trusted, and what of them enters the moments.

use super::options::refuse_losing;
use crate::data::SampleId;
use crate::error::Error;
use crate::evidence::{Ranking, RowLimit, TrustScore};
use crate::pipeline::{Preset, TrustedChoice, TrustedCount};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::{Path, PathBuf};

#[derive(Args, Clone)]
#[command(next_help_heading = "Correction")]
pub(super) struct TrustArgs {
    /// How many samples of low loss or curvature are trusted: a number, all, or auto (5,000 where samples are small, else 1,000, and half of
    /// them at most) [default: by the preset]
    #[arg(long, value_name = "N|all|auto", conflicts_with = "trusted_ids")]
    trusted: Option<TrustedCount>,
    /// What samples are ranked by: their loss, or how sharply the gradient of it turns around them (curvature), which takes the
    /// gradients of eleven passes [default: loss]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(TrustScore::NAMES), conflicts_with = "trusted_ids")]
    score: Option<String>,
    /// Trust exactly the samples with these ids, one a line
    #[arg(long, value_name = "FILE")]
    trusted_ids: Option<PathBuf>,
    /// Lowest scores of each class (balanced) or over all (global) [default: by the preset]
    #[arg(long, value_name = "balanced|global")]
    selection: Option<Ranking>,
    /// Rows of a layer's inputs that enter its second moment: `all` is exact, N draws that many by the seed [default: by the
    /// preset]
    #[arg(long, value_name = "N|all", value_parser = row_limit)]
    max_rows: Option<RowLimit>,
}

/// What is drawn by chance.
#[derive(Args, Clone, Copy)]
#[command(next_help_heading = "Correction")]
pub(super) struct SeedArgs {
    /// Draws rows and perturbations
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}

fn row_limit(text: &str) -> Result<RowLimit, String> {
    match text.parse() {
        _ if text == "all" => Ok(RowLimit::All),
        Ok(rows) if rows > 0 => Ok(RowLimit::AtMost(rows)),
        _ => Err("give a positive number of rows, or `all`".into()),
    }
}

impl TrustArgs {
    /// How many rows enter a moment.
    pub(super) fn rows(&self, preset: &Preset) -> RowLimit {
        self.max_rows.unwrap_or(preset.rows)
    }

    /// Whether it is said what samples are ranked by.
    pub(super) fn names_score(&self) -> bool {
        self.score.is_some()
    }

    /// The choice. None of the `outputs` may be the list of ids.
    pub(super) fn choice(&self, outputs: &[&Path], (preset, seed): (&Preset, u64)) -> Result<TrustedChoice, Error> {
        let Some(file) = &self.trusted_ids else {
            let count = self.trusted.unwrap_or(preset.trusted);
            let name = self.score.as_deref().unwrap_or(TrustScore::NAMES[0]);
            let score =
                TrustScore::named(name, seed).ok_or_else(|| Error::Usage(format!("there is no score {name:?}")))?;
            return Ok(TrustedChoice::Lowest { count, score, ranking: self.selection.unwrap_or(preset.ranking) });
        };
        refuse_losing(file, "the list of --trusted-ids", outputs)?;
        Ok(TrustedChoice::Given(read_ids(file)?))
    }
}

/// The ids in a file, one a line.
pub(super) fn read_ids(file: &Path) -> Result<Vec<SampleId>, Error> {
    let text = std::fs::read_to_string(file).map_err(|source| Error::Read { path: file.into(), source })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let ids: Vec<SampleId> = lines.map(|line| SampleId(line.to_owned())).collect();
    if ids.is_empty() {
        let file = file.display();
        return Err(Error::Usage(format!("{file} holds no ids; write one a line, as `onnx-sap score` prints them")));
    }
    Ok(ids)
}
