//! The projection `Ŵ = W · Wp` with `Wp = U diag(λ) Uᵀ`, `λ = ασ / ((α−1)σ + 1)`, in float64.
//!
//! σ are the eigenvalues of a second moment of trace 1, U its eigenvectors (SAP, arXiv 2403.08618, equations for Λ and
//! W_p). λ is a rational function of σ, so `Wp = α C ((α−1) C + I)⁻¹` needs no eigenvectors. The solvers compute the
//! same matrix; a new one is a file here and a line in [`SOLVERS`]. Other diagonals are in `scaling/`.

mod boundary;
mod cholesky;
mod eigh;
mod moment;
mod positive_definite;
mod product;
mod rounding;
mod scaling;
mod spectrum;
mod svd;
mod symmetric;

pub use moment::UnitMoment;
pub use positive_definite::{PositiveDefinite, solve_rows};
pub use product::{
    Order, Part, Strip, add_combinations, add_product, add_product_in_pieces, combinations, product, subtract_product,
};
pub use rounding::{MOST as MOST_ROUNDING, suffices};
pub use scaling::{SCALINGS, Scaling, kept_share, scaling};
pub use spectrum::Spectrum;
pub use symmetric::SymmetricEigen;

use ndarray::Array2;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The solvers, in the order in which `--help` lists them.
pub const SOLVERS: &[&dyn Solver] = &[&cholesky::CHOLESKY, &eigh::EIGH, &svd::SVD];

/// From this many values of α on, one eigendecomposition costs less than a Cholesky factorisation for each. With the layers
/// of ResNet-50 nine values took 81 s against 43 to 47 s (`benches/solve.rs`): at d = 4608 and 512 outputs nine values 31 s
/// and one factorisation 2.1 s, so that about twenty repay it; with more outputs than inputs none do.
const EIGH_PAYS_FROM: usize = 20;

/// The scaling coefficient α of SAP: positive and finite. Large values leave the weights as they are.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Alpha(f64);

impl Alpha {
    /// α, where it is positive and finite.
    pub fn new(value: f64) -> Option<Self> {
        (value.is_finite() && value > 0.0).then_some(Self(value))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// So many half-decades above this one; this one where there is no such number.
    #[must_use]
    pub fn raised(self, half_decades: i32) -> Self {
        Self::new(self.0 * 10_f64.powf(f64::from(half_decades) / 2.0)).unwrap_or(self)
    }
}

impl fmt::Display for Alpha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Three significant digits read well and still name grid points apart.
        let digits = (2 - self.0.log10().floor() as i32).max(0) as usize;
        let text = format!("{:.digits$}", self.0);
        f.write_str(if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text })
    }
}

impl FromStr for Alpha {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let value: f64 =
            text.trim().parse().map_err(|_| format!("{text:?} is not a number, as in 300 or 30,300,3000"))?;
        Self::new(value).ok_or_else(|| format!("α must be a positive, finite number, not {text}"))
    }
}

/// Failures of the linear algebra.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LinalgError {
    /// A second moment holds infinities or NaN.
    #[error("the second moment of its inputs is not finite")]
    NotFinite,
    /// A moment was rounded too much.
    #[error(
        "the float32 sums of its inputs' second moment are not precise enough for α = {alpha}; use --moments float64"
    )]
    Rounding {
        /// The scaling coefficient.
        alpha: Alpha,
    },
    /// A solver cannot tell what a rounded moment does.
    #[error("{solver} needs second moments in float64; use --moments float64")]
    NeedsFloat64 {
        /// The solver.
        solver: &'static str,
    },
    /// A solver that does without eigenvectors cannot have such a Λ.
    #[error("{solver} computes the scaling sap only, and {scaling} needs eigenvectors; use --solver eigh or svd")]
    NeedsEigenvectors {
        /// The solver.
        solver: &'static str,
        /// The scaling.
        scaling: &'static str,
    },
    /// A factorisation gave up.
    #[error("{solver} failed: {reason}")]
    Failed {
        /// The solver.
        solver: &'static str,
        /// The library's reason.
        reason: String,
    },
}

/// A way to compute the projection. All agree to rounding.
pub trait Solver: Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;
    /// One line for `--help`.
    fn summary(&self) -> &'static str;
    /// Whether it tells when a moment was rounded too much for an α. Where not, it refuses rounded ones.
    fn bounds_rounding(&self) -> bool {
        false
    }
    /// Whether what [`factor`](Self::factor) computes serves every α, so that it is worth keeping.
    fn serves_every_alpha(&self) -> bool;
    /// Whether it can have this Λ.
    fn computes(&self, scaling: &dyn Scaling) -> bool {
        let _ = scaling;
        true
    }
    /// Prepares a weight `W [outputs, d]` and the moment `C [d, d]` of its inputs for any number of α.
    ///
    /// # Errors
    /// [`LinalgError`] where a factorisation fails, or where it does not [compute](Self::computes) the scaling.
    fn factor(
        &self,
        moment: UnitMoment,
        weight: Array2<f64>,
        scaling: &'static dyn Scaling,
    ) -> Result<Box<dyn Factored>, LinalgError>;
}

