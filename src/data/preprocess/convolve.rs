//! The bicubic filter along one axis, in Pillow's arithmetic: weights rounded to 22 bits, sums of integers, one rounding.
//! So the bytes are Pillow's.

use super::resample::{Axis, Direction, Raster};
use std::ops::Range;

/// The bits of a weight behind the point.
const PRECISION: u32 = 22;

/// Half of one, so that cutting the bits off rounds.
const HALF: i32 = 1 << (PRECISION - 1);

/// How far the filter reaches to either side.
pub(super) const REACH: f64 = 2.0;

/// The weights of the pixels from `start` on, for one pixel of the result.
struct Taps {
    start: usize,
    weights: Vec<i32>,
}

/// Keys' cubic with a = −0.5.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < REACH {
        (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    } else {
        0.0
    }
}

/// The taps of every pixel that is wanted, in an image whose first pixel is `origin`.
fn taps(axis: Axis, origin: u32) -> Vec<Taps> {
    let scale = axis.scale();
    let stretch = scale.max(1.0);
    let reach = REACH * stretch;
    let tap = |index: u32| {
        let center = (f64::from(index) + 0.5) * scale;
        let first = (center - reach + 0.5).max(0.0) as u32;
        let last = ((center + reach + 0.5) as u32).min(axis.from);
        let values: Vec<f64> = (first..last).map(|x| cubic((f64::from(x) - center + 0.5) / stretch)).collect();
        let total: f64 = values.iter().sum();
        let weights = values.iter().map(|value| (value / total * f64::from(1 << PRECISION)).round() as i32).collect();
        Taps { start: first.saturating_sub(origin) as usize, weights }
    };
    (axis.start..axis.start + axis.length).map(tap).collect()
}

/// Convolves along one axis the lines `across` the other one. The pixels of `image` are those from `origin` on.
pub(super) fn bicubic(image: &Raster, direction: Direction, axis: Axis, origin: u32, across: Range<u32>) -> Raster {
    let taps = taps(axis, origin);
    let (channels, length) = (image.channels, across.end - across.start);
    let (height, width) = match direction {
        Direction::Horizontal => (length, axis.length),
        Direction::Vertical => (axis.length, length),
    };
    let mut bytes = Vec::with_capacity(height as usize * width as usize * channels);
    let rows = image.bytes.chunks_exact(image.width as usize * channels);
    match direction {
        Direction::Horizontal => {
            for row in rows.skip(across.start as usize).take(length as usize) {
                match channels {
                    1 => along_row::<1>(row, &taps, &mut bytes),
                    _ => along_row::<3>(row, &taps, &mut bytes),
                }
            }
        }
        Direction::Vertical => {
            let columns = across.start as usize * channels..across.end as usize * channels;
            let rows: Vec<&[u8]> = rows.map(|row| &row[columns.clone()]).collect();
            down_columns(&rows, &taps, &mut bytes);
        }
    }
    Raster { bytes, height, width, channels }
}

fn along_row<const CHANNELS: usize>(row: &[u8], taps: &[Taps], bytes: &mut Vec<u8>) {
    let pixels = row.as_chunks::<CHANNELS>().0;
    for Taps { start, weights } in taps {
        let mut sums = [HALF; CHANNELS];
        for (pixel, weight) in pixels[*start..].iter().zip(weights) {
            for (sum, byte) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(*byte) * weight;
            }
        }
        bytes.extend(sums.map(byte));
    }
}

fn down_columns(rows: &[&[u8]], taps: &[Taps], bytes: &mut Vec<u8>) {
    let mut sums = vec![HALF; rows.first().map_or(0, |row| row.len())];
    for Taps { start, weights } in taps {
        sums.fill(HALF);
        for (row, weight) in rows[*start..].iter().zip(weights) {
            for (sum, byte) in sums.iter_mut().zip(*row) {
                *sum += i32::from(*byte) * weight;
            }
        }
        bytes.extend(sums.iter().map(|sum| byte(*sum)));
    }
}

fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}
