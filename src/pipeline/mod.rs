//! The main command as one readable run: load, score, trust, measure, project, choose, write, verify, report.

mod candidate;
mod choose;
mod clock;
mod compacted;
mod decide;
mod export;
mod figures;
mod forget;
mod held_out;
mod job;
mod memory;
mod outputs;
mod passes;
mod prepared;
mod presets;
mod record;
mod refine;
mod refinery;
mod remember;
mod rounds;
mod routes;
mod start;
mod subject;
mod summary;
mod trials;
mod trusted_choice;
mod tune;
mod twins;
mod unlabeled;
mod unwanted;
mod variant;

pub(crate) use candidate::Candidates;
pub use choose::{Choice, Scored};
pub(crate) use forget::samples_with;
pub use forget::{Forget, Forgetting};
pub use job::{
    Arithmetic, HeadOption, Job, Page, Recalibrate, Runner, TrustedChoice, TrustedCount, TuningChoice, Validation,
};
pub use memory::MemoryLimit;
pub use prepared::Prepared;
pub use presets::{PRESETS, Preset, preset};
pub use subject::{Measurement, Subject};
pub use summary::ScoreSummary;
pub use variant::{UnwantedChoice, Variant};

use crate::engine::{Engine, Tally};
use crate::error::Error;
use crate::evidence::{Forward, Moments, Scores, Shard};
use crate::layers::{Layer, Ledger};
use crate::methods::{self, Evidence, Family, Unchanged};
use crate::model::{Classifier, GraphIndex, Model, WeightPatch};
use crate::partial::{EvidenceFile, WorkFolder};
use crate::progress::Observer;
use crate::refine::HeadLayer;
use crate::report::Report;
use crate::search::{Outcomes, Verdict};
use crate::store::Location;
use clock::Clock;
use decide::{Decided, Decision};
use export::{Broken, Exported, Target};
use held_out::HeldOut;
use job::Settled;
use rayon::prelude::*;
use record::{Findings, Record};
use rounds::Rounds;
use std::collections::BTreeMap;
use std::sync::Arc;
use unlabeled::Unlabeled;
use unwanted::Unwanted;

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
    /// The weights of the chosen candidate, whether they were written or not.
    pub weights: Vec<WeightPatch>,
}

impl Outcome {
    fn of(ending: Ending, report: Report, held_out: &HeldOut<'_>, weights: Vec<WeightPatch>) -> Self {
        Self { ending, report, validation: held_out.describe(), test: held_out.describe_test(), weights }
    }
}

/// Carries out a job.
///
/// # Errors
/// [`Error`] where it could not be carried out. Then no output was written, and an existing one is as it was.
pub fn run(job: &Job, observer: &dyn Observer) -> Result<Outcome, Error> {
    carry_out(job, observer).map_err(|error| error.kept_in(job.work.as_deref()))
}

