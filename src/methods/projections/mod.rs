//! Which subspace a weight is projected onto, given the space of samples to retain and that of samples to forget (Kodge et al.,
//! "Deep Unlearning", arXiv 2312.00761, and the public code of SAP).
//!
//! `Mr = Ur Λr Urᵀ` of the trusted samples and `Mf = Uf Λf Ufᵀ` of those to forget are the projections of SAP. With P made of them
//! the weight becomes `Ŵ = W Pᵀ`. As a product of projections is one after the other, no P is formed, and every solver can have
//! it. A new projection is a file here and a line in [`PROJECTIONS`].

mod mr;
mod no_mf;
mod no_mi;
mod no_unshared;

use crate::linalg::{Alpha, Factored, LinalgError};
use ndarray::Array2;
use std::fmt;

/// The projections, the default first.
pub const PROJECTIONS: &[&dyn Projection] = &[&mr::Mr, &no_mf::NoMf, &no_mi::NoMi, &no_unshared::NoUnshared];

/// A way to project a weight.
pub trait Projection: Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// One line for `--help`.
    fn summary(&self) -> &'static str;

    /// Whether `Mr` has a part in it.
    fn retains(&self) -> bool {
        true
    }

    /// Whether `Mf` has a part in it.
    fn forgets(&self) -> bool {
        true
    }

    /// What is tried where α is searched for, if it is not that of `Mr`.
    fn alphas(&self) -> Option<&'static [f64]> {
        None
    }

    /// Whether the weight stays, where samples to retain, and samples to forget, give inputs that are not all zero, or do not.
    fn leaves(&self, retain: bool, forget: bool) -> bool;

    /// `Ŵ = W Pᵀ` of a weight that does not [stay](Self::leaves).
    ///
    /// # Errors
    /// [`LinalgError`].
    fn project(&self, weight: &Array2<f64>, spaces: &Spaces<'_>) -> Result<Array2<f64>, LinalgError>;
}

impl fmt::Debug for dyn Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The projection of that name.
pub fn projection(name: &str) -> Option<&'static dyn Projection> {
    PROJECTIONS.iter().copied().find(|projection| projection.name() == name)
}

/// The spaces that a weight's inputs span; one is missing where all inputs were zero, so that its M is 0.
pub struct Spaces<'a> {
    /// Of the samples to retain.
    pub retain: Option<Space<'a>>,
    /// Of the samples to forget.
    pub forget: Option<Space<'a>>,
}

/// A space, and how strongly it counts.
#[derive(Clone, Copy)]
pub struct Space<'a> {
    /// The weight in it.
    pub factored: &'a dyn Factored,
    /// α.
    pub alpha: Alpha,
}

impl Space<'_> {
    /// `W M` of the weight.
    fn of_weight(self) -> Result<Array2<f64>, LinalgError> {
        self.factored.project(self.alpha)
    }

    /// `X M` of another matrix with as many inputs.
    fn of(self, other: Array2<f64>) -> Result<Array2<f64>, LinalgError> {
        self.factored.project_other(other, self.alpha)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::{SCALINGS, SOLVERS, UnitMoment, kept_share};
    use ndarray::array;

    /// P of `name`, formed from its definition.
    fn definition(name: &str, retain: &Array2<f64>, forget: &Array2<f64>) -> Array2<f64> {
        let one = Array2::eye(retain.nrows());
        match name {
            "mr" => retain.clone(),
            "i-mf" => one - forget,
            "mr-mi" => retain - &retain.dot(forget),
            "i-(mf-mi)" => one - (forget - &forget.dot(retain)),
            other => unreachable!("{other} has no definition here"),
        }
    }

    /// `U Λ Uᵀ` of a moment along two given directions.
    fn space(angle: f64, energies: [f64; 2], alpha: f64) -> (Array2<f64>, Array2<f64>) {
        let u = array![[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]];
        let of = |diagonal: [f64; 2]| u.dot(&Array2::from_diag(&array![diagonal[0], diagonal[1]])).dot(&u.t());
        (of(energies), of(energies.map(|energy| kept_share(Alpha::new(alpha).unwrap(), energy))))
    }

    #[test]
    fn every_projection_is_its_definition_with_every_solver() {
        let weight = array![[3.0, 5.0], [-1.0, 0.5], [0.25, 2.0]];
        let ((retained, retain), (forgotten, forget)) = (space(0.4, [0.9, 0.1], 20.0), space(1.3, [0.7, 0.3], 3.0));
        for solver in SOLVERS {
            let factored = |sum: &Array2<f64>| {
                let moment = UnitMoment::from_sum(sum.clone()).unwrap().unwrap();
                solver.factor(moment, weight.clone(), SCALINGS[0]).unwrap()
            };
            let (of_retain, of_forget) = (factored(&retained), factored(&forgotten));
            let space = |factored, alpha| Some(Space { factored, alpha: Alpha::new(alpha).unwrap() });
            let spaces = Spaces { retain: space(of_retain.as_ref(), 20.0), forget: space(of_forget.as_ref(), 3.0) };
            for projection in PROJECTIONS {
                let wanted = weight.dot(&definition(projection.name(), &retain, &forget).t());
                let found = projection.project(&weight, &spaces).unwrap();
                let difference = (found - wanted).mapv(f64::abs).into_iter().fold(0.0, f64::max);
                assert!(difference < 1e-12, "{projection:?} by {}: {difference:.1e}", solver.name());
            }
        }
    }

    #[test]
    fn a_space_that_nothing_spans_counts_for_nothing() {
        let weight = array![[3.0, 5.0], [-1.0, 0.5]];
        let ((sum, m), none) = (space(0.4, [0.9, 0.1], 20.0), Array2::zeros((2, 2)));
        let factored = SOLVERS[0].factor(UnitMoment::from_sum(sum).unwrap().unwrap(), weight.clone(), SCALINGS[0]);
        let factored = factored.unwrap();
        let space = || Some(Space { factored: factored.as_ref(), alpha: Alpha::new(20.0).unwrap() });
        for projection in PROJECTIONS {
            for (retain, forget) in [(true, false), (false, true)] {
                if projection.leaves(retain, forget) {
                    continue;
                }
                let spaces = Spaces { retain: space().filter(|_| retain), forget: space().filter(|_| forget) };
                let [of_retain, of_forget] = [retain, forget].map(|seen| if seen { &m } else { &none });
                let wanted = weight.dot(&definition(projection.name(), of_retain, of_forget).t());
                let difference = projection.project(&weight, &spaces).unwrap() - wanted;
                assert!(difference.iter().all(|value| value.abs() < 1e-12), "{projection:?}: {difference}");
            }
        }
    }

    #[test]
    fn what_has_no_part_is_not_asked_for() {
        let parts: Vec<_> = PROJECTIONS.iter().map(|of| (of.name(), of.retains(), of.forgets())).collect();
        let wanted = [("mr", true, false), ("i-mf", false, true), ("mr-mi", true, true), ("i-(mf-mi)", true, true)];
        assert_eq!(parts, wanted);
        // A weight stays where nothing that has a part in it was seen.
        assert!(PROJECTIONS.iter().all(|of| of.leaves(!of.retains(), !of.forgets())));
    }
}
