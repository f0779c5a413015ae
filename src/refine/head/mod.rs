//! New heads in closed form, fitted to all samples and their (noisy) labels.
//!
//! The last layer of a network that memorised wrong labels carries them most directly, and it is linear: given the features
//! before it, which the projection has cleaned, the best head for some loss has a closed form in a few sums
//! ([`ClassMoments`]). Averaging over all samples of a class is what wrong labels that fall evenly cannot bend much; few
//! parameters, shrunk further, cannot memorise them again. A new head is one file here and one line in [`FITS`].

mod contest;
mod layer;
mod lda;
mod ridge;
mod scale;

pub use contest::{Contest, Entrant};
pub use layer::HeadLayer;

use crate::evidence::ClassMoments;
use ndarray::{Array1, Array2, Axis};
use thiserror::Error;

/// The closed forms, the first the default of `--head` where it is one of them.
pub const FITS: &[&dyn HeadFit] = &[&ridge::Ridge, &lda::Lda];

/// A head in closed form.
pub trait HeadFit: Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;
    /// One line for `--help`.
    fn summary(&self) -> &'static str;
    /// Shrinkages that are tried.
    fn shrinkages(&self) -> &'static [f64];
    /// The head.
    ///
    /// # Errors
    /// [`HeadError`].
    fn fit(&self, moments: &ClassMoments, shrinkage: f64) -> Result<LinearHead, HeadError>;
}

/// Why there is no such head.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The system has no solution.
    #[error("no {head} head can be fitted to the features: {reason}")]
    Singular {
        /// Which.
        head: &'static str,
        /// What the solver says.
        reason: String,
    },
    /// Nothing to forget, or nothing that would be left.
    #[error(
        "{forgotten} of {samples} samples are to be forgotten; give another --forget-fraction or other --forget-ids"
    )]
    Forget {
        /// How many are to be forgotten.
        forgotten: usize,
        /// Of how many.
        samples: usize,
    },
    /// A class without samples.
    #[error("no sample is labelled {0}, so that no head can be fitted; keep it with --head keep or project")]
    EmptyClass(usize),
}

/// `logits = W φ + b`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearHead {
    /// W, `[classes, d]`.
    pub weight: Array2<f64>,
    /// b, one number a class.
    pub bias: Array1<f64>,
}

impl LinearHead {
    /// The logits of samples whose features are rows.
    pub fn logits(&self, features: &Array2<f64>) -> Array2<f64> {
        features.dot(&self.weight.t()) + &self.bias
    }

    /// The same predictions, with logits that are so many times as large.
    #[must_use]
    pub fn scaled(&self, scale: f64) -> Self {
        Self { weight: &self.weight * scale, bias: &self.bias * scale }
    }

    /// The same predictions, with a weight of the same Frobenius norm as another head's.
    #[must_use]
    pub fn as_large_as(&self, other: &Self) -> Self {
        let scale = norm(&other.weight) / norm(&self.weight);
        if scale.is_finite() && scale > 0.0 { self.scaled(scale) } else { self.clone() }
    }
}

