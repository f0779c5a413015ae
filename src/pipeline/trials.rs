//! Candidates one after the other. The latest stays loaded: what was tried last is often what is asked for next.

use super::candidate::{Candidate, Made};
use super::clock::Clock;
use super::refinery::Refinery;
use super::remember::Forgotten;
use crate::error::Error;
use crate::evidence::Forward;
use crate::layers::Layer;
use crate::methods::{Family, Strengths};
use crate::model::WeightPatch;
use crate::progress::Observer;
use crate::refine::{Head, Recipe};

/// The corrections of a family as models that run.
pub(super) struct Trials<'a> {
    family: &'a dyn Family,
    refinery: Refinery<'a>,
    clock: &'a mut Clock,
    latest: Option<Trial>,
    /// Corrections that went on from others, by what they are made of.
    tuned: Vec<(Recipe, Vec<WeightPatch>)>,
}

struct Trial {
    recipe: Recipe,
    patches: Vec<WeightPatch>,
    candidate: Candidate,
}

impl<'a> Trials<'a> {
    /// Those of `family`; nothing is made yet. The clock tells making them from using them.
    pub(super) fn new(family: &'a dyn Family, refinery: Refinery<'a>, clock: &'a mut Clock) -> Self {
        Self { family, refinery, clock, latest: None, tuned: Vec::new() }
    }

    /// The time since the last lap is that of a phase.
    pub(super) fn lap(&mut self, phase: &'static str) {
        self.clock.lap(phase);
    }

    /// What the head of a recipe has forgotten, where it has.
    pub(super) fn forgotten(&self, recipe: &Recipe) -> Option<&Forgotten> {
        self.refinery.forgotten(recipe)
    }

    /// How strongly a recipe corrects each layer.
    pub(super) fn strengths(&self, recipe: &Recipe) -> Strengths {
        let layers = self.refinery.layers();
        let of_layer = |layer: &Layer| Some(recipe.strength.as_ref()?.of(&layer.weight.name));
        let all: Strengths = layers.iter().map(of_layer).collect();
        match (recipe.head, self.refinery.head.as_ref()) {
            (Head::Kept | Head::Refit { .. }, Some(head)) => all.keeping(head.index),
            _ => all,
        }
    }

    /// Uses the candidate of that recipe.
    ///
    /// # Errors
    /// Those of making, of loading, and of using it.
    pub(super) fn with<T>(
        &mut self,
        recipe: &Recipe,
        observer: &dyn Observer,
        used: impl FnOnce(&mut Forward) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // One that is not asked for goes before the next is made, which would need as much memory again.
        let kept = self.latest.take().filter(|trial| trial.recipe == *recipe);
        let trial = match kept {
            Some(trial) => trial,
            None => self.trial(recipe, observer)?,
        };
        used(&mut self.latest.insert(trial).candidate.forward)
    }

    /// The correction of that recipe.
    ///
    /// # Errors
    /// Those of making it.
    pub(super) fn into_patches(mut self, recipe: &Recipe, observer: &dyn Observer) -> Result<Vec<WeightPatch>, Error> {
        match self.latest.take().filter(|trial| trial.recipe == *recipe) {
            Some(trial) => Ok(trial.patches),
            None => self.correction(recipe, observer),
        }
    }

    /// Lets heads compete on the features of one correction. `judge` is shown what runs the candidates.
    ///
    /// # Errors
    /// Those of making, of loading and of `judge`.
    pub(super) fn refine<T>(
        &mut self,
        base: &Recipe,
        observer: &dyn Observer,
        judge: impl FnOnce(&mut Refinery<'a>, &[WeightPatch]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.latest = None;
        let patches = self.correction(&Recipe { head: Head::Projected, ..base.clone() }, observer)?;
        let judged = judge(&mut self.refinery, &patches)?;
        self.clock.lap("refine");
        Ok(judged)
    }

    /// The weights of that recipe.
    ///
    /// # Errors
    /// Those of making them.
    pub(super) fn patches_of(&mut self, recipe: &Recipe, observer: &dyn Observer) -> Result<Vec<WeightPatch>, Error> {
        match &self.latest {
            Some(trial) if trial.recipe == *recipe => Ok(trial.patches.clone()),
            _ => self.correction(recipe, observer),
        }
    }

    /// The model with those weights.
    ///
    /// # Errors
    /// What cannot be written.
    pub(super) fn make(&self, patches: &[WeightPatch]) -> Result<Made, Error> {
        self.refinery.candidates.make(patches)
    }

    /// The same, ready to run.
    ///
    /// # Errors
    /// Those of making and of loading it.
    pub(super) fn load(&mut self, patches: &[WeightPatch]) -> Result<Candidate, Error> {
        self.latest = None;
        self.refinery.candidates.load(patches, self.clock)
    }

    /// Keeps what went on from a correction.
    pub(super) fn keep(&mut self, recipe: Recipe, patches: Vec<WeightPatch>) {
        self.tuned.push((recipe, patches));
    }

    fn trial(&mut self, recipe: &Recipe, observer: &dyn Observer) -> Result<Trial, Error> {
        let patches = self.correction(recipe, observer)?;
        let candidate = self.refinery.candidates.load(&patches, self.clock)?;
        Ok(Trial { recipe: recipe.clone(), patches, candidate })
    }

    fn correction(&mut self, recipe: &Recipe, observer: &dyn Observer) -> Result<Vec<WeightPatch>, Error> {
        if let Some((_, patches)) = self.tuned.iter().find(|(tuned, _)| tuned == recipe) {
            return Ok(patches.clone());
        }
        self.clock.lap("search");
        let mut patches = self.family.correction(&self.strengths(recipe))?;
        self.clock.lap("project");
        if recipe.recalibrated {
            self.refinery.recalibrate(&mut patches, observer)?;
        }
        self.refinery.set_head(recipe, &mut patches)?;
        self.clock.lap("refine");
        Ok(patches)
    }
}

#[cfg(test)]
mod tests {
    use super::super::prepared::Prepared;
    use super::super::refinery::Place;
    use super::*;
    use crate::data::{Preprocessing, Spec};
    use crate::engine::tract::TractEngine;
    use crate::layers::{Ledger, Selection};
    use crate::linalg::Alpha;
    use crate::methods::{LayerFacts, MethodError};
    use crate::model::{Classifier, GraphIndex, Interface, Model};
    use crate::progress::Silent;
    use crate::refine::HeadLayer;
    use crate::tensor::{ElementType, NamedTensor, Tensor};
    use ndarray::{ArrayD, IxDyn};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Multiplies every weight by its strength, and counts how often.
    struct Scaled {
        weights: Vec<WeightPatch>,
        made: AtomicUsize,
    }

