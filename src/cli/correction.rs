//! How a model is corrected, whatever the method: the options that the main command and `compare` share, and the job that they
//! add up to.

use super::forget::ForgetArgs;
use super::layers::LayerArgs;
use super::options::{DataArgs, InterfaceArgs};
use super::trust::TrustArgs;
use super::tune::TuneArgs;
use super::variant::{self, VariantArgs};
use crate::error::Error;
use crate::evidence::BadLimit;
use crate::linalg::{self, Alpha, SOLVERS, Solver};
use crate::methods::{self, Method};
use crate::pipeline::{
    self, Arithmetic, HeadOption, Job, MemoryLimit, PRESETS, Preset, Recalibrate, Runner, Validation, Variant,
};
use crate::search::AlphaChoice;
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What a correction learns from, and is chosen on.
#[derive(Args, Clone)]
pub(super) struct SourceArgs {
    #[command(flatten)]
    interface: InterfaceArgs,
    #[command(flatten)]
    pub(super) data: DataArgs,
    /// On what candidates are compared: held-out data (labels may be noisy), or `perturb` [default: the set's own
    /// validation split, else `perturb`: training images, shifted a little; where samples are no images nothing, and one
    /// correction is applied as it is]
    #[arg(long, value_name = "SPEC|perturb", help_heading = "Data")]
    val: Option<String>,
    /// Data whose samples are measured in the place of trusted ones: its labels, which formats ask for, are not looked at
    #[arg(long, value_name = "SPEC", conflicts_with = "score", help_heading = "Data")]
    unlabeled: Option<String>,
}

/// How the correction goes.
#[derive(Args, Clone)]
pub(super) struct CorrectionArgs {
    /// Settings that belong together: standard, best, fast or paper; options of their own count more
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
    pub(super) variant: VariantArgs,
    #[command(flatten)]
    pub(super) forget: ForgetArgs,
    #[command(flatten)]
    pub(super) tune: TuneArgs,
    /// The arithmetic of second moments: float64, or float32 where what it loses is measured and does not show at the
    /// largest α (and float64 elsewhere), which is faster
    #[arg(long, value_name = "float64|float32", default_value_t = Arithmetic::Float64, help_heading = "Correction")]
    moments: Arithmetic,
    /// How the projection is computed; all agree
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = PossibleValuesParser::new(["auto"].into_iter().chain(SOLVERS.iter().map(|s| s.name()))), help_heading = "Correction")]
    solver: String,
    #[command(flatten)]
    layers: LayerArgs,
    /// What the run may take of the memory, by estimate, as in 2GB or 1500MiB: moments are measured in as many passes as it
    /// takes and put aside on the disk; the result is the same
    #[arg(long, value_name = "SIZE", help_heading = "Running")]
    max_memory: Option<MemoryLimit>,
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

/// One correction that is asked for.
pub(super) struct Asked<'a> {
    pub(super) input: &'a Path,
    pub(super) sources: &'a SourceArgs,
    pub(super) correction: &'a CorrectionArgs,
    pub(super) method: &'static dyn Method,
    pub(super) seed: u64,
    pub(super) runner: Runner,
    pub(super) limit: BadLimit,
    /// What the command writes, none of which may be a list of ids.
    pub(super) outputs: &'a [&'a Path],
    /// Options of the command itself that are given, and that not every variant can have.
    pub(super) beside: &'a [&'a str],
}

impl Asked<'_> {
    /// The job, which writes nothing yet, and tests on nothing.
    pub(super) fn job(&self) -> Result<Job, Error> {
        let Self { input, sources, correction, method, seed, runner, limit, outputs, beside } = *self;
        let preset = correction.preset()?;
        let solver = correction.solver()?;
        let variant = correction.variant.variant(method, solver, (&correction.forget, outputs))?;
        variant::refuse_unfit(&variant, &correction.beside(beside))?;
        let alpha = correction.alpha(preset, &variant)?;
        let chosen = !matches!(alpha, AlphaChoice::One(_));
        Ok(Job {
            input: input.to_path_buf(),
            output: PathBuf::new(),
            interface: sources.interface.interface(),
            data: sources.data.data()?,
            validation: sources.validation()?,
            test: None,
            unlabeled: sources.unlabeled.as_deref().map(|spec| sources.data.spec(spec)).transpose()?,
            preprocessing: sources.data.preprocessing(),
            preset: preset.name,
            method,
            forgetting: correction.forget.forgetting(method, outputs)?,
            recalibrate: correction.recalibrate.unwrap_or(if chosen { preset.recalibrate } else { Recalibrate::Off }),
            head: correction.head(preset, chosen)?,
            alpha,
            alpha_per_layer: correction.alpha_per_layer,
            trusted: correction.trust.choice(outputs, (preset, seed))?,
            evidence: None,
            rows: correction.trust.rows(preset),
            arithmetic: correction.moments,
            solver,
            variant,
            forget: correction.forget.which(outputs)?,
            tuning: correction.tune.tuning(method, outputs)?,
            selection: correction.layers.selection(),
            runner,
            limit,
            work: None,
            max_memory: correction.max_memory,
            seed,
            page: None,
            compact: None,
            report: PathBuf::new(),
            dry_run: true,
            force: false,
        })
    }
}

