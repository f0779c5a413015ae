//! Which samples to trust: those whose labels the model finds easiest.

use super::{EvidenceError, Prediction, Scores};
use crate::data::{DataSet, Quarantined, SampleId};
use crate::model::hexadecimal;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// How the lowest losses are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ranking {
    /// As many of each class, as far as there are.
    Balanced,
    /// Over all classes.
    Global,
}

impl Ranking {
    /// Every ranking, the default first.
    pub const ALL: [Self; 2] = [Self::Balanced, Self::Global];
}

impl fmt::Display for Ranking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Balanced => "balanced",
            Self::Global => "global",
        })
    }
}

impl FromStr for Ranking {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|ranking| ranking.to_string() == text)
            .ok_or_else(|| format!("{text:?} is neither balanced nor global"))
    }
}

/// The trusted samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// Their indices, in the order in which they are used.
    pub samples: Vec<usize>,
}

impl Trusted {
    /// The `count` samples of lowest loss. Equal losses are ranked by index, so the choice is always the same.
    ///
    /// # Errors
    /// [`EvidenceError::NoneTrusted`] where `count` is 0.
    pub fn lowest(scores: &Scores, count: usize, ranking: Ranking) -> Result<Self, EvidenceError> {
        let mut order: Vec<usize> = (0..scores.predictions.len()).collect();
        order.sort_by(|&a, &b| scores.predictions[a].loss.total_cmp(&scores.predictions[b].loss).then(a.cmp(&b)));
        let chosen = match ranking {
            Ranking::Global => order.into_iter().take(count).collect(),
            Ranking::Balanced => balanced(&order, &scores.predictions, count),
        };
        let mut samples: Vec<usize> = chosen.into_iter().map(|position| scores.samples[position]).collect();
        if samples.is_empty() {
            return Err(EvidenceError::NoneTrusted);
        }
        samples.sort_unstable();
        Ok(Self { samples })
    }

    /// Exactly the samples with these ids, in that order.
    ///
    /// # Errors
    /// An id that is unknown, doubled, or that of a sample which is quarantined; no ids at all.
    pub fn from_ids(ids: &[SampleId], set: &dyn DataSet, quarantined: &[Quarantined]) -> Result<Self, EvidenceError> {
        if ids.is_empty() {
            return Err(EvidenceError::NoneTrusted);
        }
        let mut wanted: BTreeMap<&SampleId, usize> = BTreeMap::new();
        for (position, id) in ids.iter().enumerate() {
            if let Some(bad) = quarantined.iter().find(|bad| bad.id == *id) {
                return Err(EvidenceError::UnusableId(id.clone(), bad.reason.clone()));
            }
            if wanted.insert(id, position).is_some() {
                return Err(EvidenceError::DoubledId(id.0.clone()));
            }
        }
        let mut found = vec![None; ids.len()];
        for index in 0..set.len() {
            if let Some(&position) = wanted.get(&set.id(index)) {
                found[position] = Some(index);
            }
        }
        let known =
            |(index, id): (Option<usize>, &SampleId)| index.ok_or_else(|| EvidenceError::UnknownId(id.0.clone()));
        let samples = found.into_iter().zip(ids).map(known).collect::<Result<_, _>>()?;
        Ok(Self { samples })
    }

    /// How many samples of each class are trusted.
    pub fn per_class(&self, set: &dyn DataSet, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for &sample in &self.samples {
            if let Some(count) = counts.get_mut(set.label(sample)) {
                *count += 1;
            }
        }
        counts
    }

    /// SHA-256 over the ids, each with a line feed, in order.
    pub fn sha256(&self, set: &dyn DataSet) -> String {
        let mut digest = Sha256::new();
        for &sample in &self.samples {
            digest.update(format!("{}\n", set.id(sample)));
        }
        hexadecimal(&digest.finalize())
    }
}

/// Deals `count` places to the classes as evenly as their sizes allow, and fills them in the order of losses.
fn balanced(order: &[usize], predictions: &[Prediction], count: usize) -> Vec<usize> {
    let mut by_class: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &sample in order {
        by_class.entry(predictions[sample].label).or_default().push(sample);
    }
    let mut places: BTreeMap<usize, usize> = by_class.keys().map(|&class| (class, 0)).collect();
    let mut left = count.min(order.len());
    while left > 0 {
        let open: Vec<usize> = by_class.keys().copied().filter(|class| places[class] < by_class[class].len()).collect();
        let share = (left / open.len()).max(1);
        for class in open {
            let more = share.min(by_class[&class].len() - places[&class]).min(left);
            *places.entry(class).or_default() += more;
            left -= more;
        }
    }
    by_class.iter().flat_map(|(class, samples)| samples[..places[class]].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(samples: &[(usize, f64)]) -> Scores {
        let prediction = |&(label, loss): &(usize, f64)| Prediction { label, predicted: label, confidence: 1.0, loss };
        let predictions = samples.iter().map(prediction).collect();
        Scores { samples: (0..samples.len()).collect(), predictions, ..Scores::default() }
    }

    #[test]
    fn balanced_takes_the_lowest_losses_of_every_class() {
        let scores = scores(&[(0, 0.1), (0, 0.2), (0, 0.3), (1, 5.0), (1, 4.0), (2, 9.0)]);
        let chosen = Trusted::lowest(&scores, 3, Ranking::Balanced).unwrap();
        assert_eq!(chosen.samples, [0, 4, 5]);
        let global = Trusted::lowest(&scores, 3, Ranking::Global).unwrap();
        assert_eq!(global.samples, [0, 1, 2]);
    }

    #[test]
    fn small_classes_leave_their_places_to_the_others() {
        let scores = scores(&[(0, 0.1), (0, 0.2), (0, 0.3), (0, 0.4), (1, 5.0)]);
        assert_eq!(Trusted::lowest(&scores, 4, Ranking::Balanced).unwrap().samples, [0, 1, 2, 4]);
        assert_eq!(Trusted::lowest(&scores, 99, Ranking::Balanced).unwrap().samples.len(), 5);
    }

    #[test]
    fn equal_losses_are_ranked_by_index() {
        let scores = scores(&[(0, 1.0), (0, 1.0), (0, 1.0)]);
        assert_eq!(Trusted::lowest(&scores, 2, Ranking::Global).unwrap().samples, [0, 1]);
    }

    #[test]
    fn trusting_nobody_is_an_error() {
        assert!(matches!(Trusted::lowest(&scores(&[(0, 1.0)]), 0, Ranking::Global), Err(EvidenceError::NoneTrusted)));
    }
}
