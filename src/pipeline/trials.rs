//! Candidates one after the other. The latest stays loaded: what was tried last is often what is asked for next.

use super::candidate::{Candidate, Candidates};
use super::clock::Clock;
use crate::error::Error;
use crate::evidence::Forward;
use crate::linalg::Alpha;
use crate::methods::Family;
use crate::model::WeightPatch;

/// The corrections of a family as models that run.
pub(super) struct Trials<'a> {
    family: &'a dyn Family,
    candidates: Candidates<'a>,
    clock: &'a mut Clock,
    latest: Option<Trial>,
}

struct Trial {
    alpha: Alpha,
    patches: Vec<WeightPatch>,
    candidate: Candidate,
}

impl<'a> Trials<'a> {
    /// Those of `family`; nothing is made yet. The clock tells making them from using them.
    pub(super) fn new(family: &'a dyn Family, candidates: Candidates<'a>, clock: &'a mut Clock) -> Self {
        Self { family, candidates, clock, latest: None }
    }

    /// Uses the candidate for that α.
    ///
    /// # Errors
    /// Those of making, of loading, and of using it.
    pub(super) fn with<T>(
        &mut self,
        alpha: Alpha,
        used: impl FnOnce(&mut Forward) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // One that is not asked for goes before the next is made, which would need as much memory again.
        let kept = self.latest.take().filter(|trial| trial.alpha == alpha);
        let trial = match kept {
            Some(trial) => trial,
            None => self.make(alpha)?,
        };
        used(&mut self.latest.insert(trial).candidate.forward)
    }

    /// The correction for that α.
    ///
    /// # Errors
    /// Those of making it.
    pub(super) fn into_patches(mut self, alpha: Alpha) -> Result<Vec<WeightPatch>, Error> {
        match self.latest.take().filter(|trial| trial.alpha == alpha) {
            Some(trial) => Ok(trial.patches),
            None => self.correction(alpha),
        }
    }

    fn make(&mut self, alpha: Alpha) -> Result<Trial, Error> {
        let patches = self.correction(alpha)?;
        let candidate = self.candidates.load(&patches, self.clock)?;
        Ok(Trial { alpha, patches, candidate })
    }

    fn correction(&mut self, alpha: Alpha) -> Result<Vec<WeightPatch>, Error> {
        self.clock.lap("search");
        let patches = self.family.correction(alpha)?;
        self.clock.lap("project");
        Ok(patches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tract::TractEngine;
    use crate::layers::{Ledger, Selection};
    use crate::methods::{LayerFacts, MethodError};
    use crate::model::{Classifier, GraphIndex, Interface, Model};
    use crate::tensor::{ElementType, NamedTensor, Tensor};
    use ndarray::{ArrayD, IxDyn};
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Multiplies every weight by α, and counts how often.
    struct Scaled {
        weights: Vec<WeightPatch>,
        made: AtomicUsize,
    }

    impl Family for Scaled {
        fn correction(&self, alpha: Alpha) -> Result<Vec<WeightPatch>, MethodError> {
            self.made.fetch_add(1, Ordering::Relaxed);
            let scaled = |weight: &WeightPatch| WeightPatch { values: &weight.values * alpha.get(), ..weight.clone() };
            Ok(self.weights.iter().map(scaled).collect())
        }

        fn facts(&self) -> &[LayerFacts] {
            &[]
        }
    }

    #[test]
    fn a_candidate_is_made_once_in_a_row_and_never_taken_for_another() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/weights-everywhere");
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
        let (engine, folder) = (TractEngine::new(), tempfile::tempdir().unwrap());
        let out = folder.path().join("out.onnx");
        let ramp = ArrayD::from_shape_fn(IxDyn(&[3, 1, 8, 8]), |at| (at[0] * 31 + at[2] * 7 + at[3]) as f32 / 64.0);
        let tensor = Tensor::from_f32(&ramp, ElementType::Float32);
        let batch = [NamedTensor { name: classifier.data[0].name.clone(), tensor }];
        let mut clock = Clock::default();
        let mut trials = Trials::new(&family, Candidates::new(&model, &classifier, &engine, &out), &mut clock);
        let mut scores = |alpha| trials.with(alpha, |forward| Ok(forward.scores(&batch)?)).unwrap();
        let [half, double] = [0.5, 2.0].map(|alpha| Alpha::new(alpha).unwrap());
        let first = scores(half);
        assert_eq!(scores(half), first);
        assert_eq!(family.made.load(Ordering::Relaxed), 1, "it was at hand");
        assert_ne!(scores(double), first);
        assert_eq!(scores(half), first);
        assert_eq!(family.made.load(Ordering::Relaxed), 3);
        let patches = trials.into_patches(double).unwrap();
        assert_eq!(family.made.load(Ordering::Relaxed), 4);
        assert_eq!(patches[0].values, &family.weights[0].values * 2.0);
    }
}
