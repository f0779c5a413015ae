//! Sums of rows times themselves: of a batch, of a shard, of everything. They add up.

use super::SymmetricSum;
use super::instrument::Source;
use crate::data::DataDigest;
use crate::evidence::EvidenceError;
use std::ops::Range;

/// What was measured so far, or in a shard. Sums of other samples can be added.
#[derive(Clone, Debug, PartialEq)]
pub struct MomentSums {
    /// Which of the samples of the pass, by position.
    pub range: Range<usize>,
    /// `Σ aᵢaᵢᵀ` of every input that the pass measures, `[groups, d, d]`.
    pub sums: Vec<SymmetricSum>,
    /// The number of rows of each.
    pub rows: Vec<f64>,
    /// What the entries of each have lost to float32, as a share of `√(S_ii S_jj)`: 0 for sums in float64.
    pub losses: Vec<f64>,
    /// What was fed.
    pub digest: DataDigest,
}

impl MomentSums {
    pub(super) fn none(sources: &[&Source], first: usize) -> Self {
        let zeros = |source: &&Source| SymmetricSum::zeros(source.unfold.groups(), source.unfold.dim());
        Self {
            range: first..first,
            sums: sources.iter().map(zeros).collect(),
            rows: vec![0.0; sources.len()],
            losses: vec![0.0; sources.len()],
            digest: DataDigest::default(),
        }
    }

    /// Whether these are sums of the same layers.
    pub fn is_like(&self, other: &Self) -> bool {
        self.sums.iter().map(SymmetricSum::shape).eq(other.sums.iter().map(SymmetricSum::shape))
            && self.rows.len() == other.rows.len()
    }

    /// Whether these are sums of these sources.
    pub(super) fn is_of(&self, sources: &[&Source]) -> bool {
        let shape = |source: &&Source| [source.unfold.groups(), source.unfold.dim(), source.unfold.dim()];
        self.sums.len() == sources.len()
            && self.rows.len() == sources.len()
            && self.sums.iter().zip(sources).all(|(sum, source)| sum.shape() == shape(source))
    }

    /// Adds the sums of the samples before or after these. They must be [like](Self::is_like) these.
    pub fn add(&mut self, other: Self) {
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, other)| sum.add(other));
        self.rows.iter_mut().zip(other.rows).for_each(|(rows, other)| *rows += other);
        // No entry of a part is larger than that of the sum.
        self.losses.iter_mut().zip(other.losses).for_each(|(loss, other)| *loss += other);
        self.digest.add(&other.digest);
        self.range = self.range.start.min(other.range.start)..self.range.end.max(other.range.end);
    }
}

/// Where the sums of an interrupted pass are kept.
pub trait SumsKeeper {
    /// Those that were kept last. They are asked for once.
    fn finished(&mut self) -> Option<MomentSums>;
    /// Whether it is time to keep some again.
    fn is_due(&self) -> bool;
    /// Keeps these.
    ///
    /// # Errors
    /// What could not be written.
    fn keep(&mut self, sums: &MomentSums) -> Result<(), EvidenceError>;
}

/// A keeper that keeps nothing.
pub struct NoKeeper;

impl SumsKeeper for NoKeeper {
    fn finished(&mut self) -> Option<MomentSums> {
        None
    }

    fn is_due(&self) -> bool {
        false
    }

    fn keep(&mut self, _sums: &MomentSums) -> Result<(), EvidenceError> {
        Ok(())
    }
}
