//! Which candidate: strengths are searched, refinements tried on the best, and the chosen one judged on the test data.

use super::choose::Choice;
use super::clock::Clock;
use super::figures::Gathering;
use super::held_out::HeldOut;
use super::job::Job;
use super::refine::Refinements;
use super::refinery::{Place, Refinery};
use super::subject::Subject;
use super::trials::Trials;
use crate::error::Error;
use crate::evidence::{Beliefs, Forward, Quality, Scores};
use crate::layers::Layer;
use crate::methods::Family;
use crate::model::{Classifier, WeightPatch};
use crate::progress::Observer;
use crate::refine::{HeadLayer, Recipe};
use crate::report::figures::Figures;
use crate::report::{ForgottenReport, Held};
use crate::search::{Advantage, AlphaChoice, Outcomes, Search, Verdict, search, search_by_layer, usual_strength};

/// Passes over perturbed images that finding corrections to doubt their labels by may take.
const BELIEF_PASSES: f64 = 4.0;

/// By how much less accurate than the best a correction may be to be among those.
const COMMITTEE: f64 = 0.03;

/// What candidates are made from.
pub(super) struct Decision<'a> {
    pub(super) job: &'a Job,
    pub(super) subject: Subject<'a>,
    pub(super) classifier: &'a Classifier,
    pub(super) layers: &'a [Layer],
    /// Which training samples can be used, and which are trusted.
    pub(super) choice: &'a Choice,
    pub(super) family: &'a dyn Family,
}

/// The candidate that was chosen.
pub(super) struct Decided {
    pub(super) found: Search,
    pub(super) verdict: Verdict,
    pub(super) patches: Vec<WeightPatch>,
    /// On the test data, where there is any.
    pub(super) tested: Option<Scores>,
    /// How the original does on what candidates were compared on in the end.
    pub(super) original: Quality,
    /// Of the chosen candidate over the original.
    pub(super) advantage: Advantage,
    /// What a page shows of it, where one is asked for.
    pub(super) figures: Option<Figures>,
    /// What its last layer has forgotten, where it has.
    pub(super) forgotten: Option<ForgottenReport>,
}

impl Decided {
    /// The original, which does so on the test data, and the chosen candidate on held-out data.
    pub(super) fn held(&self, test: Option<&Scores>) -> (Held, Held) {
        let before = Held { validation: self.original.judged(), test: test.map(Scores::quality) };
        let tested = self.tested.as_ref().map(Scores::quality);
        (before, Held { validation: self.found.chosen().validation.judged(), test: tested })
    }

    /// What the chosen candidate is made of.
    pub(super) fn recipe(&self) -> &Recipe {
        &self.found.chosen().recipe
    }
}

