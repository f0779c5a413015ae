//! `onnx-sap compare`: what each method makes of a model, and what that costs.

use super::Answer;
use super::command_line;
use super::correction::{Asked, CorrectionArgs, SourceArgs, refuse_idle};
use super::method::MethodParser;
use super::options::{Format, MaxBad, RunnerArgs};
use super::ui::{Ui, percent, table};
use crate::comparison::{Comparison, compare};
use crate::error::Error;
use crate::evidence::Quality;
use crate::methods::{METHODS, Method};
use crate::model::{ModelError, write_atomically};
use crate::paths::same_place;
use crate::report::{ComparisonReport, MethodReport, RunReport, Statistic, html};
use clap::Args;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Compare methods on a model: accuracy on test data, on what is to be forgotten and on the rest, seconds, passes, and what was chosen
///
/// Each method is run as the main command would run it, once for each seed, and nothing is written but what -o and --html name. A
/// method that cannot be had for this model is a row that says why. All are judged on the same samples to be forgotten: those of
/// --forget-ids, else those that the losses of the first corrected model tell, which favours that method.
#[derive(Args)]
pub(super) struct CompareArgs {
    /// The model; it is never changed
    #[arg(value_name = "IN.onnx")]
    input: PathBuf,
    #[command(flatten)]
    sources: SourceArgs,
    /// Data on which models are judged: it takes part in no choice
    #[arg(long, value_name = "SPEC", help_heading = "Data")]
    test: String,
    /// The methods, separated by commas; list says what each needs, costs and changes [default: all]
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = MethodParser, help_heading = "Correction")]
    methods: Vec<&'static dyn Method>,
    /// Run each method once for each of these, which draw rows and perturbations
    #[arg(long, value_name = "N,M", value_delimiter = ',', default_value = "0", help_heading = "Correction")]
    seeds: Vec<u64>,
    #[command(flatten)]
    correction: CorrectionArgs,
    #[command(flatten)]
    runner: RunnerArgs,
    #[command(flatten)]
    bad: MaxBad,
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    format: Format,
    /// The comparison as a page for people: one file, readable offline
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,
    /// The comparison as JSON, however it is shown
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &CompareArgs, ui: &Ui) -> Result<Answer, Error> {
    let report = compare(args.comparison()?, ui)?;
    if let Some(path) = &args.output {
        let json = serde_json::to_vec_pretty(&report)
            .map_err(|error| ModelError::Write { path: path.clone(), source: error.into() })?;
        write_atomically(path, |file| file.write_all(&json).and_then(|()| file.write_all(b"\n")))?;
    }
    if let Some(path) = &args.html {
        let command = command_line::of(std::env::args_os());
        write_atomically(path, |file| html::comparison::write(&report, &command, file))?;
    }
    match args.format {
        Format::Text => ui.result(&args.text(&report)),
        Format::Json => ui.json(&report)?,
    }
    Ok(Answer::Yes)
}

impl CompareArgs {
    fn comparison(&self) -> Result<Comparison, Error> {
        let outputs: Vec<PathBuf> = self.html.iter().chain(&self.output).cloned().collect();
        if let [page, json] = &outputs[..]
            && same_place(page, json)
        {
            let both = page.display();
            return Err(Error::Usage(format!("{both} cannot be both the page and the JSON; name another --html")));
        }
        let methods = if self.methods.is_empty() { METHODS.to_vec() } else { self.methods.clone() };
        once("--methods", methods.iter().map(|method| method.name()))?;
        once("--seeds", &self.seeds)?;
        self.refuse_idle(&methods)?;
        let written: Vec<&Path> = outputs.iter().map(PathBuf::as_path).collect();
        let runner = self.runner.runner()?;
        let runs = methods.iter().flat_map(|&method| self.seeds.iter().map(move |&seed| (method, seed)));
        let job = |(method, seed)| {
            let Self { input, sources, correction, bad, .. } = self;
            let (limit, outputs) = (bad.max_bad, written.as_slice());
            Asked { input, sources, correction, method, seed, runner, limit, outputs, beside: &[] }.job()
        };
        Ok(Comparison {
            jobs: runs.map(job).collect::<Result<_, _>>()?,
            test: self.sources.data.spec(&self.test)?,
            forget: self.correction.forget.ids(&written)?,
            outputs,
        })
    }

