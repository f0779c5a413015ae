//! A strength for each layer: from the chosen one, layer by layer from the front, half a decade up or down as long as that
//! is clearly better. A layer has its turn once: what later ones change moves its top by less than validation data tell.

use super::bracket::{is_hopeless, largest, smallest};
use super::{Candidate, Search};
use crate::evidence::Scores;
use crate::linalg::Alpha;
use crate::refine::Recipe;

/// Looks for strengths of single layers, by the names of their weights, around the chosen candidate, and chooses what is
/// found. `evaluate` is asked for the scores of a candidate, and may end where it is told that there are enough of them.
///
/// # Errors
/// Those of `evaluate`.
pub fn search_by_layer<E>(
    found: &mut Search,
    weights: &[&str],
    mut evaluate: impl FnMut(&Recipe, &mut dyn FnMut(&Scores) -> bool) -> Result<Scores, E>,
) -> Result<(), E> {
    for weight in weights {
        for half_decades in [1, -1] {
            let mut moved = false;
            while let Some(recipe) = neighbour(&found.chosen().recipe, weight, half_decades) {
                let chosen = found.chosen();
                let whole = chosen.validation.samples;
                let scores = evaluate(&recipe, &mut |scores| is_hopeless(scores, chosen))?;
                let complete = scores.samples.len() == whole;
                let candidate = Candidate { complete, ..Candidate::of(recipe, &scores) };
                let better = complete && candidate.is_clearly_better_than(chosen);
                found.candidates.push(candidate);
                if !better {
                    break;
                }
                found.chosen = found.candidates.len() - 1;
                moved = true;
            }
            if moved {
                break;
            }
        }
    }
    Ok(())
}

/// The recipe with one layer's strength moved, unless that goes too far.
fn neighbour(recipe: &Recipe, weight: &str, half_decades: i32) -> Option<Recipe> {
    let strength = recipe.strength.as_ref()?;
    let alpha = strength.of(weight).raised(half_decades);
    let (least, most) = (smallest().get(), largest().get());
    // Bounds are half-decades, and so may be what is tried.
    let within = |alpha: Alpha| alpha.get() > least * 0.99 && alpha.get() < most * 1.01;
    within(alpha).then(|| Recipe { strength: Some(strength.clone().with(weight, alpha)), ..recipe.clone() })
}

#[cfg(test)]
mod tests {
    use super::super::tests::scores;
    use super::super::{AlphaChoice, search};
    use super::*;
    use std::convert::Infallible;

    /// What is found, and in how many tries, where the accuracy is 0.8 less so much for each half-decade that the layers `a`
    /// and `b` are off those.
    fn run(tops: [f64; 2], slope: f64) -> (Recipe, usize) {
        let accuracy = |recipe: &Recipe| {
            let off =
                |(weight, top): (&str, f64)| (recipe.strength.as_ref().unwrap().of(weight).get().log10() - top).abs();
            0.8 - 2.0 * slope * ["a", "b"].into_iter().zip(tops).map(off).sum::<f64>()
        };
        let mut evaluate =
            |recipe: &Recipe, _: &mut dyn FnMut(&Scores) -> bool| Ok::<_, Infallible>(scores(accuracy(recipe)));
        let one = AlphaChoice::One(Alpha::new(1000.0).unwrap());
        let mut found = search(&one, Recipe::plain, &mut evaluate).unwrap();
        search_by_layer(&mut found, &["a", "b"], &mut evaluate).unwrap();
        (found.chosen().recipe.clone(), found.candidates.len())
    }

    #[test]
    fn each_layer_gets_the_strength_that_suits_it() {
        let (recipe, tries) = run([4.0, 2.5], 0.01);
        let found = ["a", "b"].map(|weight| recipe.strength.as_ref().unwrap().of(weight).get().log10());
        assert!((found[0] - 4.0).abs() < 1e-9 && (found[1] - 2.5).abs() < 1e-9, "{found:?}");
        // The first one; two steps and one too far; up, a step down and one too far.
        assert_eq!(tries, 1 + 3 + 3);
    }

    #[test]
    fn what_is_not_clearly_better_leaves_the_one_strength() {
        let (recipe, tries) = run([4.0, 2.5], 0.000_01);
        assert_eq!(recipe, Recipe::plain(Alpha::new(1000.0).unwrap()));
        assert_eq!(tries, 1 + 2 + 2);
    }

    #[test]
    fn no_layer_leaves_the_range_that_is_searched() {
        let (recipe, _) = run([9.0, -9.0], 0.01);
        let found = ["a", "b"].map(|weight| recipe.strength.as_ref().unwrap().of(weight).get().log10());
        assert!((found[0] - 6.0).abs() < 1e-9 && (found[1] - 1.5).abs() < 1e-9, "{found:?}");
    }
}
