//! Which correction: candidates over α, compared on validation data.
//!
//! `auto` draws a bracket around the best α (`bracket.rs`), and gives candidates up that a part of the data shows to be
//! hopeless. Labels are noisy and sets are finite, so of all candidates that are not clearly worse than the best the one
//! nearest the middle is chosen: a best that stands out by chance lies off the middle, and the middle is where α is least
//! delicate.

mod bracket;
mod outcomes;

pub use outcomes::{Advantage, Outcomes};

use crate::evidence::{Quality, Scores};
use crate::linalg::Alpha;
use crate::refine::Recipe;
use serde::Serialize;
use std::collections::BTreeMap;

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
            Self::Auto { .. } => quarter_decade(bracket::LARGEST),
            Self::One(alpha) => *alpha,
            Self::Grid(grid) => grid.iter().copied().fold(quarter_decade(0), |a, b| if a < b { b } else { a }),
        }
    }

    /// The values that were given.
    fn given(&self) -> Vec<Alpha> {
        match self {
            Self::Auto { .. } => Vec::new(),
            Self::One(alpha) => vec![*alpha],
            Self::Grid(grid) => grid.clone(),
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
}

/// What the search found.
#[derive(Clone, Debug)]
pub struct Search {
    /// Everything that was tried: first in the order of α, then in that of trying.
    pub candidates: Vec<Candidate>,
    /// The position of the chosen candidate.
    pub chosen: usize,
}

/// Whether the chosen correction should be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does better than the original on validation data, by more than the standard error of the difference.
    Better,
    /// It does not.
    NotBetter,
    /// The user gave one value of α, so it is applied whatever it does.
    AsGiven,
}

impl Search {
    /// The chosen candidate.
    pub fn chosen(&self) -> &Candidate {
        &self.candidates[self.chosen]
    }

    /// Takes in refinements of what is chosen, and chooses anew.
    ///
    /// Another strength must be clearly better. Of one strength, a correction without a new head is kept unless another one is
    /// clearly better. A new head takes its place where it is not clearly worse than the best in accuracy: of several, the
    /// one with the least cross-entropy, which tells closed forms apart more finely than the labels that they hit.
    pub fn refine(&mut self, refinements: Vec<Candidate>) {
        self.candidates.extend(refinements);
        let alpha = self.strength();
        let of_alpha: Vec<usize> = self.complete().filter(|&at| self.alpha(at) == alpha).collect();
        let (refits, corrections): (Vec<usize>, Vec<usize>) =
            of_alpha.iter().partition(|&&at| self.candidates[at].recipe.head.is_refit());
        let best = self.best(&of_alpha).unwrap_or(self.chosen);
        let good = refits.into_iter().filter(|&at| !self.is_clearly_better(best, at));
        let loss = |at: usize| self.candidates[at].validation.mean_loss;
        let refit = good.reduce(|least, at| if loss(at) < loss(least) { at } else { least });
        let correction =
            corrections.into_iter().reduce(|kept, at| if self.is_clearly_better(at, kept) { at } else { kept });
        self.chosen = refit.or(correction).unwrap_or(self.chosen);
    }

    /// Takes in what must be chosen from in the place of what was tried so far: the most accurate of it.
    pub fn replace(&mut self, candidates: Vec<Candidate>) {
        let first = self.candidates.len();
        self.candidates.extend(candidates);
        let new: Vec<usize> = (first..self.candidates.len()).collect();
        self.chosen = self.best(&new).unwrap_or(self.chosen);
    }

    /// The strength of what is chosen, unless the best of another is clearly better than the best of it.
    fn strength(&self) -> Alpha {
        let alpha = self.alpha(self.chosen);
        let of_alpha: Vec<usize> = self.complete().filter(|&at| self.alpha(at) == alpha).collect();
        let all: Vec<usize> = self.complete().collect();
        match self.best(&all).zip(self.best(&of_alpha)) {
            Some((best, of_alpha)) if self.is_clearly_better(best, of_alpha) => self.alpha(best),
            _ => alpha,
        }
    }

    fn complete(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.candidates.len()).filter(|&at| self.candidates[at].complete)
    }

    fn alpha(&self, at: usize) -> Alpha {
        self.candidates[at].recipe.alpha
    }

    /// Of several equally good ones the first.
    fn best(&self, among: &[usize]) -> Option<usize> {
        let accuracy = |at: usize| self.candidates[at].validation.accuracy;
        among.iter().copied().reduce(|best, at| if accuracy(at) > accuracy(best) { at } else { best })
    }

    fn is_clearly_better(&self, this: usize, that: usize) -> bool {
        self.candidates[this].outcomes.advantage(&self.candidates[that].outcomes).is_clear()
    }

    /// Whether the chosen candidate is to be applied in the place of the original.
    pub fn verdict(&self, choice: &AlphaChoice, original: &Outcomes) -> Verdict {
        match choice {
            AlphaChoice::One(_) => Verdict::AsGiven,
            _ if self.chosen().outcomes.advantage(original).is_clear() => Verdict::Better,
            _ => Verdict::NotBetter,
        }
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
    let mut candidates: Vec<Candidate> = Vec::new();
    match choice {
        AlphaChoice::Auto { budget } => bracket(*budget, recipe, &mut evaluate, &mut candidates)?,
        AlphaChoice::One(_) | AlphaChoice::Grid(_) => {
            for alpha in choice.given() {
                let recipe = recipe(alpha);
                if candidates.iter().all(|candidate| candidate.recipe != recipe) {
                    candidates.push(Candidate::of(recipe, &evaluate(&recipe, &mut |_| false)?));
                }
            }
        }
    }
    candidates.sort_by(|a, b| a.recipe.alpha.get().total_cmp(&b.recipe.alpha.get()));
    let chosen = choose(&candidates);
    Ok(Search { candidates, chosen })
}