fn carry_out(job: &Job, observer: &dyn Observer) -> Result<Outcome, Error> {
    let mut clock = Clock::default();
    let model = Model::open(&job.input)?;
    outputs::check(job, &model)?;
    let graph = GraphIndex::new(&model)?;
    let classifier = Classifier::of(&graph, &job.interface)?;
    let ledger = survey(job, &graph, &classifier)?;
    let data = Prepared::open(&job.data, &job.preprocessing, &classifier, observer)?;
    let mut held_out = HeldOut::open(job, &data, &classifier, observer)?;
    rounds::check(job, &held_out, &ledger)?;
    let unlabeled = Unlabeled::open(job, &classifier, observer)?;
    let sets = held_out.sets().chain([&data]).chain(unlabeled.iter().map(|unlabeled| &unlabeled.data));
    outputs::check_sets(job, sets)?;
    let Loaded { engine, mut original, tally } = load(job, &model, &classifier, observer)?;
    let engine = engine.as_ref();
    let threads = rayon::current_num_threads();
    let work = job.work.as_deref().map(WorkFolder::open).transpose()?;
    let (limit, work) = (job.limit, work.as_ref());
    let subject = Subject { graph: &graph, data: &data, engine, batch: job.runner.batch, limit, work };
    let measured = Subject { data: unlabeled.as_ref().map_or(&data, |unlabeled| &unlabeled.data), ..subject };
    let of_layers = job.method.of_layers();
    let plan = of_layers.map(|_| measured.plan(job, &classifier, &ledger.layers, threads)).transpose()?.flatten();
    clock.lap("load");

    let evidence = job.evidence.as_ref().map(read_evidence).transpose()?;
    let (choice, unwanted) = choose_samples(job, &subject, &mut original, evidence.as_ref(), observer)?;
    // What the class scores mean may have shown only now.
    let classifier = original.classifier().clone();
    held_out.settle(&choice.usable);
    let trusted = &choice.trusted;
    clock.lap("score");
    let Before { validation, test, nodes_on_cpu } = Before::of(original, &held_out, observer)?;
    clock.lap("before");

    let of_moments = unlabeled.as_ref().map_or(trusted, |unlabeled| &unlabeled.samples);
    let (shard, precision, solver) = (Shard::WHOLE, job.precision(), job.solver());
    let measurement =
        Measurement { layers: &ledger.layers, trusted: of_moments, shard, rows: job.rows, precision, seed: job.seed };
    let measures_now = usize::from(evidence.is_none() && of_layers.is_some());
    let moments_passes = plan.as_ref().map_or(measures_now, |plan| plan.passes.len());
    let moments = of_layers.map(|_| measured.moments(&classifier, &measurement, evidence, plan.as_ref(), observer));
    let moments = moments.transpose()?;
    let of_unwanted = |unwanted: &Unwanted| unwanted.moments(&subject, &classifier, &measurement, observer);
    let of_unwanted = unwanted.as_ref().map(of_unwanted).transpose()?;
    clock.lap("moments");

    let (layers, at_once) = (&ledger.layers, plan.as_ref().map_or(threads, |plan| plan.at_once));
    let Corrections { rows, family } =
        Corrections::prepare(job, (&model, layers), (moments, of_unwanted), at_once, observer)?;
    clock.lap("solve");

    let (choice_of, family_of) = (&choice, family.as_ref());
    let decision = Decision { job, subject, classifier: &classifier, layers, choice: choice_of, family: family_of };
    let decided = decision.decide((&validation, test.as_ref()), &mut held_out, &mut clock, observer)?;
    let facts = family.facts().to_vec();
    drop(family);
    let (model, classifier, data, unlabeled) = (&model, &classifier, &data, unlabeled.as_ref());
    let further = Rounds { job, model, classifier, data, unlabeled, engine, work };
    let original = Outcomes::of(&validation);
    let (decided, rounds) = further.after((decided, &choice), &original, &mut held_out, &mut clock, observer)?;
    let (before, after) = decided.held(test.as_ref());
    clock.lap("search");

    let settled = Settled {
        solver,
        head: &classifier.head,
        validation: held_out.spec(),
        batch: data.batch(job.runner.batch),
        threads: job.runner.threads.unwrap_or(threads),
        trusted: trusted.samples.len(),
        selection: &choice.selection,
    };
    let scores = &choice.scores;
    let record = Record { job, model, data, settled, engine: engine.info(), scores, trusted };
    let exported = stage(&record, (classifier, engine), &decided, &mut clock)?;
    let ending = ending(job, exported.as_ref());
    let exported = exported.and_then(Result::ok);
    let findings = Findings {
        layers: record.layers(&ledger, &rows, &facts, &decided.patches)?,
        before,
        after,
        held_out_quarantined: held_out.quarantined(validation, test),
        verify: exported.as_ref().map(|exported| exported.verification().clone()),
        output: exported.as_ref().filter(|_| ending == Ending::Written).map(|exported| exported.output(&job.output)),
        seconds: clock.seconds(),
        moments_passes,
        passes: tally.passes(),
        rounds,
        unlabeled: unlabeled.map(Unlabeled::report),
        advantage: decided.advantage,
        nodes_on_cpu,
        figures: decided.figures,
        forgotten: decided.forgotten.or_else(|| unwanted.map(|unwanted| unwanted.report(data.set.as_ref()))),
    };
    let report = record.report(&decided.found, decided.verdict, findings);
    warn_of_peak(job, &report, observer);
    export::finish(job, &report, exported.filter(|_| ending == Ending::Written))?;
    Ok(Outcome::of(ending, report, &held_out, decided.patches))
}

/// Writes the chosen model beside the output and verifies it, unless nothing beats the original.
fn stage(
    record: &Record<'_>,
    (classifier, engine): (&Classifier, &dyn Engine),
    decided: &Decided,
    clock: &mut Clock,
) -> Result<Option<Result<Exported, Broken>>, Error> {
    let Record { job, model, data, trusted, .. } = *record;
    if decided.verdict == Verdict::NotBetter && !job.force {
        return Ok(None);
    }
    let target = Target { model, classifier, engine, out: &job.output, compact: job.compact.as_deref() };
    let samples = export::samples(data, trusted)?;
    clock.lap("verify");
    target.stage(&decided.patches, &record.provenance(decided.recipe()), &samples, clock).map(Some)
}

/// The trusted samples, and those that are to be forgotten, where any are.
fn choose_samples(
    job: &Job,
    subject: &Subject<'_>,
    original: &mut Forward,
    evidence: Option<&EvidenceFile>,
    observer: &dyn Observer,
) -> Result<(Choice, Option<Unwanted>), Error> {
    let mut choice = match evidence {
        None => subject.choose(original, &job.trusted, None, observer)?,
        Some(evidence) => subject.recall(original, evidence)?,
    };
    let unwanted = Unwanted::choose(job, &mut choice, subject.data.set.as_ref())?;
    Ok((choice, unwanted))
}

