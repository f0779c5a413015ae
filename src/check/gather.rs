//! Gathers what rules judge: opens both models or the record, runs them on each engine, and keeps what they gave.

use super::evidence::Files;
use super::{Basis, Evidence, Outputs, Policy, Run};
use crate::data::{Preprocessing, Spec};
use crate::difference::{self, Depth};
use crate::engine::{Engine, EngineName, choose};
use crate::error::Error;
use crate::evidence::{BadLimit, EvidenceError, Forward, Meaning, Scores, predict, predict_inputs};
use crate::golden::{Environment, MANIFEST, Manifest, Record, Taking, run_sets, take};
use crate::model::{Classifier, GraphIndex, Interface, Model};
use crate::paths::same_file;
use crate::pipeline::{Prepared, Runner};
use crate::progress::Observer;
use std::path::PathBuf;

/// What is to be checked.
pub struct CheckJob {
    /// The model that is to be judged.
    pub candidate: PathBuf,
    /// The golden model, or the folder of a golden record.
    pub golden: PathBuf,
    /// Labelled samples, where there are some.
    pub data: Option<Spec>,
    /// The user's preprocessing.
    pub preprocessing: Preprocessing,
    /// What the user says of inputs and outputs; the same for both models.
    pub interface: Interface,
    /// What the candidate must hold to.
    pub policy: Policy,
    /// What runs the models, where the policy does not say.
    pub runner: Runner,
    /// On how many samples outputs are compared where no record has them.
    pub samples: usize,
    /// How many samples may be unusable.
    pub limit: BadLimit,
    /// Where the outcome goes.
    pub outputs: Vec<PathBuf>,
}

/// The models, and what rules judge.
pub struct Gathered {
    /// The model that is to be judged.
    pub candidate: Model,
    /// The golden model, where it is there.
    pub golden: Option<Model>,
    /// The record, where there is one.
    pub record: Option<Record>,
    /// What rules judge.
    pub evidence: Evidence,
}

/// Gathers what the policy of a job asks for. What an engine cannot run is kept as a reason.
///
/// # Errors
/// Models, records and data that cannot be read, and an interruption.
pub fn gather(job: &CheckJob, observer: &dyn Observer) -> Result<Gathered, Error> {
    let candidate = Model::open(&job.candidate)?;
    let (golden, record) = open_golden(job, &candidate)?;
    check_outputs(job, &candidate, golden.as_ref())?;
    let files = golden.as_ref().map(|golden| -> Result<Files, Error> {
        Ok(Files {
            structure: difference::structure(golden, &candidate),
            tensors: difference::tensors(golden, &candidate, Depth::Values)?,
            names: difference::tensor_names(golden)?,
        })
    });
    let mut evidence = Evidence {
        files: files.transpose()?,
        recorded: None,
        is_recorded_model: None,
        runs: Vec::new(),
        class_names: None,
    };
    if let Some(manifest) = record.as_ref().and_then(|record| record.manifest.as_ref()) {
        evidence.recorded = Some(manifest.environment.clone());
        evidence.is_recorded_model = Some(manifest.model_sha256 == candidate.sha256());
    }
    let default = [job.runner.engine];
    let engines: &[EngineName] = if job.policy.engines.is_empty() { &default } else { &job.policy.engines };
    for name in engines {
        let bench = Bench { job, candidate: &candidate, golden: golden.as_ref(), record: record.as_ref(), observer };
        let run = match bench.run(*name, &mut evidence.class_names) {
            Ok(run) => Ok(run),
            Err(error @ (Error::Engine(_) | Error::Evidence(EvidenceError::Engine(_)))) => Err(error.to_string()),
            Err(other) => return Err(other),
        };
        let engine = run.as_ref().map_or_else(|_| name.to_string(), |run| run.environment.engine.clone());
        evidence.runs.push((engine, run));
    }
    Ok(Gathered { candidate, golden, record, evidence })
}

/// Refuses outputs that could not be written, or would destroy what is read, before anything runs.
fn check_outputs(job: &CheckJob, candidate: &Model, golden: Option<&Model>) -> Result<(), Error> {
    for output in &job.outputs {
        candidate.check_output(output, true)?;
        golden.map_or(Ok(()), |golden| golden.check_output(output, true))?;
        if same_file(output, &job.golden.join(MANIFEST)) {
            let output = output.display();
            return Err(Error::Usage(format!("{output} is a file of the golden record; name another output")));
        }
    }
    Ok(())
}

/// The golden model and the record: at least one of them.
fn open_golden(job: &CheckJob, candidate: &Model) -> Result<(Option<Model>, Option<Record>), Error> {
    if !job.golden.is_dir() {
        return Ok((Some(Model::open(&job.golden)?), None));
    }
    let model = Record::model_of(&job.golden).map(|path| Model::open(&path)).transpose()?;
    let record = Record::read(&job.golden, model.as_ref().unwrap_or(candidate))?;
    if let (Some(model), Some(Manifest { model_sha256, .. })) = (&model, &record.manifest)
        && model.sha256() != model_sha256
    {
        let path = model.path().display();
        return Err(Error::Usage(format!("{path} is not the model that was recorded; record it again")));
    }
    Ok((model, Some(record)))
}

