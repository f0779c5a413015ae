//! The main command: `onnx-sap IN.onnx OUT.onnx --data SPEC`.

use super::Answer;
use super::command_line;
use super::forget::ForgetArgs;
use super::layers::LayerArgs;
use super::method::MethodParser;
use super::options::{DataArgs, InterfaceArgs, LongRunArgs, RunnerArgs};
use super::trust::TrustArgs;
use super::ui::{Ui, table};
use super::variant::{self, VariantArgs};
use crate::error::Error;
use crate::evidence::Quality;
use crate::linalg::{self, Alpha, SOLVERS};
use crate::methods::{METHODS, Method};
use crate::pipeline::{
    self, Arithmetic, Ending, HeadOption, Job, MemoryLimit, Outcome, PRESETS, Page, Preset, Recalibrate, Validation,
    Variant,
};
use crate::refine::Recipe;
use crate::report::{CandidateReport, EngineReport, LayerStatus, Report};
use crate::search::{AlphaChoice, Verdict};
use crate::store::Location;
use crate::verify::AgreementStatus;
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::collections::BTreeMap;
use std::fmt::Write;
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
    #[arg(long, value_name = "SPEC", conflicts_with_all = ["evidence", "score"], help_heading = "Data")]
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
    variant: VariantArgs,
    #[command(flatten)]
    forget: ForgetArgs,
    /// Evidence that `onnx-sap evidence` has gathered: nothing is scored or measured again
    #[arg(long, value_name = "FILE", conflicts_with_all = ["trusted", "trusted_ids", "selection", "score"], help_heading = "Correction")]
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
            ("--score", self.trust.names_score()),
        ];
        given.iter().chain(&self.variant.given()).find(|(_, given)| *given).map_or(Ok(()), |(option, _)| {
            let method = self.method.name();
            Err(Error::Usage(format!(
                "{option} is for methods that correct layers, and {method} does not; see --method list"
            )))
        })
    }

    /// What is given that not every variant can have.
    fn beside(&self) -> Vec<&'static str> {
        let given = [
            ("--evidence", self.evidence.is_some()),
            ("--max-memory", self.max_memory.is_some()),
            ("--alpha-per-layer", self.alpha_per_layer),
            ("--html", self.html.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(option, _)| option).collect()
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
        let solver = match self.solver.as_str() {
            "auto" => None,
            name => Some(linalg::solver(name).ok_or_else(|| unknown("solver", name))?),
        };
        let variant = self.variant.variant(self.method, solver, (&self.forget, &outputs))?;
        variant::refuse_unfit(&variant, &self.beside())?;
        let alpha = self.alpha(preset, &variant)?;
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
            forgetting: self.forget.forgetting((self.method, variant.projection), &outputs)?,
            variant,
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

/// What ran the model, and what of it ran elsewhere.
fn engine(EngineReport { info, nodes_on_cpu }: &EngineReport) -> String {
    let elsewhere = nodes_on_cpu.iter().flatten().filter(|(_, count)| **count > 0);
    let elsewhere: Vec<String> = elsewhere.map(|(operator, count)| format!("{count} {operator}")).collect();
    let elsewhere = if elsewhere.is_empty() { String::new() } else { format!("; on the CPU {}", elsewhere.join(", ")) };
    format!("{} {}, {} on {}{elsewhere}", info.name, info.version, info.provider, info.device)
}

/// What a person sees at the end.
fn summary(job: &Job, outcome: &Outcome) -> String {
    let report = &outcome.report;
    let mut text = layers(report);
    let _ = writeln!(text, "\n{}", candidates(report));
    let _ = writeln!(text, "{}", before_and_after(outcome));
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<9} {value}");
    };
    if job.method.of_layers().is_some() {
        let (trusted, all) = (&report.trusted, report.data.samples);
        fact("trusted", format!("{} of {all} samples, {}", trusted.count, trusted.selection));
    }
    if let Some(forgotten) = &report.forgotten {
        let by = match forgotten.by {
            "given" => "as given".to_owned(),
            "trusted" => "as many as are trusted".to_owned(),
            by => format!("by {by}"),
        };
        fact("forgotten", format!("{} of {} samples, {by}", forgotten.count, forgotten.of));
    }
    if !report.rounds.is_empty() {
        let better = report.rounds.iter().filter(|round| round.verdict != Verdict::NotBetter).count();
        fact("rounds", format!("{better} of {} count, at most {}", report.rounds.len(), job.variant.rounds));
    }
    if let Some(unlabeled) = &report.unlabeled {
        fact("measured", format!("{} samples of {}, without their labels", unlabeled.samples, unlabeled.spec));
    }
    fact("engine", engine(&report.engine));
    if let Some(limit) = job.max_memory {
        let passes = if report.moments_passes == 1 { "1 pass" } else { &format!("{} passes", report.moments_passes) };
        let peak =
            report.peak_rss_bytes.map_or(String::new(), |peak| format!(", {} at the peak", MemoryLimit::of(peak)));
        fact("memory", format!("{passes} for {limit}{peak}"));
    }
    if !report.data.quarantined.is_empty() {
        fact("left out", format!("{} samples that cannot be used; the report says why", report.data.quarantined.len()));
    }
    if let Some(verification) = &report.verify {
        fact("verified", verified(verification));
    }
    match &outcome.ending {
        Ending::Written => fact("model", job.output.display().to_string()),
        Ending::DryRun => fact("model", format!("{} (dry run: not written)", job.output.display())),
        Ending::NotBetter | Ending::Unverified(_) => {}
    }
    fact("report", job.report.display().to_string());
    if let Some(page) = &job.page {
        fact("page", page.path.display().to_string());
    }
    text
}

