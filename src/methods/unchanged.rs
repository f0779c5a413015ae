//! The correction of methods that leave layers to what follows: none.

use super::{Family, LayerFacts, MethodError, Strengths};
use crate::layers::Layer;
use crate::model::{Model, WeightPatch};

/// The original's weights, whatever the strength.
pub struct Unchanged<'a> {
    model: &'a Model,
    layers: &'a [Layer],
    facts: Vec<LayerFacts>,
}

impl<'a> Unchanged<'a> {
    /// Of the layers of a model.
    pub fn new(model: &'a Model, layers: &'a [Layer]) -> Self {
        let nothing = LayerFacts { effective_rank: None, idle_groups: 0, moment_loss: None, energies: None };
        Self { model, layers, facts: vec![nothing; layers.len()] }
    }
}

impl Family for Unchanged<'_> {
    fn correction(&self, _strengths: &Strengths) -> Result<Vec<WeightPatch>, MethodError> {
        let patch = |layer: &Layer| {
            let values = self.model.values(&layer.weight)?;
            Ok(WeightPatch { constant: layer.weight.clone(), values, copies: layer.copies.clone() })
        };
        self.layers.iter().map(patch).collect()
    }

    fn facts(&self) -> &[LayerFacts] {
        &self.facts
    }
}
