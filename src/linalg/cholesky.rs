//! One Cholesky factorisation and solve for each α, with the weight's rows as right-hand sides.
//!
//! With `M = (α−1) C + I` the moment is `C = (M − I) / (α−1)`, so that
//!
//! ```text
//! Ŵ = α W C M⁻¹ = α/(α−1) (W − W M⁻¹)
//! ```
//!
//! needs no product with C. Where α is near 1 the difference would cancel, and the product is taken. M is positive
//! definite for every α > 0: the eigenvalues of C lie in [0, 1], those of M between min(1, α) and max(1, α).

use super::boundary::as_faer;
use super::positive_definite::solve_rows;
use super::{Alpha, Factored, LinalgError, Scaling, Solver, UnitMoment, rounding};
use ndarray::{Array2, Zip};

pub(super) struct Cholesky;

pub(super) const CHOLESKY: Cholesky = Cholesky;

/// Nearer to 1 than this, `W − W M⁻¹` would lose digits: `M − I` is as small as α − 1.
const NEAR_ONE: f64 = 0.5;

struct Prepared {
    moment: UnitMoment,
    weight: Array2<f64>,
}

impl Solver for Cholesky {
    fn name(&self) -> &'static str {
        "cholesky"
    }

    fn summary(&self) -> &'static str {
        "one factorisation for each α (faer); the fastest for a single α"
    }

    fn bounds_rounding(&self) -> bool {
        true
    }

    fn serves_every_alpha(&self) -> bool {
        false
    }

    fn computes(&self, scaling: &dyn Scaling) -> bool {
        scaling.is_rational()
    }

    fn factor(
        &self,
        moment: UnitMoment,
        weight: Array2<f64>,
        scaling: &'static dyn Scaling,
    ) -> Result<Box<dyn Factored>, LinalgError> {
        if !self.computes(scaling) {
            return Err(LinalgError::NeedsEigenvectors { solver: CHOLESKY.name(), scaling: scaling.name() });
        }
        Ok(Box::new(Prepared { moment, weight }))
    }
}

impl Factored for Prepared {
    fn project(&self, alpha: Alpha) -> Result<Array2<f64>, LinalgError> {
        self.projected(&self.weight, alpha)
    }

    fn project_other(&self, other: Array2<f64>, alpha: Alpha) -> Result<Array2<f64>, LinalgError> {
        self.projected(&other, alpha)
    }
}

impl Prepared {
    fn projected(&self, weight: &Array2<f64>, alpha: Alpha) -> Result<Array2<f64>, LinalgError> {
        let beyond_one = alpha.get() - 1.0;
        let mut solved = self.solve(weight, beyond_one)?;
        let (loss, moment) = (self.moment.loss(), self.moment.matrix());
        if loss != 0.0 {
            rounding::check(alpha, loss, weight, &solved, &moment.diag())?;
        }
        if beyond_one.abs() < NEAR_ONE {
            let product = as_faer(&solved) * as_faer(moment);
            return Ok(Array2::from_shape_fn(solved.dim(), |at| alpha.get() * product[at]));
        }
        let scale = alpha.get() / beyond_one;
        Zip::from(&mut solved).and(weight).for_each(|solved, &weight| *solved = scale * (weight - *solved));
        Ok(solved)
    }

    /// `W M⁻¹`, [outputs, d], with `M = beyond_one · C + I`.
    fn solve(&self, weight: &Array2<f64>, beyond_one: f64) -> Result<Array2<f64>, LinalgError> {
        let failed = |reason| LinalgError::Failed { solver: CHOLESKY.name(), reason };
        solve_rows(self.system(beyond_one), weight.clone()).map_err(failed)
    }

    /// M, of which only the upper triangle of rows is written, which is all that is read.
    fn system(&self, beyond_one: f64) -> Array2<f64> {
        let moment = self.moment.matrix();
        let mut system = Array2::zeros(moment.dim());
        for (i, (mut row, source)) in system.rows_mut().into_iter().zip(moment.rows()).enumerate() {
            let from_diagonal = ndarray::s![i..];
            Zip::from(row.slice_mut(from_diagonal))
                .and(source.slice(from_diagonal))
                .for_each(|to, &c| *to = beyond_one * c);
            row[i] += 1.0;
        }
        system
    }
}