fn layers(report: &Report) -> String {
    let none = BTreeMap::new();
    let of_weights = report.chosen.recipe.strength.as_ref().map_or(&none, |strength| &strength.of_weights);
    let row = |layer: &crate::report::LayerReport| {
        let number =
            |value: Option<f64>, digits: usize| value.map_or(String::new(), |value| format!("{value:.digits$}"));
        let mut cells = vec![
            layer.entry.weight.clone().unwrap_or_default(),
            layer.entry.op.clone(),
            layer.entry.shape.as_ref().map_or(String::new(), |shape| shape_text(shape)),
            layer.entry.dim.map_or(String::new(), |dim| dim.to_string()),
            layer.rows.map_or(String::new(), |rows| rows.to_string()),
            number(layer.effective_rank, 1),
            number(layer.relative_change, 3),
        ];
        if !of_weights.is_empty() {
            let own = layer.entry.weight.as_ref().and_then(|weight| of_weights.get(weight));
            cells.push(own.map_or(String::new(), Alpha::to_string));
        }
        cells.push(layer.entry.reason.clone().unwrap_or_default());
        cells
    };
    let rewritten = report.layers.iter().filter(|layer| layer.status == LayerStatus::Rewritten);
    let own = (!of_weights.is_empty()).then_some("own α");
    let columns = ["layer", "op", "shape", "d", "rows", "eff. rank", "change"];
    let header: Vec<&str> = columns.into_iter().chain(own).chain([""]).collect();
    let mut text = table(&header, &[3, 4, 5, 6, 7][..header.len() - 4], rewritten.map(row));
    let skipped = report.layers.iter().filter(|layer| layer.status == LayerStatus::Skipped).count();
    if skipped > 0 {
        let _ = writeln!(
            text,
            "{skipped} other weights and products stay as they are: see the report, or `onnx-sap inspect`"
        );
    }
    text
}

/// `64×3×7×7`.
pub(super) fn shape_text(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("×")
}

/// Refinements that a person is shown besides the chosen one: the most accurate.
const SHOWN_REFINEMENTS: usize = 5;

fn candidates(report: &Report) -> String {
    let tried = &report.candidates;
    let (plain, refined): (Vec<&CandidateReport>, Vec<&CandidateReport>) =
        tried.iter().partition(|candidate| candidate.recipe.is_plain());
    let is_chosen = |candidate: &CandidateReport| candidate.recipe == report.chosen.recipe;
    let accuracy = |candidate: &CandidateReport| candidate.val_accuracy.unwrap_or_default();
    let mut best = refined.clone();
    best.sort_by(|a, b| accuracy(b).total_cmp(&accuracy(a)));
    best.truncate(SHOWN_REFINEMENTS);
    let shown =
        |candidate: &&CandidateReport| is_chosen(candidate) || best.iter().any(|best| best.recipe == candidate.recipe);
    let refined_shown: Vec<&CandidateReport> = refined.iter().copied().filter(shown).collect();
    let row = |candidate: &CandidateReport| {
        let Recipe { strength, recalibrated, head } = &candidate.recipe;
        let mut cells = vec![strength.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)];
        if !refined.is_empty() {
            cells.extend([if *recalibrated { "yes" } else { "" }.to_owned(), head.to_string()]);
        }
        let mark = match candidate {
            chosen if is_chosen(chosen) => "chosen".to_owned(),
            CandidateReport { complete: false, val_samples, .. } => format!("given up after {val_samples} samples"),
            _ => String::new(),
        };
        let loss = candidate.val_loss.map_or(String::new(), |loss| format!("{loss:.3}"));
        cells.extend([candidate.val_accuracy.map_or(String::new(), percent), loss, mark]);
        cells
    };
    let rows = plain.iter().chain(&refined_shown).map(|candidate| row(candidate));
    if refined.is_empty() {
        return table(&["α", "val. accuracy", "val. loss", ""], &[0, 1, 2], rows);
    }
    let mut text = table(&["α", "recalibrated", "head", "val. accuracy", "val. loss", ""], &[0, 3, 4], rows);
    let others = refined.len() - refined_shown.len();
    if others > 0 {
        let _ = writeln!(text, "{others} other refinements are in the report");
    }
    text
}

fn before_and_after(outcome: &Outcome) -> String {
    let (before, after) = (&outcome.report.before, &outcome.report.after);
    let row = |name: &String, before: Quality, after: Quality| {
        let change = 100.0 * (after.accuracy - before.accuracy);
        vec![name.clone(), percent(before.accuracy), percent(after.accuracy), format!("{change:+.1}")]
    };
    let judged = [
        (Some(&outcome.validation), before.validation, after.validation),
        (outcome.test.as_ref(), before.test, after.test),
    ];
    let rows: Vec<_> =
        judged.into_iter().filter_map(|(name, before, after)| Some(row(name?, before?, after?))).collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["accuracy on", "before", "after", "points"], &[1, 2, 3], rows)
}

/// `12.3 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn verified(verification: &crate::verify::Verification) -> String {
    let tract = &verification.tract;
    let second = match (tract.status, tract.max_abs_diff, &tract.reason) {
        (AgreementStatus::Agrees, Some(difference), _) => {
            format!("tract agrees within {difference:.1e} on {} samples", tract.samples)
        }
        (AgreementStatus::Unsupported, _, Some(reason)) => format!("tract cannot run it ({reason})"),
        (_, _, Some(reason)) => reason.clone(),
        _ => "tract was not asked".to_owned(),
    };
    let weights = verification.structure.weights;
    let differ = if weights == 1 { "1 weight differs" } else { &format!("{weights} weights differ") };
    format!("only {differ}; {second}")
}
