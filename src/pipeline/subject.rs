//! A model over its training data: what every command that gathers evidence begins with.

use super::Prepared;
use super::choose::check;
use crate::data::DataSet;
use crate::engine::Engine;
use crate::error::Error;
use crate::evidence::{
    BadLimit, Forward, Inputs, Journal, MomentSums, Needs, NoJournal, NoKeeper, Pass, Precision, RowLimit, Scores,
    Scoring, Shard, SumsKeeper, Trusted, collect, needs, score,
};
use crate::layers::Layer;
use crate::model::{Classifier, GraphIndex, hexadecimal};
use crate::partial::{EvidenceFile, INPUTS, Identity, MomentsCheckpoint, ScoreLog, WorkFolder};
use crate::progress::Observer;
use sha2::{Digest, Sha256};

/// A model, the data that it was trained on, and what runs it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The model's graph.
    pub graph: &'a GraphIndex<'a>,
    /// The training data.
    pub data: &'a Prepared,
    /// What runs the model.
    pub engine: &'a dyn Engine,
    /// The batch size, where the user chose it.
    pub batch: Option<usize>,
    /// How many samples may be unusable.
    pub limit: BadLimit,
    /// Where what is done is kept, and the run gone on with.
    pub work: Option<&'a WorkFolder>,
}

/// What enters the moments.
pub struct Measurement<'a> {
    /// The layers whose inputs are measured.
    pub layers: &'a [Layer],
    /// Over which samples.
    pub trusted: &'a Trusted,
    /// Which part of them.
    pub shard: Shard,
    /// How many rows.
    pub rows: RowLimit,
    /// How precise the products are.
    pub precision: Precision,
    /// Draws them.
    pub seed: u64,
}

