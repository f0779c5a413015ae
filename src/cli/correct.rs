//! The main command: `onnx-sap IN.onnx OUT.onnx --data SPEC`.

use super::Answer;
use super::command_line;
use super::forget::ForgetArgs;
use super::layers::LayerArgs;
use super::method::MethodParser;
use super::options::{DataArgs, InterfaceArgs, LongRunArgs, RunnerArgs};
use super::summary::summary;
use super::trust::TrustArgs;
use super::ui::Ui;
use crate::error::Error;
use crate::linalg::{self, Alpha, SOLVERS};
use crate::methods::{METHODS, Method};
use crate::pipeline::{
    self, Arithmetic, Ending, HeadOption, Job, MemoryLimit, PRESETS, Page, Preset, Recalibrate, Validation,
};
use crate::search::AlphaChoice;
use crate::store::Location;
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::{Path, PathBuf};
use std::str::FromStr;

#[derive(Args)]
pub(super) struct CorrectArgs {
    /// The model to correct; it is never changed
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,
    /// Where the corrected model goes
    #[arg(value_name = "OUT.onnx")]
    output: PathBuf,
    #[command(flatten)]
    interface: InterfaceArgs,
    #[command(flatten)]
    data: DataArgs,
    /// On what candidates are compared: held-out data (labels may be noisy), or `perturb` [default: the set's own
    /// validation split, else `perturb`: training images, shifted a little; where samples are no images nothing, and one
    /// correction is applied as it is]
    #[arg(long, value_name = "SPEC|perturb", help_heading = "Data")]
    val: Option<String>,
    /// Data on which before and after are only reported
    #[arg(long, value_name = "SPEC", help_heading = "Data")]
    test: Option<String>,
    /// Data whose samples are measured in the place of trusted ones: its labels, which formats ask for, are not looked at
    #[arg(long, value_name = "SPEC", conflicts_with = "evidence", help_heading = "Data")]
    unlabeled: Option<String>,
    /// The correction; list says what each needs, costs and changes
    #[arg(long, value_name = "NAME", default_value = METHODS[0].name(), value_parser = MethodParser, help_heading = "Correction")]
    method: &'static dyn Method,
    /// Settings that belong together: best, fast or paper; options of their own count more
    #[arg(long, value_name = "NAME", default_value = PRESETS[0].name, value_parser = PossibleValuesParser::new(PRESETS.iter().map(|p| p.name)), help_heading = "Correction")]
    preset: String,
    /// The scaling coefficient: auto, one value (applied as it is), or a grid [default: by the preset]
    #[arg(long, value_name = "auto|A|A,B,C", value_parser = alpha_choice, allow_hyphen_values = true, help_heading = "Correction")]
    alpha: Option<AlphaValues>,
    /// Then try other strengths of single layers, too: two passes over the validation data or more for each
    #[arg(long, help_heading = "Correction")]
    alpha_per_layer: bool,
    /// How many passes over the validation data --alpha auto may take, one at least; candidates that a part of the data shows
    /// to be hopeless take that part [default: by the preset]
    #[arg(long, value_name = "N", value_parser = budget, help_heading = "Correction")]
    budget: Option<f64>,
    /// Whether layers get back the mean and the deviation of their outputs: where validation says that it helps, on, or off
    /// [default: by the preset; off with one value of α, which leaves nothing to choose]
    #[arg(long, value_name = "auto|on|off", help_heading = "Correction")]
    recalibrate: Option<Recalibrate>,
    /// What the last layer becomes: what validation says, kept, corrected as the others, or computed anew from all samples
    /// [default: by the preset; project with one value of α]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(HeadOption::all().map(HeadOption::name)), help_heading = "Correction")]
    head: Option<String>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    forget: ForgetArgs,
    /// Evidence that `onnx-sap evidence` has gathered: nothing is scored or measured again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["trusted", "trusted_ids", "selection"], help_heading = "Correction")]
    evidence: Option<Location>,
    /// The arithmetic of second moments: float64, or float32 where what it loses is measured and does not show at the
    /// largest α (and float64 elsewhere), which is faster
    #[arg(long, value_name = "float64|float32", default_value_t = Arithmetic::Float64, help_heading = "Correction")]
    moments: Arithmetic,
    /// How the projection is computed; all agree
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = PossibleValuesParser::new(["auto"].into_iter().chain(SOLVERS.iter().map(|s| s.name()))), help_heading = "Correction")]
    solver: String,
    #[command(flatten)]
    layers: LayerArgs,
    #[command(flatten)]
    runner: RunnerArgs,
    /// What the run may take of the memory, by estimate, as in 2GB or 1500MiB: moments are measured in as many passes as it
    /// takes and put aside on the disk; the result is the same
    #[arg(long, value_name = "SIZE", conflicts_with = "evidence", help_heading = "Running")]
    max_memory: Option<MemoryLimit>,
    #[command(flatten)]
    long: LongRunArgs,
    /// The run as JSON [default: OUT.report.json]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    report: Option<PathBuf>,
    /// The run as a page for people: one file, readable offline; takes a pass over the training data more
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,
    /// Do everything but write OUT
    #[arg(long, help_heading = "Output")]
    dry_run: bool,
    /// Write OUT even where no candidate beats the original; replace an existing OUT
    #[arg(long, help_heading = "Output")]
    force: bool,
}

