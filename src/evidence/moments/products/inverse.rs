//! From spectra to correlations: products at each frequency, and of these what is wanted of their inverse transform.

use super::buffers::{Buffer, Buffers};
use super::spectra::{Spectra, Transform};
use super::tiling::Tiling;
use crate::linalg::{self, Order, Strip};
use std::f64::consts::TAU;
use std::ops::Range;

/// Frequencies whose products are taken before they are put to use: what belongs to them should stay in a second-level cache.
const TOGETHER: usize = 16;

/// What the products at each frequency count in each of some displacements.
#[derive(Debug)]
pub(super) struct Inverse {
    displacements: usize,
    frequencies: usize,
    /// `[displacements, frequencies]`: what real parts count, and imaginary ones.
    cosines: Vec<f64>,
    sines: Vec<f64>,
}

/// The correlations of some features with some others.
pub(super) struct Displaced<'a> {
    /// `[displacements, rows, columns]`: what does not change with the direction, and what changes its sign.
    even: Buffer<'a, f64>,
    odd: Buffer<'a, f64>,
}

impl Inverse {
    pub(super) fn new(transform: &Transform, tiling: &Tiling, shifts: &[&[isize]]) -> Self {
        let of_all = |part: fn(f64) -> f64| {
            let of_shift = |shift: &&[isize]| {
                let shift = shift.to_vec();
                transform.frequencies.iter().map(move |frequency| {
                    let turns = frequency.at.iter().zip(&shift).zip(&tiling.lengths).map(|((&at, &shift), &length)| {
                        (at as isize * shift).rem_euclid(length as isize) as f64 / length as f64
                    });
                    let frequencies = if frequency.is_its_own_mirror { 1.0 } else { 2.0 };
                    frequencies / tiling.points() as f64 * part(TAU * turns.sum::<f64>())
                })
            };
            shifts.iter().flat_map(of_shift).collect()
        };
        let (displacements, frequencies) = (shifts.len(), transform.frequencies.len());
        Self { displacements, frequencies, cosines: of_all(f64::cos), sines: of_all(|angle| -angle.sin()) }
    }

    /// What spectra say about some features and some others.
    pub(super) fn of<'a>(
        &self,
        spectra: &Spectra<'_>,
        [rows, columns]: [Range<usize>; 2],
        buffers: &'a Buffers,
    ) -> Displaced<'a> {
        let size = rows.len() * columns.len();
        let take = |count: usize| buffers.double.take(count * size);
        let (mut even, mut odd) = (take(self.displacements), take(self.displacements));
        let (mut real, mut imaginary) = (take(TOGETHER), take(TOGETHER));
        even.fill(0.0);
        odd.fill(0.0);
        for from in (0..self.frequencies).step_by(TOGETHER) {
            let some = from..self.frequencies.min(from + TOGETHER);
            let parts = real.chunks_exact_mut(size).zip(imaginary.chunks_exact_mut(size));
            for (frequency, (real, imaginary)) in some.clone().zip(parts) {
                // conj(y) z of y = a + ib and z = c + id is (ac + bd) + i(ad − bc).
                let (y, z) = (spectra.at(frequency, &rows), spectra.at(frequency, &columns));
                linalg::product(real, y.both, z.both);
                linalg::product(imaginary, y.real, z.imaginary);
                linalg::subtract_product(imaginary, y.imaginary, z.real);
            }
            let products = some.len() * size;
            linalg::add_combinations(&mut even, self.some(&self.cosines, &some), &real[..products]);
            linalg::add_combinations(&mut odd, self.some(&self.sines, &some), &imaginary[..products]);
        }
        Displaced { even, odd }
    }

    fn some<'c>(&self, coefficients: &'c [f64], frequencies: &Range<usize>) -> Strip<'c, f64> {
        let values = &coefficients[frequencies.start..];
        let (rows, length) = (self.displacements, frequencies.len());
        Strip { values, rows, length, order: Order::Rows, stride: self.frequencies }
    }
}

impl Displaced<'_> {
    /// Writes the correlation of a displacement, or of the one back.
    pub(super) fn write(&self, place: usize, back: bool, to: &mut [f64]) {
        let here = place * to.len()..(place + 1) * to.len();
        let parts = self.even[here.clone()].iter().zip(&self.odd[here]);
        to.iter_mut().zip(parts).for_each(|(to, (even, odd))| *to = if back { even - odd } else { even + odd });
    }
}
