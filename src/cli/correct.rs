//! The main command: `onnx-sap IN.onnx OUT.onnx --data SPEC`.

use super::Answer;
use super::command_line;
use super::correction::{Asked, CorrectionArgs, SourceArgs, refuse_idle};
use super::method::MethodParser;
use super::options::{LongRunArgs, RunnerArgs};
use super::summary::summary;
use super::trust::SeedArgs;
use super::ui::Ui;
use crate::error::Error;
use crate::methods::Method;
use crate::pipeline::{self, Ending, Job, Page, TuningChoice};
use crate::store::Location;
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(super) struct CorrectArgs {
    /// The model to correct; it is never changed
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,
    /// Where the corrected model goes
    #[arg(value_name = "OUT.onnx")]
    output: PathBuf,
    #[command(flatten)]
    sources: SourceArgs,
    /// Data on which before and after are only reported
    #[arg(long, value_name = "SPEC", help_heading = "Data")]
    test: Option<String>,
    /// The correction; list says what each needs, costs and changes [default: by the preset]
    #[arg(long, value_name = "NAME", value_parser = MethodParser, help_heading = "Correction")]
    method: Option<&'static dyn Method>,
    #[command(flatten)]
    correction: CorrectionArgs,
    /// Evidence that `onnx-sap evidence` has gathered: nothing is scored or measured again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["trusted", "trusted_ids", "selection", "score", "unlabeled", "max_memory"], help_heading = "Correction")]
    evidence: Option<Location>,
    #[command(flatten)]
    seed: SeedArgs,
    #[command(flatten)]
    runner: RunnerArgs,
    #[command(flatten)]
    long: LongRunArgs,
    /// The run as JSON [default: OUT.report.json]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    report: Option<PathBuf>,
    /// The run as a page for people: one file, readable offline; takes a pass over the training data more
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,
    /// The model without pruned neurons, too, where nothing else depends on them: a smaller graph that gives the same
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    compact: Option<PathBuf>,
    /// Do everything but write OUT
    #[arg(long, help_heading = "Output")]
    dry_run: bool,
    /// Write OUT even where no candidate beats the original; replace an existing OUT
    #[arg(long, help_heading = "Output")]
    force: bool,
}

pub(super) fn run(args: &CorrectArgs, ui: &Ui) -> Result<Answer, Error> {
    let job = args.job()?;
    let outcome = pipeline::run(&job, ui)?;
    ui.summary(&summary(&job, &outcome));
    let kept = format!("{} is not written", job.output.display());
    match &outcome.ending {
        Ending::Written | Ending::DryRun => Ok(Answer::Yes),
        Ending::NotBetter => {
            ui.refusal(&format!(
                "no candidate beats the original on {}; {kept} (--force writes it)",
                outcome.validation
            ));
            Ok(Answer::No)
        }
        Ending::Unverified(reason) => {
            ui.refusal(&format!("verification failed: {reason}; {kept}"));
            Ok(Answer::No)
        }
    }
}

impl CorrectArgs {
    fn report(&self) -> PathBuf {
        self.report.clone().unwrap_or_else(|| self.output.with_extension("report.json"))
    }

    /// Refuses options that do nothing with this method.
    fn refuse_idle(&self, chosen: &'static dyn Method) -> Result<(), Error> {
        let evidence = [("--evidence", self.evidence.is_some())];
        let of_layers = self.correction.of_layers().chain(self.sources.of_layers()).chain(evidence);
        refuse_idle(of_layers, "correct layers", |method| method.of_layers().is_some(), &[chosen])?;
        let (of_sets, of_heads) = (self.correction.forget.of_sets(), self.correction.forget.of_heads());
        let projection = self.correction.variant.projection()?;
        refuse_idle(of_sets, "forget", |method| method.takes_forget_set() || projection.forgets(), &[chosen])?;
        refuse_idle(of_heads, "forget", |method| method.forgets(), &[chosen])?;
        let prunes = |method: &dyn Method| method.tune_options().contains(&"--prune");
        refuse_idle([("--compact", self.compact.is_some())], "prune", prunes, &[chosen])?;
        self.correction.tune.refuse_idle(&[chosen])
    }

    fn job(&self) -> Result<Job, Error> {
        let method = self.correction.method(self.method)?;
        self.refuse_idle(method)?;
        let report = self.report();
        let outputs = [&self.output, &report].into_iter().chain(&self.html).chain(&self.compact);
        let outputs: Vec<&Path> = outputs.map(PathBuf::as_path).collect();
        let beside = [("--evidence", self.evidence.is_some()), ("--html", self.html.is_some())];
        let beside: Vec<&str> = beside.into_iter().filter(|(_, given)| *given).map(|(option, _)| option).collect();
        let asked = Asked {
            input: &self.input,
            sources: &self.sources,
            correction: &self.correction,
            method,
            seed: self.seed.seed,
            runner: self.runner.runner()?,
            limit: self.long.bad.max_bad,
            outputs: &outputs,
            beside: &beside,
        };
        let job = asked.job()?;
        Ok(Job {
            output: self.output.clone(),
            test: self.test.as_deref().map(|spec| self.sources.data.spec(spec)).transpose()?,
            evidence: self.evidence.clone(),
            work: self.long.work.clone(),
            page: self.html.clone().map(|path| Page { path, command: command_line::of(std::env::args_os()) }),
            report,
            compact: self.compact.clone(),
            dry_run: self.dry_run,
            force: self.force,
            // A method that nobody named does what it can.
            tuning: job.tuning.map(|tuning| TuningChoice { optional: self.method.is_none(), ..tuning }),
            ..job
        })
    }
}
