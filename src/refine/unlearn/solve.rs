//! `H X = G` for the Hessian of a softmax: by its eigenvectors where it is small, which serves every damping, else by conjugate
//! gradients, which never form it.

use super::HeadError;
use super::hessian::SoftmaxHessian;
use crate::linalg::SymmetricEigen;
use ndarray::{Array1, Array2};

/// Numbers in a gradient up to which the matrix is formed: some seconds and 20 MB.
const DENSE: usize = 1500;

/// The residual at which a solution is one, as a share of the right-hand side.
const RESIDUAL: f64 = 1e-10;

/// Steps of conjugate gradients before they are given up.
const STEPS: usize = 2000;

/// A Hessian that can be solved with.
pub(super) struct Solver {
    mean_eigenvalue: f64,
    dim: (usize, usize),
    means: Means,
}

enum Means {
    Eigen(SymmetricEigen),
    ConjugateGradients(SoftmaxHessian),
}

impl Solver {
    /// By what suits its size.
    ///
    /// # Errors
    /// [`HeadError`] where the eigenvectors are not found.
    pub(super) fn new(hessian: SoftmaxHessian) -> Result<Self, HeadError> {
        let (classes, d) = hessian.dim();
        if classes * d <= DENSE { Self::dense(&hessian) } else { Ok(Self::iterative(hessian)) }
    }

    fn dense(hessian: &SoftmaxHessian) -> Result<Self, HeadError> {
        let eigen = SymmetricEigen::of(&hessian.dense()).map_err(|error| failed(&error.to_string()))?;
        let (mean_eigenvalue, dim) = (hessian.mean_eigenvalue(), hessian.dim());
        Ok(Self { mean_eigenvalue, dim, means: Means::Eigen(eigen) })
    }

    fn iterative(hessian: SoftmaxHessian) -> Self {
        let (mean_eigenvalue, dim) = (hessian.mean_eigenvalue(), hessian.dim());
        Self { mean_eigenvalue, dim, means: Means::ConjugateGradients(hessian) }
    }

    /// `(H + damping · s I)⁻¹ G` with the mean eigenvalue s; without damping the pseudo-inverse's solution, that of least norm.
    ///
    /// # Errors
    /// [`HeadError`] where conjugate gradients do not end.
    pub(super) fn solve(&self, slope: &Array2<f64>, damping: f64) -> Result<Array2<f64>, HeadError> {
        let added = damping * self.mean_eigenvalue;
        match &self.means {
            Means::Eigen(eigen) => {
                let flat: Array1<f64> = slope.iter().copied().collect();
                let solution = eigen.solve(&flat, added);
                Ok(solution.into_shape_with_order(self.dim).expect("as many numbers"))
            }
            Means::ConjugateGradients(hessian) => conjugate_gradients(hessian, slope, added),
        }
    }
}

/// Hestenes and Stiefel 1952. It begins at 0 and moves in powers of H times G, so that without damping what H maps to 0 stays 0:
/// the solution is that of least norm.
fn conjugate_gradients(hessian: &SoftmaxHessian, slope: &Array2<f64>, added: f64) -> Result<Array2<f64>, HeadError> {
    let dot = |a: &Array2<f64>, b: &Array2<f64>| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (mut solution, mut residual) = (Array2::zeros(slope.dim()), slope.clone());
    let mut direction = residual.clone();
    let (first, mut size) = (dot(slope, slope), dot(slope, slope));
    for _ in 0..STEPS {
        if size <= RESIDUAL * RESIDUAL * first {
            return Ok(solution);
        }
        let product = hessian.product(&direction) + &direction * added;
        let step = size / dot(&direction, &product);
        solution.scaled_add(step, &direction);
        residual.scaled_add(-step, &product);
        let next = dot(&residual, &residual);
        direction = &residual + &(&direction * (next / size));
        size = next;
    }
    Err(failed(&format!("conjugate gradients have not ended after {STEPS} steps; give a larger --damping")))
}

pub(super) fn failed(reason: &str) -> HeadError {
    HeadError::Singular { head: "unlearned", reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::hessian::softmax;
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn conjugate_gradients_find_what_the_eigenvectors_give() {
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        let mut random =
            |rows, columns| Array2::from_shape_fn((rows, columns), |_| generator.random::<f64>() * 2.0 - 1.0);
        let (features, weight) = (random(200, 12), random(5, 12));
        let hessian = || SoftmaxHessian::new(features.clone(), softmax(&features.dot(&weight.t())));
        // A gradient, whose columns sum to nothing: what H can be the image of.
        let slope = super::super::hessian::errors(&features.dot(&weight.t()), &[2; 200]).t().dot(&features);
        let (dense, iterative) = (Solver::dense(&hessian()).unwrap(), Solver::iterative(hessian()));
        for damping in [0.0, 1e-3, 1.0] {
            let (a, b) = (dense.solve(&slope, damping).unwrap(), iterative.solve(&slope, damping).unwrap());
            let size = a.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
            let apart = (&a - &b).iter().fold(0.0, |most: f64, value| most.max(value.abs()));
            assert!(apart < 1e-7 * size, "damping {damping}: {apart} of {size}");
        }
    }
}
