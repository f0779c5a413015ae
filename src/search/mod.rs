//! Which correction: candidates over α, compared on validation data.
//!
//! `auto` draws a bracket around the best α (`bracket.rs`), and gives candidates up that a part of the data shows to be
//! hopeless. Labels are noisy and sets are finite, so of all candidates that are not clearly worse than the best the one
//! nearest the middle is chosen: a best that stands out by chance lies off the middle, and the middle is where α is least
//! delicate.

mod bracket;
mod by_layer;
mod contrast;
mod outcomes;
mod selection;

pub use bracket::usual_strength;
pub use by_layer::search_by_layer;
pub use contrast::{Contrast, Pair};
pub use outcomes::{Advantage, Outcomes};
pub use selection::{Bar, RunnerUp, Search, Verdict};

use crate::evidence::{Quality, Scores};
use crate::linalg::Alpha;
use crate::refine::Recipe;

/// Which values of α are tried.
#[derive(Clone, Debug, PartialEq)]
pub enum AlphaChoice {
    /// A search.
    Auto {
        /// How many passes over the validation data it may take, one at least.
        budget: f64,
    },
    /// One value: nothing to choose, it is applied.
    One(Alpha),
    /// These values.
    Grid(Vec<Alpha>),
}

impl AlphaChoice {
    /// Whether there is anything to choose.
    pub fn chooses(&self) -> bool {
        !matches!(self, Self::One(_))
    }

    /// About how many passes over the validation data there will be.
    pub fn expected(&self) -> usize {
        match self {
            Self::Auto { budget } => budget.max(1.0) as usize,
            Self::One(_) => 1,
            Self::Grid(grid) => grid.len(),
        }
    }

    /// The largest value that may be tried.
    pub fn largest(&self) -> Alpha {
        match self {
            Self::Auto { .. } => bracket::largest(),
            Self::One(alpha) => *alpha,
            Self::Grid(grid) => {
                let larger = |a, b| if a < b { b } else { a };
                grid.iter().copied().reduce(larger).unwrap_or_else(bracket::largest)
            }
        }
    }
}

/// A correction that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What it is made of.
    pub recipe: Recipe,
    /// How well it does on validation data.
    pub validation: Quality,
    /// Which of the labels it predicts.
    pub outcomes: Outcomes,
    /// Whether it was judged on all of the data; otherwise a part showed that it is hopeless.
    pub complete: bool,
}

impl Candidate {
    /// What was tried, and what came of it.
    pub fn of(recipe: Recipe, scores: &Scores) -> Self {
        Self { recipe, validation: scores.quality(), outcomes: Outcomes::of(scores), complete: true }
    }

    /// Whether it is better than another by more than the standard error of the difference.
    fn is_clearly_better_than(&self, other: &Self) -> bool {
        self.outcomes.advantage(&other.outcomes).is_clear()
    }
}

