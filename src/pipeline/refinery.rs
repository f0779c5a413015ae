//! The parts of a candidate for which models must run: statistics for recalibration, features for new heads.

use super::candidate::{Candidates, Made};
use super::forget::Forgetting;
use super::held_out::{HeldOut, drawn};
use super::prepared::Prepared;
use super::remember::{Forgotten, Remembering};
use super::twins::Twins;
use crate::data::Perturbation;
use crate::engine::Engine;
use crate::error::Error;
use crate::evidence::{Channels, ClassMoments, Folds, Forward, Observation, Observed, Scores, class_moments};
use crate::layers::Layer;
use crate::model::{Classifier, Model, WeightPatch};
use crate::progress::Observer;
use crate::refine::{Contest, Entrant, Head, HeadLayer, LinearHead, Recalibration, Recipe, head_fit};
use crate::search::{Candidate, Contrast, Pair};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// Samples over which outputs are compared: each has many positions, and a deviation needs no more.
const RECALIBRATION_SAMPLES: usize = 1500;

/// Batches of fewer samples do not tell a deviation.
const SMALLEST_BATCH: usize = 16;

/// Before, engines do not compare float64 numbers.
const OLDEST_OPSET: i64 = 8;

/// Samples that a head is fitted to at most, and for each class: its few parameters need no more.
const HEAD_SAMPLES: (usize, usize) = (20_000, 100);

/// The same where samples are large, so that running the network over them takes hours.
const LARGE_HEAD_SAMPLES: (usize, usize) = (5000, 20);

/// Into so many parts training samples are divided where heads are fitted to them and judged on them.
const FOLDS: usize = 4;

/// What runs models for refinements.
pub(super) struct Refinery<'a> {
    place: Place<'a>,
    pub(super) candidates: Candidates<'a>,
    /// The layer that gives the class scores, where a closed form can take its place.
    pub(super) head: Option<HeadLayer<'a>>,
    /// The outputs of the original's layers.
    original: Option<Vec<Channels>>,
    /// Heads that were computed.
    computed: Vec<Computed>,
}

/// A head that was computed for a candidate.
struct Computed {
    recipe: Recipe,
    head: LinearHead,
    /// What it has forgotten, where it has.
    forgotten: Option<Rc<Forgotten>>,
}

/// What a refinery works on.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) model: &'a Model,
    pub(super) classifier: &'a Classifier,
    pub(super) engine: &'a dyn Engine,
    pub(super) layers: &'a [Layer],
    pub(super) data: &'a Prepared,
    /// The training samples that can be used.
    pub(super) usable: &'a [usize],
    pub(super) forgetting: Option<&'a Forgetting>,
    pub(super) batch: Option<usize>,
    pub(super) seed: u64,
    pub(super) out: &'a Path,
}

impl<'a> Refinery<'a> {
    pub(super) fn new(place: Place<'a>, head: Option<HeadLayer<'a>>) -> Self {
        let candidates = Candidates::new(place.model, place.classifier, place.engine, place.out);
        Self { place, candidates, head, original: None, computed: Vec::new() }
    }

