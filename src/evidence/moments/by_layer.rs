//! What was measured, as the layers need it: the moment of each, wherever the sums of its inputs are.

use super::instrument::Source;
use super::{MomentSums, SymmetricSum};
use crate::evidence::EvidenceError;
use crate::layers::Layer;
use ndarray::Array2;
use std::collections::BTreeMap;

/// Where sums lie that do not stay in memory.
pub trait Shelf: Send + Sync {
    /// `Σ aᵢaᵢᵀ` of a distinct input of layers, one matrix `[d, d]` for each group.
    ///
    /// # Errors
    /// What cannot be read.
    fn matrices(&self, input: usize) -> Result<Vec<Array2<f64>>, EvidenceError>;
}

/// The moments of all layers. Layers that share an input share its moment.
pub struct Moments<'a> {
    place: Place<'a>,
    rows: Vec<usize>,
    losses: Vec<f64>,
    /// For each layer the sources of its sites.
    layers: Vec<Vec<usize>>,
}

enum Place<'a> {
    Memory(Vec<SymmetricSum>),
    Shelf(Box<dyn Shelf + 'a>),
}

impl<'a> Moments<'a> {
    /// The moments of `layers` out of sums over all samples, or nothing where they are sums of other layers.
    pub fn of(layers: &[Layer], sums: MomentSums) -> Option<Self> {
        let (sources, by_layer) = sources(layers);
        let rows = rounded(&sums.rows);
        let fits = sums.is_of(&sources.iter().collect::<Vec<_>>());
        let (place, losses) = (Place::Memory(sums.sums), sums.losses);
        fits.then_some(Self { place, rows, losses, layers: by_layer })
    }

    /// The same where the sums lie on a shelf: `rows` are their numbers of rows, `losses` what they have lost to float32.
    pub fn on_shelf(layers: &[Layer], shelf: Box<dyn Shelf + 'a>, rows: &[f64], losses: Vec<f64>) -> Self {
        Self { place: Place::Shelf(shelf), rows: rounded(rows), losses, layers: sources(layers).1 }
    }

    /// Whether they take memory even while nobody asks for them.
    pub fn are_in_memory(&self) -> bool {
        matches!(self.place, Place::Memory(_))
    }

    /// `Σ aᵢaᵢᵀ` of a layer, one matrix `[d, d]` for each group, added up over the layer's sites.
    ///
    /// # Errors
    /// What cannot be read from a shelf.
    pub fn sums(&self, layer: usize) -> Result<Vec<Array2<f64>>, EvidenceError> {
        let mut total: Vec<Array2<f64>> = Vec::new();
        for &source in &self.layers[layer] {
            let matrices = self.matrices(source)?;
            if total.is_empty() {
                total = matrices;
            } else {
                total.iter_mut().zip(&matrices).for_each(|(total, matrix)| *total += matrix);
            }
        }
        Ok(total)
    }

    /// What the entries of a layer's moment have lost to float32, as a share of `√(S_ii S_jj)`.
    pub fn loss(&self, layer: usize) -> f64 {
        self.layers[layer].iter().map(|&source| self.losses[source]).sum()
    }

    /// The number of rows that entered a layer's moment (of each group).
    pub fn rows(&self, layer: usize) -> usize {
        self.layers[layer].iter().map(|&source| self.rows[source]).sum()
    }

    fn matrices(&self, source: usize) -> Result<Vec<Array2<f64>>, EvidenceError> {
        match &self.place {
            Place::Memory(sums) => Ok(sums[source].matrices()),
            Place::Shelf(place) => place.matrices(source),
        }
    }
}

fn rounded(rows: &[f64]) -> Vec<usize> {
    rows.iter().map(|rows| rows.round() as usize).collect()
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
