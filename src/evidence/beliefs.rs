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
/// where all labels are right, about (`docs/design.md`).
const SHARE_WHERE_RIGHT: f64 = 0.55;

/// The share of wrong labels grows so many times as fast as that share above it.
const SLOPE: f64 = 3.0;

/// How one-sided doubts may be where all labels are right: classes that are alike are taken for each other. Measured are 0.44 to
/// 0.58 on clean data and 0.81 to 0.94 where classes were turned into others, a pattern that the original also finds in
/// images that it has not memorised.
const ONE_SIDED_WHERE_RIGHT: f64 = 0.65;

/// The same for doubts that are more one-sided than that.
const ONE_SIDED_SLOPE: f64 = 5.0;

/// The share of wrong labels among all above which it matters that a network has memorised them.
const MISLEADING: f64 = 0.01;

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
        let mut transitions: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let original = predictions(original);
        let samples = original.len();
        for (sample, original) in original {
            let Some(class) = vote(corrections.iter().filter_map(|of| of.get(&sample))) else { continue };
            if class != original.label {
                doubted.push((sample, class));
                *transitions.entry((class, original.label)).or_default() += 1;
                as_labelled += usize::from(original.predicted == original.label);
                as_corrected += usize::from(original.predicted == class);
            }
        }
        let share = as_corrected as f64 / (as_labelled + as_corrected).max(1) as f64;
        let by_memory = SLOPE * (share - SHARE_WHERE_RIGHT);
        let by_pattern = ONE_SIDED_SLOPE * (one_sided(&transitions) - ONE_SIDED_WHERE_RIGHT);
        // Corrections that doubt most labels are at fault themselves.
        let wrong = if 2 * doubted.len() > samples { 0.0 } else { by_memory.max(by_pattern).clamp(0.0, 1.0) };
        let is_replaced = |(sample, _): &(usize, usize)| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(*sample as u64);
            random.random::<f64>() < wrong
        };
        let replaced = doubted.iter().copied().filter(is_replaced).collect();
        Self { replaced, doubted: doubted.len(), wrong }
    }

    /// Whether of so many samples enough are labelled wrongly that what a network has memorised of them misleads.
    pub fn memory_misleads(&self, samples: usize) -> bool {
        self.wrong * self.doubted as f64 > MISLEADING * samples as f64
    }
}

/// How much more often classes are labelled as others than the other way round: 0 where as often, 1 where only one way occurs.
fn one_sided(transitions: &BTreeMap<(usize, usize), usize>) -> f64 {
    let back = |&(class, label): &(usize, usize)| transitions.get(&(label, class)).copied().unwrap_or(0);
    let surplus: usize = transitions.iter().map(|(way, count)| count.saturating_sub(back(way))).sum();
    let all: usize = transitions.values().sum();
    surplus as f64 / all.max(1) as f64
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

    /// What is predicted of samples with those labels.
    fn labelled(labels: &[usize], predicted: &[usize]) -> Scores {
        let pairs = labels.iter().zip(predicted);
        let prediction =
            |(&label, &predicted): (&usize, &usize)| Prediction { label, predicted, confidence: 0.9, loss: 1.0 };
        let predictions = pairs.map(prediction).collect();
        Scores { samples: (0..predicted.len()).collect(), predictions, ..Scores::default() }
    }

    /// Samples with the label 0.
    fn scores(predicted: &[usize]) -> Scores {
        labelled(&vec![0; predicted.len()], predicted)
    }

    /// Classes 0 and 1 are labelled as each other, equally often, in the first half of the samples.
    fn mutual(original: impl Fn(usize) -> bool) -> Beliefs {
        let labels: Vec<usize> = (0..6000).map(|at| at % 2).collect();
        let class = |at: usize| if at < 3000 { 1 - labels[at] } else { labels[at] };
        let classes: Vec<usize> = (0..6000).map(class).collect();
        let still: Vec<usize> = (0..6000).map(|at| if original(at) { labels[at] } else { classes[at] }).collect();
        Beliefs::of(&[labelled(&labels, &classes)], &labelled(&labels, &still), 1)
    }

    #[test]
    fn labels_that_the_original_still_predicts_are_kept() {
        let beliefs = mutual(|at| at % 4 < 2);
        assert_eq!(beliefs, Beliefs { replaced: BTreeMap::new(), doubted: 3000, wrong: 0.0 });
    }

    #[test]
    fn labels_that_nobody_predicts_any_more_are_replaced() {
        let beliefs = mutual(|_| false);
        assert_eq!((beliefs.replaced.len(), beliefs.wrong), (3000, 1.0));
        assert!(beliefs.replaced.iter().all(|(sample, class)| *class == 1 - sample % 2));
    }

    #[test]
    fn a_share_of_the_doubted_is_replaced_and_the_seed_says_which() {
        // Three in four are no longer predicted.
        let beliefs = mutual(|at| at % 8 < 2);
        assert!((beliefs.wrong - 0.6).abs() < 1e-12, "{}", beliefs.wrong);
        assert!((beliefs.replaced.len() as f64 / 3000.0 - 0.6).abs() < 0.03, "{}", beliefs.replaced.len());
        assert_eq!(beliefs, mutual(|at| at % 8 < 2));
    }

    #[test]
    fn doubts_that_go_one_way_only_are_a_pattern_of_wrong_labels() {
        // The original predicts the labels still, and yet: class 1 is labelled 0, and never the other way round.
        let (corrected, original) = ([vec![1; 50], vec![0; 50]].concat(), vec![0; 100]);
        assert_eq!(Beliefs::of(&[scores(&corrected)], &scores(&original), 0).replaced.len(), 50);
        // Corrections that give everything to one class do not tell of labels.
        assert_eq!(Beliefs::of(&[scores(&[1; 100])], &scores(&original), 0).replaced.len(), 0);
    }

    #[test]
    fn corrections_vote_with_their_confidence() {
        let mut sure = scores(&[2, 0]);
        sure.predictions[0].confidence = 1.0;
        let mut two = [scores(&[1, 0]), scores(&[1, 0])];
        for unsure in &mut two {
            unsure.predictions[0].confidence = 0.4;
        }
        let beliefs = Beliefs::of(&[sure, two[0].clone(), two[1].clone()], &scores(&[2, 0]), 0);
        assert_eq!(beliefs.replaced, BTreeMap::from([(0, 2)]));
    }

    #[test]
    fn without_doubts_nothing_is_replaced() {
        assert_eq!(Beliefs::of(&[scores(&[0, 0])], &scores(&[0, 1]), 0), Beliefs::default());
        assert_eq!(Beliefs::of(&[], &scores(&[0, 1]), 0), Beliefs::default());
    }

    /// A clean network whose corrections doubt one label in ten, of which hardly any is wrong, remembers what is right.
    #[test]
    fn memory_misleads_where_enough_labels_are_wrong() {
        let misleads = |doubted, wrong| Beliefs { replaced: BTreeMap::new(), doubted, wrong }.memory_misleads(10_000);
        assert!(misleads(1000, 0.2) && misleads(200, 1.0));
        assert!(!misleads(1065, 0.05) && !misleads(15, 1.0));
        assert!(!Beliefs::default().memory_misleads(0));
    }
}
