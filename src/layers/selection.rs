//! Which layers the user wants rewritten, and what becomes of weights that several nodes use.

use super::Finding;
use crate::model::{GraphIndex, NodeIndex};
use regex::Regex;
use std::fmt;
use std::str::FromStr;

/// Which layers to rewrite, and how.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Where given, only what matches one of these, by the name of the weight or of the node, scopes included.
    pub include: Vec<Regex>,
    /// Never what matches one of these.
    pub exclude: Vec<Regex>,
    /// Leave the first layer.
    pub skip_first: bool,
    /// Leave the last layer.
    pub skip_head: bool,
    /// What becomes of weights that several nodes use.
    pub on_shared: OnShared,
    /// Rewrite quantised weights on their own scale.
    pub requantize: bool,
}

/// What becomes of weights that several nodes use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnShared {
    /// Layers that use a weight in one orientation keep sharing it, and their moments add up; where that cannot be,
    /// layers get weights of their own.
    #[default]
    Sum,
    /// Every layer gets a weight of its own.
    Split,
    /// They stay.
    Skip,
}

impl OnShared {
    /// The choices by name, the default first.
    pub const ALL: [(&'static str, Self); 3] = [("sum", Self::Sum), ("split", Self::Split), ("skip", Self::Skip)];
}

impl FromStr for OnShared {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, choice)| choice).ok_or_else(|| "give sum, split or skip".to_owned())
    }
}

impl fmt::Display for OnShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.into_iter().find(|(_, choice)| choice == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// What is rewritten, and what an option leaves as it is.
pub(super) struct Divided {
    pub(super) kept: Vec<Found>,
    pub(super) left: Vec<(Found, &'static str)>,
}

/// What a rule found, and at which node.
pub(super) type Found = (NodeIndex, Finding);

impl Selection {
    /// Divides what was found into layers to rewrite, and layers to leave with the option that leaves them.
    ///
    /// # Errors
    /// A pattern that matches nothing.
    pub(super) fn divide(&self, graph: &GraphIndex<'_>, found: Vec<Found>) -> Result<Divided, String> {
        self.check(graph, &found)?;
        let last = found.len().saturating_sub(1);
        let mut kept = Vec::new();
        let mut left = Vec::new();
        for (position, layer) in found.into_iter().enumerate() {
            let leaves = match () {
                () if self.skip_first && position == 0 => Some("--skip-first"),
                () if self.skip_head && position == last => Some("--skip-head"),
                () => self.leaves(graph, &layer),
            };
            match leaves {
                Some(option) => left.push((layer, option)),
                None => kept.push(layer),
            }
        }
        Ok(Divided { kept, left })
    }

    fn leaves(&self, graph: &GraphIndex<'_>, layer: &Found) -> Option<&'static str> {
        let any = |patterns: &[Regex]| patterns.iter().any(|pattern| matches(pattern, graph, layer));
        if !self.include.is_empty() && !any(&self.include) {
            return Some("--include");
        }
        any(&self.exclude).then_some("--exclude")
    }

    fn check(&self, graph: &GraphIndex<'_>, found: &[Found]) -> Result<(), String> {
        for (option, patterns) in [("--include", &self.include), ("--exclude", &self.exclude)] {
            let idle = |pattern: &&Regex| !found.iter().any(|layer| matches(pattern, graph, layer));
            if let Some(idle) = patterns.iter().find(idle) {
                return Err(format!(
                    "{option} {idle} matches no weight or node of a layer; `onnx-sap inspect` lists their names"
                ));
            }
        }
        Ok(())
    }
}

fn matches(pattern: &Regex, graph: &GraphIndex<'_>, (at, finding): &Found) -> bool {
    pattern.is_match(&finding.weight.constant.name) || pattern.is_match(&graph.flat_node(*at).label)
}
