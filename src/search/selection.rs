//! Which of the candidates: by accuracy on validation labels, as far as the standard error of a difference tells.

use super::{Advantage, Candidate, Outcomes, complete, most_accurate};
use crate::evidence::Scores;
use crate::linalg::Alpha;
use crate::refine::{Recipe, Strength};
use serde::Serialize;

/// What the search found.
#[derive(Clone, Debug)]
pub struct Search {
    /// Everything that was tried: first in the order of α, then in that of trying.
    pub candidates: Vec<Candidate>,
    /// The position of the chosen candidate.
    pub chosen: usize,
}

/// The most accurate of those that were not chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunnerUp {
    /// What it is made of.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// By how much the chosen one is better.
    pub advantage: Advantage,
}

/// Whether the chosen correction should be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does better than the original on validation data, by more than the standard error of the difference.
    Better,
    /// It does not.
    NotBetter,
    /// The user left nothing to choose, so it is applied whatever it does.
    AsGiven,
    /// There is nothing to compare it on, so it is applied whatever it does.
    Unjudged,
}

/// What must be seen of a candidate before it takes the place of the one that it goes on from.
#[derive(Clone, Copy, Debug)]
pub enum Bar<'a> {
    /// It is clearly better.
    ClearlyBetter,
    /// It is better at all, and clearly better than the original, which predicts these labels: for what makes most models better, so that
    /// a difference too small to be seen clearly is more likely one than not.
    Better {
        /// Of the original.
        original: &'a Outcomes,
    },
}

impl Bar<'_> {
    fn lets_pass(self, candidate: &Candidate, chosen: &Candidate) -> bool {
        match self {
            Self::ClearlyBetter => candidate.is_clearly_better_than(chosen),
            Self::Better { original } => {
                candidate.outcomes.advantage(&chosen.outcomes).accuracy > 0.0
                    && candidate.outcomes.advantage(original).is_clear()
            }
        }
    }
}

impl Search {
    /// Of candidates that differ in strength, at least one: the one nearest the middle of those that are as good as the best.
    pub(super) fn among(mut candidates: Vec<Candidate>) -> Self {
        let alpha = |candidate: &Candidate| candidate.recipe.alpha().map_or(f64::INFINITY, Alpha::get);
        candidates.sort_by(|a, b| alpha(a).total_cmp(&alpha(b)));
        let chosen = nearest_the_middle(&candidates);
        Self { candidates, chosen }
    }

    /// Where no strength is searched for: the original, which refinements must be better than.
    pub fn of_original(scores: &Scores) -> Self {
        Self { candidates: vec![Candidate::of(Recipe::unchanged(), scores)], chosen: 0 }
    }

    /// The chosen candidate.
    pub fn chosen(&self) -> &Candidate {
        &self.candidates[self.chosen]
    }

    /// The recipes of those that are at most so much less accurate than the best.
    pub fn near_the_best(&self, less: f64) -> Vec<Recipe> {
        let all = &self.candidates;
        let best = complete(all).map(|at| all[at].validation.accuracy).fold(0.0, f64::max);
        complete(all)
            .filter(|&at| all[at].validation.accuracy >= best - less)
            .map(|at| all[at].recipe.clone())
            .collect()
    }

    /// The most accurate of the others, and by how much the chosen one is better.
    pub fn runner_up(&self) -> Option<RunnerUp> {
        let all = &self.candidates;
        let other = most_accurate(all, complete(all).filter(|&at| at != self.chosen))?;
        let advantage = self.chosen().outcomes.advantage(&all[other].outcomes);
        Some(RunnerUp { recipe: all[other].recipe.clone(), advantage })
    }

    /// Takes in how the chosen candidate does once it is made as it will be written.
    pub fn judge_anew(&mut self, scores: &Scores) {
        let chosen = &mut self.candidates[self.chosen];
        *chosen = Candidate::of(chosen.recipe.clone(), scores);
    }