/// Draws a bracket around the best strength, with so many passes over the validation data. A candidate that is hopeless after
/// a part of it costs that part only.
fn bracket<E>(
    budget: f64,
    recipe: impl Fn(Alpha) -> Recipe,
    evaluate: &mut impl FnMut(&Recipe, &mut dyn FnMut(&Scores) -> bool) -> Result<Scores, E>,
    candidates: &mut Vec<Candidate>,
) -> Result<(), E> {
    let mut tried: BTreeMap<i32, f64> = BTreeMap::new();
    let mut whole = 0;
    let mut spent = 0.0;
    while let Some(quarters) = bracket::next(&tried).filter(|_| spent + 1.0 <= budget || tried.is_empty()) {
        let recipe = recipe(quarter_decade(quarters));
        let best = candidates.iter().filter(|candidate| candidate.complete).reduce(better);
        let hopeless = |scores: &Scores| best.is_some_and(|best| is_hopeless(scores, best));
        let scores = evaluate(&recipe, &mut |scores| hopeless(scores))?;
        let judged = scores.samples.len() + scores.quarantined.len();
        whole = whole.max(judged);
        spent += judged as f64 / whole as f64;
        let complete = judged == whole;
        let candidate = Candidate { complete, ..Candidate::of(recipe, &scores) };
        // What was judged on a part is compared on that part.
        let accuracy = match best.filter(|_| !complete) {
            Some(best) => best.validation.accuracy + candidate.outcomes.advantage(&best.outcomes).accuracy,
            None => candidate.validation.accuracy,
        };
        tried.insert(quarters, accuracy);
        candidates.push(candidate);
    }
    Ok(())
}

/// Standard errors by which a candidate is behind before it is given up: by chance one in a thousand is.
const HOPELESS: f64 = 3.0;

/// Before so many samples nothing is given up.
const LEAST_SAMPLES: usize = 200;

fn is_hopeless(scores: &Scores, best: &Candidate) -> bool {
    if scores.samples.len() < LEAST_SAMPLES {
        return false;
    }
    let advantage = Outcomes::of(scores).advantage(&best.outcomes);
    advantage.accuracy < -HOPELESS * advantage.standard_error
}

fn better<'c>(a: &'c Candidate, b: &'c Candidate) -> &'c Candidate {
    if b.validation.accuracy > a.validation.accuracy { b } else { a }
}

/// `10^(quarters / 4)`.
fn quarter_decade(quarters: i32) -> Alpha {
    Alpha::new(10_f64.powf(f64::from(quarters) / 4.0)).expect("a power of ten is positive")
}

/// The unbroken run of candidates around the best that are not clearly worse.
fn plateau(candidates: &[Candidate]) -> std::ops::RangeInclusive<usize> {
    let complete = (0..candidates.len()).filter(|&position| candidates[position].complete);
    let accuracy = |position: usize| candidates[position].validation.accuracy;
    let best = complete.reduce(|best, position| if accuracy(position) > accuracy(best) { position } else { best });
    let best = best.unwrap_or(0);
    let good = |position: &usize| {
        let candidate = &candidates[*position];
        candidate.complete && !candidates[best].outcomes.advantage(&candidate.outcomes).is_clear()
    };
    let first = (0..best).rev().take_while(good).last().unwrap_or(best);
    let last = (best + 1..candidates.len()).take_while(good).last().unwrap_or(best);
    first..=last
}

