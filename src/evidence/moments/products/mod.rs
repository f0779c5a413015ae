//! Second moments of values that an engine gives out, where its memory is the program's own.
//!
//! Symmetry halves the products; a convolution needs few correlations of its input (`plan.rs`), most of them through its
//! spectrum (`displaced.rs`), in the place of the product of its patches; and float32 does where it loses little enough
//! (`rounding.rs`). Every tile of a sum is computed by one thread in a fixed order, so that the number of threads does not
//! show.

mod buffers;
mod correlations;
mod displaced;
mod inverse;
mod panel;
mod patches;
mod plan;
mod rounding;
mod spectra;
mod tiling;

use super::SymmetricSum;
use super::tiles;
use crate::engine::{Numbers, Shown};
use crate::layers::Unfold;
use correlations::Correlations;
use panel::{Activations, Layout, Meeting, Number, Panel, Value, add_product};
use patches::Patches;
use plan::Plan;
use rounding::{Known, LEAST_POSITIONS};
use tiling::{Channels, Scheme};

pub(super) use buffers::Buffers;

/// The most values that are gathered at once: 16 MB, which caches still hold.
const PANEL: usize = 1 << 21;

/// What is summed of a source.
#[derive(Debug)]
pub(super) struct Products {
    form: Form,
    /// Where products are taken in float32: of each tile what is known exactly.
    known: Option<Vec<Known>>,
}

/// The form of the value that the engine gives out.
#[derive(Debug)]
enum Form {
    /// `[…, d]`: one row after another.
    Rows {
        /// d.
        dim: usize,
    },
    /// `[samples, features, positions…]`, the features of all groups: a row is what they have at one position.
    Features {
        /// Their number.
        features: usize,
    },
    /// The input of a convolution, `[samples, channels, spatial…]`, whose patches are gathered.
    Patches(Patches),
    /// The same, with few correlations in the place of the patches.
    Correlations(Box<Correlations>),
}

impl Products {
    /// For a source whose value has that shape, where its rows need no engine. `drawn`: whether only some of them count.
    pub(super) fn of(unfold: &Unfold, shape: &[usize], drawn: bool) -> Option<Self> {
        Form::of(unfold, shape, drawn).map(|form| Self { form, known: None })
    }

    /// Takes the products of `rows` rows in float32 from now on, where `suffices` accepts what entries are expected to lose,
    /// as [`loss`](Self::loss) tells it. `shape`: of the source's value.
    pub(super) fn allow_float32(
        &mut self,
        (rows, shape): (f64, &[usize]),
        moment: &SymmetricSum,
        suffices: impl Fn(f64) -> bool,
    ) {
        let long = self.form.sample(shape).is_some_and(|positions| positions >= LEAST_POSITIONS);
        if long && suffices(rounding::expected_loss(rows)) {
            self.known = Some(moment.tiles().iter().enumerate().map(|(index, tile)| Known::of(index, tile)).collect());
        }
    }

    /// What entries have lost to float32, as a share of `√(C_ii C_jj)`, as if they had lost it independently of each other.
    pub(super) fn loss(&self, moment: &SymmetricSum) -> f64 {
        rounding::loss(self.known.iter().flatten(), moment)
    }

    /// Adds the moment of a batch, times `weight`. `drawn`: the rows of it that count, where not all do.
    ///
    /// # Errors
    /// The shape, where the engine gave another than it must.
    pub(super) fn add(
        &mut self,
        weight: f64,
        shown: &Shown<'_>,
        drawn: Option<&[usize]>,
        moment: &mut SymmetricSum,
        buffers: &Buffers,
    ) -> Result<(), Vec<usize>> {
        let layout = self.form.layout(&shown.shape).ok_or_else(|| shown.shape.clone())?;
        let mut adding = Adding { weight, drawn, moment, buffers };
        match (shown.values, &mut self.known) {
            (Numbers::Float32(values), Some(known)) => {
                adding.add::<f32, _>(&mut self.form, Activations { values, layout }, known);
            }
            (Numbers::Float32(values), None) => {
                adding.add::<f64, _>(&mut self.form, Activations { values, layout }, &mut []);
            }
            (Numbers::Float64(values), _) => {
                adding.add::<f64, _>(&mut self.form, Activations { values, layout }, &mut []);
            }
            (Numbers::Other, _) => return Err(shown.shape.clone()),
        }
        Ok(())
    }

    /// The bytes that [`add`](Self::add) takes meanwhile for a value of that shape.
    pub(super) fn room(&self, shape: &[usize]) -> usize {
        self.form.room(shape)
    }

    /// The bytes of what is kept here.
    pub(super) fn kept(&self) -> usize {
        self.form.kept()
    }

    /// Moves what is kept here into the moment.
    pub(super) fn flush(&mut self, moment: &mut SymmetricSum) {
        if let Form::Correlations(correlations) = &mut self.form {
            correlations.flush(moment);
        }
    }
}