    impl Family for Scaled {
        fn correction(&self, strengths: &Strengths) -> Result<Vec<WeightPatch>, MethodError> {
            self.made.fetch_add(1, Ordering::Relaxed);
            let scaled = |(layer, weight): (usize, &WeightPatch)| {
                let strength = strengths.of(layer).map_or(1.0, Alpha::get);
                WeightPatch { values: &weight.values * strength, ..weight.clone() }
            };
            Ok(self.weights.iter().enumerate().map(scaled).collect())
        }

        fn facts(&self) -> &[LayerFacts] {
            &[]
        }
    }

    #[test]
    fn a_candidate_is_made_once_in_a_row_and_never_taken_for_another() {
        let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/weights-everywhere");
        let model = Model::open(&fixtures.join("external-data.onnx")).unwrap();
        let graph = GraphIndex::new(&model).unwrap();
        let classifier = Classifier::of(&graph, &Interface::default()).unwrap();
        let ledger = Ledger::survey(&graph, &Selection::default()).unwrap();
        let weight = |constant| WeightPatch {
            values: model.values(constant).unwrap(),
            constant: constant.clone(),
            copies: Vec::new(),
        };
        let weights = ledger.layers.iter().map(|layer| weight(&layer.weight)).collect();
        let family = Scaled { weights, made: AtomicUsize::new(0) };
        let spec = Spec::parse(&format!("npz:{}", fixtures.join("data.npz").display()), &fixtures).unwrap();
        let data = Prepared::open(&spec, &Preprocessing::default(), &classifier, &Silent).unwrap();
        let (engine, folder) = (TractEngine::new(), tempfile::tempdir().unwrap());
        let (out, usable) = (folder.path().join("out.onnx"), data.all());
        let place = Place {
            model: &model,
            classifier: &classifier,
            engine: &engine,
            layers: &ledger.layers,
            data: &data,
            usable: &usable,
            forgetting: None,
            batch: None,
            seed: 0,
            out: &out,
        };
        let head = HeadLayer::find(&graph, &classifier, &ledger.layers).unwrap();
        let ramp = ArrayD::from_shape_fn(IxDyn(&[3, 1, 8, 8]), |at| (at[0] * 31 + at[2] * 7 + at[3]) as f32 / 64.0);
        let tensor = Tensor::from_f32(&ramp, ElementType::Float32);
        let batch = [NamedTensor { name: classifier.data[0].name.clone(), tensor }];
        let mut clock = Clock::default();
        let mut trials = Trials::new(&family, Refinery::new(place, Some(head)), &mut clock);
        let mut scores = |recipe: &Recipe| trials.with(recipe, &Silent, |forward| Ok(forward.scores(&batch)?)).unwrap();
        let [half, double] = [0.5, 2.0].map(|alpha| Recipe::plain(Alpha::new(alpha).unwrap()));
        let first = scores(&half);
        assert_eq!(scores(&half), first);
        assert_eq!(family.made.load(Ordering::Relaxed), 1, "it was at hand");
        assert_ne!(scores(&double), first);
        assert_eq!(scores(&half), first);
        assert_ne!(scores(&Recipe { head: Head::Kept, ..half.clone() }), first);
        assert_ne!(scores(&Recipe { recalibrated: true, ..half.clone() }), first);
        assert_eq!(family.made.load(Ordering::Relaxed), 5);
        let kept = trials.into_patches(&Recipe { head: Head::Kept, ..double }, &Silent).unwrap();
        assert_eq!(family.made.load(Ordering::Relaxed), 6);
        let last = kept.len() - 1;
        assert_eq!(kept[0].values, &family.weights[0].values * 2.0);
        assert_eq!(kept[last].values, family.weights[last].values);
    }
}
