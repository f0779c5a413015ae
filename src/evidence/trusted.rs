//! Which samples to trust: those whose labels the model finds easiest, or around which its loss is flattest.

use super::{EvidenceError, Ranked};
use crate::data::{DataSet, Quarantined, SampleId};
use crate::model::hexadecimal;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// How the lowest scores are chosen.
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

/// How far a score may be from that of the last chosen one, as a share of it, to count as equal: about what devices differ in.
/// A small loss is as wrong as a score is, as a share of itself, and scores in float32 are sums of that precision.
pub const TIED: f64 = 1e-4;

/// The trusted samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    /// Their indices, in the order in which they are used.
    pub samples: Vec<usize>,
    /// Those, trusted or not, whose scores are as good as equal to that of the last chosen one, where they are not all trusted:
    /// on another device some might be ranked otherwise.
    pub near_cut: Vec<usize>,
}

impl Trusted {
    /// The `count` samples of lowest score. Scores that are [`TIED`] with the last one are ranked by index, so that the choice is
    /// the same where engines differ in the last digits.
    ///
    /// # Errors
    /// [`EvidenceError::NoneTrusted`] where `count` is 0.
    pub fn lowest(ranked: &Ranked, count: usize, ranking: Ranking) -> Result<Self, EvidenceError> {
        let mut order: Vec<usize> = (0..ranked.values.len()).collect();
        order.sort_by(|&a, &b| ranked.values[a].total_cmp(&ranked.values[b]).then(a.cmp(&b)));
        let cuts = match ranking {
            Ranking::Global => vec![Cut::of(&order, &ranked.values, count)],
            Ranking::Balanced => balanced(&order, ranked, count),
        };
        let sorted = |of_cut: fn(&Cut) -> &Vec<usize>| {
            let mut samples: Vec<usize> =
                cuts.iter().flat_map(of_cut).map(|&position| ranked.samples[position]).collect();
            samples.sort_unstable();
            samples
        };
        let (samples, near_cut) = (sorted(|cut| &cut.chosen), sorted(|cut| &cut.near));
        if samples.is_empty() { Err(EvidenceError::NoneTrusted) } else { Ok(Self { samples, near_cut }) }
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
        Ok(Self { samples, near_cut: Vec::new() })
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

/// The lowest scores of some samples, by position.
struct Cut {
    chosen: Vec<usize>,
    /// Those tied with the last of them, where not all are chosen.
    near: Vec<usize>,
}

impl Cut {
    /// The first `count` in the order of scores.
    fn of(order: &[usize], values: &[f64], count: usize) -> Self {
        let value = |position: &usize| values[*position];
        let last = count.checked_sub(1).and_then(|last| order.get(last)).map(value).filter(|last| last.is_finite());
        let (first, end) = match last {
            Some(last) => {
                let reach = TIED * last.abs();
                (
                    order.partition_point(|at| value(at) < last - reach),
                    order.partition_point(|at| value(at) <= last + reach),
                )
            }
            None => (count.min(order.len()), count.min(order.len())),
        };
        let mut tied = order[first..end].to_vec();
        tied.sort_unstable();
        let chosen = order[..first].iter().chain(&tied).copied().take(count).collect();
        Self { chosen, near: if end > count { tied } else { Vec::new() } }
    }
}

/// Deals `count` places to the classes as evenly as their sizes allow, and fills them in the order of scores.
fn balanced(order: &[usize], ranked: &Ranked, count: usize) -> Vec<Cut> {
    let mut by_class: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &sample in order {
        by_class.entry(ranked.labels[sample]).or_default().push(sample);
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
    by_class.iter().map(|(class, samples)| Cut::of(samples, &ranked.values, places[class])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(samples: &[(usize, f64)]) -> Ranked {
        let (labels, values) = samples.iter().copied().unzip();
        Ranked { samples: (0..samples.len()).collect(), labels, values }
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
    fn losses_as_good_as_equal_to_the_last_are_ranked_by_index_and_told() {
        let nearly = 1.0 + TIED / 2.0;
        let trusted = |losses: &[f64], count| {
            let samples: Vec<(usize, f64)> = losses.iter().map(|&loss| (0, loss)).collect();
            Trusted::lowest(&scores(&samples), count, Ranking::Global).unwrap()
        };
        // Whichever of the two a device finds lower.
        for losses in [[nearly, 1.0, 0.5, 2.0], [1.0, nearly, 0.5, 2.0]] {
            let trusted = trusted(&losses, 2);
            assert_eq!((trusted.samples, trusted.near_cut), (vec![0, 2], vec![0, 1]));
        }
        assert_eq!(trusted(&[nearly, 1.0, 0.5, 2.0], 3).near_cut, [0; 0]);
        assert_eq!(trusted(&[1.0 + 2.0 * TIED, 1.0, 0.5], 2), Trusted { samples: vec![1, 2], near_cut: vec![] });
        assert_eq!(trusted(&[f64::INFINITY, 1.0, f64::INFINITY], 2).samples, [0, 1]);
    }

    #[test]
    fn trusting_nobody_is_an_error() {
        assert!(matches!(Trusted::lowest(&scores(&[(0, 1.0)]), 0, Ranking::Global), Err(EvidenceError::NoneTrusted)));
    }
}
