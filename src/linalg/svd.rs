//! The definition, through nalgebra's singular value decomposition: slow, and independent of faer.
//!
//! nalgebra 0.35 now and then loses a rotation: of 200,000 random matrices of rank 1 to 11 with a trace of 1, it gave
//! for 760 factors of another matrix. `C + sI` has the same singular vectors and no singular value at 0, where most of
//! that happens. What is left (with s = 0.01 one in 2,500, errors of up to 1e-10) shows when the factors are multiplied;
//! the same matrix in another basis then goes well.

use super::boundary::{from_nalgebra, to_nalgebra};
use super::{Alpha, Factored, LinalgError, Scaling, Solver, UnitMoment};
use nalgebra::DMatrix;
use ndarray::Array2;

pub(super) struct Svd;

pub(super) const SVD: Svd = Svd;

/// Far beyond what converging matrices take; nalgebra counts one for each sweep step.
const MAX_ITERATIONS: usize = 1_000_000;

/// nalgebra's own default; it has to be named where the number of iterations is.
const CONVERGENCE: f64 = 5.0 * f64::EPSILON;

/// For 2 × 2 and 3 × 3 matrices nalgebra has ways of its own, which lose half of the digits; a border takes the general
/// one, and its directions have no part in the matrix.
const SMALLEST: usize = 4;

/// How many bases are tried.
const BASES: usize = 8;

/// s: large against rounding, small against the distances of singular values.
const SHIFT: f64 = 0.01;

/// What the factors may lose of a matrix of order d; measured: 3e-15 at d = 8, 3e-13 at d = 800.
fn reconstruction_tolerance(d: usize) -> f64 {
    1e-13 + 1e-14 * d as f64
}

struct Decomposed {
    energies: Vec<f64>,
    vectors: DMatrix<f64>,
    /// `W U`, [outputs, d].
    weight: DMatrix<f64>,
    /// Λ.
    scaling: &'static dyn Scaling,
}

impl Solver for Svd {
    fn name(&self) -> &'static str {
        "svd"
    }

    fn summary(&self) -> &'static str {
        "singular value decomposition (nalgebra); the definition, for small layers or as a check"
    }

    fn serves_every_alpha(&self) -> bool {
        true
    }

    fn factor(
        &self,
        moment: UnitMoment,
        weight: Array2<f64>,
        scaling: &'static dyn Scaling,
    ) -> Result<Box<dyn Factored>, LinalgError> {
        let matrix = to_nalgebra(moment.in_float64(SVD.name())?);
        let failed = || LinalgError::Failed {
            solver: SVD.name(),
            reason: "its factors do not give back the matrix; use another solver".into(),
        };
        let (energies, vectors) = (0..BASES).find_map(|basis| decompose(&matrix, basis)).ok_or_else(failed)?;
        let weight = to_nalgebra(&weight) * &vectors;
        Ok(Box::new(Decomposed { energies, vectors, weight, scaling }))
    }
}

/// Energies and their directions, where the factors of `C + sI` in that basis give it back.
fn decompose(matrix: &DMatrix<f64>, basis: usize) -> Option<(Vec<f64>, DMatrix<f64>)> {
    let d = matrix.nrows();
    let size = d.max(SMALLEST);
    let reflection = reflection(size, basis);
    let shifted = matrix.clone().resize(size, size, 0.0) + DMatrix::identity(size, size) * SHIFT;
    let factors = (&reflection * &shifted * &reflection).try_svd(true, true, CONVERGENCE, MAX_ITERATIONS)?;
    // Singular values of a positive semi-definite matrix are its eigenvalues.
    let energies = factors.singular_values.iter().map(|value| value - SHIFT).collect();
    let vectors = &reflection * factors.u.as_ref()?;
    let lost = (&reflection * factors.recompose().ok()? * &reflection - shifted).norm();
    (lost <= reconstruction_tolerance(d)).then(|| (energies, vectors.rows(0, d).into_owned()))
}

/// A Householder reflection `I − 2vvᵀ/|v|²`: symmetric, orthogonal, its own inverse. Number 0 is the identity.
fn reflection(size: usize, number: usize) -> DMatrix<f64> {
    let v = nalgebra::DVector::from_fn(size, |i, _| ((i + 1) as f64 * number as f64).sin());
    let square = v.norm_squared();
    let identity = DMatrix::identity(size, size);
    if square > 0.0 { identity - &v * v.transpose() * (2.0 / square) } else { identity }
}

impl Factored for Decomposed {
    fn project(&self, alpha: Alpha) -> Result<Array2<f64>, LinalgError> {
        Ok(self.back(self.weight.clone(), alpha))
    }

    fn project_other(&self, other: Array2<f64>, alpha: Alpha) -> Result<Array2<f64>, LinalgError> {
        Ok(self.back(to_nalgebra(&other) * &self.vectors, alpha))
    }
}

impl Decomposed {
    /// A matrix in the basis of the singular vectors, scaled, in its own basis.
    fn back(&self, mut scaled: DMatrix<f64>, alpha: Alpha) -> Array2<f64> {
        let shares = self.scaling.shares(alpha, &self.energies);
        for (mut column, share) in scaled.column_iter_mut().zip(shares) {
            column *= share;
        }
        from_nalgebra(&(scaled * self.vectors.transpose()))
    }
}
