//! What is tried once a strength is chosen: recalibration and other heads, on it and on a stronger correction, which
//! refinements put up with. Each is kept only where validation says so.

use super::held_out::HeldOut;
use super::job::{HeadOption, Job, Recalibrate};
use super::refinery::Refinery;
use super::trials::Trials;
use crate::error::Error;
use crate::linalg::Alpha;
use crate::progress::Observer;
use crate::refine::{FITS, Head, Recipe, Strength};
use crate::search::{AlphaChoice, Candidate, Search};

/// The refinements that a run may use.
pub(super) struct Refinements {
    /// Whether candidates are recalibrated: the ways that are open.
    recalibrated: Vec<bool>,
    heads: Vec<Head>,
}

impl Refinements {
    /// Those that the job asks for, as far as the model takes them.
    ///
    /// # Errors
    /// What was asked for by name, and cannot be had.
    pub(super) fn settle(
        job: &Job,
        refinery: &Refinery<'_>,
        no_head: Option<&str>,
        held_out: &HeldOut<'_>,
        observer: &dyn Observer,
    ) -> Result<Self, Error> {
        let refused = |option: &str, why: &str| {
            Err(Error::Usage(format!("{option} is not possible: {why}; leave the option out")))
        };
        let recalibrated = match (job.recalibrate, refinery.cannot_recalibrate()) {
            (Recalibrate::On, Some(why)) => return refused("--recalibrate on", &why),
            (Recalibrate::On, None) => vec![true],
            (Recalibrate::Auto, None) => vec![false, true],
            (Recalibrate::Auto, Some(why)) => {
                observer.note(&format!("no recalibration: {why}"));
                vec![false]
            }
            (Recalibrate::Off, _) => vec![false],
        };
        // On shifted images a head that was fitted to such would look better than it is.
        let shifts = refinery.can_shift() && !held_out.is_perturbed();
        let data: &[bool] = if shifts { &[false, true] } else { &[false] };
        let shrinkages = |fit: &'static str, values: &[f64]| {
            let of_data = |&shifted| values.iter().map(move |&shrinkage| Head::Refit { fit, shrinkage, shifted });
            data.iter().flat_map(of_data).collect::<Vec<_>>()
        };
        let refits = FITS.iter().map(|fit| (fit.name(), shrinkages(fit.name(), fit.shrinkages())));
        let heads = match (job.head, no_head) {
            (HeadOption::Project, _) => vec![Head::Projected],
            (HeadOption::Auto, Some(why)) => {
                observer.note(&format!("the head is not computed anew: {why}"));
                vec![Head::Projected]
            }
            (HeadOption::Auto, None) => {
                [Head::Projected, Head::Kept].into_iter().chain(refits.flat_map(|(_, heads)| heads)).collect()
            }
            (asked, Some(why)) => return refused(&format!("--head {asked}"), why),
            (HeadOption::Keep, None) => vec![Head::Kept],
            (HeadOption::Refit(name), None) => {
                refits.filter(|(fit, _)| *fit == name).flat_map(|(_, heads)| heads).collect()
            }
        };
        Ok(Self { recalibrated, heads })
    }

    /// The candidates on which the strength is chosen: the simplest that may be chosen in the end, and with a projected head
    /// in the place of one that would have to be computed for each.
    pub(super) fn plainest(&self) -> impl Fn(Alpha) -> Recipe + use<> {
        let recalibrated = self.recalibrated == [true];
        let head = self.heads.first().copied().filter(|head| *head == Head::Kept).unwrap_or(Head::Projected);
        move |alpha| Recipe { recalibrated, head, ..Recipe::plain(alpha) }
    }

    /// Tries them, and chooses.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn apply(
        &self,
        job: &Job,
        found: &mut Search,
        trials: &mut Trials<'_>,
        held_out: &HeldOut<'_>,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let chosen = found.chosen().recipe.strength.clone();
        let stronger = (!matches!(job.alpha, AlphaChoice::One(_))).then(|| half_a_decade_below(&chosen, found));
        let mut candidates = Vec::new();
        for strength in [chosen].into_iter().chain(stronger) {
            for &recalibrated in &self.recalibrated {
                let base = Recipe { strength: strength.clone(), recalibrated, head: Head::Projected };
                candidates.extend(self.of_base(&base, found, trials, held_out, observer)?);
            }
        }
        match job.head {
            // What was asked for by name is what comes out.
            HeadOption::Refit(_) => found.replace(candidates),
            HeadOption::Auto | HeadOption::Keep | HeadOption::Project => found.refine(candidates),
        }
        Ok(())
    }

    fn of_base(
        &self,
        base: &Recipe,
        found: &Search,
        trials: &mut Trials<'_>,
        held_out: &HeldOut<'_>,
        observer: &dyn Observer,
    ) -> Result<Vec<Candidate>, Error> {
        let known = |head: &&Head| {
            let recipe = Recipe { head: **head, ..base.clone() };
            found.candidates.iter().all(|candidate| candidate.recipe != recipe)
        };
        let heads: Vec<Head> = self.heads.iter().filter(known).copied().collect();
        let samples = held_out.validation_samples();
        let judged = match heads[..] {
            [] => Vec::new(),
            [head @ (Head::Projected | Head::Kept)] => {
                let recipe = Recipe { head, ..base.clone() };
                let scores = trials.with(&recipe, observer, |forward| {
                    observer.begin("refining", samples, "samples");
                    let scores = held_out.validate(forward, observer);
                    observer.end();
                    scores
                })?;
                vec![(recipe, scores)]
            }
            _ => trials.refine(base, observer, |refinery, patches| {
                refinery.compete(base, &heads, patches, held_out, observer)
            })?,
        };
        Ok(judged.into_iter().map(|(recipe, scores)| Candidate::of(recipe, &scores)).collect())
    }
}

/// A stronger correction: the one that was tried already, where it differs by rounding alone.
fn half_a_decade_below(strength: &Strength, found: &Search) -> Strength {
    let below = strength.clone().raised(-1);
    let mut tried = found.candidates.iter().map(|candidate| &candidate.recipe.strength);
    tried.find(|tried| tried.is_close_to(&below)).cloned().unwrap_or(below)
}
