//! Sums of rows times themselves: of a batch, of a shard, of everything. They add up.

use super::SymmetricSum;
use super::instrument::Source;
use crate::data::DataDigest;
use crate::evidence::EvidenceError;
use crate::layers::Layer;
use ndarray::Array2;
use std::collections::BTreeMap;
use std::ops::Range;

/// What was measured so far, or in a shard. Sums of other samples can be added.
#[derive(Clone, Debug, PartialEq)]
pub struct MomentSums {
    /// Which of the samples of the pass, by position.
    pub range: Range<usize>,
    /// `Σ aᵢaᵢᵀ` of every source, `[groups, d, d]`.
    pub sums: Vec<SymmetricSum>,
    /// The number of rows of each.
    pub rows: Vec<f64>,
    /// What the entries of each have lost to float32, as a share of `√(S_ii S_jj)`: 0 for sums in float64.
    pub losses: Vec<f64>,
    /// What was fed.
    pub digest: DataDigest,
}

impl MomentSums {
    pub(super) fn none(sources: &[Source], first: usize) -> Self {
        let zeros = |source: &Source| SymmetricSum::zeros(source.unfold.groups(), source.unfold.dim());
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
        let shapes = |sums: &Self| sums.sums.iter().map(|sum| sum.shape().to_vec()).collect::<Vec<_>>();
        shapes(self) == shapes(other) && self.rows.len() == other.rows.len()
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

/// The moments of all layers. Layers that share an input share its moment.
#[derive(Debug)]
pub struct Moments {
    sums: Vec<SymmetricSum>,
    rows: Vec<usize>,
    losses: Vec<f64>,
    /// For each layer the sources of its sites.
    layers: Vec<Vec<usize>>,
}

impl Moments {
    /// The moments of `layers` out of sums over all samples, or nothing where they are sums of other layers.
    pub fn of(layers: &[Layer], sums: MomentSums) -> Option<Self> {
        let (sources, by_layer) = sources(layers);
        let rows = sums.rows.iter().map(|rows| rows.round() as usize).collect();
        MomentSums::none(&sources, 0).is_like(&sums).then_some(Self {
            sums: sums.sums,
            rows,
            losses: sums.losses,
            layers: by_layer,
        })
    }

    /// `Σ aᵢaᵢᵀ` of a layer, one matrix `[d, d]` for each group, added up over the layer's sites.
    pub fn sums(&self, layer: usize) -> Vec<Array2<f64>> {
        let sources = &self.layers[layer];
        let groups = self.sums[sources[0]].shape()[0];
        let total = |group: usize| {
            let mut total = self.sums[sources[0]].matrix(group);
            for &source in &sources[1..] {
                total += &self.sums[source].matrix(group);
            }
            total
        };
        (0..groups).map(total).collect()
    }

    /// What the entries of a layer's moment have lost to float32, as a share of `√(S_ii S_jj)`.
    pub fn loss(&self, layer: usize) -> f64 {
        self.layers[layer].iter().map(|&source| self.losses[source]).sum()
    }

    /// The number of rows that entered a layer's moment (of each group).
    pub fn rows(&self, layer: usize) -> usize {
        self.layers[layer].iter().map(|&source| self.rows[source]).sum()
    }
}

/// The distinct sources of all sites, and for each layer which of them are its own.
pub(super) fn sources(layers: &[Layer]) -> (Vec<Source>, Vec<Vec<usize>>) {
    let mut known: BTreeMap<Source, usize> = BTreeMap::new();
    let mut sources = Vec::new();
    let mut by_layer = Vec::new();
    for layer in layers {
        let mut own = Vec::new();
        for site in &layer.sites {
            let source = Source {
                scope: site.scope,
                input: site.input.name.clone(),
                unfold: site.unfold.clone(),
                element: site.element,
            };
            let next = sources.len();
            let index = *known.entry(source.clone()).or_insert(next);
            if index == next {
                sources.push(source);
            }
            own.push(index);
        }
        by_layer.push(own);
    }
    (sources, by_layer)
}
