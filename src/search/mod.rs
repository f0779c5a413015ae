//! Which correction: candidates over α, compared on validation data.
//!
//! `auto` walks half-decades and then looks at the quarter-decades around those that are as good as the best. Labels
//! are noisy and sets are finite, so of all candidates within one standard error of the best the one nearest the
//! middle is chosen: a best that stands out by chance lies off the middle, and the middle is where α is least delicate.

use crate::evidence::Quality;
use crate::linalg::Alpha;
use serde::Serialize;

/// Half-decades of `auto`: 10^1.5 to 10^6.
const HALF_DECADES: std::ops::RangeInclusive<i32> = 3..=12;

/// Which values of α are tried.
#[derive(Clone, Debug, PartialEq)]
pub enum AlphaChoice {
    /// A search.
    Auto,
    /// One value: nothing to choose, it is applied.
    One(Alpha),
    /// These values.
    Grid(Vec<Alpha>),
}

impl AlphaChoice {
    /// About how many values will be tried.
    pub fn expected(&self) -> usize {
        match self {
            Self::Auto => HALF_DECADES.count(),
            Self::One(_) => 1,
            Self::Grid(grid) => grid.len(),
        }
    }

    /// The largest value that may be tried.
    pub fn largest(&self) -> Alpha {
        match self {
            // A quarter of a decade beyond the last half.
            Self::Auto => quarter_decade(2 * HALF_DECADES.end() + 1),
            Self::One(alpha) => *alpha,
            Self::Grid(grid) => grid.iter().copied().fold(quarter_decade(0), |a, b| if a < b { b } else { a }),
        }
    }
}

/// A correction that was tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Its strength.
    pub alpha: Alpha,
    /// How well it does on validation data.
    pub validation: Quality,
}

/// What the search found.
#[derive(Clone, Debug)]
pub struct Search {
    /// Everything that was tried, in the order of α.
    pub candidates: Vec<Candidate>,
    /// The position of the chosen candidate.
    pub chosen: usize,
    /// Whether it does better on validation data than the original, or nothing was to be chosen.
    pub verdict: Verdict,
}

/// Whether the chosen correction should be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does better than the original on validation data.
    Better,
    /// It does not.
    NotBetter,
    /// The user gave one value of α, so it is applied whatever it does.
    AsGiven,
}

/// Tries candidates and chooses one.
///
/// # Errors
/// Those of `evaluate`.
pub fn search<E>(
    choice: &AlphaChoice,
    original: &Quality,
    mut evaluate: impl FnMut(Alpha) -> Result<Quality, E>,
) -> Result<Search, E> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut rounds = vec![match choice {
        AlphaChoice::Auto => HALF_DECADES.map(|half| quarter_decade(2 * half)).collect(),
        AlphaChoice::One(alpha) => vec![*alpha],
        AlphaChoice::Grid(grid) => grid.clone(),
    }];
    while let Some(round) = rounds.pop() {
        for alpha in round {
            if candidates.iter().all(|candidate| candidate.alpha != alpha) {
                candidates.push(Candidate { alpha, validation: evaluate(alpha)? });
            }
        }
        candidates.sort_by(|a, b| a.alpha.get().total_cmp(&b.alpha.get()));
        if *choice == AlphaChoice::Auto && candidates.len() == HALF_DECADES.count() {
            rounds.push(between(&candidates));
        }
    }
    let chosen = choose(&candidates);
    let better = candidates[chosen].validation.accuracy > original.accuracy;
    let verdict = match choice {
        AlphaChoice::One(_) => Verdict::AsGiven,
        _ if better => Verdict::Better,
        _ => Verdict::NotBetter,
    };
    Ok(Search { candidates, chosen, verdict })
}

/// `10^(quarters / 4)`.
fn quarter_decade(quarters: i32) -> Alpha {
    Alpha::new(10_f64.powf(f64::from(quarters) / 4.0)).expect("a power of ten is positive")
}

