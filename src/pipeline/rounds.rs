//! Further rounds: the corrected model takes the place of the original. It is scored, samples are trusted anew, and what they use of
//! its layers is projected onto.
//!
//! As in SAP's public code, a given α is ten times as large in every further round, rounds go on as long as validation data find the
//! model better than that of the round before, and the last of these is the result. There, trusted samples stay those of the first
//! round, and the new projection is put before the old one, in the space that this one leaves; here a round is one that the command
//! would do with the corrected model as its input.

use super::candidate::Candidates;
use super::choose::Choice;
use super::decide::{Decided, Decision};
use super::held_out::HeldOut;
use super::job::Job;
use super::prepared::Prepared;
use super::subject::{Measurement, Subject};
use super::unlabeled::Unlabeled;
use super::unwanted::Unwanted;
use super::{Before, Clock, Corrections, choose_samples, survey};
use crate::data::DataSet;
use crate::engine::Engine;
use crate::error::Error;
use crate::evidence::{Forward, Shard};
use crate::layers::Ledger;
use crate::linalg::Alpha;
use crate::model::{Classifier, GraphIndex, Model, WeightPatch};
use crate::partial::WorkFolder;
use crate::progress::Observer;
use crate::report::RoundReport;
use crate::search::{AlphaChoice, Outcomes, Verdict};

/// Half-decades by which a given α is larger in the next round.
const RAISED: i32 = 2;

/// What rounds work on.
pub(super) struct Rounds<'a> {
    pub(super) job: &'a Job,
    pub(super) model: &'a Model,
    /// How the model is fed and read, with the link of its scores settled.
    pub(super) classifier: &'a Classifier,
    pub(super) data: &'a Prepared,
    pub(super) unlabeled: Option<&'a Unlabeled>,
    pub(super) engine: &'a dyn Engine,
    pub(super) work: Option<&'a WorkFolder>,
}

/// Refuses rounds that could not be compared, or not be put together.
///
/// # Errors
/// [`Error::Usage`].
pub(super) fn check(job: &Job, held_out: &HeldOut<'_>, ledger: &Ledger) -> Result<(), Error> {
    if job.variant.rounds < 2 {
        return Ok(());
    }
    if held_out.is_perturbed() && job.chooses() {
        let reason = "--rounds compares each round with the one before, and which labels of perturbed images to believe is settled once";
        return Err(Error::Usage(format!("{reason}; give held-out data with --val SPEC, or one value of --alpha")));
    }
    match ledger.layers.iter().find(|layer| !layer.copies.is_empty()) {
        Some(layer) => Err(Error::Usage(format!(
            "weight {} gets a copy for some of its readers, which --rounds cannot follow; use --on-shared sum or --exclude it",
            layer.weight.name
        ))),
        None => Ok(()),
    }
}

