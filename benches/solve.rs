//! How long the projections of ResNet-50 take, for one α and for a grid of nine, against the same Cholesky
//! factorisations and triangular solves done back to back. All are measured in turns, on all threads of the pool; what
//! counts are their ratios. No model is needed: the shapes are ResNet-50's, the moments those of correlated rows.
//!
//! ```text
//! cargo bench --bench solve -- [ROUNDS] [SOLVER...]
//! ```
//!
//! The last line is JSON: Gflop/s of a matrix product, and the seconds of each round.
//!
//! `benches/solve_reference.py` does the factorisations and solves with `OpenBLAS` and MKL.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::{factor, solve};
use faer::{Auto, Mat, Par, Spec};
use ndarray::Array2;
use onnx_sap::linalg::{Alpha, LinalgError, SCALINGS, Solver, UnitMoment, cheapest, cost, solver};
use onnx_sap::methods::costliest_first;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;

/// d, outputs and number of the layers of ResNet-50.
const LAYERS: [(usize, usize, usize); 21] = [
    (147, 64, 1),
    (64, 64, 1),
    (576, 64, 3),
    (64, 256, 4),
    (256, 64, 2),
    (256, 128, 1),
    (1152, 128, 4),
    (128, 512, 4),
    (512, 128, 3),
    (256, 512, 1),
    (512, 256, 1),
    (2304, 256, 6),
    (256, 1024, 6),
    (1024, 256, 5),
    (512, 1024, 1),
    (1024, 512, 1),
    (4608, 512, 3),
    (512, 2048, 3),
    (2048, 512, 2),
    (1024, 2048, 1),
    (2048, 1000, 1),
];

/// One α, as a user may give it.
const ALPHA: f64 = 1000.0;

/// Half-decades from 10^1.5: nine of them.
const GRID: std::ops::Range<i32> = 3..12;

/// The order of the matrix product that tells what the machine can do.
const PEAK: usize = 2048;

/// A layer's inputs and weight.
struct Problem {
    shape: String,
    sum: Array2<f64>,
    weight: Array2<f64>,
    count: usize,
}

fn main() -> Result<(), LinalgError> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let rounds = arguments.first().and_then(|rounds| rounds.parse().ok()).unwrap_or(3);
    let named: Vec<&dyn Solver> = arguments.iter().skip(1).filter_map(|name| solver(name)).collect();
    let grid: Vec<f64> = GRID.map(|half| 10_f64.powf(f64::from(half) / 2.0)).collect();
    let solvers = if named.is_empty() { vec![cheapest(grid.len(), SCALINGS[0])] } else { named };
    let problems: Vec<Problem> = LAYERS.iter().map(|&(d, outputs, count)| Problem::new(d, outputs, count)).collect();
    let before = peak();
    println!("{} threads, matrix product {before:.1} Gflop/s", rayon::current_num_threads());

    println!(
        "\none thread, seconds\n{:>12} {:>3} {:>8} {:>8} {:>8} {:>7}",
        "d × outputs", "n", "bare", "one α", "nine α", "ratio"
    );
    for problem in problems.iter().rev() {
        let one = [problem];
        let bare = fastest(rounds, || Ok(bare(&one)))?;
        let single = fastest(rounds, || ours(cheapest(1, SCALINGS[0]), &one, &[ALPHA]))?;
        let nine = fastest(rounds.min(2), || ours(solvers[0], &one, &grid))?;
        let Problem { shape, count, .. } = problem;
        println!("{shape:>12} {count:>3} {bare:8.4} {single:8.4} {nine:8.4} {:7.2}", nine / single);
    }

    let all: Vec<&Problem> = problems.iter().flat_map(|problem| std::iter::repeat_n(problem, problem.count)).collect();
    let operations: f64 =
        all.iter().map(|problem| cost(problem.weight.ncols(), problem.weight.nrows())).sum::<f64>() / 1e9;
    println!("\n{} layers, all threads, {operations:.0} Gflop for one α", all.len());
    let (mut bares, mut singles, mut nines) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (bare, single) = (bare(&all), ours(cheapest(1, SCALINGS[0]), &all, &[ALPHA])?);
        println!(
            "bare {bare:.2} s ({:.1} Gflop/s)   one α {single:.2} s ({:.1} Gflop/s), {:.2} × bare",
            operations / bare,
            operations / single,
            single / bare
        );
        bares.push(bare);
        singles.push(single);
        for solver in &solvers {
            let nine = ours(*solver, &all, &grid)?;
            nines.push(nine);
            println!("    nine α by {} {nine:.2} s, {:.2} × one", solver.name(), nine / single);
        }
    }
    let after = peak();
    println!("matrix product {after:.1} Gflop/s");
    let json = serde_json::json!({
        "gflop": operations, "peak_gflops": [before, after], "bare": bares, "one": singles, "nine": nines,
    });
    println!("{json}");
    Ok(())
}

fn fastest(rounds: usize, mut work: impl FnMut() -> Result<f64, LinalgError>) -> Result<f64, LinalgError> {
    (0..rounds).try_fold(f64::INFINITY, |best, _| Ok(best.min(work()?)))
}

