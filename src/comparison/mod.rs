//! Methods on one model: each is run as the main command would run it, and what comes out is judged on the same samples.
//!
//! A run is a dry run of [`pipeline::run`] with the same data and validation, once for each method and seed, without test data: its
//! seconds and passes are those of correcting. Models are judged afterwards, by `judge.rs`. A method that cannot be had for this
//! model is a result, too; only where none can be had there is an error.

mod announce;
mod forget_set;
mod judge;

use crate::data::{SampleId, Spec};
use crate::error::{Error, sentence};
use crate::evidence::EvidenceError;
use crate::methods::Method;
use crate::model::{Classifier, GraphIndex, Model};
use crate::pipeline::{self, Ending, Job, Outcome, Prepared};
use crate::progress::Observer;
use crate::report::{
    Accuracies, ComparisonReport, MethodReport, ModelReport, RanReport, Report, RunReport, RunResult, SCHEMA_VERSION,
    SetReport,
};
use announce::Announcing;
use forget_set::ForgetSet;
use judge::{Judge, Judged};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is compared, and on what.
pub struct Comparison {
    /// One for each method and seed, the runs of a method one after the other; all of the same model and data. What they would
    /// write is not written, and their test data is that of the comparison.
    pub jobs: Vec<Job>,
    /// On what models are judged.
    pub test: Spec,
    /// The training samples that are to be forgotten, where they are known.
    pub forget: Option<Vec<SampleId>>,
    /// What will be written, which must not be a file of the model or of the data.
    pub outputs: Vec<PathBuf>,
}

/// A run of a method, before it is known what all are judged on.
struct Run {
    method: &'static dyn Method,
    seed: u64,
    ended: Result<Ended, String>,
}

/// A run that came to its end.
struct Ended {
    ending: Ending,
    report: Report,
    /// What its validation data is called.
    validation: String,
    /// Of the corrected model; nothing where the original stays.
    accuracy: Option<Accuracies>,
}

/// Carries out a comparison.
///
/// # Errors
/// Those of model, data and engine; an interruption; the reasons of all methods where none can be had.
pub fn compare(comparison: Comparison, observer: &dyn Observer) -> Result<ComparisonReport, Error> {
    let Some(first) = comparison.jobs.first() else {
        return Err(Error::Usage("there is no method to compare; name one with --methods".to_owned()));
    };
    let model = Model::open(&first.input)?;
    comparison.outputs.iter().try_for_each(|output| model.check_output(output, true))?;
    let classifier = Classifier::of(&GraphIndex::new(&model)?, &first.interface)?;
    let of_original = Announcing::new(observer, "original".to_owned());
    let (mut judge, forward) = Judge::open(first, &comparison.test, (&model, classifier), &of_original)?;
    judge.check_outputs(&comparison.outputs)?;
    let original = judge.original(forward, &of_original)?;
    let usable = &original.training.samples;
    let given = comparison.forget.as_ref().map(|ids| ForgetSet::given(ids, judge.training.set.as_ref(), usable));
    let mut forget = given.transpose()?;

    let mut runs = Vec::new();
    for job in comparison.jobs {
        runs.push(run(job, &judge, &mut forget, observer)?);
    }
    none_can_be_had(&runs)?;
    let forget = match forget {
        Some(forget) => forget,
        None => original.forget_set(None)?,
    };
    if let Some(doubt) = forget.doubt() {
        observer.warn(&doubt);
    }
    Ok(report(&judge, &original, &forget, runs))
}

/// Runs a method with a seed, and judges what comes out. That the method cannot be had is no error.
fn run(job: Job, judge: &Judge<'_>, forget: &mut Option<ForgetSet>, observer: &dyn Observer) -> Result<Run, Error> {
    let (method, seed) = (job.method, job.seed);
    let observer = Announcing::new(observer, format!("{}, seed {seed}", method.name()));
    let ended = match attempt(job, judge, forget, &observer) {
        Ok(ended) => Ok(ended),
        Err(error) => match error.signal() {
            // There is no work folder to go on from.
            Some(signal) => return Err(EvidenceError::Stopped(signal).into()),
            None => Err(sentence(&error)),
        },
    };
    if let Err(reason) = &ended {
        observer.warn(reason);
    }
    Ok(Run { method, seed, ended })
}

