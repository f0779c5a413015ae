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

use super::boundary::{as_faer, as_faer_transposed};
use super::{Alpha, Factored, LinalgError, Solver, UnitMoment, rounding};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::{factor, solve};
use faer::{Auto, Par, Spec};
use ndarray::{Array2, Zip};

pub(super) struct Cholesky;

pub(super) const CHOLESKY: Cholesky = Cholesky;

/// Nearer to 1 than this, `W − W M⁻¹` would lose digits: `M − I` is as small as α − 1.
const NEAR_ONE: f64 = 0.5;

/// Columns that are factored at once. Measured: 35 Gflop/s at d = 1152 and 28 at 512, against 26 and 11 with faer's
/// own choice; no difference at 4608.
const BLOCK: usize = 128;

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

    fn factor(&self, moment: UnitMoment, weight: Array2<f64>) -> Result<Box<dyn Factored>, LinalgError> {
        Ok(Box::new(Prepared { moment, weight }))
    }
}

impl Factored for Prepared {
    fn project(&self, alpha: Alpha) -> Result<Array2<f64>, LinalgError> {
        let beyond_one = alpha.get() - 1.0;
        let mut solved = self.solve(beyond_one)?;
        let (loss, moment) = (self.moment.loss(), self.moment.matrix());
        if loss != 0.0 {
            rounding::check(alpha, loss, &self.weight, &solved, &moment.diag())?;
        }
        if beyond_one.abs() < NEAR_ONE {
            let product = as_faer(&solved) * as_faer(moment);
            return Ok(Array2::from_shape_fn(solved.dim(), |at| alpha.get() * product[at]));
        }
        let scale = alpha.get() / beyond_one;
        Zip::from(&mut solved).and(&self.weight).for_each(|solved, &weight| *solved = scale * (weight - *solved));
        Ok(solved)
    }
}

impl Prepared {
    /// `W M⁻¹`, [outputs, d], with `M = beyond_one · C + I`.
    fn solve(&self, beyond_one: f64) -> Result<Array2<f64>, LinalgError> {
        let mut system = self.system(beyond_one);
        let mut system = as_faer_transposed(&mut system);
        let mut solved = self.weight.clone();
        // By one thread alone, so that the result cannot depend on how many there are.
        let (par, d) = (Par::Seq, solved.ncols());
        let parameters: Spec<factor::LltParams, f64> =
            factor::LltParams { block_size: BLOCK, recursion_threshold: BLOCK / 2, ..Auto::<f64>::auto() }.into();
        let mut memory = MemBuffer::new(factor::cholesky_in_place_scratch::<f64>(d, par, parameters));
        factor::cholesky_in_place(
            system.as_mut(),
            factor::LltRegularization::default(),
            par,
            MemStack::new(&mut memory),
            parameters,
        )
        .map_err(|error| LinalgError::Failed { solver: CHOLESKY.name(), reason: error.to_string() })?;
        solve::solve_in_place(system.as_ref(), as_faer_transposed(&mut solved), par, MemStack::new(&mut []));
        Ok(solved)
    }

    /// M, of which only the upper triangle of rows is written: the lower one of faer's columns, which is all it reads.
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