    /// Refuses options that do nothing with any of the methods. By the samples of --forget-ids all of them are judged.
    fn refuse_idle(&self, methods: &[&'static dyn Method]) -> Result<(), Error> {
        let of_layers = self.correction.of_layers().chain(self.sources.of_layers());
        refuse_idle(of_layers, "correct layers", |method| method.of_layers().is_some(), methods)?;
        let of_sets = self.correction.forget.of_sets().into_iter().filter(|(option, _)| *option != "--forget-ids");
        refuse_idle(of_sets, "forget", |method| method.takes_forget_set(), methods)?;
        refuse_idle(self.correction.forget.of_heads(), "forget", |method| method.forgets(), methods)?;
        self.correction.tune.refuse_idle(methods)
    }

    /// What a person sees at the end.
    fn text(&self, report: &ComparisonReport) -> String {
        let several_seeds = self.seeds.len() > 1;
        let mut text = format!("{}\n{}\n", methods(report), runs(report, several_seeds));
        let mut fact = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<10} {value}");
        };
        let (forget, engine) = (&report.forget, &report.engine);
        fact("forget", format!("{} of {} samples, {}", forget.count, forget.of, forget.by.describe()));
        fact("validation", report.validation.clone());
        fact("test", format!("{} ({} samples)", report.test.spec, report.test.samples));
        fact("engine", format!("{} {}, {} on {}", engine.name, engine.version, engine.provider, engine.device));
        for (name, path) in [("page", &self.html), ("json", &self.output)] {
            if let Some(path) = path {
                fact(name, path.display().to_string());
            }
        }
        text
    }
}

/// Refuses what is named twice.
fn once<T: PartialEq + std::fmt::Display>(option: &str, named: impl IntoIterator<Item = T>) -> Result<(), Error> {
    let mut seen: Vec<T> = Vec::new();
    for name in named {
        if seen.contains(&name) {
            return Err(Error::Usage(format!("{option} names {name} twice; name it once")));
        }
        seen.push(name);
    }
    Ok(())
}

/// The original and every method: what it gains and what it costs.
fn methods(report: &ComparisonReport) -> String {
    let share = |quality: Option<Quality>| quality.map_or_else(|| "-".to_owned(), |quality| percent(quality.accuracy));
    let original = &report.original;
    let accuracies = [Some(original.test), original.forget, original.retain].map(share);
    let first = ["original".to_owned()].into_iter().chain(accuracies).chain(["-", "-", "-", ""].map(str::to_owned));
    let rows = [first.collect()].into_iter().chain(report.methods.iter().map(method_row));
    let header = ["method", "test accuracy", "forget", "retain", "seconds", "forward", "backward", ""];
    table(&header, &[1, 2, 3, 4, 5, 6], rows)
}

fn method_row(method: &MethodReport) -> Vec<String> {
    let name = method.method.to_owned();
    let Some(mean) = method.mean else {
        let reason = format!("cannot be had: {}", method.impossible().unwrap_or_default());
        return [name].into_iter().chain((0..6).map(|_| "-".to_owned())).chain([reason]).collect();
    };
    let part = |part: Option<Statistic>| part.map_or_else(|| "-".to_owned(), |part| part.percent());
    let missing = method.runs.iter().filter(|run| run.ran().is_none()).count();
    let note = if missing == 0 { String::new() } else { format!("without {missing} of {} seeds", method.runs.len()) };
    let costs = [mean.seconds, mean.forward, mean.backward].map(|number| number.decimal());
    let accuracies = [mean.test.percent(), part(mean.forget), part(mean.retain)];
    [name].into_iter().chain(accuracies).chain(costs).chain([note]).collect()
}

/// What each run chose.
fn runs(report: &ComparisonReport, several_seeds: bool) -> String {
    let all = report.methods.iter().flat_map(|method| method.runs.iter().map(|run| (method.method, run)));
    // Where no seed gives anything, the first table says why, once.
    let told = all.filter(|(_, run)| several_seeds || run.ran().is_some());
    let mut header = vec!["method", "seed", "chosen", "candidates", "val. accuracy", "verdict"];
    let mut right = vec![1, 3, 4];
    if !several_seeds {
        header.remove(1);
        right = vec![2, 3];
    }
    table(&header, &right, told.map(|(method, run)| run_row(method, run, several_seeds)))
}

fn run_row(method: &str, run: &RunReport, several_seeds: bool) -> Vec<String> {
    let seed = several_seeds.then(|| run.seed.to_string());
    let cells = match run.ran() {
        None => {
            let reason = format!("cannot be had: {}", run.impossible().unwrap_or_default());
            ["-".to_owned(), "-".to_owned(), "-".to_owned(), reason]
        }
        Some(ran) => {
            let on_validation = ran.validation.map_or_else(|| "-".to_owned(), |quality| percent(quality.accuracy));
            [ran.chosen.to_string(), ran.trials.to_string(), on_validation, ran.verdict()]
        }
    };
    [method.to_owned()].into_iter().chain(seed).chain(cells).collect()
}