/// The first corrected model settles which samples are to be forgotten, where nobody has.
fn attempt(
    job: Job,
    judge: &Judge<'_>,
    forget: &mut Option<ForgetSet>,
    observer: &dyn Observer,
) -> Result<Ended, Error> {
    let scratch = tempfile::tempdir().map_err(|error| {
        Error::Usage(format!("no temporary folder can be made: {error}; name another one with TMPDIR"))
    })?;
    let output = scratch.path().join("corrected.onnx");
    let method = job.method;
    let Outcome { ending, report, validation, weights, .. } = pipeline::run(&dry(job, &output), observer)?;
    let accuracy = if ending == Ending::DryRun {
        let judged = judge.corrected(&weights, &output, observer)?;
        let settled = match forget {
            Some(settled) => settled,
            None => forget.insert(judged.forget_set(Some(method.name()))?),
        };
        Some(judged.accuracies(settled))
    } else {
        None
    };
    Ok(Ended { ending, report, validation, accuracy })
}

/// The job as one that leaves nothing behind but its outcome.
fn dry(job: Job, output: &Path) -> Job {
    let (output, report) = (output.to_path_buf(), output.with_extension("report.json"));
    Job { output, report, test: None, page: None, work: None, dry_run: true, force: false, ..job }
}

/// An error where no run came to its end.
fn none_can_be_had(runs: &[Run]) -> Result<(), Error> {
    let mut reasons: Vec<String> = Vec::new();
    for run in runs {
        let Err(reason) = &run.ended else { return Ok(()) };
        let reason = format!("{}: {reason}", run.method.name());
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    Err(Error::Usage(format!("no method can be had for this model: {}", reasons.join("; "))))
}

fn report(judge: &Judge<'_>, original: &Judged, forget: &ForgetSet, runs: Vec<Run>) -> ComparisonReport {
    let set = |data: &Prepared| SetReport { spec: data.spec.to_string(), samples: data.set.len() };
    let (engine, training) = (judge.engine.info(), judge.training.set.as_ref());
    let accuracies = original.accuracies(forget);
    let validation = runs.iter().find_map(|run| run.ended.as_ref().ok()).map(|ended| ended.validation.clone());
    let mut methods: Vec<(&'static str, Vec<RunReport>)> = Vec::new();
    for run in runs {
        let name = run.method.name();
        let report = run.report(accuracies);
        match methods.last_mut().filter(|(method, _)| *method == name) {
            Some((_, runs)) => runs.push(report),
            None => methods.push((name, vec![report])),
        }
    }
    let methods = methods.into_iter().map(|(method, runs)| MethodReport::of(method, runs, training.len())).collect();
    ComparisonReport {
        schema_version: SCHEMA_VERSION,
        versions: BTreeMap::from([
            ("onnx-sap", env!("CARGO_PKG_VERSION").to_owned()),
            (engine.name, engine.version.clone()),
        ]),
        engine: engine.clone(),
        model: ModelReport::of(judge.model()),
        data: set(&judge.training),
        test: set(&judge.test),
        validation: validation.unwrap_or_default(),
        forget: forget.report(original.training.samples.len(), training),
        original: accuracies,
        methods,
    }
}

impl Run {
    /// `original`: the accuracies of a run whose correction does not count.
    fn report(self, original: Accuracies) -> RunReport {
        let result = match self.ended {
            Err(reason) => RunResult::Impossible { reason },
            Ok(Ended { ending, report, accuracy, .. }) => {
                let unverified = match ending {
                    Ending::Unverified(reason) => Some(reason),
                    Ending::Written | Ending::DryRun | Ending::NotBetter => None,
                };
                RunResult::Ran(Box::new(RanReport {
                    verdict: report.chosen.verdict,
                    unverified,
                    original_stays: accuracy.is_none(),
                    chosen: report.chosen.recipe,
                    trials: report.candidates.len(),
                    validation: report.after.validation,
                    accuracy: accuracy.unwrap_or(original),
                    seconds: report.seconds.values().sum(),
                    passes: report.passes,
                    params: report.params,
                }))
            }
        };
        RunReport { seed: self.seed, result }
    }
}
