//! Forgetting samples in the last layer, without training: their influence on its weights θ is computed and taken back.
//!
//! ```text
//! influence:  θ' = θ + m/n · H⁻¹ ∇L(forget)            H the Hessian over all n samples       (Koh and Liang, ICML 2017)
//! newton:     θ' = θ + 1/(n−m) · H⁻¹ Σ ∇ℓ(forget)      H over the n − m samples that are kept  (SSSE; Peste et al. 2021)
//! ```
//!
//! with the mean cross-entropy ([`Loss`]), whose gradient and Hessian in the weights of a linear layer have closed forms (`loss.rs`,
//! `hessian.rs`), the m samples to forget, and `L(forget)` their mean. Where H is singular, as that of a softmax always is, its
//! pseudo-inverse stands for `H⁻¹`, as in the code of Sugiura et al. (DEIM 2024); damping adds a multiple of its mean eigenvalue
//! to all of them instead (`solve.rs`).

mod blocks;
mod hessian;
mod loss;
mod solve;

pub use loss::Loss;

use super::LinearHead;
use super::head::HeadError;
use crate::evidence::FeatureRows;
use hessian::Hessian;
use ndarray::{Array2, Axis, concatenate, s};
use serde::{Serialize, Serializer};
use solve::{Solution, Solver};
use std::fmt;
use std::str::FromStr;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// By the Hessian over all samples.
    Influence,
    /// By the Hessian over the samples that are kept.
    Newton,
}

impl Update {
    /// Both, the default first.
    pub const ALL: [Self; 2] = [Self::Influence, Self::Newton];
}

/// A last layer from which samples can be taken, with any damping.
pub struct Unlearning {
    head: LinearHead,
    with_bias: bool,
    /// What is added for each sample's worth: `Σ ∇ℓ(forget)` over n, or n − m.
    slope: Array2<f64>,
    solver: Solver,
}

impl Unlearning {
    /// Prepares to forget those samples that `forget` marks, by the loss of the layer's scores. Without its bias, the layer keeps
    /// that as it is.
    ///
    /// # Errors
    /// [`HeadError`]: nothing to forget or to keep, or values that are not finite.
    pub fn new(
        (head, loss): (&LinearHead, Loss),
        samples: &FeatureRows,
        forget: &[bool],
        update: Update,
        with_bias: bool,
    ) -> Result<Self, HeadError> {
        let (n, m) = (forget.len(), forget.iter().filter(|forget| **forget).count());
        if m == 0 || m == n {
            return Err(HeadError::Forget { forgotten: m, samples: n });
        }
        let logits = head.logits(&samples.features);
        let errors = loss.errors(&logits, &samples.labels);
        let features = if with_bias { with_ones(&samples.features) } else { samples.features.clone() };
        let positions = |wanted: bool| -> Vec<usize> { (0..n).filter(|&at| forget[at] == wanted).collect() };
        let forgotten = positions(true);
        let slope = errors.select(Axis(0), &forgotten).t().dot(&features.select(Axis(0), &forgotten));
        let (hessian, samples) = match update {
            Update::Influence => (Hessian::new(features, loss.curvature(&logits)), n),
            Update::Newton => {
                let kept = positions(false);
                let of = |matrix: &Array2<f64>| matrix.select(Axis(0), &kept);
                (Hessian::new(of(&features), loss.curvature(&of(&logits))), n - m)
            }
        };
        let slope = slope / samples as f64;
        if slope.iter().any(|value| !value.is_finite()) {
            return Err(failed("its features are not finite"));
        }
        Ok(Self { head: head.clone(), with_bias, slope, solver: Solver::new(hessian)? })
    }

    /// The layer without them. `damping`: what is added to all eigenvalues of H, as a multiple of their mean; 0 takes its
    /// pseudo-inverse.
    ///
    /// # Errors
    /// [`HeadError`] where no solution is found.
    pub fn head(&self, damping: f64) -> Result<Unlearned, HeadError> {
        let Solution { values: step, residual } = self.solver.solve(&self.slope, damping)?;
        let d = self.head.weight.ncols();
        let weight = &self.head.weight + &step.slice(s![.., ..d]);
        let bias = if self.with_bias { &self.head.bias + &step.column(d) } else { self.head.bias.clone() };
        Ok(Unlearned { head: LinearHead { weight, bias }, residual })
    }
}

/// A last layer that has forgotten something.
#[derive(Clone, Debug)]
pub struct Unlearned {
    /// The layer.
    pub head: LinearHead,
    /// What rounding has left of `H Δθ = g`, as a share of the right-hand side, where that is worth telling.
    pub residual: Option<f64>,
}

fn failed(reason: &str) -> HeadError {
    HeadError::Singular { head: "unlearned", reason: reason.to_owned() }
}

/// A bias is the weight of a feature that is always 1.
fn with_ones(features: &Array2<f64>) -> Array2<f64> {
    let ones = Array2::ones((features.nrows(), 1));
    concatenate(Axis(1), &[features.view(), ones.view()]).expect("as many rows")
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Influence => "influence",
            Self::Newton => "newton",
        })
    }
}

impl FromStr for Update {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|update| update.to_string() == text);
        found.ok_or_else(|| format!("{text:?} is no update; give influence or newton"))
    }
}

