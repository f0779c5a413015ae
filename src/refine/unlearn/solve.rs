//! `H X = G` for a Hessian: by its eigenvectors where it is small, which serves every damping, else by conjugate gradients, which
//! never form it.

use super::blocks::{Blocks, Factored};
use super::failed;
use super::hessian::Hessian;
use crate::linalg::SymmetricEigen;
use crate::refine::HeadError;
use ndarray::{Array2, Axis};

/// Numbers in a gradient up to which the matrix is formed: some seconds and 20 MB.
const DENSE: usize = 1500;

/// The residual at which a solution is one, as a share of the right-hand side. What the preconditioner makes of it, about the error
/// of the solution, is no larger a share of that, so that small eigenvalues count as well.
const RESIDUAL: f64 = 1e-10;

/// What of it rounding may leave without anybody's being told.
const UNNOTICED: f64 = 10.0 * RESIDUAL;

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
    ConjugateGradients(Box<(Hessian, Blocks)>),
}

/// What solves a system.
#[derive(Debug)]
pub(super) struct Solution {
    pub(super) values: Array2<f64>,
    /// What rounding has left of the right-hand side, as a share of it, where that is worth telling.
    pub(super) residual: Option<f64>,
}

impl Solver {
    /// By what suits its size.
    ///
    /// # Errors
    /// [`HeadError`] where eigenvectors are not found.
    pub(super) fn new(hessian: Hessian) -> Result<Self, HeadError> {
        let (scores, d) = hessian.dim();
        if scores * d <= DENSE {
            return Self::dense(&hessian);
        }
        let blocks = Blocks::of(&hessian)?;
        Ok(Self::iterative(hessian, blocks))
    }

    fn dense(hessian: &Hessian) -> Result<Self, HeadError> {
        let eigen = SymmetricEigen::of(&hessian.dense()).map_err(|error| failed(&error.to_string()))?;
        let (mean_eigenvalue, dim) = (hessian.mean_eigenvalue(), hessian.dim());
        Ok(Self { mean_eigenvalue, dim, means: Means::Eigen(eigen) })
    }

    fn iterative(hessian: Hessian, blocks: Blocks) -> Self {
        let (mean_eigenvalue, dim) = (hessian.mean_eigenvalue(), hessian.dim());
        Self { mean_eigenvalue, dim, means: Means::ConjugateGradients(Box::new((hessian, blocks))) }
    }

    /// `(H + damping · s I)⁻¹ G` with the mean eigenvalue s; without damping the pseudo-inverse's solution, that of least norm.
    ///
    /// # Errors
    /// [`HeadError`] where conjugate gradients do not end.
    pub(super) fn solve(&self, slope: &Array2<f64>, damping: f64) -> Result<Solution, HeadError> {
        let added = damping * self.mean_eigenvalue;
        match &self.means {
            Means::Eigen(eigen) => {
                let all = slope.to_shape((1, slope.len())).expect("as many numbers").into_owned();
                let solution = eigen.solve_rows(&all, |_| added);
                let values = solution.into_shape_with_order(self.dim).expect("as many numbers");
                Ok(Solution { values, residual: None })
            }
            Means::ConjugateGradients(unformed) => {
                let (hessian, blocks) = &**unformed;
                let system = System { hessian, added, image: Image::of(hessian, added)? };
                // What rounding may leave of an eigenvalue that is 0: the blocks are to be positive definite.
                let (scores, d) = self.dim;
                let trace = self.mean_eigenvalue * (scores * d) as f64;
                let rounding = (trace * d as f64 * f64::EPSILON).max(f64::MIN_POSITIVE);
                system.conjugate_gradients(slope, &blocks.with(added + rounding)?)
            }
        }
    }
}

/// Where solutions lie, as gradients do: whatever scores share is left out where H maps it to 0, and without anything added so are
/// directions that no feature vector has.
struct Image {
    /// The mean over scores is left out.
    centred: bool,
    /// An orthonormal basis of the feature vectors, a row each; nothing where they span everything.
    basis: Option<Array2<f64>>,
}

impl Image {
    fn of(hessian: &Hessian, added: f64) -> Result<Self, HeadError> {
        let centred = hessian.ignores_what_scores_share();
        if added > 0.0 {
            return Ok(Self { centred, basis: None });
        }
        // What the sum of the blocks counts as 0, the pseudo-inverse does: no eigenvalue of a part is larger than one of the sum, which
        // is at most so many times that of H as there are scores.
        let seen = SymmetricEigen::of(&hessian.partial_trace()).map_err(|error| failed(&error.to_string()))?;
        let basis = Some(seen.image()).filter(|basis| basis.nrows() < basis.ncols());
        Ok(Self { centred, basis })
    }

    /// The part of `[scores, d]` numbers that lies in it.
    fn project(&self, mut values: Array2<f64>) -> Array2<f64> {
        if self.centred {
            let mean = values.mean_axis(Axis(0)).expect("there are scores");
            values -= &mean;
        }
        match &self.basis {
            Some(basis) => values.dot(&basis.t()).dot(basis),
            None => values,
        }
    }
}

/// `H + added · I` on its image, where it is positive definite.
struct System<'h> {
    hessian: &'h Hessian,
    added: f64,
    image: Image,
}

