//! Products in float32: how they are cut into pieces, what rounding is expected to lose, and what it did lose.
//!
//! Of every tile a part of one row is multiplied in float64, too. What a sum has lost is known of those entries at the end,
//! and is taken for what all of them have lost: their roundings are alike and have nothing to do with each other.

use super::panel::{Meeting, Number, Panel};
use crate::evidence::moments::SymmetricSum;
use crate::evidence::moments::tiles::Tile;
use std::ops::Range;

/// The most positions that are summed in float32.
const PIECE: usize = 64;

/// Samples of fewer positions are multiplied in float64: moving the sums of short pieces to float64 would take longer than
/// float32 saves.
pub(super) const LEAST_POSITIONS: usize = 16;

/// So many entries of a tile are known exactly: one in 512 of a whole one.
const KNOWN: usize = 32;

/// Rounds to float32: half the distance of 1 and the next number.
const UNIT: f64 = f32::EPSILON as f64 / 2.0;

/// Nearly equal pieces of the samples that make up `length` positions. None of them belongs to two samples, so that a sample's
/// moment does not depend on its neighbours.
pub(super) fn pieces(length: usize, sample: usize) -> impl Iterator<Item = Range<usize>> {
    let sample = sample.clamp(1, length.max(1));
    let piece = sample.div_ceil(sample.div_ceil(PIECE));
    let cut = move |begin: usize| {
        let end = (begin + sample).min(length);
        (begin..end).step_by(piece).map(move |from| from..(from + piece).min(end))
    };
    (0..length).step_by(sample).flat_map(cut)
}

/// What an entry `C_ij` is expected to lose, as a share of `√(C_ii C_jj)`, where `rows` rows are summed.
///
/// In a piece of L rows the t-th of the partial sums, about t/L of the whole, is rounded by a share that lies anywhere between
/// -u and u: a variance of u²/3 · Σ (t/L)² = L u²/9 of the piece's square. Roundings have nothing to do with each other
/// (Higham and Mary, "A new approach to probabilistic rounding error analysis", 2019), and there are rows/L pieces.
pub(super) fn expected_loss(rows: f64) -> f64 {
    UNIT * PIECE as f64 / (3.0 * rows.sqrt())
}

/// The entries of a tile that are known exactly.
#[derive(Debug)]
pub(super) struct Known {
    group: usize,
    row: usize,
    columns: Range<usize>,
    /// What the sums of these have lost so far.
    lost: Vec<f64>,
}

impl Known {
    /// Some of a tile of a moment: those of one row, which differs from tile to tile.
    pub(super) fn of(index: usize, tile: &Tile) -> Self {
        let row = tile.rows.start + (index * 37 + tile.rows.len() - 1) % tile.rows.len();
        // What is above the diagonal does not count.
        let end = tile.columns.end.min(row + 1);
        let columns = tile.columns.start.max(end.saturating_sub(KNOWN))..end;
        Self { group: tile.matrix, row, lost: vec![0.0; columns.len()], columns }
    }

    /// Compares the products of a tile with exact ones.
    pub(super) fn compare<T: Number>(
        &mut self,
        weight: f64,
        (a, b): (&Panel<'_, T>, &Panel<'_, T>),
        (tile, meeting): (&Tile, &Meeting),
        products: &[f64],
    ) {
        let row = self.row - tile.rows.start;
        for (column, lost) in self.columns.clone().zip(&mut self.lost) {
            let column = column - tile.columns.start;
            let exact = meeting.product((a, b), row, column);
            *lost += weight * (products[row * tile.columns.len() + column] - exact);
        }
    }
}

/// What entries have lost, as a share of `√(C_ii C_jj)`: the root of the mean square over those that are known.
pub(super) fn loss<'a>(known: impl Iterator<Item = &'a Known>, moment: &SymmetricSum) -> f64 {
    let energy = |group: usize, feature: usize| moment.value(group, feature, feature);
    let (mut squares, mut count) = (0.0, 0_usize);
    for Known { group, row, columns, lost } in known {
        let energy_of_row = energy(*group, *row);
        for (column, lost) in columns.clone().zip(lost) {
            let energies = energy_of_row * energy(*group, column);
            // Features that are always zero lose nothing, and their share of the others is none.
            if energies > 0.0 || *lost != 0.0 {
                squares += lost * lost / energies;
                count += 1;
            }
        }
    }
    (squares / count.max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_cover_every_position_once_and_stay_within_a_sample(samples in 1_usize..5, sample in 1_usize..300) {
            let mut next = 0;
            for piece in pieces(samples * sample, sample) {
                prop_assert_eq!(piece.start, next);
                prop_assert!(piece.len() <= PIECE && piece.start / sample == (piece.end - 1) / sample);
                next = piece.end;
            }
            prop_assert_eq!(next, samples * sample);
        }
    }
}
