//! What a candidate is made of.

use super::{TuningRecipe, Update};
use crate::linalg::Alpha;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// How a candidate follows from the original.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// How strong the correction of its layers is; nothing where they are not corrected.
    #[serde(flatten)]
    pub strength: Option<Strength>,
    /// Whether the outputs of its layers got back their mean and deviation.
    pub recalibrated: bool,
    /// What its last layer is.
    pub head: Head,
    /// What was done to it with gradients afterwards, if anything was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuning: Option<TuningRecipe>,
}

/// How strong a correction is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Strength {
    /// For all layers but those that have their own.
    pub alpha: Alpha,
    /// The layers that have their own, by the name of their weight.
    #[serde(rename = "alpha_of", skip_serializing_if = "BTreeMap::is_empty")]
    pub of_weights: BTreeMap<String, Alpha>,
}

/// The last layer of a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Head {
    /// Corrected as the others.
    Projected,
    /// The original's.
    Kept,
    /// Computed anew.
    Refit {
        /// The name of the closed form.
        fit: &'static str,
        /// Its shrinkage.
        shrinkage: f64,
        /// Whether it is fitted to shifted images, which a network has memorised less.
        shifted: bool,
    },
    /// Corrected as the others, and without the influence of some samples.
    Unlearned {
        /// How.
        update: Update,
        /// Which share of the highest losses, where that is to be found out.
        share: Option<f64>,
        /// Its damping.
        damping: f64,
    },
}

impl Recipe {
    /// The correction alone.
    pub fn plain(alpha: Alpha) -> Self {
        Self { strength: Some(Strength::uniform(alpha)), recalibrated: false, head: Head::Projected, tuning: None }
    }

    /// The original.
    pub fn unchanged() -> Self {
        Self { strength: None, recalibrated: false, head: Head::Kept, tuning: None }
    }

    /// The strength of the correction, where there is one.
    pub fn alpha(&self) -> Option<Alpha> {
        self.strength.as_ref().map(|strength| strength.alpha)
    }

    /// Whether it is the correction alone.
    pub fn is_plain(&self) -> bool {
        !self.recalibrated && self.head == Head::Projected && self.tuning.is_none()
    }
}

impl Strength {
    /// The same for all layers.
    pub fn uniform(alpha: Alpha) -> Self {
        Self { alpha, of_weights: BTreeMap::new() }
    }

    /// That of a layer, by its weight.
    pub fn of(&self, weight: &str) -> Alpha {
        self.of_weights.get(weight).copied().unwrap_or(self.alpha)
    }

    /// This, but another α for one layer.
    #[must_use]
    pub fn with(mut self, weight: &str, alpha: Alpha) -> Self {
        self.of_weights.insert(weight.to_owned(), alpha);
        self
    }

    /// So many half-decades above this.
    #[must_use]
    pub fn raised(mut self, half_decades: i32) -> Self {
        self.alpha = self.alpha.raised(half_decades);
        self.of_weights.values_mut().for_each(|alpha| *alpha = alpha.raised(half_decades));
        self
    }

    /// Whether they differ by rounding alone.
    pub fn is_close_to(&self, other: &Self) -> bool {
        let close = |a: Alpha, b: Alpha| (a.get() / b.get() - 1.0).abs() < 1e-9;
        close(self.alpha, other.alpha)
            && self.of_weights.keys().eq(other.of_weights.keys())
            && self.of_weights.values().zip(other.of_weights.values()).all(|(&a, &b)| close(a, b))
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of_weights.len() {
            0 => self.alpha.fmt(f),
            own => write!(f, "{}, {own} own", self.alpha),
        }
    }
}

impl Head {
    /// Whether it is fitted anew.
    pub fn is_refit(&self) -> bool {
        matches!(self, Self::Refit { .. })
    }

    /// Whether it is computed from features, beside the model.
    pub fn is_computed(&self) -> bool {
        matches!(self, Self::Refit { .. } | Self::Unlearned { .. })
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let strength = self.strength.as_ref().map(|strength| format!("α = {strength}"));
        let recalibrated = self.recalibrated.then(|| "recalibrated".to_owned());
        let tuning = self.tuning.as_ref().map(ToString::to_string);
        let parts = strength.into_iter().chain(recalibrated).chain([format!("head {}", self.head)]).chain(tuning);
        f.pad(&parts.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Projected => f.pad("project"),
            Self::Kept => f.pad("keep"),
            Self::Refit { fit, shrinkage, shifted } => {
                f.pad(&format!("{fit} {shrinkage}{}", if *shifted { ", shifted" } else { "" }))
            }
            Self::Unlearned { update, share, damping } => {
                let share = share.map_or_else(String::new, |share| format!(", {:.0} %", 100.0 * share));
                f.pad(&format!("{update} {damping}{share}"))
            }
        }
    }
}

impl Serialize for Head {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_reads_as_what_is_done_in_its_order() {
        let plain = Recipe::plain(Alpha::new(3000.0).unwrap_or_else(|| unreachable!()));
        let head = Head::Refit { fit: "ridge", shrinkage: 0.1, shifted: true };
        let refined = Recipe { recalibrated: true, head, ..plain.clone() };
        assert_eq!(plain.to_string(), "α = 3000, head project");
        assert_eq!(refined.to_string(), "α = 3000, recalibrated, head ridge 0.1, shifted");
        assert_eq!(Recipe::unchanged().to_string(), "head keep");
    }
}