/// The candidate nearest the (logarithmic) middle of the plateau; of two equally near the larger α, which changes less.
fn choose(candidates: &[Candidate]) -> usize {
    let good = plateau(candidates);
    let position = |index: usize| candidates[index].recipe.alpha.get().ln();
    let middle = f64::midpoint(position(*good.start()), position(*good.end()));
    let distance = |index: usize| (position(index) - middle).abs();
    // Distances that differ by rounding alone are equal.
    good.rev().reduce(|near, next| if distance(next) < distance(near) - 1e-9 { next } else { near }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Prediction;
    use crate::refine::Head;
    use std::convert::Infallible;

    const AUTO: AlphaChoice = AlphaChoice::Auto { budget: 20.0 };

    /// Scores of so good a model on 2,000 samples.
    fn scores(accuracy: f64) -> Scores {
        let right = (accuracy * 2000.0).round() as usize;
        let prediction =
            |sample| Prediction { label: 0, predicted: usize::from(sample >= right), confidence: 1.0, loss: 1.0 };
        Scores { samples: (0..2000).collect(), predictions: (0..2000).map(prediction).collect(), ..Scores::default() }
    }

    /// A search over α whose accuracy is `accuracy(log10 α)`.
    fn run(choice: &AlphaChoice, accuracy: impl Fn(f64) -> f64) -> Search {
        let evaluate = |recipe: &Recipe, _: &mut dyn FnMut(&Scores) -> bool| {
            Ok::<_, Infallible>(scores(accuracy(recipe.alpha.get().log10())))
        };
        search(choice, Recipe::plain, evaluate).unwrap()
    }

    fn verdict(search: &Search, choice: &AlphaChoice) -> Verdict {
        search.verdict(choice, &Outcomes::of(&scores(0.5)))
    }

    fn grid(values: &[f64]) -> AlphaChoice {
        AlphaChoice::Grid(values.iter().map(|&value| Alpha::new(value).unwrap()).collect())
    }

    #[test]
    fn a_peak_is_found_to_a_quarter_of_a_decade() {
        let search = run(&AUTO, |x| 0.8 - 0.1 * (x - 3.3).abs());
        let chosen = search.chosen().recipe.alpha.get().log10();
        assert!((chosen - 3.3).abs() < 0.13, "{chosen}");
        assert_eq!(verdict(&search, &AUTO), Verdict::Better);
    }

    #[test]
    fn within_one_standard_error_the_middle_is_chosen() {
        // Each is right on other samples: of 2,000 some 1,000 differ, and the standard error of a difference is 0.016.
        let accuracies = [(10.0, 0.52), (100.0, 0.595), (1e3, 0.598), (1e4, 0.6), (1e5, 0.55)];
        let values: Vec<f64> = accuracies.iter().map(|(alpha, _)| *alpha).collect();
        let evaluate = |recipe: &Recipe, _: &mut dyn FnMut(&Scores) -> bool| {
            let at = values.iter().position(|value| *value == recipe.alpha.get()).unwrap();
            let mut scores = scores(accuracies[at].1);
            scores.predictions.rotate_right(500 * at);
            Ok::<_, Infallible>(scores)
        };
        let search = search(&grid(&values), Recipe::plain, evaluate).unwrap();
        assert_eq!(search.chosen().recipe.alpha.get(), 1e3);
    }

    #[test]
    fn what_a_part_of_the_data_shows_to_be_hopeless_costs_that_part_and_is_never_chosen() {
        let mut judged = Vec::new();
        let evaluate = |recipe: &Recipe, enough: &mut dyn FnMut(&Scores) -> bool| {
            let accuracy = 0.8 - 0.2 * (recipe.alpha.get().log10() - 3.0).abs();
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
        assert_eq!(search.chosen().recipe.alpha.get().log10(), 3.0);
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

    fn refined(plain: f64, others: &[(Recipe, f64, f64)]) -> Recipe {
        let choice = grid(&[10.0]);
        let mut search = run(&choice, |_| plain);
        let candidate = |(recipe, accuracy, loss): &(Recipe, f64, f64)| {
            let mut candidate = Candidate::of(*recipe, &scores(*accuracy));
            candidate.validation.mean_loss = *loss;
            candidate
        };
        search.refine(others.iter().map(candidate).collect());
        search.chosen().recipe
    }

    const RIDGE: Head = Head::Refit { fit: "ridge", shrinkage: 0.1, shifted: false };
    const LDA: Head = Head::Refit { fit: "lda", shrinkage: 0.1, shifted: false };

    /// A difference of d samples that all fall one way has a standard error of √d samples.
    #[test]
    fn another_correction_must_be_clearly_better() {
        let plain = Recipe::plain(Alpha::new(10.0).unwrap());
        let kept = Recipe { head: Head::Kept, ..plain };
        assert_eq!(refined(0.6, &[(kept, 0.6005, 1.0)]), plain);
        assert_eq!(refined(0.6, &[(kept, 0.601, 1.0)]), kept);
        let stronger = Recipe { recalibrated: true, ..Recipe::plain(Alpha::new(3.0).unwrap()) };
        assert_eq!(refined(0.6, &[(kept, 0.61, 1.0), (stronger, 0.6105, 1.0)]), kept);
        assert_eq!(refined(0.6, &[(kept, 0.61, 1.0), (stronger, 0.62, 1.0)]), stronger);
    }

    #[test]
    fn a_new_head_is_kept_unless_it_is_clearly_worse_and_the_loss_tells_which() {
        let plain = Recipe::plain(Alpha::new(10.0).unwrap());
        let [ridge, lda] = [RIDGE, LDA].map(|head| Recipe { head, ..plain });
        assert_eq!(refined(0.6, &[(ridge, 0.5995, 0.8), (lda, 0.6, 0.9)]), ridge);
        assert_eq!(refined(0.6, &[(ridge, 0.59, 0.8), (lda, 0.6, 0.9)]), lda);
        assert_eq!(refined(0.6, &[(ridge, 0.59, 0.8), (lda, 0.55, 0.9)]), plain);
    }
}