/// What one engine is to run.
struct Bench<'a> {
    job: &'a CheckJob,
    candidate: &'a Model,
    golden: Option<&'a Model>,
    record: Option<&'a Record>,
    observer: &'a dyn Observer,
}

impl Bench<'_> {
    fn run(&self, name: EngineName, class_names: &mut Option<Vec<String>>) -> Result<Run, Error> {
        let Runner { device, threads, .. } = self.job.runner;
        let chosen = choose(name, device, threads, self.observer)?;
        self.observer.note(&chosen.why);
        let engine = chosen.engine.as_ref();
        let outputs = if self.job.policy.outputs.is_empty() { None } else { self.outputs(engine)? };
        let mut bases = Vec::new();
        if self.job.policy.asks_for_predictions() {
            if let Some(data) = &self.job.data {
                bases.push(self.on_data(data, engine, class_names)?);
            }
            if let Some(record) = self.record {
                bases.extend(self.on_record(record, engine)?);
            }
        }
        Ok(Run { environment: Environment::here(engine.info()), outputs, bases })
    }

    /// What the models give for golden inputs: those of the record, else samples of the data, on which the golden model is run.
    fn outputs(&self, engine: &dyn Engine) -> Result<Option<Outputs>, Error> {
        let run = |model: &Model, record: &Record| run_sets(model, engine, &record.sets, self.observer);
        let of_record = |record: &Record| -> Vec<_> { record.sets.iter().map(|set| set.outputs.clone()).collect() };
        if let Some(record) = self.record {
            let golden = self.golden.map(|golden| run(golden, record)).transpose()?;
            let candidate = run(self.candidate, record)?;
            return Ok(Some(Outputs { recorded: Some(of_record(record)), golden, candidate }));
        }
        let (Some(golden), Some(data)) = (self.golden, &self.job.data) else { return Ok(None) };
        let classifier = self.classifier(golden)?;
        let data = Prepared::open(data, &self.job.preprocessing, &classifier, self.observer)?;
        let (samples, batch, limit) = (self.job.samples, self.job.runner.batch, self.job.limit);
        let taking = Taking { model: golden, classifier: &classifier, data: &data, samples, batch, limit };
        let record = take(&taking, engine, self.observer)?;
        let candidate = run(self.candidate, &record)?;
        Ok(Some(Outputs { recorded: None, golden: Some(of_record(&record)), candidate }))
    }

    fn on_data(&self, spec: &Spec, engine: &dyn Engine, class_names: &mut Option<Vec<String>>) -> Result<Basis, Error> {
        let mut predict_with = |model: &Model, phase: &str| -> Result<Scores, Error> {
            let classifier = self.classifier(model)?;
            let data = Prepared::open(spec, &self.job.preprocessing, &classifier, self.observer)?;
            *class_names = data.set.class_names().map(<[String]>::to_vec);
            let mut forward = Forward::load(engine, &classifier, model.bytes(), model.folder())?;
            let (samples, batch) = (data.all(), data.batch(self.job.runner.batch));
            self.observer.begin(phase, samples.len(), "samples");
            let (stream, limit) = (data.stream(None), self.job.limit);
            let scores = predict(&mut forward, &stream, (&samples, batch), limit, self.observer, &mut |_| false)?;
            self.observer.end();
            Ok(scores)
        };
        let golden = self.golden.map(|golden| predict_with(golden, "golden")).transpose()?;
        let candidate = predict_with(self.candidate, "candidate")?;
        Ok(Basis { what: spec.to_string(), candidate, golden })
    }

    /// The recorded samples, where the record says which they are.
    fn on_record(&self, record: &Record, engine: &dyn Engine) -> Result<Option<Basis>, Error> {
        let Some(manifest) = &record.manifest else { return Ok(None) };
        let labels = |set: &Vec<_>| set.iter().map(|sample: &crate::golden::RecordedSample| sample.label).collect();
        let predict_with = |model: &Model| -> Result<Scores, Error> {
            let classifier = self.classifier(model)?;
            let mut forward = Forward::load(engine, &classifier, model.bytes(), model.folder())?;
            let batches = record.sets.iter().zip(&manifest.sets);
            let batches = batches.map(|(set, samples)| (set.inputs.as_slice(), labels(samples)));
            Ok(predict_inputs(&mut forward, batches, self.observer)?)
        };
        let candidate = predict_with(self.candidate)?;
        let golden = match self.golden {
            Some(golden) => predict_with(golden)?,
            None => recorded(manifest, candidate.meaning),
        };
        let what = format!("{} recorded samples of {}", candidate.samples.len(), manifest.data);
        Ok(Some(Basis { what, candidate, golden: Some(golden) }))
    }

    fn classifier(&self, model: &Model) -> Result<Classifier, Error> {
        Ok(Classifier::of(&GraphIndex::new(model)?, &self.job.interface)?)
    }
}

/// What was predicted when a record was made.
fn recorded(manifest: &Manifest, meaning: Option<Meaning>) -> Scores {
    let predictions: Vec<_> = manifest.sets.iter().flatten().map(crate::golden::RecordedSample::prediction).collect();
    Scores { samples: (0..predictions.len()).collect(), predictions, meaning, ..Scores::default() }
}
