//! What a candidate is made of.

use crate::linalg::Alpha;
use serde::Serialize;
use std::fmt;

/// How a candidate follows from the original.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// The strength of the correction.
    pub alpha: Alpha,
    /// Whether the outputs of its layers got back their mean and deviation.
    pub recalibrated: bool,
    /// What its last layer is.
    pub head: Head,
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
}

impl Recipe {
    /// The correction alone.
    pub fn plain(alpha: Alpha) -> Self {
        Self { alpha, recalibrated: false, head: Head::Projected }
    }
}

impl Head {
    /// Whether it is computed anew.
    pub fn is_refit(&self) -> bool {
        matches!(self, Self::Refit { .. })
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
        }
    }
}

impl Serialize for Head {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
