//! The main command as one readable run: load, score, trust, measure, project, choose, write, verify, report.

mod clock;
mod export;
mod held_out;
mod job;
mod prepared;
mod record;

pub use job::{Job, Runner, TrustedChoice, Validation};
pub use prepared::Prepared;

use crate::engine::{Engine, choose};
use crate::error::Error;
use crate::evidence::{Forward, Pass, Scores, Trusted, collect, score};
use crate::layers::Ledger;
use crate::linalg::cheapest;
use crate::methods::{Evidence, Family};
use crate::model::{Classifier, GraphIndex, Model};
use crate::progress::Observer;
use crate::report::{Held, Report};
use crate::search::{Search, Verdict, search};
use clock::Clock;
use export::Exported;
use held_out::HeldOut;
use record::Record;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The model is written.
    Written,
    /// The model would have been written.
    DryRun,
    /// No candidate beat the original.
    NotBetter,
    /// The rewritten model failed its verification.
    Unverified(String),
}

/// What a run leaves behind besides files.
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// Everything that was measured.
    pub report: Report,
    /// What the validation data is called.
    pub validation: String,
    /// What the test data is called, where there is any.
    pub test: Option<String>,
}

/// Carries out a job.
///
/// # Errors
/// [`Error`] where it could not be carried out. Then no output was written, and an existing one is as it was.
pub fn run(job: &Job, observer: &dyn Observer) -> Result<Outcome, Error> {
    let mut clock = Clock::default();
    let model = Model::open(&job.input)?;
    model.check_output(&job.output, job.force || job.dry_run)?;
    let graph = GraphIndex::new(&model)?;
    let classifier = Classifier::of(&graph)?;
    let ledger = Ledger::survey(&graph, &job.selection).map_err(Error::Usage)?;
    if ledger.layers.is_empty() {
        return Err(Error::Usage("no weight of the model can be projected; `onnx-sap inspect` says why".into()));
    }
    let data = Prepared::open(&job.data, &job.preprocessing, &classifier)?;
    let held_out = HeldOut::open(job, &data, &classifier)?;
    let choice = choose(job.runner.engine, job.runner.device, job.runner.threads, observer)?;
    let engine = choice.engine.as_ref();
    clock.lap("load");

    let mut original = Forward::load(engine, &classifier, model.bytes().to_vec(), model.folder())?;
    let scores = score(&mut original, &data.stream(None), data.batch(job.runner.batch), observer)?;
    let trusted = trusted(job, &scores, &data)?;
    clock.lap("score");
    let before = Held { validation: held_out.validate(&mut original)?, test: held_out.test(&mut original)? };
    drop(original);
    clock.lap("before");

    let stream = data.stream(None);
    let pass =
        Pass { stream, samples: &trusted.samples, rows: job.rows, seed: job.seed, batch: job.runner.batch };
    let moments = collect(engine, &model, &classifier, &ledger.layers, &pass, observer)?;
    clock.lap("moments");

    let solver = job.solver.unwrap_or_else(|| cheapest(job.alpha.expected()));
    let evidence = Evidence { model: &model, layers: &ledger.layers, moments: &moments, solver };
    let family = job.method.prepare(evidence)?;
    clock.lap("solve");

    let judge = |bytes| held_out.judge(engine, &classifier, &model, bytes);
    let found = compare(job, &model, family.as_ref(), &before, engine, &classifier, &held_out, observer)?;
    let alpha = found.candidates[found.chosen].alpha;
    let patches = family.correction(alpha)?;
    clock.lap("search");

    let after = judge(model.with_patches(&patches)?)?;
    clock.lap("after");
    let record =
        Record { job, model: &model, data: &data, solver, engine: engine.info(), scores: &scores, trusted: &trusted };
    let wanted = found.verdict != Verdict::NotBetter || job.force;
    let exported = wanted.then(|| {
        let provenance = record.provenance(alpha);
        let samples = export::samples(&data, &trusted)?;
        Exported::stage(&model, &classifier, &patches, &provenance, &job.output, engine, &samples)
    });
    let exported = exported.transpose()?;
    clock.lap("verify");

    let layers = record.layers(&ledger, &moments, family.facts(), &patches)?;
    let ending = match &exported {
        None => Ending::NotBetter,
        Some(exported) => match exported.failure() {
            Some(reason) => Ending::Unverified(reason),
            None if job.dry_run => Ending::DryRun,
            None => Ending::Written,
        },
    };
    let output = exported.as_ref().filter(|_| ending == Ending::Written).map(|exported| exported.output(&job.output));
    let verify = exported.as_ref().map(Exported::verification);
    let report = record.report(&classifier, layers, &found, before, after, verify, output.transpose()?, clock.seconds());
    export::finish(job, &report, exported.filter(|_| ending == Ending::Written))?;
    Ok(Outcome { ending, report, validation: held_out.describe(), test: held_out.describe_test() })
}

fn trusted(job: &Job, scores: &Scores, data: &Prepared) -> Result<Trusted, Error> {
    Ok(match &job.trusted {
        TrustedChoice::Lowest { count, ranking } => Trusted::lowest(scores, *count, *ranking)?,
        TrustedChoice::Given(ids) => Trusted::from_ids(ids, data.set.as_ref())?,
    })
}
