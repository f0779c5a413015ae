//! The way out: stage the files, verify what was staged, and only then move it into place.

use super::clock::Clock;
use super::compacted::Compacted;
use super::job::Job;
use super::prepared::Prepared;
use crate::engine::tract::TractEngine;
use crate::engine::{Engine, EngineError};
use crate::error::Error;
use crate::evidence::{ClassScores, EvidenceError, Forward, Trusted};
use crate::model::{Classifier, Model, ModelError, OutputPlan, Staged, WeightPatch, write_atomically};
use crate::report::{OutputReport, Report, html};
use crate::tensor::NamedTensor;
use crate::verify::{Agreement, AgreementStatus, EngineCheck, Verification, structure};
use std::io::Write;
use std::panic::resume_unwind;
use std::path::Path;

/// Real samples on which the rewritten model is run before it is exported.
pub(super) const VERIFIED_SAMPLES: usize = 16;

/// The most external data that tract is given: it reads all of it into memory, where ONNX Runtime maps the files.
const TRACT_LOADS: u64 = 1 << 30;

/// As much as the main thread of a process has: tract goes down deep graphs by recursion.
const TRACT_STACK: usize = 8 << 20;

/// Files that are written beside the output, and what was verified of them.
pub(super) struct Exported {
    staged: Staged,
    verification: Verification,
    sha256: String,
    /// The smaller model, where it was asked for.
    compacted: Option<Compacted>,
}

/// The rewritten model failed before it could be compared: what differs that should not.
pub(super) struct Broken(pub(super) String);

/// Where a rewritten model goes, and what runs it.
pub(super) struct Target<'a> {
    pub(super) model: &'a Model,
    pub(super) classifier: &'a Classifier,
    pub(super) engine: &'a dyn Engine,
    pub(super) out: &'a Path,
    /// Where the same goes without channels that are always 0, where that is asked for.
    pub(super) compact: Option<&'a Path>,
}

impl Target<'_> {
    /// Writes the rewritten model beside the output and verifies what was written. The clock tells both apart.
    ///
    /// # Errors
    /// What could not be written or run; where the structure differs, the inner [`Broken`].
    pub(super) fn stage(
        &self,
        patches: &[WeightPatch],
        provenance: &[(String, String)],
        samples: &[NamedTensor],
        clock: &mut Clock,
    ) -> Result<Result<Exported, Broken>, Error> {
        let Self { model, out, .. } = *self;
        let plan = model.output_plan(patches, provenance, out)?;
        let staged = Staged::write(model, &plan, out)?;
        clock.lap("write");
        // What is verified was read back, once: that it reaches the disk, too, is waited for meanwhile.
        let (verified, synced) = std::thread::scope(|scope| {
            let syncing = scope.spawn(|| staged.sync());
            let verified = self.verify(&plan, patches, &staged, samples, clock);
            (verified, syncing.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        synced?;
        clock.lap("write");
        let (verification, sha256) = match verified? {
            Ok(verified) => verified,
            Err(broken) => return Ok(Err(broken)),
        };
        let Some(out) = self.compact else {
            return Ok(Ok(Exported { staged, verification, sha256, compacted: None }));
        };
        let compacted = self.compact(staged.model(), out, samples)?;
        clock.lap("compact");
        Ok(compacted.map(|compacted| Exported { staged, verification, sha256, compacted: Some(compacted) }))
    }

    /// Reads back what was staged, compares it with the original, and runs it on both engines. The clock tells running from
    /// the rest.
    fn verify(
        &self,
        plan: &OutputPlan,
        patches: &[WeightPatch],
        staged: &Staged,
        samples: &[NamedTensor],
        clock: &mut Clock,
    ) -> Result<Result<(Verification, String), Broken>, Error> {
        let new = match Model::open(staged.model()) {
            Ok(new) => new,
            Err(error) => return Ok(Err(Broken(format!("the rewritten model cannot be read back: {error}")))),
        };
        let tract = TractEngine::new();
        // An engine, too, reads a model on one thread.
        let read = || {
            let compare = || {
                new.sha256();
                structure(self.model, plan, patches, staged, &new)
            };
            rayon::join(compare, || self.load(self.engine, &new))
        };
        let (mut theirs, (compared, ours)) = beside(|| self.second_engine(&tract, &new, samples), read);
        clock.lap("verify");
        let structure = match compared {
            Ok(changed) => changed,
            Err(difference) => return Ok(Err(Broken(difference))),
        };
        let mut ours = ours?;
        let opinion = || theirs.as_mut().map(|forward| forward.scores(samples)).map_err(|none| none.clone());
        let (theirs, ours) = beside(opinion, || ours.scores(samples));
        let ours = ours?;
        let agreement = theirs.map_or_else(|none| none, |theirs| compare(&ours, theirs));
        let tract = self.second_opinion(&tract, agreement, samples)?;
        clock.lap("agreement");
        let finite = ours.rows.iter().all(|score| score.is_finite());
        let engine = EngineCheck { finite, samples: ours.rows.nrows() };
        Ok(Ok((Verification { structure, engine, tract }, new.sha256().to_owned())))
    }

    pub(super) fn load(&self, engine: &dyn Engine, model: &Model) -> Result<Forward, EvidenceError> {
        Forward::load(engine, self.classifier, model.bytes(), model.folder())
    }

    /// The model on tract, ready for the samples; or why it is not asked.
    pub(super) fn second_engine(
        &self,
        tract: &TractEngine,
        new: &Model,
        samples: &[NamedTensor],
    ) -> Result<Forward, Agreement> {
        if self.engine.info().name == tract.info().name {
            let reason = "tract was the engine, so there is no second one".to_owned();
            return Err(Agreement::none(AgreementStatus::SameEngine, reason));
        }
        let outside: u64 = self.model.external_sizes().values().sum();
        if outside > TRACT_LOADS {
            let reason = format!("it would hold all {:.1} GB of external data in memory", outside as f64 / 1e9);
            return Err(Agreement::none(AgreementStatus::Unsupported, reason));
        }
        let prepared = self.load(tract, new).and_then(|mut forward| forward.prepare(samples).map(|()| forward));
        prepared.map_err(refused)
    }

    /// What a disagreement says of the rewrite, which the original model shows.
    pub(super) fn second_opinion(
        &self,
        tract: &TractEngine,
        agreement: Agreement,
        samples: &[NamedTensor],
    ) -> Result<Agreement, Error> {
        if agreement.status != AgreementStatus::Disagrees {
            return Ok(agreement);
        }
        let scores = |engine: &dyn Engine| self.load(engine, self.model)?.scores(samples);
        Ok(agreement.or_on(&compare(&scores(self.engine)?, scores(tract))))
    }
}

/// Does both at once: tract's part, since tract computes on one thread, on a thread of its own; or, where none can be had,
/// one after the other.
fn beside<A: Send, B>(mut theirs: impl FnMut() -> A + Send, mut ours: impl FnMut() -> B) -> (A, B) {
    let at_once = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(TRACT_STACK).spawn_scoped(scope, &mut theirs).ok()?;
        let ours = ours();
        Some((thread.join().unwrap_or_else(|panic| resume_unwind(panic)), ours))
    });
    at_once.unwrap_or_else(|| (theirs(), ours()))
}

