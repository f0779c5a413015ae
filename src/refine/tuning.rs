//! What made of a correction something else, where that was done with gradients.

use serde::{Serialize, Serializer};
use std::fmt;

/// How a candidate was tuned.
#[derive(Clone, Debug, PartialEq)]
pub struct TuningRecipe {
    /// The method.
    pub method: &'static str,
    /// Where it began: with the correction of the same recipe, or with the original.
    pub start: Start,
    /// Its settings, in the order in which they are told.
    pub settings: Vec<(&'static str, f64)>,
}

/// With which weights a tuning begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Those that were corrected before, where they were.
    #[default]
    Corrected,
    /// The original's.
    Original,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Corrected => "corrected",
            Self::Original => "original",
        })
    }
}

impl std::str::FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Self::Corrected, Self::Original].into_iter().find(|start| start.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is neither corrected nor original"))
    }
}

impl fmt::Display for TuningRecipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<String> = self.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let from = if self.start == Start::Original { ", from the original" } else { "" };
        f.pad(&format!("{} {}{from}", self.method, settings.join(" ")))
    }
}

impl Serialize for TuningRecipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
