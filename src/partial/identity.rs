//! What partial results depend on: only where all of it is the same may they be put together.

use super::PartialError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that decides what a run computes, by name. No paths and no times: the same work on another machine has the
/// same identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(BTreeMap<String, String>);

/// Longer descriptions are cut off in messages.
const SHOWN: usize = 160;

impl Identity {
    /// The same, and `value` for the aspect `name`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// The same without some aspects.
    #[must_use]
    pub fn without(mut self, aspects: &[&str]) -> Self {
        self.0.retain(|name, _| !aspects.contains(&name.as_str()));
        self
    }

    /// Makes sure that the results in `path`, which have the identity `theirs`, belong to this one.
    ///
    /// # Errors
    /// [`PartialError::Foreign`], which names the first aspect that differs.
    pub fn check(&self, path: &str, theirs: &Self, advice: &'static str) -> Result<(), PartialError> {
        let names = self.0.keys().chain(theirs.0.keys());
        let Some(aspect) = names.into_iter().find(|name| self.0.get(*name) != theirs.0.get(*name)) else {
            return Ok(());
        };
        let show = |identity: &Self| match identity.0.get(aspect) {
            Some(value) if value.chars().count() > SHOWN => value.chars().take(SHOWN).chain("…".chars()).collect(),
            Some(value) => value.clone(),
            None => "not known".to_owned(),
        };
        let (path, aspect) = (path.to_owned(), aspect.clone());
        Err(PartialError::Foreign { path, theirs: show(theirs), ours: show(self), aspect, advice })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named_with_both_sides() {
        let ours = Identity::default().with("data", "10 samples").with("model", "abc");
        assert!(ours.check("part", &ours.clone(), "").is_ok());
        for (theirs, says) in [
            (ours.clone().with("model", "abd"), ["its model is abd", "here it is abc"]),
            (ours.clone().with("batch", "3"), ["its batch is 3", "not known"]),
            (Identity::default().with("data", "10 samples"), ["its model is not known", "abc"]),
        ] {
            let message = ours.check("part", &theirs, "start again").unwrap_err().to_string();
            assert!(says.iter().all(|text| message.contains(text)) && message.ends_with("start again"), "{message}");
        }
    }
}