/// A weight that can be projected for any α.
pub trait Factored: Send + Sync {
    /// `Ŵ [outputs, d]` for that α.
    ///
    /// # Errors
    /// [`LinalgError`] where a factorisation fails.
    fn project(&self, alpha: Alpha) -> Result<Array2<f64>, LinalgError>;

    /// The same of another matrix with as many columns.
    ///
    /// # Errors
    /// As [`project`](Self::project).
    fn project_other(&self, other: Array2<f64>, alpha: Alpha) -> Result<Array2<f64>, LinalgError>;
}

/// How long a weight `[outputs, d]` takes next to others: the operations of a factorisation and of a solve.
pub fn cost(d: usize, outputs: usize) -> f64 {
    let (d, outputs) = (d as f64, outputs as f64);
    d * d * (d / 3.0 + 2.0 * outputs)
}

/// The solver of that name.
pub fn solver(name: &str) -> Option<&'static dyn Solver> {
    SOLVERS.iter().copied().find(|solver| solver.name() == name)
}

/// The cheapest solver for that many values of α that can have this Λ.
pub fn cheapest(alphas: usize, scaling: &dyn Scaling) -> &'static dyn Solver {
    if alphas < EIGH_PAYS_FROM && scaling.is_rational() { &cholesky::CHOLESKY } else { &eigh::EIGH }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use proptest::prelude::*;

    /// The rows of a layer's inputs, fewer or more than their dimension, and a weight.
    fn layer() -> impl Strategy<Value = (Array2<f64>, Array2<f64>)> {
        (1..12_usize, 1..20_usize, 1..6_usize).prop_flat_map(|(d, rows, outputs)| {
            let values = |count| prop::collection::vec(-3.0..3.0_f64, count);
            (values(rows * d), values(outputs * d)).prop_map(move |(a, w)| {
                (Array2::from_shape_vec((rows, d), a).unwrap(), Array2::from_shape_vec((outputs, d), w).unwrap())
            })
        })
    }

    fn projected(solver: &dyn Solver, rows: &Array2<f64>, weight: &Array2<f64>, alpha: f64) -> Option<Array2<f64>> {
        let moment = UnitMoment::from_sum(rows.t().dot(rows)).unwrap()?;
        Some(solver.factor(moment, weight.clone(), SCALINGS[0]).unwrap().project(Alpha::new(alpha).unwrap()).unwrap())
    }

    fn largest_difference(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
        (a - b).iter().fold(0.0, |most, difference| most.max(difference.abs()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Source of truth: the definition, through a thin SVD of the row matrix itself, as SAP's authors do it.
        #[test]
        fn every_solver_gives_the_definition((rows, weight) in layer(), exponent in -1.0..6.0_f64) {
            let alpha = 10_f64.powf(exponent);
            let decomposition = boundary::as_faer(&rows).thin_svd().unwrap();
            let v = decomposition.V().transpose();
            let singular_values: Vec<f64> = decomposition.S().column_vector().iter().copied().collect();
            let energy: f64 = singular_values.iter().map(|s| s * s).sum();
            prop_assume!(energy > 1e-6);
            let mut wanted = Array2::<f64>::zeros(weight.dim());
            for (k, s) in singular_values.iter().enumerate() {
                let share = kept_share(Alpha::new(alpha).unwrap(), s * s / energy);
                for o in 0..weight.nrows() {
                    let along: f64 = (0..weight.ncols()).map(|j| weight[(o, j)] * v[(k, j)]).sum();
                    for j in 0..weight.ncols() {
                        wanted[(o, j)] += share * along * v[(k, j)];
                    }
                }
            }
            for solver in SOLVERS {
                let got = projected(*solver, &rows, &weight, alpha).unwrap();
                // Rounding of C is ε of its trace, and λ's slope at 0 is α.
                let tolerance = 1e-13 * (1.0 + alpha) * 30.0;
                prop_assert!(largest_difference(&got, &wanted) < tolerance, "{} at α = {alpha}", solver.name());
            }
        }

        #[test]
        fn a_large_alpha_leaves_what_full_rank_inputs_see((rows, weight) in layer()) {
            prop_assume!(rows.nrows() >= rows.ncols());
            let moment = rows.t().dot(&rows);
            let trace: f64 = moment.diag().sum();
            let smallest = nalgebra::DMatrix::from_fn(rows.ncols(), rows.ncols(), |i, j| moment[(i, j)])
                .symmetric_eigenvalues().min() / trace;
            prop_assume!(smallest > 1e-4);
            for solver in SOLVERS {
                let got = projected(*solver, &rows, &weight, 1e12).unwrap();
                prop_assert!(largest_difference(&got, &weight) < 1e-6, "{}", solver.name());
            }
        }

        /// Source of truth: the definition of each scaling by singular values, as SAP's public code has it.
        #[test]
        fn solvers_with_eigenvectors_give_every_scaling((rows, weight) in layer(), exponent in 0.1..2.0_f64) {
            let alpha = 10_f64.powf(exponent);
            let decomposition = boundary::as_faer(&rows).thin_svd().unwrap();
            let s: Vec<f64> = decomposition.S().column_vector().iter().copied().collect();
            let energy: f64 = s.iter().map(|s| s * s).sum();
            // Nothing near a threshold, which rounding would push to either side.
            prop_assume!(energy > 1e-6 && s.iter().all(|value| value / s[0] > 1e-5));
            let held: Vec<f64> = s.iter().scan(0.0, |held, s| { *held += s * s / energy; Some(*held) }).collect();
            prop_assume!(held.iter().all(|held| (held - (1.0 - 1.0 / alpha)).abs() > 1e-9));
            for (name, share) in [
                ("sgp", &(|k: usize| alpha * s[k] / ((alpha - 1.0) * s[k] + s[0])) as &dyn Fn(usize) -> f64),
                ("gpm", &|k| if k == 0 || held[k - 1] < 1.0 - 1.0 / alpha { 1.0 } else { 0.0 }),
            ] {
                let mut wanted = Array2::<f64>::zeros(weight.dim());
                for k in 0..s.len() {
                    let v = decomposition.V().col(k);
                    for o in 0..weight.nrows() {
                        let along: f64 = (0..weight.ncols()).map(|j| weight[(o, j)] * v[j]).sum();
                        (0..weight.ncols()).for_each(|j| wanted[(o, j)] += share(k) * along * v[j]);
                    }
                }
                for solver in SOLVERS.iter().filter(|solver| solver.computes(scaling(name).unwrap())) {
                    let moment = UnitMoment::from_sum(rows.t().dot(&rows)).unwrap().unwrap();
                    let factored = solver.factor(moment, weight.clone(), scaling(name).unwrap()).unwrap();
                    let got = factored.project(Alpha::new(alpha).unwrap()).unwrap();
                    // A square root of energies that are exact to some 1e-15 of a smallest 1e-10.
                    let difference = largest_difference(&got, &wanted);
                    prop_assert!(difference < 1e-6, "{name} by {}: {difference:.1e}", solver.name());
                }
            }
        }

        #[test]
        fn moments_of_shards_add_up((rows, weight) in layer(), at in 0..20_usize) {
            let at = at.min(rows.nrows());
            let (a, b) = rows.view().split_at(ndarray::Axis(0), at);
            let whole = UnitMoment::from_sum(rows.t().dot(&rows)).unwrap();
            let parts = UnitMoment::from_sum(a.t().dot(&a) + b.t().dot(&b)).unwrap();
            let (Some(whole), Some(parts)) = (whole, parts) else { return Ok(()) };
            let alpha = Alpha::new(1000.0).unwrap();
            let factor = |moment| cholesky::CHOLESKY.factor(moment, weight.clone(), SCALINGS[0]).unwrap();
            let project = |moment| factor(moment).project(alpha).unwrap();
            prop_assert!(largest_difference(&project(whole), &project(parts)) < 1e-9);
        }
    }

    #[test]
    fn unseen_directions_are_removed_and_seen_ones_kept() {
        // Only the first of two inputs is ever non-zero: σ = (1, 0), so λ = (1, 0) whatever α is.
        let rows = ndarray::array![[2.0, 0.0], [-1.0, 0.0]];
        let weight = ndarray::array![[3.0, 5.0]];
        for solver in SOLVERS {
            let got = projected(*solver, &rows, &weight, 1000.0).unwrap();
            assert!(largest_difference(&got, &ndarray::array![[3.0, 0.0]]) < 1e-12, "{}", solver.name());
        }
    }

    #[test]
    fn what_needs_eigenvectors_is_refused_without_them_and_never_chosen_for() {
        for scaling in SCALINGS.iter().filter(|scaling| !scaling.is_rational()) {
            for solver in SOLVERS {
                let moment = UnitMoment::from_sum(Array2::eye(3)).unwrap().unwrap();
                let factored = solver.factor(moment, Array2::eye(3), *scaling).err();
                assert_eq!(factored.is_none(), solver.computes(*scaling), "{} {scaling:?}", solver.name());
            }
            assert!([1, 5, 100].iter().all(|&alphas| cheapest(alphas, *scaling).computes(*scaling)), "{scaling:?}");
        }
        assert!(!cholesky::CHOLESKY.computes(scaling("gpm").unwrap()));
    }

    #[test]
    fn zero_inputs_give_no_moment_and_infinite_ones_an_error() {
        assert!(UnitMoment::from_sum(Array2::zeros((3, 3))).unwrap().is_none());
        assert!(UnitMoment::from_sum(Array2::from_elem((2, 2), f64::NAN)).is_err());
    }

    #[test]
    fn alpha_must_be_positive() {
        for text in ["0", "-3", "inf", "nan", "many"] {
            assert!(text.parse::<Alpha>().is_err(), "{text}");
        }
        assert_eq!("3e3".parse::<Alpha>().unwrap().to_string(), "3000");
        assert_eq!(Alpha::new(562.341).unwrap().to_string(), "562");
        assert_eq!(Alpha::new(0.5).unwrap().to_string(), "0.5");
    }
}
