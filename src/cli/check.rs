//! `onnx-sap check`: whether a candidate may take the place of a golden model.

use super::Answer;
use super::options::{InterfaceArgs, MaxBad, PreparationArgs, RunnerArgs, positive};
use super::ui::{Ui, table};
use crate::check::{self, CheckJob, Finding, Policy, Status, Verdict};
use crate::error::Error;
use crate::report::CheckReport;
use crate::report::findings::{self, FORMATS};
use crate::store::Location;
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Judge a model by a golden one, or a record of it, and a policy: the gate of a pipeline
///
/// Exit code 0: every rule of the policy holds; 1: one does not; 2: it could not be checked, which is never a pass.
#[derive(Args)]
pub(super) struct CheckArgs {
    /// The model to be judged
    #[arg(value_name = "CANDIDATE.onnx")]
    candidate: PathBuf,
    /// The golden model, or a folder that `onnx-sap golden record` or another tool has written
    #[arg(long, value_name = "GOLDEN.onnx|DIR")]
    golden: PathBuf,
    /// What the candidate must hold to
    #[arg(long, value_name = "POLICY.toml")]
    policy: PathBuf,
    #[command(flatten)]
    interface: InterfaceArgs,
    /// Labelled samples on which predictions are judged, as NAME[:PATH][#SPLIT] [default: the recorded ones]
    #[arg(long, value_name = "SPEC", help_heading = "Data")]
    data: Option<String>,
    #[command(flatten)]
    preparation: PreparationArgs,
    /// On how many samples outputs are compared, spread over the data, where there is no record
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = positive, help_heading = "Data")]
    samples: usize,
    /// How to show the outcome
    #[arg(long, value_name = "FORMAT", default_value = TEXT, value_parser = PossibleValuesParser::new([TEXT].into_iter().chain(FORMATS.iter().map(|f| f.name()))), help_heading = "Output")]
    format: String,
    /// Write the outcome to a file, too: .json, or .xml, which CI servers read; may be repeated
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Vec<Location>,
    #[command(flatten)]
    runner: RunnerArgs,
    #[command(flatten)]
    bad: MaxBad,
}

const TEXT: &str = "text";

pub(super) fn run(args: &CheckArgs, ui: &Ui) -> Result<Answer, Error> {
    let files: Result<Vec<_>, Error> =
        args.output.iter().map(|file| Ok((file, findings::format_of(&file.extension())?))).collect();
    let (files, job) = (files?, args.job()?);
    let gathered = check::gather(&job, ui)?;
    let found = check::judge(&job.policy, &gathered.evidence);
    let report = CheckReport::of(&job, &gathered, found);
    for (file, format) in files {
        let text = format.render(&report)?;
        file.write(|to| to.write_all(text.as_bytes()))?;
    }
    match findings::format(&args.format) {
        Some(format) => ui.result(&format.render(&report)?),
        None => ui.summary(&text(&report)),
    }
    answer(&report, ui)
}

/// What could not be checked is an error, as nothing was found out.
fn answer(report: &CheckReport, ui: &Ui) -> Result<Answer, Error> {
    let with = |status: Status| report.findings.iter().filter(move |finding| finding.status == status);
    let named = |finding: &Finding| format!("{} {}", finding.rule, finding.subject).trim_end().to_owned();
    let candidate = report.candidate.path.display();
    match report.verdict {
        Verdict::Pass => Ok(Answer::Yes),
        Verdict::Fail => {
            let mut failed: Vec<String> = with(Status::Fail).map(named).collect();
            failed.dedup();
            ui.refusal(&format!("{candidate} does not hold to the policy: {}", failed.join(", ")));
            Ok(Answer::No)
        }
        Verdict::NotChecked => {
            let reason = with(Status::NotChecked).map(|finding| format!("{}: {}", named(finding), finding.message));
            let reasons: Vec<String> = reason.collect();
            let reasons =
                if reasons.is_empty() { "no rule found anything to judge".to_owned() } else { reasons.join("; ") };
            Err(Error::Usage(format!("{candidate} could not be checked: {reasons}")))
        }
    }
}

impl CheckArgs {
    fn job(&self) -> Result<CheckJob, Error> {
        Ok(CheckJob {
            candidate: self.candidate.clone(),
            golden: self.golden.clone(),
            data: self.data.as_deref().map(|data| self.preparation.spec(data)).transpose()?,
            preprocessing: self.preparation.preprocessing(),
            interface: self.interface.interface(),
            policy: Policy::open(&self.policy)?,
            runner: self.runner.runner()?,
            samples: self.samples,
            limit: self.bad.max_bad,
            outputs: self.output.iter().filter_map(Location::local).map(Path::to_owned).collect(),
        })
    }
}

fn text(report: &CheckReport) -> String {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    let row = |finding: &Finding| {
        vec![
            finding.status.word().to_owned(),
            finding.rule.to_owned(),
            finding.subject.clone(),
            finding.engine.clone().unwrap_or_default(),
            number(finding.measured),
            number(finding.limit),
            finding.message.clone(),
        ]
    };
    let header = ["", "rule", "of", "engine", "measured", "limit", ""];
    let mut text = table(&header, &[4, 5], report.findings.iter().map(row));
    let golden = &report.golden;
    let _ = writeln!(text, "\ncandidate {}", report.candidate.path.display());
    let record = golden.recorded_sets.map_or_else(String::new, |sets| {
        let samples = golden.recorded_samples.map_or_else(String::new, |samples| format!(", {samples} samples"));
        let model = if golden.model.is_some() { ", and the model" } else { "" };
        let sets = if sets == 1 { "1 test set".to_owned() } else { format!("{sets} test sets") };
        format!(" ({sets}{samples}{model})")
    });
    let _ = writeln!(text, "golden    {}{record}", golden.path.display());
    for environment in &report.environments {
        let _ = writeln!(text, "engine    {environment}");
    }
    text
}