impl System<'_> {
    fn product(&self, values: &Array2<f64>) -> Array2<f64> {
        self.image.project(self.hessian.product(values) + values * self.added)
    }

    /// Hestenes and Stiefel 1952, preconditioned (Concus, Golub and O'Leary 1976). Everything stays in the image, where there is one
    /// solution, that of least norm, whatever the preconditioner is.
    fn conjugate_gradients(&self, slope: &Array2<f64>, blocks: &Factored<'_>) -> Result<Solution, HeadError> {
        let right = self.image.project(slope.clone());
        let (mut solution, mut residual) = (Array2::zeros(right.dim()), right.clone());
        let mut direction = Array2::zeros(right.dim());
        let mut before = f64::INFINITY;
        for _ in 0..STEPS {
            let steepest = self.image.project(blocks.solve(&residual));
            if norm(&residual) <= RESIDUAL * norm(&right) && norm(&steepest) <= RESIDUAL * norm(&solution) {
                return Ok(self.judged(solution, &right));
            }
            let along = dot(&residual, &steepest);
            direction = &steepest + &(&direction * (along / before));
            let product = self.product(&direction);
            let step = along / dot(&direction, &product);
            if !step.is_finite() {
                break;
            }
            solution.scaled_add(step, &direction);
            residual.scaled_add(-step, &product);
            before = along;
        }
        Err(failed("conjugate gradients do not end; give a larger --damping"))
    }

    /// With what is left of the right-hand side: steps add up residuals, whose rounding does not show in them.
    fn judged(&self, values: Array2<f64>, right: &Array2<f64>) -> Solution {
        let residual = norm(&(right - &self.product(&values))) / norm(right);
        Solution { values, residual: Some(residual).filter(|residual| *residual > UNNOTICED) }
    }
}

fn dot(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(values: &Array2<f64>) -> f64 {
    dot(values, values).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refine::Loss;
    use ndarray::Array1;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// The Hessian of some samples' loss, and the gradient of some of them, of which it can be the image.
    struct Samples {
        loss: Loss,
        features: Array2<f64>,
        logits: Array2<f64>,
        labels: Vec<usize>,
    }

    impl Samples {
        /// Of 5 scores, whose 12 features differ in size by up to 10 to that power; two of them are the same, and one is 0.
        fn new(loss: Loss, decades: f64) -> Self {
            let mut generator = ChaCha8Rng::seed_from_u64(3);
            let mut random =
                |rows, columns| Array2::from_shape_fn((rows, columns), |_| generator.random::<f64>() * 2.0 - 1.0);
            let sizes: Array1<f64> = (0..12).map(|at| 10_f64.powf(-decades * f64::from(at) / 11.0)).collect();
            let mut features = random(200, 12) * &sizes;
            let same = features.column(3).to_owned();
            features.column_mut(4).assign(&same);
            features.column_mut(7).fill(0.0);
            let logits = features.dot(&(random(5, 12) * 4.0).t());
            Self { loss, features, logits, labels: (0..200).map(|at| at % 5).collect() }
        }

        fn hessian(&self) -> Hessian {
            Hessian::new(self.features.clone(), self.loss.curvature(&self.logits))
        }

        fn slope(&self) -> Array2<f64> {
            self.loss.errors(&self.logits, &self.labels).t().dot(&self.features)
        }
    }

    fn largest(values: &Array2<f64>) -> f64 {
        values.iter().fold(0.0, |most, value| most.max(value.abs()))
    }

    #[test]
    fn conjugate_gradients_find_what_the_eigenvectors_give() {
        for (loss, decades) in [(Loss::Softmax, 0.0), (Loss::Sigmoid, 0.0), (Loss::Softmax, 3.0), (Loss::Sigmoid, 3.0)]
        {
            let samples = Samples::new(loss, decades);
            let dense = Solver::dense(&samples.hessian()).unwrap();
            let shared = Blocks::shared(&samples.hessian()).unwrap();
            let diagonals = Blocks::diagonals(&samples.hessian());
            for blocks in [Blocks::own(&samples.hessian()), shared, diagonals] {
                let iterative = Solver::iterative(samples.hessian(), blocks);
                for damping in [0.0, 1e-6, 1e-3, 1.0] {
                    let [a, b] = [&dense, &iterative].map(|solver| solver.solve(&samples.slope(), damping).unwrap());
                    let apart = largest(&(&a.values - &b.values)) / largest(&a.values);
                    assert!(apart < 1e-7, "{loss:?}, {decades} decades, damping {damping}: {apart}");
                    assert_eq!(b.residual, None);
                }
            }
        }
    }

    #[test]
    fn what_the_hessian_cannot_map_to_is_left_out() {
        let samples = Samples::new(Loss::Softmax, 0.0);
        let iterative = Solver::iterative(samples.hessian(), Blocks::own(&samples.hessian()));
        let inside = samples.slope();
        let mut outside = &inside + 1.0;
        for (score, mut row) in outside.rows_mut().into_iter().enumerate() {
            // Feature 7 is 0, and 3 and 4 are the same: of what differs between them nothing is seen.
            for (feature, added) in [(7, 5.0), (3, 2.0), (4, -2.0)] {
                row[feature] += added * score as f64;
            }
        }
        let [a, b] = [&inside, &outside].map(|slope| iterative.solve(slope, 0.0).unwrap().values);
        assert!(largest(&(&a - &b)) < 1e-7 * largest(&a));
    }

    #[test]
    fn a_gradient_of_nothing_moves_nothing_and_one_that_is_no_number_is_refused() {
        let samples = Samples::new(Loss::Softmax, 0.0);
        let iterative = Solver::iterative(samples.hessian(), Blocks::own(&samples.hessian()));
        let nothing = Array2::zeros((5, 12));
        assert_eq!(iterative.solve(&nothing, 0.0).unwrap().values, nothing);
        assert!(iterative.solve(&(nothing * f64::NAN), 0.0).is_err());
    }
}
