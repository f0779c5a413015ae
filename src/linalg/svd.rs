//! The definition, through nalgebra's singular value decomposition of the moment: slow, and independent of faer.

use super::boundary::{from_nalgebra, to_nalgebra};
use super::{Alpha, Factored, LinalgError, Solver, UnitMoment, kept_share};
use nalgebra::DMatrix;
use ndarray::Array2;

pub(super) struct Svd;

pub(super) const SVD: Svd = Svd;

/// Far beyond what converging matrices take; nalgebra counts one for each sweep step.
const MAX_ITERATIONS: usize = 1_000_000;

/// nalgebra decomposes 2 × 2 and 3 × 3 matrices by way of `AᵀA`, which halves the digits of small singular values; a
/// border of zeros changes nothing but takes the general way.
const SMALLEST: usize = 4;

struct Decomposed {
    energies: Vec<f64>,
    vectors: DMatrix<f64>,
    /// `W U`, [outputs, d].
    weight: DMatrix<f64>,
}

impl Solver for Svd {
    fn name(&self) -> &'static str {
        "svd"
    }

    fn summary(&self) -> &'static str {
        "singular value decomposition (nalgebra); the definition, for small layers or as a check"
    }

    fn factor(&self, moment: UnitMoment, weight: Array2<f64>) -> Result<Box<dyn Factored>, LinalgError> {
        let failed = || LinalgError::Failed { solver: SVD.name(), reason: "it did not converge".into() };
        let d = weight.ncols();
        let matrix = to_nalgebra(moment.matrix()).resize(d.max(SMALLEST), d.max(SMALLEST), 0.0);
        let decomposition = matrix.try_svd(true, false, f64::EPSILON, MAX_ITERATIONS).ok_or_else(failed)?;
        let vectors = decomposition.u.ok_or_else(failed)?.rows(0, d).into_owned();
        let weight = to_nalgebra(&weight) * &vectors;
        // Singular values of a positive semi-definite matrix are its eigenvalues.
        Ok(Box::new(Decomposed { energies: decomposition.singular_values.as_slice().to_vec(), vectors, weight }))
    }
}

impl Factored for Decomposed {
    fn project(&self, alpha: Alpha) -> Result<Array2<f64>, LinalgError> {
        let mut scaled = self.weight.clone();
        for (mut column, &energy) in scaled.column_iter_mut().zip(&self.energies) {
            column *= kept_share(alpha, energy);
        }
        Ok(from_nalgebra(&(scaled * self.vectors.transpose())))
    }
}
