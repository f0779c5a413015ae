//! One Cholesky factorisation and solve for each α, with the weight's rows as right-hand sides.
//!
//! `Ŵᵀ = α M⁻¹ (C Wᵀ)` with `M = (α−1) C + I`. Positive definite for every α > 0: the eigenvalues of C lie in [0, 1],
//! those of M between min(1, α) and max(1, α).

use super::boundary::{as_faer, from_faer, to_faer};
use super::{Alpha, Factored, LinalgError, Solver, UnitMoment};
use faer::linalg::solvers::{Llt, Solve};
use faer::{Mat, Scale, Side};
use ndarray::Array2;

pub(super) struct Cholesky;

pub(super) const CHOLESKY: Cholesky = Cholesky;

struct Prepared {
    moment: Mat<f64>,
    /// `C Wᵀ`, [d, outputs].
    product: Mat<f64>,
}

impl Solver for Cholesky {
    fn name(&self) -> &'static str {
        "cholesky"
    }

    fn summary(&self) -> &'static str {
        "one factorisation for each α (faer); the fastest for a single α"
    }

    fn factor(&self, moment: UnitMoment, weight: Array2<f64>) -> Result<Box<dyn Factored>, LinalgError> {
        let moment = to_faer(moment.matrix());
        let product = &moment * as_faer(&weight).transpose();
        Ok(Box::new(Prepared { moment, product }))
    }
}

impl Factored for Prepared {
    fn project(&self, alpha: Alpha) -> Result<Array2<f64>, LinalgError> {
        let mut system = Scale(alpha.get() - 1.0) * &self.moment;
        for i in 0..system.nrows() {
            system[(i, i)] += 1.0;
        }
        let failed = |error| LinalgError::Failed { solver: CHOLESKY.name(), reason: format!("{error:?}") };
        let factor = Llt::new(system.as_ref(), Side::Lower).map_err(failed)?;
        let solution = factor.solve(Scale(alpha.get()) * &self.product);
        Ok(from_faer(solution.transpose()))
    }
}
