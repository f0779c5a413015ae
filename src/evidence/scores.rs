//! The predictions for a set of samples, and how good they are.

use super::quarantine::{BadLimit, Quarantine};
use super::{EvidenceError, Forward, Prediction, Shard};
use crate::data::{Batch, DataDigest, Quarantined, SampleId, Stream};
use crate::model::Link;
use crate::progress::Observer;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

/// How well predictions agree with labels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The share of samples whose label is predicted.
    pub accuracy: f64,
    /// The mean cross-entropy, in nats.
    pub mean_loss: f64,
    /// The number of samples.
    pub samples: usize,
}

impl Quality {
    /// Over a set of predictions; of none it says nothing, see [`Self::judged`].
    pub fn of(predictions: &[Prediction]) -> Self {
        let samples = predictions.len();
        let right = predictions.iter().filter(|prediction| prediction.label == prediction.predicted).count();
        let loss: f64 = predictions.iter().map(|prediction| prediction.loss).sum();
        Self { accuracy: right as f64 / samples as f64, mean_loss: loss / samples as f64, samples }
    }

    /// This, where there were samples.
    pub fn judged(self) -> Option<Self> {
        (self.samples > 0).then_some(self)
    }

    /// The standard error of the accuracy, that of a binomial share.
    pub fn standard_error(&self) -> f64 {
        (self.accuracy * (1.0 - self.accuracy) / self.samples as f64).sqrt()
    }
}

/// The predictions for a set, or a shard of one.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    /// The indices of the samples that could be scored, in the set's order.
    pub samples: Vec<usize>,
    /// One prediction for each of them.
    pub predictions: Vec<Prediction>,
    /// What the scores mean; nothing where no sample was scored.
    pub meaning: Option<Meaning>,
    /// What the model was judged on.
    pub digest: DataDigest,
    /// What could not be scored.
    pub quarantined: Vec<Quarantined>,
}

/// How many classes the model tells apart, and how its scores become their probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    /// The number of classes.
    pub classes: usize,
    /// From scores to probabilities.
    pub link: Link,
}

impl Scores {
    /// How well the model fits the (noisy) labels.
    pub fn quality(&self) -> Quality {
        Quality::of(&self.predictions)
    }

    /// The number of classes that the model knows.
    pub fn classes(&self) -> usize {
        self.meaning.map_or(0, |meaning| meaning.classes)
    }
}

/// What one batch gave: scores are kept, and gone on from, batch by batch.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredBatch {
    /// The indices of the samples that were scored.
    pub samples: Vec<usize>,
    /// One prediction for each of them.
    pub predictions: Vec<Prediction>,
    /// What the scores mean; nothing where no sample was scored.
    pub meaning: Option<Meaning>,
    /// What they are.
    pub digest: DataDigest,
    /// What could not be scored, by index.
    pub quarantined: Vec<(usize, Quarantined)>,
}

impl ScoredBatch {
    /// The number of samples that were asked for.
    pub fn asked(&self) -> usize {
        self.samples.len() + self.quarantined.len()
    }
}

/// Where the scores of an interrupted run are kept.
pub trait Journal {
    /// The batches that are done, from the first on. They are asked for once.
    fn finished(&mut self) -> Vec<ScoredBatch>;
    /// Keeps one more.
    ///
    /// # Errors
    /// What could not be written.
    fn keep(&mut self, batch: &ScoredBatch) -> Result<(), EvidenceError>;
}

/// A journal that keeps nothing.
pub struct NoJournal;

impl Journal for NoJournal {
    fn finished(&mut self) -> Vec<ScoredBatch> {
        Vec::new()
    }

    fn keep(&mut self, _batch: &ScoredBatch) -> Result<(), EvidenceError> {
        Ok(())
    }
}

/// What is to be scored.
pub struct Scoring<'a> {
    /// The samples.
    pub stream: Stream<'a>,
    /// How many run at once.
    pub batch: usize,
    /// Which part of them.
    pub shard: Shard,
    /// How many of the whole set may be unusable.
    pub limit: BadLimit,
}