    /// Takes in refinements of what is chosen, and chooses anew.
    ///
    /// Another strength must be clearly better. Of one strength, a correction without a new head is kept unless another one is
    /// clearly better. A new head takes its place where it is not clearly worse than the best in accuracy: of several, the
    /// one with the least cross-entropy, which tells closed forms apart more finely than the labels that they hit.
    pub fn refine(&mut self, refinements: Vec<Candidate>) {
        self.candidates.extend(refinements);
        let strength = self.strength();
        let all = &self.candidates;
        let as_strong: Vec<usize> = complete(all).filter(|&at| all[at].recipe.strength.as_ref() == strength).collect();
        let (refits, corrections): (Vec<usize>, Vec<usize>) =
            as_strong.iter().partition(|&&at| all[at].recipe.head.is_refit());
        let best = most_accurate(all, as_strong).unwrap_or(self.chosen);
        let good = refits.into_iter().filter(|&at| !all[best].is_clearly_better_than(&all[at]));
        let loss = |at: usize| all[at].validation.mean_loss;
        let refit = good.reduce(|least, at| if loss(at) < loss(least) { at } else { least });
        let better = |kept: usize, at: usize| if all[at].is_clearly_better_than(&all[kept]) { at } else { kept };
        self.chosen = refit.or(corrections.into_iter().reduce(better)).unwrap_or(self.chosen);
    }

    /// Takes in what must be chosen from in the place of what was tried so far: the most accurate of it.
    pub fn replace(&mut self, candidates: Vec<Candidate>) {
        let first = self.candidates.len();
        self.candidates.extend(candidates);
        self.chosen = most_accurate(&self.candidates, first..self.candidates.len()).unwrap_or(self.chosen);
    }

    /// Chooses the original, as nothing that was tried is better.
    pub fn back_to_original(&mut self, scores: &Scores) {
        self.chosen = self.candidates.len();
        self.candidates.push(Candidate::of(Recipe::unchanged(), scores));
    }

    /// Takes in what went on from the chosen candidate: the most accurate of it takes its place where it passes the bar. `forced`: in the
    /// place of the original also where it does not.
    pub fn tuned(&mut self, candidates: Vec<Candidate>, bar: Bar<'_>, forced: bool) {
        let first = self.candidates.len();
        self.candidates.extend(candidates);
        let all = &self.candidates;
        if let Some(best) = most_accurate(all, first..all.len())
            && (bar.lets_pass(&all[best], self.chosen()) || (forced && self.chosen().recipe == Recipe::unchanged()))
        {
            self.chosen = best;
        }
    }

    /// The strength of what is chosen, unless the best of another is clearly better than the best of it.
    fn strength(&self) -> Option<&Strength> {
        let all = &self.candidates;
        let strength = self.chosen().recipe.strength.as_ref();
        let as_strong = complete(all).filter(|&at| all[at].recipe.strength.as_ref() == strength);
        match most_accurate(all, complete(all)).zip(most_accurate(all, as_strong)) {
            Some((best, ours)) if all[best].is_clearly_better_than(&all[ours]) => all[best].recipe.strength.as_ref(),
            _ => strength,
        }
    }

    /// Whether the chosen candidate is to be applied in the place of the original.
    /// `chooses`: whether there was anything to choose; what is given alone is applied.
    pub fn verdict(&self, chooses: bool, original: &Outcomes) -> Verdict {
        match self.chosen().outcomes.advantage(original).is_clear() {
            _ if !chooses => Verdict::AsGiven,
            true => Verdict::Better,
            false => Verdict::NotBetter,
        }
    }
}

/// The unbroken run of candidates around the best that are not clearly worse.
fn plateau(candidates: &[Candidate]) -> std::ops::RangeInclusive<usize> {
    let best = most_accurate(candidates, complete(candidates)).unwrap_or(0);
    let good = |&at: &usize| candidates[at].complete && !candidates[best].is_clearly_better_than(&candidates[at]);
    let first = (0..best).rev().take_while(good).last().unwrap_or(best);
    let last = (best + 1..candidates.len()).take_while(good).last().unwrap_or(best);
    first..=last
}

