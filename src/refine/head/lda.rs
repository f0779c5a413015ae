//! Linear discriminant analysis with a shrunk covariance (Fisher 1936; shrinkage as Friedman 1989).
//!
//! ```text
//! Σ = (1 − γ) S + γ s I,   w_k = Σ⁻¹ μ_k,   b_k = −½ w_kᵀ μ_k + log p_k
//! ```
//!
//! with the covariance `S` of the features within classes, its mean variance `s`, the mean `μ_k` and the share `p_k` of
//! class k. The logits are those of Gaussian classes of one covariance. Features are centred first, which changes all logits
//! of a sample alike.

use super::{HeadError, HeadFit, LinearHead, class_means, shrunk};
use crate::evidence::ClassMoments;
use crate::linalg::solve_rows;
use ndarray::{Array1, Array2, Axis};

pub(super) struct Lda;

impl HeadFit for Lda {
    fn name(&self) -> &'static str {
        "lda"
    }

    fn summary(&self) -> &'static str {
        "linear discriminant analysis of the features before the head"
    }

    fn shrinkages(&self) -> &'static [f64] {
        &[0.1, 0.5, 0.01]
    }

    fn fit(&self, moments: &ClassMoments, shrinkage: f64) -> Result<LinearHead, HeadError> {
        let samples = moments.samples() as f64;
        let means = class_means(moments)?;
        let mean = moments.sums.sum_axis(Axis(0)) / samples;
        let counts: Array1<f64> = moments.counts.iter().map(|&count| count as f64).collect();
        let weighted = &means * &counts.view().insert_axis(Axis(1));
        let within: Array2<f64> = (moments.second() - means.t().dot(&weighted)) / samples;
        let centred = means - &mean;
        let covariance = shrunk(within, 1.0 - shrinkage, shrinkage);
        let weight = solve_rows(covariance, centred.clone())
            .map_err(|reason| HeadError::Singular { head: self.name(), reason })?;
        let priors = counts.mapv(|count| (count / samples).ln());
        let bias = priors - (&weight * &(centred * 0.5)).sum_axis(Axis(1)) - weight.dot(&mean);
        Ok(LinearHead { weight, bias })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Against the definition for two classes in one dimension.
    #[test]
    fn logits_are_those_of_gaussians_of_one_covariance() {
        let (features, labels) = (array![[0.0], [2.0], [5.0], [6.0], [7.0]], [0, 0, 1, 1, 1]);
        let mut moments = ClassMoments::new(2, 1);
        moments.add(&features, &labels);
        let head = Lda.fit(&moments, 0.25).unwrap();
        // Of one dimension the shrunk variance is the variance within: (1 + 1 + 1 + 0 + 1) / 5.
        let (variance, means, shares) = (0.8_f64, [1.0, 6.0], [0.4_f64, 0.6]);
        let x = 3.1;
        let log_density = |k: usize| shares[k].ln() - (x - means[k]) * (x - means[k]) / (2.0 * variance);
        let logits = head.logits(&array![[x]]);
        let difference = (logits[(0, 1)] - logits[(0, 0)]) - (log_density(1) - log_density(0));
        assert!(difference.abs() < 1e-12, "{difference}");
    }
}