/// Scores the samples of a set, or goes on with it.
///
/// # Errors
/// [`EvidenceError`]; too many unusable samples, and an interruption, are among them.
pub fn score(
    forward: &mut Forward,
    scoring: &Scoring<'_>,
    journal: &mut dyn Journal,
    observer: &dyn Observer,
) -> Result<Scores, EvidenceError> {
    let Scoring { stream, batch, .. } = scoring;
    let mut tally = Tally::open(stream, scoring.limit)?;
    let all: Vec<usize> = scoring.shard.range(stream.set.len(), *batch).collect();
    observer.begin("scoring", all.len(), "samples");
    let finished = journal.finished();
    let done = resume(forward, stream, &all, &finished)?;
    for scored in finished {
        tally.add(scored)?;
    }
    observer.advance(done);
    run(forward, stream, &all[done..], *batch, observer, &mut |_, _, _| (), |scored| {
        journal.keep(&scored)?;
        observer.advance(scored.asked());
        tally.add(scored)
    })?;
    observer.end();
    let mut scores = tally.finish();
    if scoring.shard.index() > 0 {
        // What the set itself cannot deliver is found by every shard, and the first one tells of it.
        scores.quarantined.drain(..stream.set.quarantined().len());
    }
    Ok(scores)
}

/// How many of the samples `all` are done. Those of the first and the last batch are read again: they must be what they
/// were.
fn resume(
    forward: &mut Forward,
    stream: &Stream<'_>,
    all: &[usize],
    finished: &[ScoredBatch],
) -> Result<usize, EvidenceError> {
    let mut done = 0;
    for (position, scored) in finished.iter().enumerate() {
        let (first, asked) = (done, scored.asked());
        done += asked;
        if done > all.len() {
            return Err(EvidenceError::Changed { first, last: done });
        }
        if position == 0 || position + 1 == finished.len() {
            check_unchanged(stream, &scored.samples, &scored.digest)?;
        }
        if let Some(meaning) = scored.meaning {
            forward.assume(meaning.link);
        }
    }
    Ok(done)
}

fn check_unchanged(stream: &Stream<'_>, samples: &[usize], digest: &DataDigest) -> Result<(), EvidenceError> {
    let mut found = DataDigest::default();
    stream.for_each_usable(samples, samples.len().max(1), |batch| {
        found.add(&DataDigest::sum(&batch.digests));
        Ok::<(), EvidenceError>(())
    })?;
    match samples {
        [first, .., last] | [first @ last] if found != *digest => {
            Err(EvidenceError::Changed { first: *first, last: *last })
        }
        _ => Ok(()),
    }
}

/// The predictions for some samples of a set that stand for `limit` of a whole one, as steps of whatever phase the
/// observer is in. Ends early where `enough` says so of what there is.
///
/// # Errors
/// As [`score`].
pub fn predict(
    forward: &mut Forward,
    stream: &Stream<'_>,
    (samples, batch): (&[usize], usize),
    limit: BadLimit,
    observer: &dyn Observer,
    enough: &mut dyn FnMut(&Scores) -> bool,
) -> Result<Scores, EvidenceError> {
    predict_showing(forward, stream, (samples, batch), limit, observer, enough, &mut |_, _, _| ())
}

/// Is shown the prediction for a sample, the class scores that it was made of, and what they mean.
pub type SeesScores<'a> = dyn FnMut(&Prediction, &ArrayView1<'_, f64>, Link) + 'a;