/// The candidate nearest the (logarithmic) middle of the plateau; of two equally near the larger α, which changes less.
fn nearest_the_middle(candidates: &[Candidate]) -> usize {
    let good = plateau(candidates);
    let position = |index: usize| candidates[index].recipe.alpha().map_or(f64::INFINITY, |alpha| alpha.get().ln());
    let middle = f64::midpoint(position(*good.start()), position(*good.end()));
    let distance = |index: usize| (position(index) - middle).abs();
    // Distances that differ by rounding alone are equal.
    good.rev().reduce(|near, next| if distance(next) < distance(near) - 1e-9 { next } else { near }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::scores;
    use super::*;
    use crate::refine::{Head, Start, TuningRecipe, Update};

    /// A search over one strength.
    fn found(accuracy: f64) -> Search {
        Search::among(vec![Candidate::of(Recipe::plain(Alpha::new(10.0).unwrap()), &scores(accuracy))])
    }

    fn refined(plain: f64, others: &[(Recipe, f64, f64)]) -> Recipe {
        let mut search = found(plain);
        let candidate = |(recipe, accuracy, loss): &(Recipe, f64, f64)| {
            let mut candidate = Candidate::of(recipe.clone(), &scores(*accuracy));
            candidate.validation.mean_loss = *loss;
            candidate
        };
        search.refine(others.iter().map(candidate).collect());
        search.chosen().recipe.clone()
    }

    const RIDGE: Head = Head::Refit { fit: "ridge", shrinkage: 0.1, shifted: false };
    const LDA: Head = Head::Refit { fit: "lda", shrinkage: 0.1, shifted: false };

    /// A difference of d samples that all fall one way has a standard error of √d samples.
    #[test]
    fn another_correction_must_be_clearly_better() {
        let plain = Recipe::plain(Alpha::new(10.0).unwrap());
        let kept = Recipe { head: Head::Kept, ..plain.clone() };
        assert_eq!(refined(0.6, &[(kept.clone(), 0.6005, 1.0)]), plain);
        assert_eq!(refined(0.6, &[(kept.clone(), 0.601, 1.0)]), kept);
        let stronger = Recipe { recalibrated: true, ..Recipe::plain(Alpha::new(3.0).unwrap()) };
        assert_eq!(refined(0.6, &[(kept.clone(), 0.61, 1.0), (stronger.clone(), 0.6105, 1.0)]), kept);
        assert_eq!(refined(0.6, &[(kept, 0.61, 1.0), (stronger.clone(), 0.62, 1.0)]), stronger);
    }

    fn tuned(rate: f64, accuracy: f64) -> Candidate {
        let tuning = TuningRecipe { method: "elr", start: Start::Corrected, settings: vec![("lr", rate)] };
        let plain = Recipe::plain(Alpha::new(10.0).unwrap());
        Candidate::of(Recipe { tuning: Some(tuning), ..plain }, &scores(accuracy))
    }

    /// The rate of what takes the place of the chosen candidate.
    fn rate_after(mut search: Search, candidates: Vec<Candidate>, bar: Bar<'_>, forced: bool) -> Option<f64> {
        search.tuned(candidates, bar, forced);
        search.chosen().recipe.tuning.as_ref().map(|tuning| tuning.settings[0].1)
    }

    /// What makes most models better takes the place where it is better at all, unless the original would no longer be clearly beaten.
    #[test]
    fn what_helps_as_a_rule_must_be_better_and_clearly_better_than_the_original() {
        let chosen = |original: f64, candidates: Vec<Candidate>| {
            rate_after(found(0.6), candidates, Bar::Better { original: &Outcomes::of(&scores(original)) }, false)
        };
        assert_eq!(chosen(0.5, vec![tuned(0.1, 0.6005), tuned(0.2, 0.4)]), Some(0.1));
        assert_eq!(chosen(0.5, vec![tuned(0.1, 0.6)]), None);
        assert_eq!(chosen(0.6, vec![tuned(0.1, 0.6005)]), None);
    }

    /// What went on from the chosen candidate takes its place where it is clearly better, and the best of it does.
    #[test]
    fn tuning_must_be_clearly_better_than_what_it_began_with() {
        let chosen_from = |search, candidates, forced| rate_after(search, candidates, Bar::ClearlyBetter, forced);
        let chosen = |candidates: Vec<Candidate>| chosen_from(found(0.6), candidates, true);
        assert_eq!(chosen(vec![tuned(0.1, 0.6005), tuned(0.2, 0.4)]), None);
        assert_eq!(chosen(vec![tuned(0.1, 0.62), tuned(0.2, 0.65), tuned(0.3, 0.61)]), Some(0.2));
        assert_eq!(chosen(vec![]), None);
        let original = || Search::of_original(&scores(0.6));
        let worse = || vec![tuned(0.1, 0.5), tuned(0.2, 0.4)];
        assert_eq!(chosen_from(original(), worse(), false), None);
        assert_eq!(chosen_from(original(), worse(), true), Some(0.1), "to write something else was asked for");
    }

    #[test]
    fn where_the_correction_is_no_better_the_original_is_what_tuning_must_beat() {
        let original = scores(0.6);
        let mut search = found(0.55);
        search.back_to_original(&original);
        assert_eq!((search.chosen().recipe.clone(), search.candidates.len()), (Recipe::unchanged(), 2));
        assert_eq!(search.verdict(true, &Outcomes::of(&original)), Verdict::NotBetter);
    }

    /// Where no strength is searched for, a last layer that has forgotten must be clearly better than the original.
    #[test]
    fn the_original_stays_unless_forgetting_is_clearly_better() {
        let original = scores(0.6);
        let chosen = |accuracy: f64| {
            let head = Head::Unlearned { update: Update::Newton, share: None, damping: 1.0 };
            let mut search = Search::of_original(&original);
            search.refine(vec![Candidate::of(Recipe { head, ..Recipe::unchanged() }, &scores(accuracy))]);
            (search.chosen().recipe.head, search.verdict(true, &Outcomes::of(&original)))
        };
        assert_eq!(chosen(0.6005), (Head::Kept, Verdict::NotBetter));
        assert_eq!(chosen(0.61).1, Verdict::Better);
        assert_eq!(chosen(0.55), (Head::Kept, Verdict::NotBetter));
    }

    #[test]
    fn a_new_head_is_kept_unless_it_is_clearly_worse_and_the_loss_tells_which() {
        let plain = Recipe::plain(Alpha::new(10.0).unwrap());
        let [ridge, lda] = [RIDGE, LDA].map(|head| Recipe { head, ..plain.clone() });
        assert_eq!(refined(0.6, &[(ridge.clone(), 0.5995, 0.8), (lda.clone(), 0.6, 0.9)]), ridge);
        assert_eq!(refined(0.6, &[(ridge.clone(), 0.59, 0.8), (lda.clone(), 0.6, 0.9)]), lda);
        assert_eq!(refined(0.6, &[(ridge.clone(), 0.59, 0.8), (lda.clone(), 0.55, 0.9)]), plain);
    }

    #[test]
    fn what_the_written_model_does_counts_and_not_what_its_head_did_beside_it() {
        let original = Outcomes::of(&scores(0.55));
        let mut search = found(0.6);
        assert_eq!(search.verdict(true, &original), Verdict::Better);
        search.judge_anew(&scores(0.5));
        assert_eq!(search.chosen().validation.accuracy, 0.5);
        assert_eq!(search.verdict(true, &original), Verdict::NotBetter);
    }
}