/// What --alpha says.
#[derive(Clone, Debug)]
enum AlphaValues {
    Auto,
    Given(Vec<Alpha>),
}

fn alpha_choice(text: &str) -> Result<AlphaValues, String> {
    if text == "auto" {
        return Ok(AlphaValues::Auto);
    }
    text.split(',').map(Alpha::from_str).collect::<Result<_, _>>().map(AlphaValues::Given)
}

/// A number of passes.
fn budget(text: &str) -> Result<f64, String> {
    let passes = text.parse().ok().filter(|passes: &f64| passes.is_finite() && *passes >= 1.0);
    passes.ok_or_else(|| "give a number of at least 1".to_owned())
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
    fn refuse_idle(&self) -> Result<(), Error> {
        if self.method.of_layers().is_some() {
            return Ok(());
        }
        let given = [
            ("--alpha", self.alpha.is_some()),
            ("--alpha-per-layer", self.alpha_per_layer),
            ("--budget", self.budget.is_some()),
            ("--recalibrate", self.recalibrate.is_some()),
            ("--head", self.head.is_some()),
            ("--unlabeled", self.unlabeled.is_some()),
            ("--evidence", self.evidence.is_some()),
            ("--max-memory", self.max_memory.is_some()),
        ];
        given.iter().find(|(_, given)| *given).map_or(Ok(()), |(option, _)| {
            let method = self.method.name();
            Err(Error::Usage(format!(
                "{option} is for methods that correct layers, and {method} does not; see --method list"
            )))
        })
    }

    fn alpha(&self, preset: &Preset) -> Result<AlphaChoice, Error> {
        let of_preset = || {
            let grid = preset.alphas.map(|alphas| alphas.iter().filter_map(|&alpha| Alpha::new(alpha)).collect());
            grid.map_or(AlphaValues::Auto, AlphaValues::Given)
        };
        let alpha = match self.alpha.clone().unwrap_or_else(of_preset) {
            AlphaValues::Auto => AlphaChoice::Auto { budget: self.budget.unwrap_or(preset.budget) },
            AlphaValues::Given(values) => match values[..] {
                [alpha] => AlphaChoice::One(alpha),
                _ => AlphaChoice::Grid(values),
            },
        };
        if self.budget.is_some() && !matches!(alpha, AlphaChoice::Auto { .. }) {
            return Err(Error::Usage("--budget is for --alpha auto; give one of them only".to_owned()));
        }
        Ok(alpha)
    }

    fn job(&self) -> Result<Job, Error> {
        let unknown = |what: &str, name: &str| Error::Usage(format!("there is no {what} {name:?}"));
        let validation = match self.val.as_deref() {
            None => Validation::Own,
            Some("perturb") => Validation::Perturb,
            Some(spec) => Validation::Given(self.data.spec(spec)?),
        };
        let preset = pipeline::preset(&self.preset).ok_or_else(|| unknown("preset", &self.preset))?;
        let report = self.report();
        let outputs: Vec<&Path> = [&self.output, &report].into_iter().chain(&self.html).map(PathBuf::as_path).collect();
        let trusted = self.trust.choice(&outputs, preset)?;
        self.refuse_idle()?;
        let alpha = self.alpha(preset)?;
        let chosen = !matches!(alpha, AlphaChoice::One(_));
        if self.alpha_per_layer && !chosen {
            let reason = "--alpha-per-layer chooses strengths, and one value of --alpha is applied as it is; give one of them only";
            return Err(Error::Usage(reason.to_owned()));
        }
        let head = match &self.head {
            None if chosen => preset.head,
            None => HeadOption::Project,
            Some(name) => HeadOption::all().find(|head| head.name() == name).ok_or_else(|| unknown("head", name))?,
        };
        let solver = match self.solver.as_str() {
            "auto" => None,
            name => Some(linalg::solver(name).ok_or_else(|| unknown("solver", name))?),
        };
        Ok(Job {
            input: self.input.clone(),
            output: self.output.clone(),
            interface: self.interface.interface(),
            data: self.data.data()?,
            validation,
            test: self.test.as_deref().map(|spec| self.data.spec(spec)).transpose()?,
            unlabeled: self.unlabeled.as_deref().map(|spec| self.data.spec(spec)).transpose()?,
            preprocessing: self.data.preprocessing(),
            preset: preset.name,
            method: self.method,
            forgetting: self.forget.forgetting(self.method, &[&self.output, &self.report()])?,
            recalibrate: self.recalibrate.unwrap_or(if chosen { preset.recalibrate } else { Recalibrate::Off }),
            head,
            alpha,
            alpha_per_layer: self.alpha_per_layer,
            trusted,
            evidence: self.evidence.clone(),
            rows: self.trust.rows(preset),
            arithmetic: self.moments,
            solver,
            selection: self.layers.selection(),
            runner: self.runner.runner()?,
            limit: self.long.bad.max_bad,
            work: self.long.work.clone(),
            max_memory: self.max_memory,
            seed: self.trust.seed,
            page: self.html.clone().map(|path| Page { path, command: command_line::of(std::env::args_os()) }),
            report,
            dry_run: self.dry_run,
            force: self.force,
        })
    }
}