impl Problem {
    fn new(d: usize, outputs: usize, count: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64((d * 10_000 + outputs) as u64);
        let rows = correlated_rows(2 * d, d, &mut random);
        let weight = Array2::from_shape_simple_fn((outputs, d), || f64::from(random.random_range(-0.05..0.05_f32)));
        Self { shape: format!("{d} × {outputs}"), sum: second_moment(&rows), weight, count }
    }
}

/// Rows as layers see them: each value follows the one before, none is negative, and few directions carry most energy.
fn correlated_rows(rows: usize, d: usize, random: &mut ChaCha8Rng) -> Mat<f64> {
    let mut matrix = Mat::zeros(rows, d);
    for i in 0..rows {
        let mut value: f64 = 0.0;
        for j in 0..d {
            value = 0.98 * value + random.random_range(-1.0..1.0_f64);
            matrix[(i, j)] = value.max(0.0) / (1.0 + j as f64).sqrt();
        }
    }
    matrix
}

fn second_moment(rows: &Mat<f64>) -> Array2<f64> {
    let product = rows.transpose() * rows;
    Array2::from_shape_fn((product.nrows(), product.ncols()), |at| product[at])
}

/// What the command does with each layer of a model, from its sum of outer products to its new weight.
fn ours(solver: &dyn Solver, problems: &[&Problem], grid: &[f64]) -> Result<f64, LinalgError> {
    let costs: Vec<f64> = problems.iter().map(|problem| cost(problem.weight.ncols(), problem.weight.nrows())).collect();
    let begun = Instant::now();
    let factored = costliest_first(&costs, rayon::current_num_threads(), |index| {
        let Problem { sum, weight, .. } = problems[index];
        let moment = UnitMoment::from_sum(sum.clone())?;
        moment.map(|moment| solver.factor(moment, weight.clone(), SCALINGS[0])).transpose()
    })?;
    for alpha in grid.iter().filter_map(|&alpha| Alpha::new(alpha)) {
        costliest_first(&costs, rayon::current_num_threads(), |index| {
            factored[index].as_ref().map(|layer| layer.project(alpha)).transpose()
        })?;
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// Factorisations and solves alone, their matrices ready in memory.
fn bare(problems: &[&Problem]) -> f64 {
    let costs: Vec<f64> = problems.iter().map(|problem| cost(problem.weight.ncols(), problem.weight.nrows())).collect();
    let ready: Vec<_> = problems.iter().map(|problem| std::sync::Mutex::new(system(problem))).collect();
    let begun = Instant::now();
    let done = costliest_first(&costs, rayon::current_num_threads(), |index| {
        let mut system = ready[index].lock().map_err(|_| ())?;
        let (matrix, sides) = &mut *system;
        factor_and_solve(matrix, sides)
    });
    let seconds = begun.elapsed().as_secs_f64();
    if done.is_ok() { seconds } else { f64::NAN }
}

fn system(problem: &Problem) -> (Mat<f64>, Mat<f64>) {
    let Problem { sum, weight, .. } = problem;
    let (d, scale) = (sum.nrows(), (ALPHA - 1.0) / sum.diag().sum());
    let matrix = Mat::from_fn(d, d, |i, j| scale * sum[(i, j)] + if i == j { 1.0 } else { 0.0 });
    (matrix, Mat::from_fn(d, weight.nrows(), |i, j| weight[(j, i)]))
}

fn factor_and_solve(matrix: &mut Mat<f64>, sides: &mut Mat<f64>) -> Result<(), ()> {
    let parameters: Spec<factor::LltParams, f64> =
        factor::LltParams { block_size: 128, recursion_threshold: 64, ..Auto::<f64>::auto() }.into();
    let mut memory = MemBuffer::new(factor::cholesky_in_place_scratch::<f64>(matrix.nrows(), Par::Seq, parameters));
    let stack = MemStack::new(&mut memory);
    let none = factor::LltRegularization::default();
    factor::cholesky_in_place(matrix.as_mut(), none, Par::Seq, stack, parameters).map_err(|_| ())?;
    solve::solve_in_place(matrix.as_ref(), sides.as_mut(), Par::Seq, MemStack::new(&mut []));
    Ok(())
}

/// Gflop/s of matrix products in float64, one on each thread.
fn peak() -> f64 {
    let threads = rayon::current_num_threads();
    let matrix = Mat::from_fn(PEAK, PEAK, |i, j| ((i * 7 + j * 3) % 11) as f64);
    let product = || {
        let mut out = Mat::<f64>::zeros(PEAK, PEAK);
        let (to, accumulate) = (out.as_mut(), faer::Accum::Replace);
        faer::linalg::matmul::matmul(to, accumulate, &matrix, &matrix, 1.0, Par::Seq);
    };
    let seconds = (0..3).map(|_| {
        let begun = Instant::now();
        rayon::broadcast(|_| product());
        begun.elapsed().as_secs_f64()
    });
    let fastest = seconds.fold(f64::INFINITY, f64::min);
    threads as f64 * 2.0 * (PEAK as f64).powi(3) / fastest / 1e9
}