/// Tries strengths of `recipe` and chooses one. `evaluate` is asked for the scores of a candidate, and may end where it is told
/// that there are enough of them.
///
/// # Errors
/// Those of `evaluate`.
pub fn search<E>(
    choice: &AlphaChoice,
    recipe: impl Fn(Alpha) -> Recipe,
    mut evaluate: impl FnMut(&Recipe, &mut dyn FnMut(&Scores) -> bool) -> Result<Scores, E>,
) -> Result<Search, E> {
    let given = match choice {
        AlphaChoice::Auto { budget } => return bracket::search(*budget, recipe, evaluate).map(Search::among),
        AlphaChoice::One(alpha) => std::slice::from_ref(alpha),
        AlphaChoice::Grid(grid) => grid,
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    for &alpha in given {
        let recipe = recipe(alpha);
        if candidates.iter().all(|candidate| candidate.recipe != recipe) {
            let scores = evaluate(&recipe, &mut |_| false)?;
            candidates.push(Candidate::of(recipe, &scores));
        }
    }
    Ok(Search::among(candidates))
}

/// The position of the most accurate of some candidates; of several the first.
fn most_accurate(candidates: &[Candidate], among: impl IntoIterator<Item = usize>) -> Option<usize> {
    let accuracy = |at: usize| candidates[at].validation.accuracy;
    among.into_iter().reduce(|best, at| if accuracy(at) > accuracy(best) { at } else { best })
}

/// The positions of those that were judged on all of the data.
fn complete(candidates: &[Candidate]) -> impl Iterator<Item = usize> + '_ {
    (0..candidates.len()).filter(|&at| candidates[at].complete)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Prediction;
    use std::convert::Infallible;

    const AUTO: AlphaChoice = AlphaChoice::Auto { budget: 20.0 };

    /// Scores of so good a model on 2,000 samples.
    pub(in crate::search) fn scores(accuracy: f64) -> Scores {
        let right = (accuracy * 2000.0).round() as usize;
        let prediction =
            |sample| Prediction { label: 0, predicted: usize::from(sample >= right), confidence: 1.0, loss: 1.0 };
        Scores { samples: (0..2000).collect(), predictions: (0..2000).map(prediction).collect(), ..Scores::default() }
    }

    /// A search over α whose accuracy is `accuracy(log10 α)`.
    fn run(choice: &AlphaChoice, accuracy: impl Fn(f64) -> f64) -> Search {
        let evaluate = |recipe: &Recipe, _: &mut dyn FnMut(&Scores) -> bool| {
            Ok::<_, Infallible>(scores(accuracy(recipe.alpha().unwrap().get().log10())))
        };
        search(choice, Recipe::plain, evaluate).unwrap()
    }

    fn verdict(search: &Search, choice: &AlphaChoice) -> Verdict {
        search.verdict(choice.chooses(), &Outcomes::of(&scores(0.5)))
    }

    fn grid(values: &[f64]) -> AlphaChoice {
        AlphaChoice::Grid(values.iter().map(|&value| Alpha::new(value).unwrap()).collect())
    }

    #[test]
    fn a_peak_is_found_to_a_quarter_of_a_decade() {
        let search = run(&AUTO, |x| 0.8 - 0.1 * (x - 3.3).abs());
        let chosen = search.chosen().recipe.alpha().unwrap().get().log10();
        assert!((chosen - 3.3).abs() < 0.13, "{chosen}");
        assert_eq!(verdict(&search, &AUTO), Verdict::Better);
    }

    #[test]
    fn within_one_standard_error_the_middle_is_chosen() {
        // Each is right on other samples: of 2,000 some 1,000 differ, and the standard error of a difference is 0.016.
        let accuracies = [(10.0, 0.52), (100.0, 0.595), (1e3, 0.598), (1e4, 0.6), (1e5, 0.55)];
        let values: Vec<f64> = accuracies.iter().map(|(alpha, _)| *alpha).collect();
        let evaluate = |recipe: &Recipe, _: &mut dyn FnMut(&Scores) -> bool| {
            let at = values.iter().position(|value| *value == recipe.alpha().unwrap().get()).unwrap();
            let mut scores = scores(accuracies[at].1);
            scores.predictions.rotate_right(500 * at);
            Ok::<_, Infallible>(scores)
        };
        let search = search(&grid(&values), Recipe::plain, evaluate).unwrap();
        assert_eq!(search.chosen().recipe.alpha().unwrap().get(), 1e3);
    }

    #[test]
    fn what_a_part_of_the_data_shows_to_be_hopeless_costs_that_part_and_is_never_chosen() {
        let mut judged = Vec::new();
        let evaluate = |recipe: &Recipe, enough: &mut dyn FnMut(&Scores) -> bool| {
            let accuracy = 0.8 - 0.2 * (recipe.alpha().unwrap().get().log10() - 3.0).abs();
            let mut scores = scores(accuracy);
            // Spread evenly, so that a part is as the whole.
            for (at, prediction) in scores.predictions.iter_mut().enumerate() {
                prediction.predicted = usize::from((at * 7) % 100 >= (accuracy * 100.0) as usize);
            }
            let mut part = Scores::default();
            for first in (0..2000).step_by(100) {
                part.samples.extend(first..first + 100);
                part.predictions.extend_from_slice(&scores.predictions[first..first + 100]);
                if enough(&part) {
                    break;
                }
            }
            judged.push(part.samples.len());
            Ok::<_, Infallible>(part)
        };
        let choice = AlphaChoice::Auto { budget: 5.0 };
        let search = search(&choice, Recipe::plain, evaluate).unwrap();
        assert_eq!(search.chosen().recipe.alpha().unwrap().get().log10(), 3.0);
        assert!(search.chosen().complete);
        assert!(search.candidates.iter().any(|candidate| !candidate.complete));
        assert!(judged.iter().sum::<usize>() <= 5 * 2000, "{judged:?}");
        assert!(judged.len() > 5, "{judged:?}");
    }

    #[test]
    fn where_nothing_beats_the_original_the_verdict_says_so() {
        for (choice, accuracy) in [(AUTO, 0.5), (grid(&[10.0]), 0.4), (grid(&[10.0, 20.0]), 0.5005)] {
            assert_eq!(verdict(&run(&choice, |_| accuracy), &choice), Verdict::NotBetter, "{choice:?}");
        }
    }

    #[test]
    fn a_single_alpha_is_applied_whatever_it_does() {
        let choice = AlphaChoice::One(Alpha::new(7.0).unwrap());
        assert_eq!(verdict(&run(&choice, |_| 0.1), &choice), Verdict::AsGiven);
    }
}