impl Rounds<'_> {
    /// Goes on after the first round, and tells of every one; of a single round there is nothing to tell. `original`: how the
    /// original does on the validation data.
    ///
    /// # Errors
    /// Those of a run.
    pub(super) fn after(
        &self,
        (first, choice): (Decided, &Choice),
        original: &Outcomes,
        held_out: &mut HeldOut<'_>,
        clock: &mut Clock,
        observer: &dyn Observer,
    ) -> Result<(Decided, Vec<RoundReport>), Error> {
        let (mut best, mut told) = (first, Vec::new());
        if self.job.variant.rounds < 2 {
            return Ok((best, told));
        }
        told.push(self.told(&best, choice));
        let mut job = self.job.clone();
        for round in 2..=self.job.variant.rounds {
            if best.verdict == Verdict::NotBetter {
                break;
            }
            job.alpha = raised(&job);
            observer.note(&format!("round {round}"));
            let (next, choice) = self.round((round, &job), &best.patches, held_out, clock, observer)?;
            told.push(self.told(&next, &choice));
            if next.verdict == Verdict::NotBetter {
                observer
                    .note(&format!("round {round} finds nothing better, so that the model of the one before stays"));
                break;
            }
            best = Decided {
                patches: together(best.patches, next.patches),
                advantage: next.found.chosen().outcomes.advantage(original),
                original: best.original,
                verdict: best.verdict,
                ..next
            };
        }
        Ok((best, told))
    }

    /// A round over the model with those patches.
    fn round(
        &self,
        (number, job): (usize, &Job),
        patches: &[WeightPatch],
        held_out: &mut HeldOut<'_>,
        clock: &mut Clock,
        observer: &dyn Observer,
    ) -> Result<(Decided, Choice), Error> {
        let Self { model, classifier, data, unlabeled, engine, .. } = *self;
        let made = Candidates::new(model, classifier, engine, &job.output).make(patches)?;
        let corrected = Model::decode(model.path(), made.folder.clone(), made.bytes.clone())?;
        let graph = GraphIndex::new(&corrected)?;
        let ledger = survey(job, &graph, classifier)?;
        let work = self.work.map(|work| WorkFolder::open(&work.file(&format!("round-{number}")))).transpose()?;
        let (batch, limit) = (job.runner.batch, job.limit);
        let subject = Subject { graph: &graph, data, engine, batch, limit, work: work.as_ref() };
        let mut forward = Forward::load(engine, classifier, corrected.bytes(), corrected.folder())?;
        let (choice, unwanted) = choose_samples(job, &subject, &mut forward, None, observer)?;
        clock.lap("score");
        let Before { validation, test, .. } = Before::of(forward, held_out, observer)?;
        clock.lap("before");
        let layers = ledger.layers.as_slice();
        let trusted = unlabeled.map_or(&choice.trusted, |unlabeled| &unlabeled.samples);
        let (rows, precision, seed) = (job.rows, job.precision(), job.seed);
        let measurement = Measurement { layers, trusted, shard: Shard::WHOLE, rows, precision, seed };
        let measured = Subject { data: unlabeled.map_or(data, |unlabeled| &unlabeled.data), ..subject };
        let moments = measured.moments(classifier, &measurement, None, None, observer)?;
        let of_unwanted = |unwanted: &Unwanted| unwanted.moments(&subject, classifier, &measurement, observer);
        let of_unwanted = unwanted.as_ref().map(of_unwanted).transpose()?;
        clock.lap("moments");
        let (threads, moments) = (rayon::current_num_threads(), (Some(moments), of_unwanted));
        let Corrections { family, .. } = Corrections::prepare(job, (&corrected, layers), moments, threads, observer)?;
        clock.lap("solve");
        let (family, choice_of) = (family.as_ref(), &choice);
        let decision = Decision { job, subject, classifier, layers, choice: choice_of, family };
        let decided = decision.decide((&validation, test.as_ref()), held_out, clock, observer)?;
        Ok((decided, choice))
    }

    fn told(&self, decided: &Decided, choice: &Choice) -> RoundReport {
        let set: &dyn DataSet = self.data.set.as_ref();
        let validation = decided.found.chosen().validation.judged();
        RoundReport {
            recipe: decided.recipe().clone(),
            verdict: decided.verdict,
            val_accuracy: validation.map(|quality| quality.accuracy),
            test_accuracy: decided.tested.as_ref().map(|scores| scores.quality().accuracy),
            trusted: choice.trusted.samples.iter().map(|&sample| set.id(sample)).collect(),
        }
    }
}

/// The strengths of the next round: given ones of the space to retain are ten times as large.
fn raised(job: &Job) -> AlphaChoice {
    let larger = |alpha: &Alpha| alpha.raised(RAISED);
    match &job.alpha {
        alpha if !job.variant.projection.retains() => alpha.clone(),
        AlphaChoice::Auto { budget } => AlphaChoice::Auto { budget: *budget },
        AlphaChoice::One(alpha) => AlphaChoice::One(larger(alpha)),
        AlphaChoice::Grid(grid) => AlphaChoice::Grid(grid.iter().map(larger).collect()),
    }
}

/// What both leave, one after the other: what the second one does not patch stays as the first one left it.
fn together(first: Vec<WeightPatch>, second: Vec<WeightPatch>) -> Vec<WeightPatch> {
    let mut patches = first;
    for patch in second {
        match patches.iter_mut().find(|old| old.constant.place == patch.constant.place) {
            Some(old) => old.values = patch.values,
            None => patches.push(patch),
        }
    }
    patches
}
