//! How strongly each layer is corrected.

use crate::linalg::Alpha;

/// An α for each layer, in the order of the evidence's layers; none where a layer stays as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Strengths(Vec<Option<Alpha>>);

impl Strengths {
    /// This, but that layer stays as it is.
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

impl FromIterator<Option<Alpha>> for Strengths {
    fn from_iter<I: IntoIterator<Item = Option<Alpha>>>(alphas: I) -> Self {
        Self(alphas.into_iter().collect())
    }
}
