//! Which samples are trusted: by scores that are computed now, that were written before, or by evidence that is there.

use super::job::TrustedChoice;
use super::{ScoreSummary, Subject};
use crate::data::{DataSet, Quarantined, SampleId};
use crate::error::Error;
use crate::evidence::{Curvature, Forward, Ranked, Scores, Shard, TrustScore, Trusted};
use crate::partial::{EvidenceFile, Identity, PartialError, ScorePart};
use crate::progress::Observer;
use crate::report::figures::Histogram;
use crate::store::Location;
use std::collections::BTreeSet;

/// The trusted samples, and what the scores say of the set.
pub struct Choice {
    /// The trusted samples.
    pub trusted: Trusted,
    /// `balanced`, `global` or `given`.
    pub selection: String,
    /// What the scores were.
    pub scores: ScoreSummary,
    /// The samples that can be used.
    pub usable: Vec<usize>,
    /// Their losses; marked are the trusted ones. Nothing where the scores were not at hand.
    pub losses: Option<Histogram>,
    /// What ranks the samples that can be used, where their scores were at hand.
    pub scored: Option<Scored>,
}

/// The samples that can be used, and what is known of each.
pub struct Scored {
    /// What ranks them.
    pub ranked: Ranked,
    /// The losses of their labels.
    pub losses: Vec<f64>,
}

/// What may differ between the machine that gathers evidence and the one that uses it: what ran the model, and how many
/// samples at once.
const OF_THE_MACHINE: [&str; 3] = ["program", "engine", "batch"];

const ADVICE: &str = "make it again from the same model, data and options";

impl Subject<'_> {
    /// Chooses by scores: those of `file`, or those that the model gives now.
    ///
    /// # Errors
    /// Those of scoring; a file that belongs to another run.
    pub fn choose(
        &self,
        forward: &mut Forward,
        choice: &TrustedChoice,
        file: Option<&Location>,
        observer: &dyn Observer,
    ) -> Result<Choice, Error> {
        let scores = match file {
            None => self.score(forward, Shard::WHOLE, observer)?,
            Some(file) => self.written(forward, file)?,
        };
        let ranked = self.rank(forward, choice.score(), &scores, observer)?;
        let set = self.data.set.as_ref();
        let trusted = match choice {
            TrustedChoice::Lowest { count, ranking, .. } => {
                Trusted::lowest(&ranked, self.data.trusted(*count), *ranking)?
            }
            TrustedChoice::Given(ids) => Trusted::from_ids(ids, set, &scores.quarantined)?,
        };
        let summary = ScoreSummary::of(&scores, forward.classifier())?;
        let losses = Some(losses(&scores, &trusted));
        let known = Scored { ranked, losses: scores.predictions.iter().map(|of| of.loss).collect() };
        let (selection, usable) = (choice.to_string(), scores.samples);
        Ok(Choice { trusted, selection, scores: summary, usable, losses, scored: Some(known) })
    }

    /// The samples that can be used with what ranks them.
    fn rank(
        &self,
        forward: &Forward,
        score: TrustScore,
        scores: &Scores,
        observer: &dyn Observer,
    ) -> Result<Ranked, Error> {
        let TrustScore::Curvature { seed } = score else { return Ok(Ranked::by_loss(scores)) };
        let (stream, batch) = (self.data.stream(None), self.data.batch(self.batch));
        let mut curvature = Curvature::load(self.engine, self.graph, forward.classifier(), &stream, seed)?;
        Ok(Ranked::by(scores, curvature.of_samples(&stream, (&scores.samples, batch), observer)?))
    }

    /// The scores in a file.
    fn written(&self, forward: &mut Forward, file: &Location) -> Result<Scores, Error> {
        let path = file.to_string();
        let part = ScorePart::decode(&path, file.read()?)?;
        complete(&path, part.header.shard)?;
        let ours = self.scoring(forward.classifier())?;
        check(&ours, &path, &part.header.identity)?;
        if let Some(meaning) = part.header.meaning {
            forward.assume(meaning.link);
        }
        Ok(part.into_scores(self.data.set.as_ref())?)
    }

    /// The choice that evidence was gathered for.
    ///
    /// # Errors
    /// Evidence of a shard; ids that are not in the data.
    pub fn recall(&self, forward: &mut Forward, evidence: &EvidenceFile) -> Result<Choice, Error> {
        let facts = &evidence.content.more;
        complete(evidence.path(), facts.shard)?;
        forward.assume(facts.scores.meaning.link);
        let set = self.data.set.as_ref();
        let trusted = Trusted::from_ids(&facts.trusted, set, &facts.scores.quarantined)?;
        let usable = usable(set, &facts.scores.quarantined);
        let (selection, scores) = (facts.selection.clone(), facts.scores.clone());
        Ok(Choice { trusted, selection, scores, usable, losses: None, scored: None })
    }
}

/// Makes sure that results belong to this model, this data and these options, wherever they were computed.
///
/// # Errors
/// [`PartialError::Foreign`].
pub(super) fn check(ours: &Identity, path: &str, theirs: &Identity) -> Result<(), PartialError> {
    ours.clone().without(&OF_THE_MACHINE).check(path, &theirs.clone().without(&OF_THE_MACHINE), ADVICE)
}

fn complete(path: &str, shard: Shard) -> Result<(), PartialError> {
    if shard == Shard::WHOLE {
        return Ok(());
    }
    let reason = format!("{path} is shard {shard}");
    Err(PartialError::Shards { reason, advice: "put all of them together with `onnx-sap merge`".to_owned() })
}

fn losses(scores: &Scores, trusted: &Trusted) -> Histogram {
    let trusted: BTreeSet<usize> = trusted.samples.iter().copied().collect();
    let losses = scores.predictions.iter().map(|prediction| prediction.loss);
    Histogram::of(losses.zip(scores.samples.iter().map(|sample| trusted.contains(sample))))
}

fn usable(set: &dyn DataSet, quarantined: &[Quarantined]) -> Vec<usize> {
    let bad: BTreeSet<&SampleId> = quarantined.iter().map(|bad| &bad.id).collect();
    (0..set.len()).filter(|&index| bad.is_empty() || !bad.contains(&set.id(index))).collect()
}