impl Subject<'_> {
    /// Scores the data, or a shard of it.
    ///
    /// # Errors
    /// Those of data, engine and work folder; an interruption.
    pub fn score(&self, forward: &mut Forward, shard: Shard, observer: &dyn Observer) -> Result<Scores, Error> {
        let (stream, batch) = (self.data.stream(None), self.data.batch(self.batch));
        let scoring = Scoring { stream, batch, shard, limit: self.limit };
        let mut journal: Box<dyn Journal> = match self.work {
            None => Box::new(NoJournal),
            Some(folder) => {
                let identity = self.scoring(forward.classifier())?.with("shard", shard.to_string());
                Box::new(ScoreLog::open(folder, &identity)?)
            }
        };
        Ok(score(forward, &scoring, journal.as_mut(), observer)?)
    }

    /// Measures the moments of some or all inputs of the layers over the trusted samples, or a shard of them. Those of an
    /// input are the same whichever others are measured with it.
    ///
    /// # Errors
    /// Those of data, engine and work folder; an interruption.
    pub fn measure(
        &self,
        classifier: &Classifier,
        measurement: &Measurement<'_>,
        inputs: Inputs<'_>,
        observer: &dyn Observer,
    ) -> Result<MomentSums, Error> {
        let mut keeper: Box<dyn SumsKeeper + '_> = match self.work {
            None => Box::new(NoKeeper),
            Some(folder) => {
                let identity = self.measuring(classifier, measurement)?.with("shard", measurement.shard.to_string());
                Box::new(MomentsCheckpoint::open(folder, &identity.with(INPUTS, inputs.to_string()))?)
            }
        };
        let pass = self.pass(measurement, inputs);
        Ok(collect(self.engine, self.graph, classifier, measurement.layers, &pass, keeper.as_mut(), observer)?)
    }

    /// What [`measure`](Self::measure) will take of the memory with so many trusted samples, as those of the measurement,
    /// of which one is enough, tell.
    ///
    /// # Errors
    /// Those of data and engine.
    pub fn needs(
        &self,
        classifier: &Classifier,
        measurement: &Measurement<'_>,
        samples: usize,
    ) -> Result<Needs, Error> {
        let pass = self.pass(measurement, Inputs::All);
        Ok(needs(self.engine, self.graph, classifier, measurement.layers, &pass, samples)?)
    }

    fn pass<'p>(&'p self, measurement: &Measurement<'p>, inputs: Inputs<'p>) -> Pass<'p> {
        let Measurement { trusted, shard, rows, precision, seed, .. } = *measurement;
        let (stream, samples) = (self.data.stream(None), trusted.samples.as_slice());
        Pass { stream, samples, shard, rows, seed, precision, batch: self.batch, inputs }
    }

    /// Removes what was kept of a pass that is done, and whose sums are kept elsewhere.
    ///
    /// # Errors
    /// What cannot be removed.
    pub(super) fn forget_pass(&self) -> Result<(), Error> {
        Ok(self.work.map_or(Ok(()), MomentsCheckpoint::remove)?)
    }

    /// The moments of evidence that was gathered before.
    ///
    /// # Errors
    /// [`PartialError::Foreign`](crate::partial::PartialError::Foreign) where it is not of this model, data and options.
    pub fn measured(
        &self,
        classifier: &Classifier,
        measurement: &Measurement<'_>,
        evidence: EvidenceFile,
    ) -> Result<MomentSums, Error> {
        let ours = self.measuring(classifier, measurement)?;
        check(&ours, evidence.path(), &evidence.content.identity)?;
        Ok(evidence.content.sums)
    }

    /// What scores depend on.
    ///
    /// # Errors
    /// External data that cannot be read.
    pub fn scoring(&self, classifier: &Classifier) -> Result<Identity, Error> {
        Ok(self.common(classifier)?.with("batch", self.data.batch(self.batch).to_string()))
    }

    /// What moments depend on.
    ///
    /// # Errors
    /// External data that cannot be read.
    pub fn measuring(&self, classifier: &Classifier, measurement: &Measurement<'_>) -> Result<Identity, Error> {
        let Measurement { layers, trusted, rows, precision, seed, .. } = measurement;
        let set = self.data.set.as_ref();
        let rows = match rows {
            RowLimit::All => "all".to_owned(),
            RowLimit::AtMost(rows) => format!("{rows}, drawn by the seed {seed}"),
        };
        let products = match precision {
            Precision::Float64 => "float64".to_owned(),
            Precision::SufficientFor(alpha) => {
                format!("float32 where it suffices for α = {alpha:e}", alpha = alpha.get())
            }
        };
        let batch = self.batch.map_or("auto".to_owned(), |batch| batch.to_string());
        let mut names = Sha256::new();
        layers.iter().for_each(|layer| names.update(format!("{}\0", layer.weight.name)));
        let names = hexadecimal(&names.finalize());
        Ok(self
            .common(classifier)?
            .with("batch", batch)
            .with("trusted set", format!("{} samples, sha256 {}", trusted.samples.len(), trusted.sha256(set)))
            .with("rows", rows)
            .with("products", products)
            .with("layers", format!("{} layers, sha256 {names}", layers.len())))
    }

    fn common(&self, classifier: &Classifier) -> Result<Identity, Error> {
        let model = self.graph.model();
        let info = self.engine.info();
        let constants: Vec<String> =
            classifier.constants.iter().map(|constant| constant.assignment().to_string()).collect();
        let preprocessing: Vec<(&str, &crate::data::Transform)> =
            self.data.routes.iter().map(|route| (route.input.as_str(), &route.transform)).collect();
        let preprocessing =
            serde_json::to_string(&preprocessing).map_err(|error| Error::Usage(format!("preprocessing: {error}")))?;
        let external = model.external_sha256()?;
        let identity = Identity::default()
            .with("program", format!("onnx-sap {}", env!("CARGO_PKG_VERSION")))
            .with("model", format!("sha256 {}", model.sha256()))
            .with("class scores", classifier.head.value.as_str())
            .with("constant inputs", constants.join(" "))
            .with("data set", manifest(self.data.set.as_ref()))
            .with("preprocessing", preprocessing)
            .with("engine", format!("{} {}, {} on {}", info.name, info.version, info.provider, info.device));
        Ok(external.into_iter().fold(identity, |identity, (file, sha256)| {
            identity.with(&format!("external data {file}"), format!("sha256 {sha256}"))
        }))
    }
}

/// What a set claims to hold, before anything of it is read: ids and labels, in order.
fn manifest(set: &dyn DataSet) -> String {
    let mut digest = Sha256::new();
    for index in 0..set.len() {
        digest.update(format!("{}\0{}\0", set.id(index), set.label(index)));
    }
    set.quarantined().iter().for_each(|bad| digest.update(format!("{}\0", bad.id)));
    format!("{} samples, sha256 {}", set.len(), hexadecimal(&digest.finalize()))
}