impl Serialize for Update {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Samples of three classes that overlap, and which of them are labelled wrongly.
    fn samples(count: usize) -> (FeatureRows, Vec<bool>) {
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        let mut noise = || generator.random::<f64>() * 2.0 - 1.0;
        let features =
            Array2::from_shape_fn((count, 4), |(at, axis)| noise() * 1.5 + if at % 3 == axis { 1.0 } else { 0.0 });
        let wrong: Vec<bool> = (0..count).map(|at| at % 10 == 0).collect();
        let labels = (0..count).map(|at| if wrong[at] { (at + 1) % 3 } else { at % 3 }).collect();
        (FeatureRows { samples: (0..count).collect(), labels, features }, wrong)
    }

    /// The minimum of the mean loss over some samples, by Newton's method: (Böhning 1992) its Hessian is at hand.
    fn trained(loss: Loss, samples: &FeatureRows, used: &[bool]) -> LinearHead {
        let used: Vec<usize> = (0..used.len()).filter(|&at| used[at]).collect();
        let features = with_ones(&samples.features.select(Axis(0), &used));
        let labels: Vec<usize> = used.iter().map(|&at| samples.labels[at]).collect();
        let mut weight = Array2::<f64>::zeros((3, 5));
        for _ in 0..30 {
            let logits = features.dot(&weight.t());
            let slope = loss.errors(&logits, &labels).t().dot(&features) / used.len() as f64;
            let hessian = Hessian::new(features.clone(), loss.curvature(&logits));
            weight -= &Solver::new(hessian).unwrap().solve(&slope, 0.0).unwrap().values;
        }
        let bias: Array1<f64> = weight.column(4).to_owned();
        LinearHead { weight: weight.slice(s![.., ..4]).to_owned(), bias }
    }

    /// Distance of two heads, for a softmax up to what is the same for all classes.
    fn apart(loss: Loss, a: &LinearHead, b: &LinearHead) -> f64 {
        let all =
            |head: &LinearHead| concatenate(Axis(1), &[head.weight.view(), head.bias.view().insert_axis(Axis(1))]);
        let mut difference = all(a).unwrap() - all(b).unwrap();
        if loss == Loss::Softmax {
            let mean = difference.mean_axis(Axis(0)).unwrap();
            difference -= &mean;
        }
        difference.iter().map(|value| value * value).sum::<f64>().sqrt()
    }

    #[test]
    fn both_updates_come_near_what_training_without_the_samples_gives() {
        let (samples, wrong) = samples(600);
        let kept: Vec<bool> = wrong.iter().map(|wrong| !wrong).collect();
        for loss in [Loss::Softmax, Loss::Sigmoid] {
            let everything = trained(loss, &samples, &vec![true; 600]);
            let without = trained(loss, &samples, &kept);
            let before = apart(loss, &everything, &without);
            for (update, share) in [(Update::Influence, 0.5), (Update::Newton, 0.3)] {
                let unlearning = Unlearning::new((&everything, loss), &samples, &wrong, update, true).unwrap();
                let after = apart(loss, &unlearning.head(0.0).unwrap().head, &without);
                assert!(after < share * before, "{loss:?}, {update}: {after} of {before}");
            }
        }
    }

    /// Of the logits (0, z) of two classes only z matters: a head of one score is that of both, up to what classes share.
    #[test]
    fn one_score_forgets_what_the_softmax_of_two_forgets() {
        let (mut samples, wrong) = samples(200);
        samples.labels.iter_mut().for_each(|label| *label = (*label).min(1));
        let one = LinearHead { weight: array![[0.3, -0.2, 0.8, 0.1]], bias: array![0.2] };
        let two = LinearHead {
            weight: concatenate![Axis(0), Array2::zeros((1, 4)), one.weight],
            bias: concatenate![Axis(0), Array1::zeros(1), one.bias],
        };
        for update in Update::ALL {
            let head = |head, loss| {
                let unlearning = Unlearning::new((head, loss), &samples, &wrong, update, true).unwrap();
                unlearning.head(0.0).unwrap().head
            };
            let (one, two) = (head(&one, Loss::Sigmoid), head(&two, Loss::Softmax));
            let difference = &two.weight.row(1) - &two.weight.row(0) - one.weight.row(0);
            assert!(difference.iter().all(|value| value.abs() < 1e-12), "{update}: {difference}");
            assert!((two.bias[1] - two.bias[0] - one.bias[0]).abs() < 1e-12);
        }
    }

    #[test]
    fn much_damping_changes_nothing_and_the_bias_stays_where_it_is_not_meant() {
        let (samples, wrong) = samples(90);
        let head = trained(Loss::Softmax, &samples, &[true; 90]);
        let of = (&head, Loss::Softmax);
        let unlearning = Unlearning::new(of, &samples, &wrong, Update::Influence, false).unwrap();
        assert!(apart(Loss::Softmax, &unlearning.head(1e12).unwrap().head, &head) < 1e-9);
        assert_eq!(unlearning.head(0.1).unwrap().head.bias, head.bias);
        let unlearning = Unlearning::new(of, &samples, &wrong, Update::Influence, true).unwrap();
        assert_ne!(unlearning.head(0.1).unwrap().head.bias, head.bias);
    }

    #[test]
    fn there_must_be_something_to_forget_and_something_to_keep() {
        let (samples, _) = samples(9);
        let head = LinearHead { weight: Array2::zeros((3, 4)), bias: Array1::zeros(3) };
        for all in [true, false] {
            assert!(Unlearning::new((&head, Loss::Softmax), &samples, &[all; 9], Update::Newton, true).is_err());
        }
    }
}
