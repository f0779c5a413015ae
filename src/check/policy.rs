//! What a candidate must hold to, as a TOML file. Only what is named is checked, and what is not understood is an error.

use super::Tolerance;
use crate::engine::EngineName;
use crate::error::Error;
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Every output that is not named by itself.
pub const ANY_OUTPUT: &str = "*";

/// A policy.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// What runs the models, each in turn; nothing: what `--engine` says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<EngineName>,
    /// What the structure must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structure: Option<Structure>,
    /// How far outputs may be from the golden ones, by their names or `*`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Tolerance>,
    /// What becomes of a golden model that no longer gives what was recorded of it.
    pub drift: Drift,
    /// Which tensors may change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensors: Option<Tensors>,
    /// How many labels must be predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// How many predictions may change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predictions: Option<Predictions>,
}

/// What the structure must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Structure {
    /// That of the golden model.
    Same,
}

/// What becomes of a golden model that no longer gives what was recorded of it, on this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Drift {
    /// The check fails.
    #[default]
    Fail,
    /// It is told, and the candidate is judged by what the golden model gives here.
    Note,
}

/// Which tensors may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensors {
    /// Regular expressions; each matches whole names. None: nothing may change.
    pub may_change: Vec<String>,
}

/// How many labels must be predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accuracy {
    /// The least share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// By how much the share may be smaller than the golden model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_drop: Option<f64>,
    /// The same for the labels of each class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_class: Option<PerClass>,
}

/// How many labels of each class must be predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PerClass {
    /// The least share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// By how much the share may be smaller than the golden model's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_drop: Option<f64>,
}

/// How many predictions may change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predictions {
    /// The largest share.
    pub maximum_flip_rate: f64,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`Error::Usage`], which names the file: no TOML, unknown keys, numbers that make no sense, or nothing to check.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|reason| Error::Usage(format!("the policy {}: {reason}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let policy: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        policy.refuse_nonsense()?;
        Ok(policy)
    }

    fn refuse_nonsense(&self) -> Result<(), String> {
        let accuracy = self.accuracy.unwrap_or_default();
        let per_class = accuracy.per_class.unwrap_or_default();
        let limits = [accuracy.minimum, accuracy.maximum_drop, per_class.minimum, per_class.maximum_drop];
        let asks = limits.iter().any(Option::is_some);
        let others = self.structure.is_some() || self.tensors.is_some() || self.predictions.is_some();
        if !asks && !others && self.outputs.is_empty() {
            return Err(
                "it asks for nothing; name `structure`, [outputs], [tensors], [accuracy] or [predictions]".into()
            );
        }
        let flips = self.predictions.map(|predictions| predictions.maximum_flip_rate);
        let outliers = self.outputs.values().map(|tolerance| tolerance.outliers);
        for share in limits.into_iter().flatten().chain(flips).chain(outliers) {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{share} is no share; give a number from 0 to 1"));
            }
        }
        for bound in self.outputs.values().flat_map(|tolerance| [tolerance.atol, tolerance.rtol]) {
            if !(bound.is_finite() && bound >= 0.0) {
                return Err(format!("{bound} is no tolerance; give a finite number of at least 0"));
            }
        }
        self.tensors.as_ref().map_or(Ok(()), |tensors| tensors.patterns().map(drop))
    }

    /// The tolerance of an output, if it is to be compared.
    pub fn tolerance(&self, output: &str) -> Option<Tolerance> {
        self.outputs.get(output).or_else(|| self.outputs.get(ANY_OUTPUT)).copied()
    }

    /// Whether predictions are asked for.
    pub fn asks_for_predictions(&self) -> bool {
        self.accuracy.is_some() || self.predictions.is_some()
    }
}

impl Tensors {
    /// The expressions, each for whole names.
    ///
    /// # Errors
    /// One that is none.
    pub fn patterns(&self) -> Result<Vec<Regex>, String> {
        let whole = |pattern: &String| Regex::new(&format!("^(?:{pattern})$")).map_err(|error| error.to_string());
        self.may_change.iter().map(whole).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_policy_is_understood() {
        let policy = Policy::parse(
            r#"
            engines = ["ort", "tract"]
            structure = "same"
            drift = "note"
            [outputs."*"]
            atol = 1e-4
            [outputs.logits]
            rtol = 1e-3
            outliers = 0.01
            [tensors]
            may_change = ["fc.*"]
            [accuracy]
            minimum = 0.8
            maximum_drop = 0.01
            per_class = { minimum = 0.5 }
            [predictions]
            maximum_flip_rate = 0.2
            "#,
        )
        .unwrap();
        assert_eq!(policy.engines, [EngineName::Ort, EngineName::Tract]);
        assert_eq!(policy.tolerance("other"), Some(Tolerance { atol: 1e-4, ..Tolerance::default() }));
        assert_eq!(policy.tolerance("logits"), Some(Tolerance { atol: 0.0, rtol: 1e-3, outliers: 0.01 }));
        assert_eq!(policy.accuracy.unwrap().per_class, Some(PerClass { minimum: Some(0.5), maximum_drop: None }));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, says) in [
            ("", "asks for nothing"),
            ("drift = \"note\"", "asks for nothing"),
            ("[accuracy]", "asks for nothing"),
            ("structur = \"same\"", "unknown field"),
            ("structure = \"other\"", "unknown variant"),
            ("[accuracy]\nminimum = 85", "no share"),
            ("[predictions]\nmaximum_flip_rate = -0.1", "no share"),
            ("[outputs.z]\natol = -1", "no tolerance"),
            ("[outputs.z]\natol = nan", "no tolerance"),
            ("[tensors]\nmay_change = [\"(\"]", "regex"),
            ("engines = [\"other\"]", "no engine is called"),
            ("accuracy = ", "TOML"),
        ] {
            let reason = Policy::parse(text).unwrap_err();
            assert!(reason.contains(says), "{text}: {reason}");
        }
    }
}