impl SourceArgs {
    fn validation(&self) -> Result<Validation, Error> {
        Ok(match self.val.as_deref() {
            None => Validation::Own,
            Some("perturb") => Validation::Perturb,
            Some(spec) => Validation::Given(self.data.spec(spec)?),
        })
    }

    /// Those that do nothing where no layer is corrected, and whether they are given.
    pub(super) fn of_layers(&self) -> [(&'static str, bool); 1] {
        [("--unlabeled", self.unlabeled.is_some())]
    }
}

impl CorrectionArgs {
    /// Those that do nothing where no layer is corrected, and whether they are given.
    pub(super) fn of_layers(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let given = [
            ("--score", self.trust.names_score()),
            ("--alpha", self.alpha.is_some()),
            ("--alpha-per-layer", self.alpha_per_layer),
            ("--budget", self.budget.is_some()),
            ("--recalibrate", self.recalibrate.is_some()),
            ("--head", self.head.is_some()),
            ("--max-memory", self.max_memory.is_some()),
        ];
        given.into_iter().chain(self.variant.given())
    }

    /// What is given that not every variant can have.
    fn beside<'o>(&self, of_command: &[&'o str]) -> Vec<&'o str> {
        let given = [("--max-memory", self.max_memory.is_some()), ("--alpha-per-layer", self.alpha_per_layer)];
        let given = given.into_iter().filter(|(_, given)| *given).map(|(option, _)| option);
        of_command.iter().copied().chain(given).collect()
    }

    pub(super) fn preset(&self) -> Result<&'static Preset, Error> {
        pipeline::preset(&self.preset).ok_or_else(|| unknown("preset", &self.preset))
    }

    /// The method that is given, or that of the preset.
    pub(super) fn method(&self, given: Option<&'static dyn Method>) -> Result<&'static dyn Method, Error> {
        let preset = self.preset()?;
        given.or_else(|| methods::method(preset.method)).ok_or_else(|| unknown("method", preset.method))
    }

    fn alpha(&self, preset: &Preset, variant: &Variant) -> Result<AlphaChoice, Error> {
        let grid = |alphas: &[f64]| AlphaValues::Given(alphas.iter().filter_map(|&alpha| Alpha::new(alpha)).collect());
        let searched = || variant.alphas().map_or(AlphaValues::Auto, grid);
        let alpha = match (&self.alpha, preset.alphas, variant.alphas()) {
            (Some(AlphaValues::Given(values)), _, _) => AlphaValues::Given(values.clone()),
            (None, Some(alphas), None) => grid(alphas),
            (Some(AlphaValues::Auto) | None, _, _) => searched(),
        };
        let alpha = match alpha {
            AlphaValues::Auto => AlphaChoice::Auto { budget: self.budget.unwrap_or(preset.budget) },
            AlphaValues::Given(values) => match values[..] {
                [alpha] => AlphaChoice::One(alpha),
                _ => AlphaChoice::Grid(values),
            },
        };
        if self.alpha_per_layer && matches!(alpha, AlphaChoice::One(_)) {
            let reason = "--alpha-per-layer chooses strengths, and one value of --alpha is applied as it is; give one of them only";
            return Err(Error::Usage(reason.to_owned()));
        }
        if self.budget.is_some() && !matches!(alpha, AlphaChoice::Auto { .. }) {
            return Err(Error::Usage("--budget is for --alpha auto; give one of them only".to_owned()));
        }
        Ok(alpha)
    }

    /// `chosen`: whether there are several strengths.
    fn head(&self, preset: &Preset, chosen: bool) -> Result<HeadOption, Error> {
        match &self.head {
            None if chosen => Ok(preset.head),
            None => Ok(HeadOption::Project),
            Some(name) => HeadOption::all().find(|head| head.name() == name).ok_or_else(|| unknown("head", name)),
        }
    }

    fn solver(&self) -> Result<Option<&'static dyn Solver>, Error> {
        match self.solver.as_str() {
            "auto" => Ok(None),
            name => linalg::solver(name).map(Some).ok_or_else(|| unknown("solver", name)),
        }
    }
}

fn unknown(what: &str, name: &str) -> Error {
    Error::Usage(format!("there is no {what} {name:?}"))
}

/// Refuses options that do nothing with any of the methods, which are named.
pub(super) fn refuse_idle(
    given: impl IntoIterator<Item = (&'static str, bool)>,
    what: &str,
    takes: impl Fn(&dyn Method) -> bool,
    methods: &[&'static dyn Method],
) -> Result<(), Error> {
    let idle = given.into_iter().find(|(_, given)| *given).filter(|_| !methods.iter().any(|method| takes(*method)));
    idle.map_or(Ok(()), |(option, _)| {
        let names: Vec<&str> = methods.iter().map(|method| method.name()).collect();
        let names = names.join(" and ");
        let not = if methods.len() == 1 { "does not" } else { "do not" };
        Err(Error::Usage(format!("{option} is for methods that {what}, and {names} {not}; see --method list")))
    })
}