/// The same, and shows the class scores of each sample that could be used, in the order of the predictions.
///
/// # Errors
/// As [`score`].
pub fn predict_showing(
    forward: &mut Forward,
    stream: &Stream<'_>,
    (samples, batch): (&[usize], usize),
    limit: BadLimit,
    observer: &dyn Observer,
    enough: &mut dyn FnMut(&Scores) -> bool,
    shown: &mut SeesScores<'_>,
) -> Result<Scores, EvidenceError> {
    let mut tally = Tally::open(stream, limit)?;
    // Whole batches, so that these are the same as without parts.
    let part = samples.len().div_ceil(MOST_PARTS).max(LEAST_BATCHES * batch).next_multiple_of(batch.max(1)).max(1);
    for part in samples.chunks(part) {
        run(forward, stream, part, batch, observer, shown, |scored| {
            observer.advance(scored.asked());
            tally.add(scored)
        })?;
        if enough(&tally.scores) {
            break;
        }
    }
    let scores = tally.finish();
    if scores.samples.is_empty() { Err(EvidenceError::NoneUsable) } else { Ok(scores) }
}

/// How often it is asked at most whether there are enough scores: who is asked looks at all of them.
const MOST_PARTS: usize = 16;

/// Batches between two such questions at least: reading ahead begins anew with each part.
const LEAST_BATCHES: usize = 2;

/// What batches add up to.
struct Tally {
    scores: Scores,
    quarantine: Quarantine,
}

impl Tally {
    fn open(stream: &Stream<'_>, limit: BadLimit) -> Result<Self, EvidenceError> {
        Ok(Self { scores: Scores::default(), quarantine: Quarantine::open(stream.set, limit)? })
    }

    fn add(&mut self, scored: ScoredBatch) -> Result<(), EvidenceError> {
        self.scores.samples.extend(scored.samples);
        self.scores.predictions.extend(scored.predictions);
        self.scores.meaning = self.scores.meaning.or(scored.meaning);
        self.scores.digest.add(&scored.digest);
        self.quarantine.extend(scored.quarantined.into_iter().map(|(_, bad)| bad))
    }

    fn finish(self) -> Scores {
        Scores { quarantined: self.quarantine.into_bad(), ..self.scores }
    }
}

fn run(
    forward: &mut Forward,
    stream: &Stream<'_>,
    samples: &[usize],
    batch: usize,
    observer: &dyn Observer,
    shown: &mut SeesScores<'_>,
    mut each: impl FnMut(ScoredBatch) -> Result<(), EvidenceError>,
) -> Result<(), EvidenceError> {
    stream.for_each_usable(samples, batch, |batch: Batch| {
        if let Some(signal) = observer.stopped() {
            return Err(EvidenceError::Stopped(signal));
        }
        each(score_batch(forward, &|index| stream.set.id(index), batch, observer, shown)?)
    })
}

/// The predictions for a batch; `id` names its samples.
pub(super) fn score_batch(
    forward: &mut Forward,
    id: &dyn Fn(usize) -> SampleId,
    batch: Batch,
    observer: &dyn Observer,
    shown: &mut SeesScores<'_>,
) -> Result<ScoredBatch, EvidenceError> {
    let (digest, quarantined) = (DataDigest::default(), batch.quarantined);
    let mut done = ScoredBatch { samples: Vec::new(), predictions: Vec::new(), meaning: None, digest, quarantined };
    if batch.indices.is_empty() {
        return Ok(done);
    }
    let scores = forward.scores(&batch.inputs)?;
    let link = forward.link(&scores, observer)?;
    let classes = link.classes(scores.rows.ncols());
    done.meaning = Some(Meaning { classes, link });
    let samples = batch.indices.iter().zip(&batch.labels).zip(&batch.digests);
    for (((&index, &label), digest), row) in samples.zip(scores.rows.rows()) {
        let mut refuse = |reason: String| {
            done.quarantined.push((index, Quarantined { id: id(index), reason }));
        };
        if label >= classes {
            let last = classes - 1;
            refuse(format!("its label is {label}, and the model knows only the classes 0 to {last}"));
        } else if !row.iter().all(|score| score.is_finite()) {
            refuse("the model's output for it is not finite; check its preprocessing (--scale, --mean, --std)".into());
        } else {
            done.samples.push(index);
            done.digest.add(digest);
            let prediction = Prediction::of(&row, link, label);
            shown(&prediction, &row, link);
            done.predictions.push(prediction);
        }
    }
    done.quarantined.sort_by_key(|(index, _)| *index);
    Ok(done)
}
