//! Whether tract, an engine that shares no code with ONNX Runtime, computes the same logits.

use crate::tensor::ElementType;
use ndarray::Array2;
use serde::Serialize;

/// What came of running a model on a second engine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// The outcome.
    pub status: AgreementStatus,
    /// Why it is not agreement.
    pub reason: Option<String>,
    /// The largest difference of two logits.
    pub max_abs_diff: Option<f64>,
    /// What it may be at most.
    pub tolerance: Option<f64>,
    /// On how many samples.
    pub samples: usize,
}

/// The outcome of a comparison of engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AgreementStatus {
    /// Within tolerance.
    Agrees,
    /// Not within tolerance.
    Disagrees,
    /// The second engine computes something else from the original model already, so that it says nothing of the
    /// rewrite. Not a pass, and reported as such.
    DisagreesOnOriginal,
    /// The second engine cannot run the model. Not a pass, and reported as such.
    Unsupported,
    /// The second engine is the one that made the model, so there is nothing to compare.
    SameEngine,
}

/// How far two engines may be apart: relative to the largest logit (at least 1). Some thousand roundings of the type in
/// which the model computes; measured differences of float32 models are below 5e-5.
pub fn tolerance(element: ElementType, logits: &Array2<f64>) -> f64 {
    let relative = match element {
        ElementType::Float64 => 1e-9,
        ElementType::Float16 => 2e-2,
        ElementType::Bfloat16 => 1e-1,
        _ => 2e-4,
    };
    relative * logits.iter().fold(1.0, |most: f64, logit| most.max(logit.abs()))
}

impl Agreement {
    /// Compares the logits of an engine with those of what is called `other`.
    pub fn compare(ours: &Array2<f64>, theirs: &Array2<f64>, element: ElementType, other: &str) -> Self {
        let samples = ours.nrows();
        let tolerance = tolerance(element, ours);
        if ours.dim() != theirs.dim() {
            let reason = format!("{other} gives outputs of shape {:?}, the engine {:?}", theirs.shape(), ours.shape());
            let status = AgreementStatus::Disagrees;
            return Self { status, reason: Some(reason), max_abs_diff: None, tolerance: Some(tolerance), samples };
        }
        // A NaN must not vanish in a maximum.
        let difference = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
        let largest = difference.fold(0.0, |most: f64, d| if d.is_nan() || d > most { d } else { most });
        let agrees = largest <= tolerance;
        let reason =
            (!agrees).then(|| format!("{other} and the engine differ by {largest:.2e}, more than {tolerance:.2e}"));
        let status = if agrees { AgreementStatus::Agrees } else { AgreementStatus::Disagrees };
        Self { status, reason, max_abs_diff: Some(largest), tolerance: Some(tolerance), samples }
    }

    /// Why what was compared must not be exported, if so.
    pub fn failure(&self) -> Option<String> {
        self.reason.clone().filter(|_| self.status == AgreementStatus::Disagrees)
    }

    /// What a disagreement is worth, given how the engines compare on the original model.
    #[must_use]
    pub fn or_on(self, original: &Self) -> Self {
        let (AgreementStatus::Disagrees, AgreementStatus::Disagrees) = (self.status, original.status) else {
            return self;
        };
        let said = |of: &Self| of.reason.clone().unwrap_or_default();
        let reason = format!("on the original model already, {} (rewritten: {})", said(original), said(&self));
        Self { status: AgreementStatus::DisagreesOnOriginal, reason: Some(reason), ..self }
    }

    /// Where no comparison can be made.
    pub fn none(status: AgreementStatus, reason: String) -> Self {
        Self { status, reason: Some(reason), max_abs_diff: None, tolerance: None, samples: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn agreement(a: f64, b: f64) -> Agreement {
        Agreement::compare(&array![[a, 2.0]], &array![[b, 2.0]], ElementType::Float32, "tract")
    }

    fn compare(a: f64, b: f64) -> AgreementStatus {
        agreement(a, b).status
    }

    #[test]
    fn a_disagreement_counts_unless_the_engines_disagree_on_the_original_too() {
        let (same, other) = (agreement(1.0, 1.0), agreement(1.0, 2.0));
        assert_eq!(other.clone().or_on(&same).status, AgreementStatus::Disagrees);
        assert_eq!(same.clone().or_on(&other).status, AgreementStatus::Agrees);
        assert_eq!(other.clone().or_on(&other).status, AgreementStatus::DisagreesOnOriginal);
    }

    #[test]
    fn small_differences_agree_and_large_ones_or_nan_do_not() {
        assert_eq!(compare(1.0, 1.0001), AgreementStatus::Agrees);
        assert_eq!(compare(1.0, 1.01), AgreementStatus::Disagrees);
        assert_eq!(compare(1.0, f64::NAN), AgreementStatus::Disagrees);
    }
}
