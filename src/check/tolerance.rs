//! Whether two tensors agree within a tolerance.

use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How far values may be from golden ones: `|candidate − golden| ≤ atol + rtol · |golden|`, as numpy's `allclose` has it.
/// What a policy leaves out is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tolerance {
    /// The absolute part.
    pub atol: f64,
    /// The part relative to the golden value.
    pub rtol: f64,
    /// The share of values that may be further away.
    pub outliers: f64,
}

/// How values compare with golden ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Comparison {
    /// How many were compared.
    pub values: usize,
    /// How many are further away than tolerated.
    pub outside: usize,
    /// The largest absolute difference; infinite where one of two values is no number.
    pub max_abs: f64,
}

impl Comparison {
    /// Adds two tensors to what was compared.
    ///
    /// # Errors
    /// Other types or shapes, which no tolerance covers.
    pub fn add(&mut self, golden: &Tensor, candidate: &Tensor, tolerance: Tolerance) -> Result<(), String> {
        let kind = |tensor: &Tensor| format!("{} {:?}", tensor.element_type(), tensor.shape());
        let (wanted, found) = (kind(golden), kind(candidate));
        if wanted != found {
            return Err(format!("it is {found}, and the golden one {wanted}"));
        }
        for (&golden, &candidate) in golden.to_f64().iter().zip(&candidate.to_f64()) {
            let apart = distance(golden, candidate);
            self.values += 1;
            self.max_abs = self.max_abs.max(apart);
            // Of a golden value that is not finite the bound is none, or no bound.
            let bound = tolerance.atol + tolerance.rtol * golden.abs();
            let is_within = apart == 0.0 || (apart.is_finite() && apart <= bound);
            self.outside += usize::from(!is_within);
        }
        Ok(())
    }

    /// The share of values that are too far away.
    pub fn outliers(&self) -> f64 {
        if self.values == 0 { 0.0 } else { self.outside as f64 / self.values as f64 }
    }
}

/// The same infinities and two values that are no numbers are equal; any other pair with one of these is infinitely apart.
fn distance(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) {
        return 0.0;
    }
    let apart = (a - b).abs();
    if apart.is_nan() { f64::INFINITY } else { apart }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(golden: &[f32], candidate: &[f32], tolerance: Tolerance) -> Comparison {
        let tensor = |values: &[f32]| Tensor::Float32(ndarray::arr1(values).into_dyn());
        let mut comparison = Comparison::default();
        comparison.add(&tensor(golden), &tensor(candidate), tolerance).unwrap();
        comparison
    }

    #[test]
    fn the_golden_value_scales_the_relative_part() {
        let tolerance = Tolerance { atol: 0.5, rtol: 0.25, outliers: 0.0 };
        let found = compare(&[4.0, 4.0, -4.0, 0.0], &[5.5, 5.75, -5.5, 0.5], tolerance);
        assert_eq!((found.values, found.outside, found.max_abs), (4, 1, 1.75));
        assert_eq!(found.outliers(), 0.25);
    }

    #[test]
    fn what_is_no_number_agrees_with_its_like_only() {
        let (nan, infinite) = (f32::NAN, f32::INFINITY);
        let tolerance = Tolerance { atol: 1e30, rtol: 0.0, outliers: 0.0 };
        assert_eq!(compare(&[nan, infinite], &[nan, infinite], tolerance).outside, 0);
        assert_eq!(compare(&[nan, infinite, infinite, 0.0], &[0.0, -infinite, nan, nan], tolerance).outside, 4);
        // A relative tolerance of an infinite value tolerates nothing.
        let relative = Tolerance { rtol: 0.1, ..Tolerance::default() };
        assert_eq!(compare(&[1.0, infinite, nan], &[infinite, 1.0, 1.0], relative).outside, 3);
    }

    #[test]
    fn other_shapes_and_types_are_no_matter_of_tolerance() {
        let one = Tensor::zeros(&[2, 1]);
        let mut comparison = Comparison::default();
        assert!(comparison.add(&one, &Tensor::zeros(&[1, 2]), Tolerance::default()).is_err());
        let double = Tensor::from_f64(&one.to_f64(), crate::tensor::ElementType::Float64);
        assert!(comparison.add(&one, &double, Tolerance::default()).is_err());
    }
}
