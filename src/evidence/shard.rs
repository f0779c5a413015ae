//! A part of the work that one of several machines does.
//!
//! Shards are runs of whole batches. So every batch holds the same samples whatever the number of shards, and whatever
//! an engine computes for it is the same.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// Part `index` of `count`, from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "(usize, usize)", try_from = "(usize, usize)")]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// All of the work.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Part `index` of `count`, or nothing where there is none.
    pub fn new(index: usize, count: usize) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    /// Which part.
    pub fn index(self) -> usize {
        self.index
    }

    /// Of how many.
    pub fn count(self) -> usize {
        self.count
    }

    /// Which of `samples` samples are its own, where they go in batches of `batch`.
    pub fn range(self, samples: usize, batch: usize) -> Range<usize> {
        let batches = samples.div_ceil(batch.max(1)) as u128;
        let edge = |index: usize| {
            let first = index as u128 * batches / self.count as u128;
            (first as usize).saturating_mul(batch).min(samples)
        };
        edge(self.index)..edge(self.index + 1)
    }
}

impl From<Shard> for (usize, usize) {
    fn from(shard: Shard) -> Self {
        (shard.index, shard.count)
    }
}

impl TryFrom<(usize, usize)> for Shard {
    type Error = String;

    fn try_from((index, count): (usize, usize)) -> Result<Self, String> {
        Self::new(index, count).ok_or_else(|| format!("there is no shard {index} of {count}; they count from 0"))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shards_are_whole_batches_and_all_of_them_are_everything(
            samples in 0_usize..500, batch in 1_usize..40, count in 1_usize..60,
        ) {
            let shards: Vec<_> = (0..count).map(|index| Shard::new(index, count).unwrap().range(samples, batch)).collect();
            let mut next = 0;
            for range in shards {
                prop_assert_eq!(range.start, next);
                prop_assert!(range.start % batch == 0 || range.is_empty());
                next = range.end;
            }
            prop_assert_eq!(next, samples);
        }
    }

    #[test]
    fn there_is_no_shard_beyond_the_last() {
        assert!(Shard::new(3, 3).is_none() && Shard::new(0, 0).is_none());
        assert_eq!(Shard::new(0, 1), Some(Shard::WHOLE));
    }
}
