//! Which labels of training samples to believe where nothing else is there to compare models on.
//!
//! A model that has memorised wrong labels predicts them, and on images that are little changed it still does: compared on
//! given labels it would look better than its correction. Much changed, it fails on the images. So images are changed little,
//! and those labels are doubted that corrections of the model do not predict. Not all of these are wrong: on clean data
//! corrections are. How many are, the original tells on images that it has not memorised, flipped and shifted ones: of
//! doubted labels that are right it predicts about as many as corrections' classes in their place, of wrong ones few.

use super::{Prediction, Scores};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Of doubted samples that it predicts as either class, the share that the original gives to the class of the corrections
/// where all labels are right: 0.38 to 0.56 on clean data (`docs/accuracy.md`).
const SHARE_WHERE_RIGHT: f64 = 0.55;

/// The share of wrong labels grows so many times as fast as that share above it.
const SLOPE: f64 = 3.0;

/// Labels to compare models by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beliefs {
    /// The labels that are not believed, by sample: which class is believed in their place.
    pub replaced: BTreeMap<usize, usize>,
    /// How many labels corrections do not predict.
    pub doubted: usize,
    /// The share of them that is taken for wrong.
    pub wrong: f64,
}

impl Beliefs {
    /// From what corrections predict on training images as they are, and the original on images that it has not memorised. Of the
    /// labels that are doubted, the seed draws those that are replaced: which of them are wrong is not known, and whatever
    /// chose them would favour one model.
    pub fn of(corrections: &[Scores], original: &Scores, seed: u64) -> Self {
        let predictions = |scores: &'_ Scores| -> BTreeMap<usize, Prediction> {
            scores.samples.iter().copied().zip(scores.predictions.iter().copied()).collect()
        };
        let corrections: Vec<_> = corrections.iter().map(predictions).collect();
        let mut doubted = Vec::new();
        let (mut as_labelled, mut as_corrected) = (0_usize, 0_usize);
        for (sample, original) in predictions(original) {
            let Some(class) = vote(corrections.iter().filter_map(|of| of.get(&sample))) else { continue };
            if class != original.label {
                doubted.push((sample, class));
                as_labelled += usize::from(original.predicted == original.label);
                as_corrected += usize::from(original.predicted == class);
            }
        }
        let share = as_corrected as f64 / (as_labelled + as_corrected).max(1) as f64;
        let wrong = (SLOPE * (share - SHARE_WHERE_RIGHT)).clamp(0.0, 1.0);
        let is_replaced = |(sample, _): &(usize, usize)| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(*sample as u64);
            random.random::<f64>() < wrong
        };
        let replaced = doubted.iter().copied().filter(is_replaced).collect();
        Self { replaced, doubted: doubted.len(), wrong }
    }
}

/// The class of the greatest confidence together; of equal ones the first.
fn vote<'p>(predictions: impl Iterator<Item = &'p Prediction>) -> Option<usize> {
    let mut votes: BTreeMap<usize, f64> = BTreeMap::new();
    for prediction in predictions {
        *votes.entry(prediction.predicted).or_default() += prediction.confidence;
    }
    votes.into_iter().reduce(|most, next| if next.1 > most.1 { next } else { most }).map(|(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels are all 0; what is predicted of each sample.
    fn scores(predicted: &[usize]) -> Scores {
        let prediction = |&predicted: &usize| Prediction { label: 0, predicted, confidence: 0.9, loss: 1.0 };
        let predictions = predicted.iter().map(prediction).collect();
        Scores { samples: (0..predicted.len()).collect(), predictions, ..Scores::default() }
    }

    #[test]
    fn labels_that_the_original_still_predicts_are_kept() {
        let corrected = scores(&[0, 1, 1, 0, 1, 1]);
        let beliefs = Beliefs::of(&[corrected], &scores(&[0, 0, 1, 0, 0, 1]), 0);
        assert_eq!(beliefs, Beliefs { replaced: BTreeMap::new(), doubted: 4, wrong: 0.0 });
    }

    #[test]
    fn labels_that_nobody_predicts_any_more_are_replaced() {
        let corrected = scores(&[0, 1, 2, 0]);
        let beliefs = Beliefs::of(&[corrected], &scores(&[0, 1, 2, 1]), 0);
        assert_eq!(beliefs, Beliefs { replaced: BTreeMap::from([(1, 1), (2, 2)]), doubted: 2, wrong: 1.0 });
    }

    #[test]
    fn a_share_of_the_doubted_is_replaced_and_the_seed_says_which() {
        let corrected = vec![1; 3000];
        // Three in four of those that it predicts at all.
        let original: Vec<usize> = (0..3000).map(|at| usize::from(at % 4 != 0)).collect();
        let beliefs = |seed| Beliefs::of(&[scores(&corrected)], &scores(&original), seed);
        let (first, second) = (beliefs(1), beliefs(2));
        assert!((first.wrong - 0.6).abs() < 1e-12);
        assert!((first.replaced.len() as f64 / 3000.0 - 0.6).abs() < 0.03, "{}", first.replaced.len());
        assert_eq!(first, beliefs(1));
        assert_ne!(first.replaced, second.replaced);
    }

    #[test]
    fn corrections_vote_with_their_confidence() {
        let mut sure = scores(&[2]);
        sure.predictions[0].confidence = 1.0;
        let mut two = [scores(&[1]), scores(&[1])];
        for unsure in &mut two {
            unsure.predictions[0].confidence = 0.4;
        }
        let beliefs = Beliefs::of(&[sure, two[0].clone(), two[1].clone()], &scores(&[2]), 0);
        assert_eq!(beliefs.replaced, BTreeMap::from([(0, 2)]));
    }

    #[test]
    fn without_doubts_nothing_is_replaced() {
        assert_eq!(Beliefs::of(&[scores(&[0, 0])], &scores(&[0, 1]), 0), Beliefs::default());
        assert_eq!(Beliefs::of(&[], &scores(&[0, 1]), 0), Beliefs::default());
    }
}