impl Form {
    fn of(unfold: &Unfold, shape: &[usize], drawn: bool) -> Option<Self> {
        let window = match unfold {
            Unfold::Vectors(vectors) if vectors.is_last_axis() => return Some(Self::Rows { dim: vectors.dim }),
            Unfold::Vectors(_) => return None,
            Unfold::Patches(window) => window,
        };
        if window.is_pointwise() {
            return Some(Self::Features { features: window.groups * window.channels });
        }
        let spatial = shape.get(2..).filter(|_| !drawn)?;
        let patches = Patches::of(window, spatial)?;
        let channels = Channels { groups: window.groups, channels: window.channels };
        let planned = Plan::of(window, spatial).and_then(|plan| {
            let scheme = Scheme::of(&plan, channels, patches.positions)?;
            Some(Box::new(Correlations::zeros(plan, &scheme, channels)))
        });
        Some(planned.map_or(Self::Patches(patches), Self::Correlations))
    }

    /// The bytes that [`Adding::add`] takes meanwhile for a value of that shape.
    fn room(&self, shape: &[usize]) -> usize {
        let values: usize = shape.iter().product();
        let block = values / shape.first().copied().unwrap_or(1).max(1);
        let panel = |values: usize, block: usize| size_of::<f64>() * values.min(block.max(PANEL));
        match self {
            Self::Rows { .. } | Self::Features { .. } => panel(values, block),
            Self::Patches(patches) => panel(patches.growth(values), patches.growth(block)),
            Self::Correlations(correlations) => correlations.room(values / block.max(1)),
        }
    }

    /// The bytes of what is kept here.
    fn kept(&self) -> usize {
        match self {
            Self::Correlations(correlations) => correlations.kept(),
            _ => 0,
        }
    }

    fn layout(&self, shape: &[usize]) -> Option<Layout> {
        if let Self::Rows { dim } = *self {
            let (&last, before) = shape.split_last()?;
            let together = before.iter().skip(1).product();
            let layout = Layout { blocks: before.iter().product(), features: dim, positions: 1, together };
            return (last == dim).then_some(layout);
        }
        let &[blocks, features, ref spatial @ ..] = shape else { return None };
        let fits = match self {
            Self::Rows { .. } => false,
            Self::Features { features: expected } => features == *expected,
            Self::Patches(patches) => (features, spatial) == (patches.channels, patches.spatial.as_slice()),
            Self::Correlations(correlations) => (features, spatial) == correlations.input(),
        };
        fits.then(|| Layout { blocks, features, positions: spatial.iter().product(), together: 1 })
    }

    /// The number of positions of a sample, where its products may be taken in float32.
    fn sample(&self, shape: &[usize]) -> Option<usize> {
        let layout = self.layout(shape)?;
        match self {
            Self::Rows { .. } | Self::Features { .. } => Some(layout.positions * layout.together),
            Self::Patches(patches) => Some(patches.positions),
            // Spectra take less, and lose nothing.
            Self::Correlations(_) => None,
        }
    }
}

/// What a batch is added to, and how.
struct Adding<'a> {
    weight: f64,
    drawn: Option<&'a [usize]>,
    moment: &'a mut SymmetricSum,
    buffers: &'a Buffers,
}

impl Adding<'_> {
    /// Adds a batch in the arithmetic of T.
    fn add<T: Number, V: Value<T> + Value<f64>>(
        &mut self,
        form: &mut Form,
        activations: Activations<'_, V>,
        known: &mut [Known],
    ) {
        let buffers = self.buffers;
        match (form, self.drawn) {
            (Form::Correlations(correlations), _) => correlations.add(self.weight, activations, buffers),
            (Form::Patches(patches), _) => {
                let growth = patches.taps.len() * patches.positions / activations.layout.positions.max(1);
                for part in activations.parts(PANEL / growth.max(1)) {
                    self.add_gram(&Panel::<T>::patches(part, patches, buffers), known);
                }
            }
            (Form::Rows { .. } | Form::Features { .. }, Some(rows)) => {
                self.add_gram(&Panel::<T>::drawn(activations, rows, buffers), known);
            }
            (Form::Rows { .. } | Form::Features { .. }, None) => {
                for part in activations.parts(PANEL) {
                    self.add_gram(&Panel::<T>::gathered(part, buffers), known);
                }
            }
        }
    }

    /// Adds the products of all features with each other.
    fn add_gram<T: Number>(&mut self, panel: &Panel<'_, T>, known: &mut [Known]) {
        let (weight, dim) = (self.weight, self.moment.shape()[1]);
        tiles::add(self.moment.tiles_mut(), known, weight, |tile, sum, known| {
            let meeting = Meeting::of(tile, tile.matrix * dim, true);
            add_product((panel, panel), &meeting, sum);
            if let Some(known) = known {
                known.compare(weight, (panel, panel), (tile, &meeting), sum);
            }
        });
    }
}

#[cfg(test)]
mod tests;