impl Decision<'_> {
    /// Decides. `original`: how the original does on the validation data, and on the test data where there is any.
    ///
    /// # Errors
    /// Those of data, engine and method; a refinement that was asked for and cannot be had.
    pub(super) fn decide(
        &self,
        (original, test): (&Scores, Option<&Scores>),
        held_out: &mut HeldOut<'_>,
        clock: &mut Clock,
        observer: &dyn Observer,
    ) -> Result<Decided, Error> {
        let Self { job, classifier, layers, .. } = *self;
        let head = HeadLayer::find(self.subject.graph, classifier, layers);
        let refinery = Refinery::new(self.place(), head.as_ref().ok().copied());
        let refinements = Refinements::settle(job, &refinery, head.err().as_deref(), held_out, observer)?;
        let mut trials = Trials::new(self.family, refinery, clock);
        let corrects_layers = job.method.of_layers().is_some();
        let alpha = if held_out.is_missing() { self.unjudged(observer) } else { job.alpha.clone() };
        let believed = match alpha {
            AlphaChoice::Auto { .. } | AlphaChoice::Grid(_) if held_out.is_perturbed() && corrects_layers => {
                Some(self.believe(original, &refinements, held_out, &mut trials, observer)?)
            }
            _ => None,
        };
        let (original, held_out) = (believed.as_ref().unwrap_or(original), &*held_out);
        let mut found = if corrects_layers {
            observer.begin("candidates", alpha.expected() * held_out.validation_samples(), "samples");
            let found = search(&alpha, refinements.plainest(), |recipe, enough| -> Result<Scores, Error> {
                trials.with(recipe, observer, |forward| held_out.validate_until(forward, observer, enough))
            })?;
            observer.end();
            found
        } else {
            Search::of_original(original)
        };
        if job.alpha_per_layer {
            let weights: Vec<&str> = layers.iter().map(|layer| layer.weight.name.as_str()).collect();
            observer.begin("layers", 2 * weights.len() * held_out.validation_samples(), "samples");
            search_by_layer(&mut found, &weights, |recipe, enough| -> Result<Scores, Error> {
                trials.with(recipe, observer, |forward| held_out.validate_until(forward, observer, enough))
            })?;
            observer.end();
        }
        if corrects_layers || job.forgetting.is_some() {
            refinements.apply(&mut found, &mut trials, held_out, observer)?;
        }
        if found.verdict(job.chooses(), &Outcomes::of(original)) == Verdict::Better {
            refinements.reconsider(&mut found, &mut trials, held_out, observer)?;
        }
        let recipe = found.chosen().recipe.clone();
        if recipe.head.is_computed() {
            // Its head was judged beside the model, in float64: what counts is the model with what it can hold of it.
            observer.begin("chosen head", held_out.validation_samples(), "samples");
            let scores = trials.with(&recipe, observer, |forward| held_out.validate(forward, observer))?;
            observer.end();
            found.judge_anew(&scores);
        }
        let mut forgotten = None;
        if let Some(tuning) = &job.tuning {
            if found.verdict(true, &Outcomes::of(original)) == Verdict::NotBetter && corrects_layers {
                observer.note("the correction is no better than the original, which is tuned in its place");
                found.back_to_original(original);
            }
            forgotten = match self.tune(tuning, (&mut found, &Outcomes::of(original)), &mut trials, held_out, observer)
            {
                Err(Error::Autodiff(why)) if tuning.optional => {
                    observer.warn(&format!("the model does not go on learning: {why}"));
                    None
                }
                tuned => tuned?,
            };
        }
        let recipe = found.chosen().recipe.clone();
        let tested = match held_out.test_samples() {
            0 => None,
            samples => trials.with(&recipe, observer, |forward| {
                observer.begin("test data", samples, "samples");
                let tested = held_out.test(forward, observer);
                observer.end();
                tested
            })?,
        };
        let test = test.zip(tested.as_ref());
        let figures = self.figures(&recipe, (original, test), held_out, &mut trials, observer)?;
        let in_head = job.forgetting.as_ref().zip(trials.forgotten(&recipe));
        let in_head = in_head.map(|(job, found)| job.report(recipe.head, self.subject.data.set.as_ref(), found));
        let forgotten = forgotten.or(in_head);
        let patches = trials.into_patches(&recipe, observer)?;
        let (outcomes, original) = (Outcomes::of(original), original.quality());
        let verdict = if held_out.is_missing() { Verdict::Unjudged } else { found.verdict(job.chooses(), &outcomes) };
        let advantage = found.chosen().outcomes.advantage(&outcomes);
        Ok(Decided { found, verdict, patches, tested, original, advantage, figures, forgotten })
    }

    /// What a page shows of the chosen candidate, where one is asked for. `test`: the original and it on the test data.
    fn figures(
        &self,
        recipe: &Recipe,
        (validation, test): (&Scores, Option<(&Scores, &Scores)>),
        held_out: &HeldOut<'_>,
        trials: &mut Trials<'_>,
        observer: &dyn Observer,
    ) -> Result<Option<Figures>, Error> {
        let Self { job, subject: Subject { data, .. }, choice, layers, .. } = *self;
        let Some(page) = &job.page else { return Ok(None) };
        trials.lap("search");
        let (facts, strengths) = (self.family.facts(), trials.strengths(recipe));
        let gathering = Gathering { job, data, held_out, choice, layers, facts, strengths, validation, test };
        let figures = trials.with(recipe, observer, |forward| gathering.figures(page, forward, observer))?;
        trials.lap("figures");
        Ok(Some(figures))
    }

    /// What is applied where there is nothing to compare candidates on.
    fn unjudged(&self, observer: &dyn Observer) -> AlphaChoice {
        let alpha = match self.job.alpha {
            AlphaChoice::One(alpha) => alpha,
            AlphaChoice::Auto { .. } | AlphaChoice::Grid(_) => usual_strength(),
        };
        let correction = match self.job.method.of_layers() {
            Some(_) => format!("a correction of α = {alpha}"),
            None => "a last layer that has forgotten".to_owned(),
        };
        observer.warn(&format!(
            "there is nothing to compare models on: {correction} is applied unjudged, and the result may be worse than the \
             original; give held-out data with --val SPEC, or --layout where samples are images"
        ));
        AlphaChoice::One(alpha)
    }

    /// Settles which labels of perturbed training images to believe, by corrections that are as good as the best as far as given
    /// labels tell, and returns how the original does on them.
    fn believe(
        &self,
        original: &Scores,
        refinements: &Refinements,
        held_out: &mut HeldOut<'_>,
        trials: &mut Trials<'_>,
        observer: &dyn Observer,
    ) -> Result<Scores, Error> {
        let Self { job, subject: Subject { graph, engine, .. }, classifier, .. } = *self;
        let choice = match &job.alpha {
            AlphaChoice::Auto { .. } => AlphaChoice::Auto { budget: BELIEF_PASSES },
            given => given.clone(),
        };
        let samples = held_out.validation_samples();
        observer.begin("labels to believe", choice.expected() * samples, "samples");
        let found = search(&choice, refinements.plainest(), |recipe, enough| -> Result<Scores, Error> {
            trials.with(recipe, observer, |forward| held_out.validate_until(forward, observer, enough))
        })?;
        observer.end();
        let committee = found.near_the_best(COMMITTEE);
        observer.begin("labels to believe", (committee.len() + 1) * samples, "samples");
        let mut corrections = Vec::new();
        for recipe in &committee {
            corrections.push(trials.with(recipe, observer, |forward| held_out.unperturbed(forward, observer))?);
        }
        let beliefs = Beliefs::of(&corrections, original, job.seed);
        observer.note(&format!(
            "corrections do not predict {} of {samples} labels; {:.0} % of those are taken for wrong",
            beliefs.doubted,
            100.0 * beliefs.wrong
        ));
        held_out.believe(beliefs);
        let model = graph.model();
        let mut forward = Forward::load(engine, classifier, model.bytes(), model.folder())?;
        let original = held_out.validate(&mut forward, observer)?;
        observer.end();
        Ok(original)
    }

    fn place(&self) -> Place<'_> {
        let Self { job, subject: Subject { graph, engine, data, .. }, classifier, layers, choice, .. } = *self;
        let usable = choice.usable.as_slice();
        let (model, batch, seed, out) = (graph.model(), job.runner.batch, job.seed, job.output.as_path());
        let forgetting = job.forgetting.as_ref();
        Place { model, classifier, engine, layers, data, usable, forgetting, batch, seed, out }
    }
}