    /// The layers of the correction.
    pub(super) fn layers(&self) -> &'a [Layer] {
        self.place.layers
    }

    /// Why no layer can be recalibrated.
    pub(super) fn cannot_recalibrate(&self) -> Option<String> {
        if self.recalibrated().next().is_none() {
            return Some("the outputs of no layer can be seen and scaled".to_owned());
        }
        if self.place.model.opset() < OLDEST_OPSET {
            return Some(format!(
                "its nodes need opset {OLDEST_OPSET}, and the model has {}",
                self.place.model.opset()
            ));
        }
        let batch = self.recalibration_batch();
        (batch < SMALLEST_BATCH)
            .then(|| format!("deviations need {SMALLEST_BATCH} samples at once, and the model runs on {batch}"))
    }

    /// The layers that are recalibrated: all that can be observed but the head.
    fn recalibrated(&self) -> impl Iterator<Item = (usize, &'a Layer)> + use<'a> {
        let (layers, scores) = (self.place.layers, self.place.classifier.head.value.clone());
        let head = self.head.map(|head| head.index);
        let observable = move |layer: &Layer| layer.output.as_ref().is_some_and(|output| output.value.name != scores);
        layers.iter().enumerate().filter(move |(index, layer)| Some(*index) != head && observable(layer))
    }

    fn recalibration_batch(&self) -> usize {
        let batch = self.place.data.batch(self.place.batch);
        if self.place.classifier.batch.is_some() { batch } else { batch.min(self.place.usable.len()) }
    }

    /// Gives the layers of a correction the means and deviations of the original's.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn recalibrate(&mut self, patches: &mut Vec<WeightPatch>, observer: &dyn Observer) -> Result<(), Error> {
        let batch = self.recalibration_batch();
        let mut samples = drawn(self.place.usable, RECALIBRATION_SAMPLES.max(batch), self.place.seed);
        samples.truncate(samples.len() / batch * batch);
        let observation = Observation {
            engine: self.place.engine,
            classifier: self.place.classifier,
            stream: self.place.data.stream(None),
            samples: &samples,
            batch,
        };
        let layers: Vec<(usize, &Layer)> = self.recalibrated().collect();
        let outputs = |layer: &'a Layer, target| {
            layer.output.as_ref().map(|output| Observed { output, element: layer.sites[0].element, target })
        };
        if self.original.is_none() {
            let all: Vec<Observed<'_>> = layers.iter().filter_map(|(_, layer)| outputs(layer, None)).collect();
            observer.begin("statistics", samples.len(), "samples");
            let found = observation.of(self.place.model, &all, observer)?;
            observer.end();
            self.original = Some(found);
        }
        let original = self.original.iter().flatten();
        let mut recalibrations = Vec::new();
        for (of_layer, original) in layers.iter().zip(original) {
            recalibrations.extend(Recalibration::of(self.place.model, *of_layer, original.clone())?);
        }
        let Made { bytes, folder, .. } = &self.candidates.make(patches)?;
        let corrected = Model::decode(self.place.model.path(), folder.clone(), bytes.clone())?;
        let all: Vec<Observed<'_>> = recalibrations
            .iter()
            .filter_map(|recalibration| outputs(recalibration.layer, Some(recalibration.target())))
            .collect();
        observer.begin("recalibrating", samples.len(), "samples");
        let found = observation.of(&corrected, &all, observer)?;
        observer.end();
        for (recalibration, found) in recalibrations.iter().zip(&found) {
            recalibration.apply(self.place.model, found, patches)?;
        }
        Ok(())
    }

    /// Lets heads compete on the features of a correction, of which `patches` are those with its projected head.
    ///
    /// # Errors
    /// Those of data and engine; a head that cannot be fitted.
    pub(super) fn compete(
        &mut self,
        base: &Recipe,
        heads: &[Head],
        patches: &[WeightPatch],
        held_out: &HeldOut<'_>,
        observer: &dyn Observer,
    ) -> Result<Vec<(Recipe, Scores)>, Error> {
        let Some(head_layer) = self.head else { return Ok(Vec::new()) };
        let Made { bytes, folder, .. } = &self.candidates.make(patches)?;
        let place = (bytes, folder.as_path());
        let mut forward = Forward::reading(head_layer.features(), self.place.engine, self.place.classifier, place)?;
        let mut moments = BTreeMap::new();
        for head in heads {
            if let Head::Refit { shifted, .. } = head
                && !moments.contains_key(shifted)
            {
                let classes = (head_layer.classes(), Folds::ONE);
                moments.insert(*shifted, self.class_moments(classes, &mut forward, *shifted, observer)?.swap_remove(0));
            }
        }
        let mut remembering = Remembering::of(&self.place);
        let (mut entered, mut entrants, mut failure) = (Vec::new(), Vec::new(), None);
        for &head in heads {
            let entrant = match head {
                Head::Refit { fit, shrinkage, shifted } => {
                    let fit = head_fit(fit).ok_or_else(|| Error::Usage(format!("there is no head {fit:?}")))?;
                    match fit.fit(&moments[&shifted], shrinkage) {
                        // Training samples do not tell how large logits should be: fitted to them, they may be separable.
                        Ok(fitted) if held_out.is_missing() => {
                            (fitted.as_large_as(&head_layer.original(self.place.model)?), false)
                        }
                        Ok(fitted) => (fitted, true),
                        Err(error) => {
                            failure = failure.or(Some(error));
                            continue;
                        }
                    }
                }
                Head::Unlearned { share, damping, .. } => {
                    let base = head_layer.corrected(self.place.model, patches)?;
                    match remembering.without(share, damping, (&base, head_layer.loss()), &mut forward, observer)? {
                        Some(Ok(head)) => (head, false),
                        Some(Err(error)) => {
                            failure = failure.or(Some(error));
                            continue;
                        }
                        None => continue,
                    }
                }
                Head::Kept => (head_layer.original(self.place.model)?, false),
                Head::Projected => (head_layer.corrected(self.place.model, patches)?, false),
            };
            entered.push(head);
            entrants.push(entrant);
        }
        match failure {
            // Where others are left, one that cannot be fitted is no obstacle.
            Some(error) if entered.is_empty() => return Err(error.into()),
            Some(error) => observer.note(&error.to_string()),
            None => {}
        }
        let mut contest = Contest::new(entrants, head_layer.loss().link());
        observer.begin("heads", held_out.validation_samples(), "samples");
        held_out.features(&mut forward, observer, |batch, features| {
            contest.add(&batch.indices, &batch.labels, features);
        })?;
        observer.end();
        let mut judged = Vec::new();
        for (head, Entrant { head: fitted, scores, .. }) in entered.into_iter().zip(contest.finish()) {
            let recipe = Recipe { head, ..base.clone() };
            let forgotten = remembering.forgotten(head);
            self.computed.push(Computed { recipe: recipe.clone(), head: fitted, forgotten });
            judged.push((recipe, scores));
        }
        Ok(judged)
    }

    /// Lets heads that are fitted to shifted images compete with those that are fitted to images as they are, on the features of a
    /// correction: on perturbed training images, each judged by what was fitted without it.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn contrast(
        &mut self,
        base: &Recipe,
        heads: &[Head],
        patches: &[WeightPatch],
        held_out: &HeldOut<'_>,
        observer: &dyn Observer,
    ) -> Result<Vec<Contrast>, Error> {
        let Some(head_layer) = self.head else { return Ok(Vec::new()) };
        let Made { bytes, folder, .. } = &self.candidates.make(patches)?;
        let place = (bytes, folder.as_path());
        let mut forward = Forward::reading(head_layer.features(), self.place.engine, self.place.classifier, place)?;
        let folds = Folds { count: FOLDS, seed: self.place.seed };
        let [plain, shifted] = [false, true]
            .map(|shifted| self.class_moments((head_layer.classes(), folds), &mut forward, shifted, observer));
        let twins = match Twins::fit(heads, [&plain?, &shifted?]) {
            Ok(twins) => twins,
            Err(error) => {
                observer.note(&format!("no head is fitted to shifted images: {error}"));
                return Ok(Vec::new());
            }
        };
        let (mut on_shifted, mut on_plain) = (twins.contest(folds), twins.contest(folds));
        let mut whole = Contest::new(twins.whole(), head_layer.loss().link());
        observer.begin("shifted heads", 2 * held_out.validation_samples(), "samples");
        held_out.features(&mut forward, observer, |batch, features| {
            on_shifted.add(&batch.indices, &batch.labels, features);
            whole.add(&batch.indices, &batch.labels, features);
        })?;
        held_out.unperturbed_features(&mut forward, observer, |batch, features| {
            on_plain.add(&batch.indices, &batch.labels, features);
        })?;
        observer.end();
        let mut contrasts = Vec::new();
        let judged = on_shifted.finish().into_iter().zip(on_plain.finish());
        for (((shifted, plain), head), fitted) in judged.zip(twins.heads()).zip(whole.finish()) {
            let recipe = Recipe { head, ..base.clone() };
            self.computed.push(Computed { recipe: recipe.clone(), head: fitted.head, forgotten: None });
            let candidate = Candidate::of(recipe, &shifted[1]);
            contrasts.push(Contrast { candidate, on_shifted: Pair::of(&shifted), on_plain: Pair::of(&plain) });
        }
        Ok(contrasts)
    }

    /// Whether training samples are images, which can be shifted.
    pub(super) fn can_shift(&self) -> bool {
        Perturbation::check(&self.place.data.routes).is_ok()
    }

    /// The sums that heads are fitted to.
    fn class_moments(
        &self,
        (classes, folds): (usize, Folds),
        forward: &mut Forward,
        shifted: bool,
        observer: &dyn Observer,
    ) -> Result<Vec<ClassMoments>, Error> {
        let (most, of_class) = if self.place.data.has_small_samples() { HEAD_SAMPLES } else { LARGE_HEAD_SAMPLES };
        let most = most.max(of_class * classes);
        let samples = drawn(self.place.usable, most, self.place.seed);
        let batch = self.place.data.batch(self.place.batch);
        let stream = self.place.data.stream(shifted.then(|| Perturbation::shift(self.place.seed)));
        observer.begin("features", samples.len(), "samples");
        let moments = class_moments(forward, &stream, (&samples, batch), (classes, folds), observer)?;
        observer.end();
        Ok(moments)
    }

    /// Puts the head of a recipe into a correction.
    ///
    /// # Errors
    /// A head that did not compete.
    pub(super) fn set_head(&self, recipe: &Recipe, patches: &mut Vec<WeightPatch>) -> Result<(), Error> {
        if !recipe.head.is_computed() {
            return Ok(());
        }
        let computed = self.computed.iter().find(|computed| computed.recipe == *recipe);
        let (head_layer, computed) = self
            .head
            .zip(computed)
            .ok_or_else(|| Error::Usage(format!("the head {} was not computed for that candidate", recipe.head)))?;
        let with_bias = recipe.head.is_refit() || self.place.forgetting.is_some_and(|forgetting| forgetting.with_bias);
        head_layer.replace(&computed.head, with_bias, patches);
        Ok(())
    }

    /// What the head of a recipe has forgotten, where it has.
    pub(super) fn forgotten(&self, recipe: &Recipe) -> Option<&Forgotten> {
        self.computed.iter().find(|computed| computed.recipe == *recipe)?.forgotten.as_deref()
    }
}
