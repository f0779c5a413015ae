//! Whether a head that was fitted to shifted training images is better, or only better on shifted images.
//!
//! Both kinds of heads are judged on shifted images and on images as they are, by what was fitted without them. A head that merely
//! suits shifted images gains on them about as much as it loses on the others. One that reads less of what a network has memorised
//! loses more than that, as memory serves images as they are best.

use super::{Advantage, Candidate, Outcomes, Search};
use crate::evidence::Scores;

/// A head that was fitted to shifted images, and its twin, which was fitted to images as they are.
#[derive(Clone, Debug)]
pub struct Contrast {
    /// The first, judged on shifted images.
    pub candidate: Candidate,
    /// Both on shifted images.
    pub on_shifted: Pair,
    /// Both on images as they are.
    pub on_plain: Pair,
}

/// What two heads predict of the same images.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The one that was fitted to images as they are.
    pub as_they_are: Outcomes,
    /// The one that was fitted to shifted images.
    pub shifted: Outcomes,
}

/// Standard errors by which a loss must exceed a gain.
const STANDARD_ERRORS: f64 = 2.0;

impl Pair {
    /// Of the scores of the two, in the order of its fields.
    pub fn of([as_they_are, shifted]: &[Scores; 2]) -> Self {
        Self { as_they_are: Outcomes::of(as_they_are), shifted: Outcomes::of(shifted) }
    }
}

impl Contrast {
    /// Whether it loses more on images as they are than it gains on shifted ones.
    fn reads_less_memory(&self) -> bool {
        let Pair { as_they_are, shifted } = &self.on_shifted;
        let gain = shifted.advantage(as_they_are);
        let Pair { as_they_are, shifted } = &self.on_plain;
        let loss = as_they_are.advantage(shifted);
        exceeds(loss, gain)
    }
}

fn exceeds(loss: Advantage, gain: Advantage) -> bool {
    loss.accuracy - gain.accuracy > STANDARD_ERRORS * loss.standard_error.hypot(gain.standard_error)
}

impl Search {
    /// Takes in the head that is the most accurate of those that were fitted to shifted images, where it is clearly better than
    /// what is chosen and reads less memory than its twin. Says whether it does.
    pub fn reconsider(&mut self, contrasts: Vec<Contrast>) -> bool {
        let accuracy = |contrast: &Contrast| contrast.candidate.validation.accuracy;
        let best =
            contrasts.into_iter().reduce(|best, next| if accuracy(&next) > accuracy(&best) { next } else { best });
        let wins = |best: &Contrast| best.candidate.is_clearly_better_than(self.chosen()) && best.reads_less_memory();
        let Some(best) = best.filter(wins) else { return false };
        self.candidates.push(best.candidate);
        self.chosen = self.candidates.len() - 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::scores;
    use super::*;
    use crate::linalg::Alpha;
    use crate::refine::{Head, Recipe};

    fn recipe(head: Head) -> Recipe {
        Recipe { head, ..Recipe::plain(Alpha::new(10.0).unwrap()) }
    }

    /// Accuracies of the twin and of the head.
    type Accuracies = (f64, f64);

    fn contrast(shrinkage: f64, on_shifted: Accuracies, on_plain: Accuracies) -> Contrast {
        let pair = |(twin, head)| Pair::of(&[scores(twin), scores(head)]);
        let head = Head::Refit { fit: "ridge", shrinkage, shifted: true };
        let candidate = Candidate::of(recipe(head), &scores(on_shifted.1));
        Contrast { candidate, on_shifted: pair(on_shifted), on_plain: pair(on_plain) }
    }

    /// The shrinkage of the head that takes the place of a correction that is right on 0.6 of the shifted images.
    fn winner(contrasts: Vec<Contrast>) -> Option<f64> {
        let mut search = Search::of_original(&scores(0.6));
        search.candidates[0].recipe = recipe(Head::Projected);
        let won = search.reconsider(contrasts);
        assert_eq!(won, search.candidates.len() == 2);
        match search.chosen().recipe.head {
            Head::Refit { shrinkage, .. } => Some(shrinkage),
            _ => None,
        }
    }

    #[test]
    fn a_head_that_reads_less_memory_takes_the_place_of_what_is_chosen() {
        assert_eq!(winner(vec![contrast(0.1, (0.6, 0.63), (0.9, 0.8))]), Some(0.1));
    }

    #[test]
    fn a_head_that_only_suits_shifted_images_does_not() {
        assert_eq!(winner(vec![contrast(0.1, (0.6, 0.63), (0.9, 0.87))]), None);
        // A loss that exceeds the gain by chance.
        assert_eq!(winner(vec![contrast(0.1, (0.6, 0.63), (0.9, 0.865))]), None);
    }

    #[test]
    fn what_is_chosen_stays_unless_a_head_is_clearly_better() {
        assert_eq!(winner(vec![contrast(0.1, (0.5, 0.6), (0.9, 0.7))]), None);
        assert_eq!(winner(Vec::new()), None);
    }

    /// Of several the most accurate is asked only: one of many would pass by chance.
    #[test]
    fn where_the_most_accurate_does_not_win_none_does() {
        let passes = contrast(0.1, (0.6, 0.62), (0.9, 0.8));
        assert_eq!(winner(vec![passes.clone()]), Some(0.1));
        assert_eq!(winner(vec![passes, contrast(0.01, (0.6, 0.63), (0.9, 0.88))]), None);
    }
}
