//! How strongly each layer is corrected.

use crate::linalg::Alpha;

/// A strength for each layer, in the order of the evidence's layers; none where a layer stays as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Strengths(Vec<Option<Alpha>>);

impl Strengths {
    /// The same for all of so many layers.
    pub fn uniform(alpha: Alpha, layers: usize) -> Self {
        Self(vec![Some(alpha); layers])
    }

    /// The same, but that layer stays as it is.
    #[must_use]
    pub fn keeping(mut self, layer: usize) -> Self {
        self.0[layer] = None;
        self
    }

    /// That of a layer.
    pub fn of(&self, layer: usize) -> Option<Alpha> {
        self.0[layer]
    }
}
