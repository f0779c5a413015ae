//! Heads fitted to shifted images beside the same fitted to images as they are, each judged on images that it was not fitted to.

use crate::evidence::{ClassMoments, Folds, Scores};
use crate::model::Link;
use crate::refine::{Contest, Head, HeadError, LinearHead, head_fit};
use ndarray::{Array2, Axis};

/// Pairs of heads that differ in the images that they are fitted to.
pub(super) struct Twins {
    pairs: Vec<Fitted>,
}

struct Fitted {
    head: Head,
    /// What it becomes, fitted to all shifted images.
    whole: LinearHead,
    /// By fold, fitted without its samples: to images as they are, and to shifted ones.
    apart: Vec<[LinearHead; 2]>,
}

/// What the pairs predict of samples.
pub(super) struct FoldContest {
    folds: Folds,
    /// Of each fold, between the heads that were fitted without it.
    contests: Vec<Contest>,
}

impl Twins {
    /// Of those closed forms, from the sums of the folds: of images as they are, and of shifted ones. One that cannot be fitted is
    /// left out where others can be.
    pub(super) fn fit(heads: &[Head], moments: [&[ClassMoments]; 2]) -> Result<Self, HeadError> {
        let (mut pairs, mut failure) = (Vec::new(), None);
        for &head in heads {
            match Fitted::new(head, moments) {
                Ok(pair) => pairs.extend(pair),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) if pairs.is_empty() => Err(error),
            _ => Ok(Self { pairs }),
        }
    }

    /// The shifted heads, in the order of everything here.
    pub(super) fn heads(&self) -> impl Iterator<Item = Head> {
        self.pairs.iter().map(|pair| pair.head)
    }

    /// The shifted heads, fitted to all samples, and that the size of their logits is to be found.
    pub(super) fn whole(&self) -> impl Iterator<Item = (LinearHead, bool)> {
        self.pairs.iter().map(|pair| (pair.whole.clone(), true))
    }

    /// A contest in which each sample is judged by heads that were fitted without it.
    pub(super) fn contest(&self, folds: Folds) -> FoldContest {
        let of_fold = |fold: usize| {
            let heads = self.pairs.iter().flat_map(move |pair| pair.apart[fold].clone());
            Contest::new(heads.map(|head| (head, true)), Link::Softmax)
        };
        FoldContest { folds, contests: (0..folds.count).map(of_fold).collect() }
    }
}

impl Fitted {
    /// Nothing where a head is not computed by a closed form.
    fn new(head: Head, [plain, shifted]: [&[ClassMoments]; 2]) -> Result<Option<Self>, HeadError> {
        let Head::Refit { fit, shrinkage, .. } = head else { return Ok(None) };
        let Some(closed) = head_fit(fit) else { return Ok(None) };
        let without = |folds: &[ClassMoments], left_out: Option<usize>| {
            let rest = folds.iter().enumerate().filter(|(fold, _)| Some(*fold) != left_out).map(|(_, moments)| moments);
            closed.fit(&ClassMoments::together(rest).ok_or(HeadError::EmptyClass(0))?, shrinkage)
        };
        let apart = (0..plain.len()).map(|fold| Ok([without(plain, Some(fold))?, without(shifted, Some(fold))?]));
        let apart = apart.collect::<Result<Vec<_>, HeadError>>()?;
        let head = Head::Refit { fit, shrinkage, shifted: true };
        Ok(Some(Self { head, whole: without(shifted, None)?, apart }))
    }
}

impl FoldContest {
    /// Takes samples: their indices, their labels, and their features, a row each.
    pub(super) fn add(&mut self, indices: &[usize], labels: &[usize], features: &Array2<f64>) {
        let of_samples: Vec<usize> = indices.iter().map(|&sample| self.folds.of(sample)).collect();
        for (fold, contest) in self.contests.iter_mut().enumerate() {
            let rows: Vec<usize> = (0..of_samples.len()).filter(|&row| of_samples[row] == fold).collect();
            if !rows.is_empty() {
                let of = |all: &[usize]| rows.iter().map(|&row| all[row]).collect::<Vec<_>>();
                contest.add(&of(indices), &of(labels), &features.select(Axis(0), &rows));
            }
        }
    }

    /// What each pair predicted of all samples: fitted to images as they are, and to shifted ones.
    pub(super) fn finish(self) -> Vec<[Scores; 2]> {
        let mut pairs: Vec<[Scores; 2]> = Vec::new();
        for contest in self.contests {
            let scores: Vec<Scores> = contest.finish().into_iter().map(|entrant| entrant.scores).collect();
            pairs.resize_with(scores.len() / 2, Default::default);
            for (all, scores) in pairs.iter_mut().flatten().zip(scores) {
                all.samples.extend(scores.samples);
                all.predictions.extend(scores.predictions);
            }
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    const RIDGE: Head = Head::Refit { fit: "ridge", shrinkage: 0.1, shifted: false };

    /// Sums of samples in two folds: in each the feature tells the class, but in the second the other way round.
    fn moments() -> Vec<ClassMoments> {
        let of_fold = |sign: f64| {
            let mut moments = ClassMoments::new(2, 1);
            moments.add(&array![[-sign], [-sign * 1.1], [sign], [sign * 1.1]], &[0, 0, 1, 1]);
            moments
        };
        vec![of_fold(1.0), of_fold(-1.0)]
    }

    #[test]
    fn a_sample_is_judged_by_what_was_fitted_to_the_other_fold() {
        let (moments, folds) = (moments(), Folds { count: 2, seed: 3 });
        let twins = Twins::fit(&[Head::Kept, RIDGE], [&moments, &moments]).unwrap();
        let mut contest = twins.contest(folds);
        let samples: Vec<usize> = (0..40).collect();
        contest.add(&samples, &[1; 40], &Array2::ones((40, 1)));
        let judged = contest.finish();
        assert_eq!(judged.len(), 1, "only closed forms have twins");
        for scores in &judged[0] {
            assert_eq!(scores.samples.len(), 40);
            for (&sample, prediction) in scores.samples.iter().zip(&scores.predictions) {
                assert_eq!(prediction.predicted, folds.of(sample), "the first fold's samples see the second's head");
            }
        }
    }

    #[test]
    fn what_comes_out_is_fitted_to_all_shifted_images() {
        let (plain, shifted) = (moments(), vec![moments().remove(0), moments().remove(0)]);
        let twins = Twins::fit(&[RIDGE], [&plain, &shifted]).unwrap();
        assert_eq!(twins.heads().collect::<Vec<_>>(), [Head::Refit { fit: "ridge", shrinkage: 0.1, shifted: true }]);
        let (whole, _) = twins.whole().next().unwrap();
        let all = ClassMoments::together(&shifted).unwrap();
        assert_eq!(whole, head_fit("ridge").unwrap().fit(&all, 0.1).unwrap());
    }

    /// A class of which all samples are in one fold.
    #[test]
    fn where_no_head_can_be_fitted_without_a_fold_the_reason_is_told() {
        let mut only_one = ClassMoments::new(2, 1);
        only_one.add(&array![[1.0], [2.0]], &[0, 0]);
        let folds = [only_one, moments().remove(0)];
        assert!(matches!(Twins::fit(&[RIDGE], [&folds, &folds]), Err(HeadError::EmptyClass(1))));
    }
}
