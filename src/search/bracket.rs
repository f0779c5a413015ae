//! Which strength to try next: a bracket around the best so far, drawn closer from a decade to a quarter of one.
//!
//! Accuracy over log α rises to one broad top and falls again: too small an α removes what the network needs, too large a
//! one nothing. So the best of three neighbours brackets the top, and each halving of the distance takes two tries at most.

use super::{Candidate, Outcomes, complete, most_accurate};
use crate::evidence::Scores;
use crate::linalg::Alpha;
use crate::refine::Recipe;
use std::collections::BTreeMap;

/// A value of α as the number of quarter-decades above 1.
type Quarters = i32;

/// The largest α: 10^6.
const LARGEST: Quarters = 24;

/// Between which the top is looked for: from 10^1.5 on.
const RANGE: std::ops::RangeInclusive<Quarters> = 6..=LARGEST;

/// Where the search begins: 10^3.5, between what suits small networks and what suits large ones.
const START: Quarters = 14;

/// The distances that the bracket is drawn to, one after the other.
const STEPS: [Quarters; 3] = [4, 2, 1];

/// The next value to try, given the accuracies of those that were; nothing where the bracket is closed.
fn next(tried: &BTreeMap<Quarters, f64>) -> Option<Quarters> {
    // Of equally good ones the largest α, which changes least.
    let by_accuracy = |a: &(&Quarters, &f64), b: &(&Quarters, &f64)| a.1.total_cmp(b.1);
    let Some((&best, _)) = tried.iter().max_by(by_accuracy) else { return Some(START) };
    STEPS.into_iter().find_map(|step| {
        let below = tried.range(..best).next_back();
        let above = tried.range(best + 1..).next();
        let open = |neighbour: Option<(&Quarters, &f64)>, at: Quarters| {
            let near = neighbour.is_some_and(|(&neighbour, _)| (neighbour - best).abs() <= step);
            (!near && RANGE.contains(&at)).then_some(at)
        };
        let (lower, upper) = (open(below, best - step), open(above, best + step));
        // On the side that looks better first: what comes next may be given up sooner.
        match (below, above) {
            (Some((_, below)), Some((_, above))) if above > below => upper.or(lower),
            _ => lower.or(upper),
        }
    })
}

/// Draws a bracket around the best strength, with so many passes over the validation data. A candidate that is hopeless after
/// a part of it costs that part only.
pub(super) fn search<E>(
    budget: f64,
    recipe: impl Fn(Alpha) -> Recipe,
    mut evaluate: impl FnMut(&Recipe, &mut dyn FnMut(&Scores) -> bool) -> Result<Scores, E>,
) -> Result<Vec<Candidate>, E> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut tried: BTreeMap<i32, f64> = BTreeMap::new();
    let mut whole = 0;
    let mut spent = 0.0;
    while let Some(quarters) = next(&tried).filter(|_| spent + 1.0 <= budget || tried.is_empty()) {
        let recipe = recipe(quarter_decade(quarters));
        let best = most_accurate(&candidates, complete(&candidates)).map(|best| &candidates[best]);
        let scores = evaluate(&recipe, &mut |scores| best.is_some_and(|best| is_hopeless(scores, best)))?;
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
    Ok(candidates)
}

/// Standard errors by which a candidate is behind before it is given up: by chance one in a thousand is.
const HOPELESS: f64 = 3.0;

/// Before so many samples nothing is given up.
const LEAST_SAMPLES: usize = 200;

/// Whether a part of the scores shows that a candidate is worse than another.
pub(super) fn is_hopeless(scores: &Scores, best: &Candidate) -> bool {
    if scores.samples.len() < LEAST_SAMPLES {
        return false;
    }
    let advantage = Outcomes::of(scores).advantage(&best.outcomes);
    advantage.accuracy < -HOPELESS * advantage.standard_error
}

/// `10^(quarters / 4)`.
fn quarter_decade(quarters: i32) -> Alpha {
    Alpha::new(10_f64.powf(f64::from(quarters) / 4.0)).expect("a power of ten is positive")
}

/// Where a search begins.
pub fn usual_strength() -> Alpha {
    quarter_decade(START)
}

/// The smallest α that is tried.
pub(super) fn smallest() -> Alpha {
    quarter_decade(*RANGE.start())
}

/// The largest α that is tried.
pub(super) fn largest() -> Alpha {
    quarter_decade(LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything that is tried where the accuracy at `q` quarters is `accuracy(q)`, in that order.
    fn walk(accuracy: impl Fn(Quarters) -> f64) -> Vec<Quarters> {
        let (mut tried, mut order) = (BTreeMap::new(), Vec::new());
        while let Some(at) = next(&tried) {
            assert!(tried.insert(at, accuracy(at)).is_none(), "{at} was tried before");
            order.push(at);
        }
        order
    }

    proptest! {
        #[test]
        fn the_top_is_found_wherever_it_is(top in 6..=24_i32, slope in 0.001..0.1_f64) {
            let order = walk(|at| 0.8 - slope * f64::from((at - top).abs()));
            prop_assert!(order.contains(&top), "{order:?}");
            prop_assert!(order.len() <= 9, "{order:?}");
        }

        #[test]
        fn it_ends_on_any_accuracies(values in prop::collection::vec(0.0..1.0_f64, 19)) {
            let order = walk(|at| values[(at - 6) as usize]);
            prop_assert!(order.iter().all(|at| RANGE.contains(at)));
        }
    }

    #[test]
    fn where_all_are_equal_the_bracket_closes_at_the_largest() {
        assert_eq!(walk(|_| 0.5).into_iter().max(), Some(24));
    }
}
