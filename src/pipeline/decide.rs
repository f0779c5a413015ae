//! Which candidate: strengths are searched, refinements tried on the best, and the chosen one judged on the test data.

use super::clock::Clock;
use super::held_out::HeldOut;
use super::job::Job;
use super::prepared::Prepared;
use super::refine::Refinements;
use super::refinery::{Place, Refinery};
use super::trials::Trials;
use crate::engine::Engine;
use crate::error::Error;
use crate::evidence::Scores;
use crate::layers::Layer;
use crate::methods::Family;
use crate::model::{Classifier, GraphIndex, WeightPatch};
use crate::progress::Observer;
use crate::refine::{HeadLayer, Recipe};
use crate::search::{Outcomes, Search, Verdict, search};

/// What candidates are made from, and what they are compared on.
pub(super) struct Decision<'a> {
    pub(super) job: &'a Job,
    pub(super) graph: &'a GraphIndex<'a>,
    pub(super) classifier: &'a Classifier,
    pub(super) engine: &'a dyn Engine,
    pub(super) layers: &'a [Layer],
    pub(super) data: &'a Prepared,
    /// The training samples that can be used.
    pub(super) usable: &'a [usize],
    pub(super) held_out: &'a HeldOut<'a>,
    pub(super) family: &'a dyn Family,
}

/// The candidate that was chosen.
pub(super) struct Decided {
    pub(super) found: Search,
    pub(super) verdict: Verdict,
    pub(super) patches: Vec<WeightPatch>,
    /// On the test data, where there is any.
    pub(super) tested: Option<Scores>,
}

impl Decided {
    /// What the chosen candidate is made of.
    pub(super) fn recipe(&self) -> &Recipe {
        &self.found.chosen().recipe
    }
}

impl Decision<'_> {
    /// Decides. `original`: how the original does on the validation data.
    ///
    /// # Errors
    /// Those of data, engine and method; a refinement that was asked for and cannot be had.
    pub(super) fn decide(
        &self,
        original: &Scores,
        clock: &mut Clock,
        observer: &dyn Observer,
    ) -> Result<Decided, Error> {
        let Self { job, classifier, layers, held_out, .. } = *self;
        let head = HeadLayer::find(self.graph, classifier, layers);
        let refinery = Refinery::new(self.place(), head.as_ref().ok().copied());
        let refinements = Refinements::settle(job, &refinery, head.err().as_deref(), held_out, observer)?;
        let mut trials = Trials::new(self.family, refinery, clock);
        observer.begin("candidates", job.alpha.expected() * held_out.validation_samples(), "samples");
        let mut found = search(&job.alpha, refinements.plainest(), |recipe, enough| -> Result<Scores, Error> {
            trials.with(recipe, observer, |forward| held_out.validate_until(forward, observer, enough))
        })?;
        observer.end();
        refinements.apply(job, &mut found, &mut trials, held_out, observer)?;
        let recipe = found.chosen().recipe;
        if recipe.head.is_refit() {
            // Its head was judged beside the model, in float64: what counts is the model with what it can hold of it.
            observer.begin("chosen head", held_out.validation_samples(), "samples");
            let scores = trials.with(&recipe, observer, |forward| held_out.validate(forward, observer))?;
            observer.end();
            found.judge_anew(&scores);
        }
        let tested = match held_out.test_samples() {
            0 => None,
            samples => trials.with(&recipe, observer, |forward| {
                observer.begin("test data", samples, "samples");
                let tested = held_out.test(forward, observer);
                observer.end();
                tested
            })?,
        };
        let patches = trials.into_patches(&recipe, observer)?;
        let verdict = found.verdict(&job.alpha, &Outcomes::of(original));
        Ok(Decided { found, verdict, patches, tested })
    }

    fn place(&self) -> Place<'_> {
        let Self { job, graph, classifier, engine, layers, data, usable, .. } = *self;
        let (model, batch, seed, out) = (graph.model(), job.runner.batch, job.seed, job.output.as_path());
        Place { model, classifier, engine, layers, data, usable, batch, seed, out }
    }
}
