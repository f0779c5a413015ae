//! The way out: stage the files, verify what was staged, and only then move it into place.

use super::job::Job;
use super::prepared::Prepared;
use crate::engine::tract::TractEngine;
use crate::engine::{Engine, EngineError};
use crate::error::Error;
use crate::evidence::{ClassScores, EvidenceError, Forward, Trusted};
use crate::model::{Classifier, Model, ModelError, Staged, WeightPatch, hexadecimal, write_atomically};
use crate::report::{OutputReport, Report};
use crate::tensor::NamedTensor;
use crate::verify::{Agreement, AgreementStatus, EngineCheck, Verification, structure};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;

/// Real samples on which the rewritten model is run before it is exported.
const VERIFIED_SAMPLES: usize = 16;

/// The most external data that tract is given: it reads all of it into memory, where ONNX Runtime maps the files.
const TRACT_LOADS: u64 = 1 << 30;

/// Files that are written beside the output, and what was verified of them.
pub(super) struct Exported {
    staged: Staged,
    verification: Verification,
    sha256: String,
}

/// The rewritten model failed before it could be compared: what differs that should not.
pub(super) struct Broken(pub(super) String);

/// Where a rewritten model goes, and what runs it.
pub(super) struct Target<'a> {
    pub(super) model: &'a Model,
    pub(super) classifier: &'a Classifier,
    pub(super) engine: &'a dyn Engine,
    pub(super) out: &'a Path,
}

impl Target<'_> {
    /// Writes the rewritten model beside the output and verifies what was written.
    ///
    /// # Errors
    /// What could not be written or run; where the structure differs, the inner [`Broken`].
    pub(super) fn stage(
        &self,
        patches: &[WeightPatch],
        provenance: &[(String, String)],
        samples: &[NamedTensor],
    ) -> Result<Result<Exported, Broken>, Error> {
        let Self { model, classifier, engine, out } = *self;
        let plan = model.output_plan(patches, provenance, out)?;
        let staged = Staged::write(model, &plan, out)?;
        let structure = match structure(model, &plan, patches, &staged) {
            Ok(changed) => changed,
            Err(difference) => return Ok(Err(Broken(difference))),
        };
        let path = staged.model();
        let bytes = std::fs::read(path).map_err(|source| ModelError::Read { path: path.into(), source })?;
        let sha256 = hexadecimal(&Sha256::digest(&bytes));
        let folder = path.parent().unwrap_or(Path::new("."));
        let ours = Forward::load(engine, classifier, bytes.clone(), folder)?.scores(samples)?;
        let finite = ours.rows.iter().all(|score| score.is_finite());
        let tract = self.second_opinion(bytes, folder, samples, &ours)?;
        let engine = EngineCheck { finite, samples: ours.rows.nrows() };
        Ok(Ok(Exported { staged, verification: Verification { structure, engine, tract }, sha256 }))
    }

    /// The same samples on tract.
    fn second_opinion(
        &self,
        bytes: Vec<u8>,
        folder: &Path,
        samples: &[NamedTensor],
        ours: &ClassScores,
    ) -> Result<Agreement, Error> {
        let tract = TractEngine::new();
        if self.engine.info().name == tract.info().name {
            let reason = "tract was the engine, so there is no second one".to_owned();
            return Ok(Agreement::none(AgreementStatus::SameEngine, reason));
        }
        let outside: u64 = self.model.external_sizes().values().sum();
        if outside > TRACT_LOADS {
            let reason = format!("it would hold all {:.1} GB of external data in memory", outside as f64 / 1e9);
            return Ok(Agreement::none(AgreementStatus::Unsupported, reason));
        }
        let agreement = self.compare(&tract, bytes, folder, samples, ours);
        if agreement.status != AgreementStatus::Disagrees {
            return Ok(agreement);
        }
        let (bytes, folder) = (self.model.bytes().to_vec(), self.model.folder());
        let ours = Forward::load(self.engine, self.classifier, bytes.clone(), folder)?.scores(samples)?;
        Ok(agreement.or_on(&self.compare(&tract, bytes, folder, samples, &ours)))
    }

    /// How far tract is from what the engine computed.
    fn compare(
        &self,
        tract: &TractEngine,
        bytes: Vec<u8>,
        folder: &Path,
        samples: &[NamedTensor],
        ours: &ClassScores,
    ) -> Agreement {
        let theirs =
            Forward::load(tract, self.classifier, bytes, folder).and_then(|mut forward| forward.scores(samples));
        match theirs {
            Ok(theirs) => Agreement::compare(&ours.rows, &theirs.rows, ours.element),
            Err(EvidenceError::Engine(EngineError::Unsupported { reason, .. })) => {
                Agreement::none(AgreementStatus::Unsupported, reason)
            }
            // What the engine has just run: so tract computes something else.
            Err(error) => Agreement::none(AgreementStatus::Disagrees, format!("tract fails: {error}")),
        }
    }
}

impl Exported {
    /// What was verified.
    pub(super) fn verification(&self) -> &Verification {
        &self.verification
    }

    /// What the report says of the file.
    pub(super) fn output(&self, out: &Path) -> OutputReport {
        OutputReport { path: out.to_path_buf(), sha256: self.sha256.clone() }
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

/// Writes the report, and then moves the model into place: a model never stands there without its report.
pub(super) fn finish(job: &Job, report: &Report, exported: Option<Exported>) -> Result<(), Error> {
    let mut json = serde_json::to_vec_pretty(report)
        .map_err(|error| ModelError::Write { path: job.report.clone(), source: error.into() })?;
    json.push(b'\n');
    write_atomically(&job.report, |file| file.write_all(&json))?;
    let Some(exported) = exported else { return Ok(()) };
    let moved = exported.staged.commit(job.force);
    if moved.is_err() {
        // It speaks of a model that is not there. That it cannot be removed is not what the user must hear of.
        let _ = std::fs::remove_file(&job.report);
    }
    Ok(moved?)
}
