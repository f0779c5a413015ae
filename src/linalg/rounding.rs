//! What weights lose to a moment whose entries were rounded.
//!
//! With `M = (α−1) C + I`, X = `W M⁻¹` and an error E of C, the projected weights change by
//!
//! ```text
//! ΔŴ = α X E (M + (α−1) E)⁻¹
//! ```
//!
//! (the resolvent identity). Let the entries of E, which is symmetric, be independent, of mean 0 and root mean square
//! `e √(C_ii C_jj)`. The norm of the inverse is at most 1/min(1, α), and the trace of C is 1, so that for a row x of X
//!
//! ```text
//! E |Δŵ|² ≤ 2 (α e / min(1, α))² Σᵢ xᵢ² C_ii
//! ```
//!
//! Every entry of E is counted twice for its two places, hence the 2.

use super::{Alpha, LinalgError};
use ndarray::{Array2, ArrayView1};

/// The most that a row may lose, as a share of the norm of the layer's largest row: some eighty roundings to float32, a
/// hundredth of one to float16.
pub const MOST: f64 = 5e-6;

/// So many times the root mean square is taken for what is lost.
const DEVIATIONS: f64 = 3.0;

/// Whether entries that lose the share `loss` of `√(C_ii C_jj)` can be expected to do for this α: of an input whose d features
/// have equal energies, where X is no smaller than W.
pub fn suffices(alpha: Alpha, loss: f64, d: usize) -> bool {
    amplified(alpha, loss) <= MOST * (d as f64).sqrt()
}

/// Makes sure that no row of a weight `[outputs, d]` has lost more than it may.
///
/// # Errors
/// [`LinalgError::Rounding`].
pub(super) fn check(
    alpha: Alpha,
    loss: f64,
    weight: &Array2<f64>,
    solved: &Array2<f64>,
    energies: &ArrayView1<'_, f64>,
) -> Result<(), LinalgError> {
    let largest = weight.rows().into_iter().map(|row| row.dot(&row)).fold(0.0, f64::max).sqrt();
    let seen = |row: ArrayView1<'_, f64>| row.iter().zip(energies).map(|(x, energy)| x * x * energy).sum::<f64>();
    let seen = solved.rows().into_iter().map(seen).fold(0.0, f64::max).sqrt();
    // Written so that a NaN does not pass.
    if amplified(alpha, loss) * seen <= MOST * largest { Ok(()) } else { Err(LinalgError::Rounding { alpha }) }
}

fn amplified(alpha: Alpha, loss: f64) -> f64 {
    DEVIATIONS * 2_f64.sqrt() * alpha.get().max(1.0) * loss
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::{SCALINGS, SOLVERS, UnitMoment, solver};
    use proptest::prelude::*;

    /// Numbers between −1 and 1 with mean 0, the same for the same seed.
    fn noise(shape: (usize, usize), seed: u64) -> Array2<f64> {
        let mut state = seed.wrapping_mul(6_364_136_223_846_793_005) | 1;
        Array2::from_shape_simple_fn(shape, || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        })
    }

    fn projected(sum: Array2<f64>, loss: f64, weight: &Array2<f64>, alpha: Alpha) -> Result<Array2<f64>, LinalgError> {
        let moment = UnitMoment::from_sum(sum)?.expect("a moment").with_loss(loss);
        solver("cholesky").expect("it is there").factor(moment, weight.clone(), SCALINGS[0])?.project(alpha)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Entries that lose what they are said to lose change no row by more than what is allowed, where that is found.
        #[test]
        fn what_passes_has_changed_no_row_by_more_than_it_may(
            d in 4_usize..40,
            rows in 1_usize..80,
            exponent in 0.0..6.0_f64,
            loss_exponent in -12.0..-5.0_f64,
            uneven in prop::bool::ANY,
            seed in 1_u64..1 << 40,
        ) {
            let scale = |feature: usize| if uneven { 10_f64.powf(-(feature as f64) / 8.0) } else { 1.0 };
            let mut inputs = noise((rows, d), seed);
            inputs.columns_mut().into_iter().enumerate().for_each(|(feature, mut column)| column *= scale(feature));
            let sum = inputs.t().dot(&inputs);
            let loss = 10_f64.powf(loss_exponent);
            let errors = noise((d, d), seed + 1) * 3_f64.sqrt();
            let rounded = Array2::from_shape_fn((d, d), |(i, j)| {
                sum[(i, j)] + loss * (sum[(i, i)] * sum[(j, j)]).sqrt() * errors[(i.max(j), i.min(j))]
            });
            let alpha = Alpha::new(10_f64.powf(exponent)).unwrap();
            let weight = noise((6, d), seed + 2);
            let exact = projected(sum, 0.0, &weight, alpha).unwrap();
            // Rounding of the solve itself.
            let allowed = MOST + 1e-13 * alpha.get();
            if let Ok(got) = projected(rounded, loss, &weight, alpha) {
                let largest = weight.rows().into_iter().map(|row| row.dot(&row)).fold(0.0, f64::max).sqrt();
                for lost in (&got - &exact).rows() {
                    prop_assert!(lost.dot(&lost).sqrt() <= allowed * largest);
                }
            }
        }
    }

    #[test]
    fn a_loss_that_shows_at_a_large_alpha_does_not_at_a_small_one() {
        // Fewer rows than features: where nothing was seen, X is as large as W at any α.
        let inputs = noise((4, 16), 3);
        let (sum, weight) = (inputs.t().dot(&inputs), noise((4, 16), 4));
        let outcome = |alpha: f64| projected(sum.clone(), 1e-8, &weight, Alpha::new(alpha).unwrap());
        assert!(outcome(100.0).is_ok());
        assert!(matches!(outcome(1e6), Err(LinalgError::Rounding { .. })));
        assert!(suffices(Alpha::new(100.0).unwrap(), 1e-8, 16) && !suffices(Alpha::new(1e6).unwrap(), 1e-8, 16));
        assert!(matches!(
            projected(sum.clone(), f64::NAN, &weight, Alpha::new(1.5).unwrap()),
            Err(LinalgError::Rounding { .. })
        ));
    }

    #[test]
    fn solvers_that_cannot_tell_refuse_rounded_moments() {
        for solver in SOLVERS.iter().filter(|solver| !solver.bounds_rounding()) {
            let moment = UnitMoment::from_sum(Array2::eye(3)).unwrap().unwrap().with_loss(1e-12);
            let refused = solver.factor(moment, Array2::eye(3), SCALINGS[0]);
            assert!(matches!(refused.err(), Some(LinalgError::NeedsFloat64 { .. })), "{}", solver.name());
        }
    }
}