/// `‖W‖` (Frobenius).
fn norm(weight: &Array2<f64>) -> f64 {
    weight.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// The mean features of each class, `[classes, d]`.
fn class_means(moments: &ClassMoments) -> Result<Array2<f64>, HeadError> {
    if let Some(class) = moments.counts.iter().position(|&count| count == 0) {
        return Err(HeadError::EmptyClass(class));
    }
    let counts: Array1<f64> = moments.counts.iter().map(|&count| count as f64).collect();
    Ok(&moments.sums / &counts.insert_axis(Axis(1)))
}

/// Adds a multiple of the mean variance to each variance.
fn shrunk(mut covariance: Array2<f64>, kept: f64, added: f64) -> Array2<f64> {
    let mean = covariance.diag().mean().unwrap_or(0.0);
    covariance *= kept;
    // Features that are all constant leave nothing to invert, and nothing to learn either.
    let added = if mean > 0.0 { added * mean } else { 1.0 };
    covariance.diag_mut().mapv_inplace(|variance| variance + added);
    covariance
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    /// Features of three classes around three centres, some labels wrong, all in an order that has no meaning.
    fn samples() -> impl Strategy<Value = (Array2<f64>, Vec<usize>)> {
        let centres = array![[3.0, 0.0, 0.0, 1.0], [0.0, 3.0, 0.0, -1.0], [0.0, 0.0, 3.0, 0.0]];
        let sample = (0..3_usize, prop::collection::vec(-1.0..1.0_f64, 4), 0..10_usize);
        prop::collection::vec(sample, 60..120).prop_map(move |samples| {
            let features = samples.iter().flat_map(|(class, noise, _)| {
                centres.row(*class).iter().zip(noise).map(|(centre, noise)| centre + noise).collect::<Vec<_>>()
            });
            let features = Array2::from_shape_vec((samples.len(), 4), features.collect()).unwrap();
            let labels = samples.iter().map(|&(class, _, wrong)| if wrong == 0 { (class + 1) % 3 } else { class });
            (features, labels.collect())
        })
    }

    fn moments(features: &Array2<f64>, labels: &[usize]) -> ClassMoments {
        let mut moments = ClassMoments::new(3, features.ncols());
        moments.add(features, labels);
        moments
    }

    #[test]
    fn a_head_as_large_as_another_predicts_what_it_did() {
        let (small, large) = (array![[0.3, 0.4], [0.0, 0.0]], array![[3.0, 0.0], [0.0, -4.0]]);
        let head = |weight| LinearHead { weight, bias: array![0.1, 0.2] };
        assert_eq!(head(small.clone()).as_large_as(&head(large)), head(small.clone()).scaled(5.0 / 0.5));
        // There is nothing to be as large as.
        assert_eq!(head(small.clone()).as_large_as(&head(Array2::zeros((2, 2)))), head(small));
    }

    fn predicted(head: &LinearHead, features: &Array2<f64>) -> Vec<usize> {
        let largest =
            |row: ndarray::ArrayView1<'_, f64>| (0..row.len()).fold(0, |a, b| if row[b] > row[a] { b } else { a });
        head.logits(features).rows().into_iter().map(largest).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_fit_finds_classes_that_are_apart_in_spite_of_some_wrong_labels((features, labels) in samples()) {
            let moments = moments(&features, &labels);
            prop_assume!(moments.counts.iter().all(|&count| count > 10));
            for fit in FITS {
                for &shrinkage in fit.shrinkages() {
                    let head = fit.fit(&moments, shrinkage).unwrap();
                    let right = predicted(&head, &features).iter().zip(&labels).filter(|(a, b)| a == b).count();
                    prop_assert!(right * 10 >= labels.len() * 7, "{} {shrinkage}: {right}", fit.name());
                }
            }
        }

        /// Both closed forms follow an invertible change of the features' origin and orientation.
        #[test]
        fn turning_and_moving_the_features_changes_no_prediction((features, labels) in samples(), angle in 0.0..6.3_f64) {
            let (s, c) = angle.sin_cos();
            let turn = array![[c, -s, 0.0, 0.0], [s, c, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, -1.0, 0.0]];
            let moved = features.dot(&turn) + &array![5.0, -2.0, 1.0, 0.0];
            let (here, there) = (moments(&features, &labels), moments(&moved, &labels));
            prop_assume!(here.counts.iter().all(|&count| count > 10));
            for fit in FITS {
                let shrinkage = fit.shrinkages()[0];
                let [here, there] = [&here, &there].map(|moments| fit.fit(moments, shrinkage).unwrap());
                let (a, b) = (here.logits(&features), there.logits(&moved));
                // Logits are only known up to what is the same for all classes.
                let centred = |logits: &Array2<f64>| logits - &logits.mean_axis(Axis(1)).unwrap().insert_axis(Axis(1));
                let difference = centred(&a) - centred(&b);
                prop_assert!(difference.iter().all(|d| d.abs() < 1e-8 * (1.0 + a.mapv(f64::abs).sum())), "{}", fit.name());
            }
        }
    }

    #[test]
    fn features_that_are_constant_give_a_head_that_predicts_the_largest_class() {
        let features = Array2::from_elem((6, 4), 2.0);
        let moments = moments(&features, &[1, 1, 1, 0, 0, 2]);
        for fit in FITS {
            let head = fit.fit(&moments, fit.shrinkages()[0]).unwrap();
            assert_eq!(predicted(&head, &features), [1; 6], "{}", fit.name());
        }
    }

    #[test]
    fn a_class_that_nobody_is_labelled_with_is_named() {
        let moments = moments(&array![[1.0], [2.0]], &[0, 2]);
        for fit in FITS {
            let error = fit.fit(&moments, 0.1).unwrap_err();
            assert!(matches!(error, HeadError::EmptyClass(1)), "{error}");
        }
    }
}