/// How far tract is from what the engine computed.
pub(super) fn compare(ours: &ClassScores, theirs: Result<ClassScores, EvidenceError>) -> Agreement {
    theirs.map_or_else(refused, |theirs| Agreement::compare(&ours.rows, &theirs.rows, ours.element, "tract"))
}

/// What it says that tract did not compute anything.
fn refused(error: EvidenceError) -> Agreement {
    match error {
        EvidenceError::Engine(EngineError::Unsupported { reason, .. }) => {
            Agreement::none(AgreementStatus::Unsupported, reason)
        }
        // What the engine runs: so tract computes something else.
        error => Agreement::none(AgreementStatus::Disagrees, format!("tract fails: {error}")),
    }
}

impl Exported {
    /// What was verified.
    pub(super) fn verification(&self) -> &Verification {
        &self.verification
    }

    /// What the report says of the file.
    pub(super) fn output(&self, out: &Path) -> OutputReport {
        let compact = self.compacted.as_ref().map(|compacted| compacted.report.clone());
        OutputReport { path: out.to_path_buf(), sha256: self.sha256.clone(), compact }
    }

    /// Moves all files into place.
    fn commit(self, job: &Job) -> Result<(), ModelError> {
        let smaller = self.compacted.map(|compacted| compacted.staged.commit(job.force)).transpose()?;
        self.staged.commit(job.force).inspect_err(|_| {
            if let (Some(()), Some(path)) = (smaller, &job.compact) {
                // As with the report: it is of a model that is not there.
                let _ = std::fs::remove_file(path);
            }
        })
    }
}

/// The samples on which the model is verified: the first trusted ones.
pub(super) fn samples(data: &Prepared, trusted: &Trusted) -> Result<Vec<NamedTensor>, Error> {
    let some = &trusted.samples[..trusted.samples.len().min(VERIFIED_SAMPLES)];
    let mut inputs = None;
    data.stream(None).for_each(some, data.batch(Some(VERIFIED_SAMPLES)), |batch| {
        inputs.get_or_insert(batch.inputs);
        Ok::<(), EvidenceError>(())
    })?;
    inputs.ok_or_else(|| EvidenceError::NoneTrusted.into())
}

/// Writes the report, as a page too where that is asked for, and then moves the model into place: a model never stands there
/// without its report.
pub(super) fn finish(job: &Job, report: &Report, exported: Option<Exported>) -> Result<(), Error> {
    let mut json = serde_json::to_vec_pretty(report)
        .map_err(|error| ModelError::Write { path: job.report.clone(), source: error.into() })?;
    json.push(b'\n');
    write_atomically(&job.report, |file| file.write_all(&json))?;
    let page = job.page.as_ref().map(|page| page.path.as_path());
    let html = || match page.zip(report.figures.as_ref()) {
        Some((path, figures)) => write_atomically(path, |file| html::write(report, figures, file)),
        None => Ok(()),
    };
    let finished = html().and_then(|()| exported.map_or(Ok(()), |exported| exported.commit(job)));
    if finished.is_err() {
        // They speak of a model that is not there. That they cannot be removed is not what the user must hear of.
        for path in page.into_iter().chain([job.report.as_path()]) {
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(finished?)
}