/// The corrections of every strength.
struct Corrections<'a> {
    /// How many rows each layer's moment has seen, where there are moments.
    rows: Vec<Option<usize>>,
    family: Box<dyn Family + 'a>,
}

impl<'a> Corrections<'a> {
    fn prepare(
        job: &Job,
        (model, layers): (&'a Model, &'a [Layer]),
        (moments, of_unwanted): (Option<Moments<'a>>, Option<Moments<'a>>),
        at_once: usize,
        observer: &'a dyn Observer,
    ) -> Result<Self, Error> {
        let Some((method, moments)) = job.method.of_layers().zip(moments) else {
            return Ok(Self { rows: vec![None; layers.len()], family: Box::new(Unchanged::new(model, layers)) });
        };
        let rows = (0..layers.len()).map(|layer| Some(moments.rows(layer))).collect();
        let Variant { scaling, projection, ref unwanted, .. } = job.variant;
        let alpha = unwanted.as_ref().and_then(|unwanted| unwanted.alpha);
        let family = method.prepare(Evidence {
            model,
            layers,
            moments,
            solver: job.solver(),
            scaling,
            projection,
            unwanted: of_unwanted.map(|moments| methods::Unwanted { moments, alpha }),
            at_once,
            observer,
            energies: job.page.is_some(),
        })?;
        Ok(Self { rows, family })
    }
}

/// The original on held-out data, and what of it the first batch left to the CPU.
struct Before {
    validation: Scores,
    test: Option<Scores>,
    nodes_on_cpu: Option<BTreeMap<String, usize>>,
}

impl Before {
    fn of(mut original: Forward, held_out: &HeldOut<'_>, observer: &dyn Observer) -> Result<Self, Error> {
        observer.begin("original", held_out.validation_samples() + held_out.test_samples(), "samples");
        let validation = held_out.validate(&mut original, observer)?;
        let test = held_out.test(&mut original, observer)?;
        observer.end();
        Ok(Self { validation, test, nodes_on_cpu: original.nodes_on_cpu().cloned() })
    }
}

/// Says so where more memory was taken than was estimated.
fn warn_of_peak(job: &Job, report: &Report, observer: &dyn Observer) {
    if let (Some(limit), Some(peak)) = (job.max_memory, report.peak_rss_bytes)
        && peak > limit.bytes()
    {
        let peak = MemoryLimit::of(peak);
        observer.warn(&format!("the run took {peak} at its peak; --max-memory {limit} was estimated to be enough"));
    }
}

/// The weights that the job rewrites; all of them hold numbers.
fn survey(job: &Job, graph: &GraphIndex<'_>, classifier: &Classifier) -> Result<Ledger, Error> {
    let mut ledger = Ledger::survey(graph, &job.selection).map_err(Error::Usage)?;
    if job.method.of_layers().is_none() && job.method.forgets() {
        let method = job.method.name();
        let refused =
            |why| Error::Usage(format!("the method {method} corrects the last layer, which cannot be: {why}"));
        let last = HeadLayer::find(graph, classifier, &ledger.layers).map_err(refused)?.index;
        ledger.keep_only(last, &format!("{method} corrects the last layer only"));
    }
    if ledger.layers.is_empty() && job.tuning.is_none() {
        return Err(Error::Usage("no weight of the model can be projected; `onnx-sap inspect` says why".into()));
    }
    // Of several bad weights always the first one is told.
    let check = |layer: &Layer| graph.model().check_finite(&layer.weight);
    let checked: Vec<_> = ledger.layers.par_iter().map(check).collect();
    checked.into_iter().collect::<Result<(), _>>()?;
    Ok(ledger)
}

/// What runs models, and the original on it.
struct Loaded {
    engine: Box<dyn Engine>,
    original: Forward,
    /// Of all that the engine runs.
    tally: Arc<Tally>,
}

/// Opens the engine and loads the model. An engine reads a model on one thread; the digest, which the report needs in any
/// case, is taken meanwhile.
fn load(job: &Job, model: &Model, classifier: &Classifier, observer: &dyn Observer) -> Result<Loaded, Error> {
    let tally = Tally::of(classifier.data.iter().map(|input| input.name.clone()));
    std::thread::scope(|scope| {
        scope.spawn(|| model.sha256());
        let (engine, original) = job.runner.start_counted(&tally, model, classifier, observer)?;
        Ok(Loaded { engine, original, tally: Arc::clone(&tally) })
    })
}

fn read_evidence(location: &Location) -> Result<EvidenceFile, Error> {
    Ok(EvidenceFile::decode(&location.to_string(), &location.read()?)?)
}

fn ending(job: &Job, exported: Option<&Result<Exported, Broken>>) -> Ending {
    match exported {
        None => Ending::NotBetter,
        Some(Err(Broken(difference))) => Ending::Unverified(difference.clone()),
        Some(Ok(exported)) => match exported.verification().failure() {
            Some(reason) => Ending::Unverified(reason),
            None if job.dry_run => Ending::DryRun,
            None => Ending::Written,
        },
    }
}
