//! What the machine can do, as the roof over every phase: matrix products in float64 and float32 with the same library that
//! multiplies moments and solves, and how fast memory is read and copied. All threads of the pool work at once.
//!
//! ```text
//! cargo bench --bench machine -- [ROUNDS]
//! ```
//!
//! The last line is the same as JSON. `RAYON_NUM_THREADS` sets the threads.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use faer::linalg::matmul::matmul;
use faer::traits::ComplexField;
use faer::{Accum, Mat, Par};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

/// The order of the matrices: their tiles are what takes the time, not their edges.
const ORDER: usize = 2048;

/// Bytes that each thread reads or copies: far more than any cache holds.
const BYTES: usize = 512 << 20;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let threads = rayon::current_num_threads();
    let operations = threads as f64 * 2.0 * (ORDER as f64).powi(3) / 1e9;
    let float64 = operations / product(rounds, |value| value);
    let float32 = operations / product(rounds, |value| value as f32);
    let (read, copied) = memory(rounds, threads);
    println!(
        "{threads} threads: float64 products {float64:.1} Gflop/s, float32 products {float32:.1} Gflop/s, \
         memory read {read:.1} GB/s, copied {copied:.1} GB/s"
    );
    let json = serde_json::json!({
        "threads": threads, "float64_gflops": float64, "float32_gflops": float32, "read_gbs": read, "copy_gbs": copied,
    });
    println!("{json}");
}

/// Seconds of one product on each thread, the fastest of some.
fn product<T: ComplexField>(rounds: usize, value: impl Fn(f64) -> T + Sync) -> f64 {
    let matrix = Mat::from_fn(ORDER, ORDER, |i, j| value(((i * 7 + j * 3) % 11) as f64));
    fastest(rounds, || {
        rayon::broadcast(|_| {
            let mut out = Mat::<T>::zeros(ORDER, ORDER);
            matmul(out.as_mut(), Accum::Replace, &matrix, &matrix, value(1.0), Par::Seq);
            black_box(&out);
        });
    })
}

/// GB/s that are read, and GB/s that are copied; what is copied counts once, though it is read and written.
fn memory(rounds: usize, threads: usize) -> (f64, f64) {
    let total = (threads * BYTES) as f64 / 1e9;
    let from = vec![1_u64; threads * BYTES / size_of::<u64>()];
    let mut to = vec![0_u64; from.len()];
    let part = from.len() / threads;
    let read = fastest(rounds, || {
        black_box(from.par_chunks(part).map(|part| part.iter().fold(0, |sum: u64, value| sum ^ value)).max());
    });
    let copy = fastest(rounds, || {
        to.par_chunks_mut(part).zip(from.par_chunks(part)).for_each(|(to, from)| to.copy_from_slice(from));
        black_box(&to);
    });
    (total / read, total / copy)
}

fn fastest(rounds: usize, mut work: impl FnMut()) -> f64 {
    let seconds = (0..rounds).map(|_| {
        let begun = Instant::now();
        work();
        begun.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}
