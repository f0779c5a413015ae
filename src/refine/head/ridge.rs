//! Ridge regression of the one-hot labels on the features (Hoerl and Kennard 1970).
//!
//! ```text
//! W = G (S + λ s I)⁻¹,   b = p − W μ
//! ```
//!
//! with the covariance `S` of the features, its mean variance `s`, their mean `μ`, the shares `p` of the classes, and `G` the
//! covariance of one-hot labels and features. The intercept is not shrunk.

use super::{HeadError, HeadFit, LinearHead, class_means, shrunk};
use crate::evidence::ClassMoments;
use crate::linalg::solve_rows;
use ndarray::{Array1, Axis};

pub(super) struct Ridge;

impl HeadFit for Ridge {
    fn name(&self) -> &'static str {
        "ridge"
    }

    fn summary(&self) -> &'static str {
        "ridge regression of the labels on the features before the head"
    }

    fn shrinkages(&self) -> &'static [f64] {
        &[0.1, 0.01, 0.001]
    }

    fn fit(&self, moments: &ClassMoments, shrinkage: f64) -> Result<LinearHead, HeadError> {
        let samples = moments.samples() as f64;
        let means = class_means(moments)?;
        let mean = moments.sums.sum_axis(Axis(0)) / samples;
        let shares: Array1<f64> = moments.counts.iter().map(|&count| count as f64 / samples).collect();
        let outer = mean.view().insert_axis(Axis(1)).dot(&mean.view().insert_axis(Axis(0)));
        let covariance = moments.second() / samples - outer;
        let with_labels = (means - &mean) * shares.view().insert_axis(Axis(1));
        let weight = solve_rows(shrunk(covariance, 1.0, shrinkage), with_labels)
            .map_err(|reason| HeadError::Singular { head: self.name(), reason })?;
        let bias = shares - weight.dot(&mean);
        Ok(LinearHead { weight, bias })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    /// Against the normal equations of `Σ |W φ + b − y|² + λ s n |W|²`, solved with an augmented feature.
    #[test]
    fn it_minimises_the_penalised_squared_error() {
        let features = array![[1.0, 2.0], [2.0, 0.5], [-1.0, 1.0], [0.0, -2.0], [3.0, 1.0]];
        let labels = [0, 1, 1, 0, 1];
        let mut moments = ClassMoments::new(2, 2);
        moments.add(&features, &labels);
        let head = Ridge.fit(&moments, 0.3).unwrap();
        let n = labels.len() as f64;
        let centred = &features - &features.mean_axis(Axis(0)).unwrap();
        let penalty = 0.3 * n * (centred.t().dot(&centred) / n).diag().mean().unwrap();
        let targets = Array2::from_shape_fn((5, 2), |(i, k)| f64::from(u8::from(labels[i] == k)));
        let residuals = head.logits(&features) - &targets;
        let slope = residuals.t().dot(&features) + &head.weight * penalty;
        assert!(slope.iter().chain(&residuals.sum_axis(Axis(0))).all(|value| value.abs() < 1e-12), "{slope}");
    }
}
