//! Which variant of the projection a run computes: what SAP's public code offers beside the published method.

use super::forget::Forget;
use crate::linalg::{Alpha, SCALINGS, Scaling};
use crate::methods::{PROJECTIONS, Projection};
use serde_json::{Value, json};

/// A variant; the defaults are the published method.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Which share of a direction is kept.
    pub scaling: &'static dyn Scaling,
    /// What weights are projected onto.
    pub projection: &'static dyn Projection,
    /// The samples to forget, where they have a part in the projection.
    pub unwanted: Option<UnwantedChoice>,
    /// How often the corrected model is corrected again, with the first time.
    pub rounds: usize,
}

/// Which samples a projection forgets.
#[derive(Clone, Debug)]
pub struct UnwantedChoice {
    /// Which.
    pub which: Forget,
    /// How strongly they count; nothing where their strength is the one that is chosen.
    pub alpha: Option<Alpha>,
}

impl Variant {
    /// What is tried where α is searched for, if not a bracket around the best.
    pub fn alphas(&self) -> Option<&'static [f64]> {
        self.projection.alphas().or_else(|| self.scaling.alphas())
    }

    /// What of it is not as published, for the model's metadata.
    pub(super) fn provenance(&self) -> Vec<(&'static str, String)> {
        let usual = Self { scaling: SCALINGS[0], projection: PROJECTIONS[0], unwanted: None, rounds: 1 };
        let named = |variant: &Self| {
            let (scaling, projection) = (variant.scaling.name().to_owned(), variant.projection.name().to_owned());
            [("scaling", scaling), ("projection", projection), ("rounds", variant.rounds.to_string())]
        };
        let all = named(self).into_iter().zip(named(&usual));
        all.filter(|(own, usual)| own != usual).map(|(own, _)| own).collect()
    }

    /// As the report shows the options.
    pub(super) fn params(&self) -> Vec<(&'static str, Value)> {
        let mut params = vec![
            ("scaling", json!(self.scaling.name())),
            ("projection", json!(self.projection.name())),
            ("rounds", json!(self.rounds)),
        ];
        if let Some(UnwantedChoice { which, alpha }) = &self.unwanted {
            params.push(("forget", which.param()));
            params.push(("alpha_forget", json!(alpha)));
        }
        params
    }
}