/// The quarter-decades next to the half-decades that are as good as the best.
fn between(candidates: &[Candidate]) -> Vec<Alpha> {
    let good = plateau(candidates);
    let quarters = |position: usize| 2 * (HALF_DECADES.start() + position as i32);
    (quarters(*good.start()) - 1..=quarters(*good.end()) + 1).step_by(2).map(quarter_decade).collect()
}

/// The unbroken run of candidates around the best that are within one standard error of it.
fn plateau(candidates: &[Candidate]) -> std::ops::RangeInclusive<usize> {
    let accuracy = |position: usize| candidates[position].validation.accuracy;
    let best = (0..candidates.len())
        .fold(0, |best, position| if accuracy(position) > accuracy(best) { position } else { best });
    let floor = accuracy(best) - candidates[best].validation.standard_error();
    let first = (0..=best).rev().take_while(|&position| accuracy(position) >= floor).last().unwrap_or(best);
    let last = (best..candidates.len()).take_while(|&position| accuracy(position) >= floor).last().unwrap_or(best);
    first..=last
}

/// The candidate nearest the (logarithmic) middle of the plateau; of two equally near the larger α, which changes less.
fn choose(candidates: &[Candidate]) -> usize {
    let good = plateau(candidates);
    let position = |index: usize| candidates[index].alpha.get().ln();
    let middle = f64::midpoint(position(*good.start()), position(*good.end()));
    let distance = |index: usize| (position(index) - middle).abs();
    // Distances that differ by rounding alone are equal.
    good.rev().reduce(|near, next| if distance(next) < distance(near) - 1e-9 { next } else { near }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn quality(accuracy: f64) -> Quality {
        Quality { accuracy, mean_loss: 1.0, samples: 2000 }
    }

    /// A search over α whose accuracy is `accuracy(log10 α)`.
    fn run(choice: &AlphaChoice, accuracy: impl Fn(f64) -> f64) -> Search {
        search(choice, &quality(0.5), |alpha| Ok::<_, Infallible>(quality(accuracy(alpha.get().log10())))).unwrap()
    }

    fn grid(values: &[f64]) -> AlphaChoice {
        AlphaChoice::Grid(values.iter().map(|&value| Alpha::new(value).unwrap()).collect())
    }

    #[test]
    fn a_peak_is_found_to_a_quarter_of_a_decade() {
        let search = run(&AlphaChoice::Auto, |x| 0.8 - 0.1 * (x - 3.3).abs());
        let chosen = search.candidates[search.chosen].alpha.get().log10();
        assert!((chosen - 3.3).abs() < 0.13, "{chosen}");
        assert_eq!(search.verdict, Verdict::Better);
    }

    #[test]
    fn within_one_standard_error_the_middle_is_chosen() {
        // The standard error of 0.6 over 2000 samples is 0.011: 0.595 to 0.6 are equally good.
        let accuracies = [(10.0, 0.52), (100.0, 0.595), (1e3, 0.598), (1e4, 0.6), (1e5, 0.55)];
        let values: Vec<f64> = accuracies.iter().map(|(alpha, _)| *alpha).collect();
        let lookup = |x: f64| accuracies.iter().find(|(alpha, _)| (alpha.log10() - x).abs() < 1e-9).unwrap().1;
        let search = run(&grid(&values), lookup);
        assert_eq!(search.candidates[search.chosen].alpha.get(), 1e3);
    }

    #[test]
    fn where_nothing_beats_the_original_the_verdict_says_so() {
        assert_eq!(run(&AlphaChoice::Auto, |_| 0.5).verdict, Verdict::NotBetter);
        assert_eq!(run(&grid(&[10.0]), |_| 0.4).verdict, Verdict::NotBetter);
    }

    #[test]
    fn a_single_alpha_is_applied_whatever_it_does() {
        assert_eq!(run(&AlphaChoice::One(Alpha::new(7.0).unwrap()), |_| 0.1).verdict, Verdict::AsGiven);
    }
}
