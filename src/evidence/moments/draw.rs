//! Which rows enter, where their number is limited.

use super::probe::Probe;
use super::{Pass, RowLimit};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// For each source the rows that are drawn, in order, or `None` where all of them enter. Those of bodies all enter.
pub(super) fn pick_rows(probe: &Probe, samples: usize, pass: &Pass<'_>) -> Vec<Option<Vec<usize>>> {
    let RowLimit::AtMost(limit) = pass.rows else { return vec![None; probe.shapes.len()] };
    let draw = |(source, rows): (usize, &Option<usize>)| {
        let rows = rows.map(|rows| rows * samples).filter(|&rows| limit < rows)?;
        let mut generator = ChaCha8Rng::seed_from_u64(pass.seed);
        generator.set_stream(source as u64);
        let mut picked = rand::seq::index::sample(&mut generator, rows, limit).into_vec();
        picked.sort_unstable();
        Some(picked)
    };
    probe.rows_per_sample.iter().enumerate().map(draw).collect()
}

/// Those of the picked rows that belong to `samples` samples after the first `done`.
pub(super) fn picks(picked: &[usize], done: usize, samples: usize, per_sample: usize) -> &[usize] {
    let (from, to) = (done * per_sample, (done + samples) * per_sample);
    &picked[picked.partition_point(|&row| row < from)..picked.partition_point(|&row| row < to)]
}
