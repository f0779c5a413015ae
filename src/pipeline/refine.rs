//! What is tried once a strength is chosen: recalibration and other heads, on it and on a stronger correction, which
//! refinements put up with. Each is kept only where validation says so.

use super::held_out::HeldOut;
use super::job::{HeadOption, Job, Recalibrate};
use super::refinery::Refinery;
use super::trials::Trials;
use crate::error::Error;
use crate::linalg::Alpha;
use crate::progress::Observer;
use crate::refine::{FITS, Head, HeadFit, Recipe, Strength};
use crate::search::{Candidate, Search};

/// The refinements that a run may use.
pub(super) struct Refinements {
    /// Whether there is anything to choose between.
    chooses: bool,
    /// Whether candidates are recalibrated: the ways that are open.
    recalibrated: Vec<bool>,
    heads: Vec<Head>,
    /// Whether a head that cannot be computed is done without, as none was asked for.
    optional: bool,
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
        let chooses = job.chooses() && !held_out.is_missing();
        let unlearned = unlearned(job, refinery, no_head, held_out)?;
        if job.method.of_layers().is_none() {
            return Ok(Self { chooses, recalibrated: vec![false], heads: unlearned, optional: false });
        }
        let recalibrated = recalibrations(job.recalibrate, refinery, held_out, observer)?;
        let no_fit = refinery.head.and_then(|head| head.without_fit().or_else(|| head.without_bias()));
        let no_head = no_head.or(no_fit.as_deref());
        // On shifted images a head that was fitted to such would look better than it is: it is considered last, and apart.
        let shifts = refinery.can_shift() && !held_out.is_perturbed();
        let refits = refits(shifts);
        let usual = refits[0];
        let of =
            |name| refits.iter().copied().filter(move |head| matches!(head, Head::Refit { fit, .. } if *fit == name));
        let mut heads = match (job.head, no_head) {
            (HeadOption::Project, _) => vec![Head::Projected],
            (HeadOption::Auto, Some(why)) => {
                observer.note(&format!("the head is not computed anew: {why}"));
                vec![Head::Projected]
            }
            // Nothing tells which: what does well nearly everywhere.
            (HeadOption::Auto, None) if held_out.is_missing() => vec![usual],
            (HeadOption::Auto, None) => {
                [Head::Projected, Head::Kept].into_iter().chain(refits.iter().copied()).collect()
            }
            (asked, Some(why)) => return Err(refused(&format!("--head {asked}"), why)),
            (HeadOption::Keep, None) => vec![Head::Kept],
            (HeadOption::Refit(name), None) if held_out.is_missing() => of(name).take(1).collect(),
            (HeadOption::Refit(name), None) => of(name).collect(),
        };
        let judged = !held_out.is_missing();
        if job.forgetting.as_ref().is_some_and(|forgetting| !judged && !forgetting.is_given(judged)) {
            observer.warn(
                "nothing is forgotten, as nothing would tell whether it helps; give --forget-fraction or --forget-ids, or held-out \
                 data with --val SPEC",
            );
        }
        let as_given = !chooses && job.forgetting.as_ref().is_some_and(|forgetting| forgetting.is_given(judged));
        if as_given && matches!(job.head, HeadOption::Auto | HeadOption::Project) {
            // Nothing is left to choose, and a head that has forgotten was asked for.
            heads.clear();
        }
        let optional = job.head == HeadOption::Auto && unlearned.is_empty();
        heads.extend(unlearned);
        Ok(Self { chooses, recalibrated, heads, optional })
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
        found: &mut Search,
        trials: &mut Trials<'_>,
        held_out: &HeldOut<'_>,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let chosen = found.chosen().recipe.strength.clone();
        let stronger = chosen.as_ref().filter(|_| self.chooses).map(|chosen| Some(half_a_decade_below(chosen, found)));
        let mut candidates = Vec::new();
        for strength in [chosen].into_iter().chain(stronger) {
            for &recalibrated in &self.recalibrated {
                let base = Recipe { strength: strength.clone(), recalibrated, head: Head::Projected, tuning: None };
                candidates.extend(self.of_base(&base, found, trials, held_out, observer)?);
            }
        }
        if candidates.is_empty() && self.heads.iter().all(|head| matches!(head, Head::Unlearned { .. })) {
            return Err(Error::Usage(
                "losses do not tell how many labels are wrong, and there is nothing to choose by; give --forget-fraction P or \
                 --forget-ids FILE, or held-out data with --val SPEC"
                    .to_owned(),
            ));
        }
        if candidates.is_empty() && self.optional {
            return Ok(());
        }
        // Where a new head is all that there may be, it is what comes out.
        let all_refit = self.heads.iter().all(Head::is_refit);
        if all_refit || (!self.chooses && self.heads.iter().all(Head::is_computed)) {
            found.replace(candidates);
        } else {
            found.refine(candidates);
        }
        Ok(())
    }

    /// On perturbed images, where the original has lost and remembers wrong labels: lets heads that are fitted to shifted images
    /// compete with the chosen candidate on the correction that it rests on.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn reconsider(
        &self,
        found: &mut Search,
        trials: &mut Trials<'_>,
        held_out: &HeldOut<'_>,
        observer: &dyn Observer,
    ) -> Result<(), Error> {
        let heads: Vec<Head> = self.heads.iter().copied().filter(Head::is_refit).collect();
        if !self.chooses || !held_out.memory_misleads() || heads.is_empty() {
            return Ok(());
        }
        let base = Recipe { head: Head::Projected, ..found.chosen().recipe.clone() };
        let contrasts = trials.refine(&base, observer, |refinery, patches| {
            refinery.contrast(&base, &heads, patches, held_out, observer)
        })?;
        if found.reconsider(contrasts) {
            observer.note("a head that is fitted to shifted images reads less of what the network has memorised");
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
            _ => {
                let judged = trials.refine(base, observer, |refinery, patches| {
                    refinery.compete(base, &heads, patches, held_out, observer)
                });
                match judged {
                    Err(Error::Head(why)) if self.optional => {
                        observer.warn(&format!("the head is projected as the other layers: {why}"));
                        Vec::new()
                    }
                    other => other?,
                }
            }
        };
        Ok(judged.into_iter().map(|(recipe, scores)| Candidate::of(recipe, &scores)).collect())
    }
}

/// The last layers that have forgotten something, where the method lets them.
fn unlearned(
    job: &Job,
    refinery: &Refinery<'_>,
    no_head: Option<&str>,
    held_out: &HeldOut<'_>,
) -> Result<Vec<Head>, Error> {
    let Some(forgetting) = &job.forgetting else { return Ok(Vec::new()) };
    if let Some(why) = no_head {
        return Err(refused(&format!("--method {}", job.method.name()), why));
    }
    match refinery.head.and_then(|head| head.without_bias()) {
        Some(why) if forgetting.with_bias => Err(refused("--with-bias", &why)),
        _ => Ok(forgetting.heads(!held_out.is_missing())),
    }
}

/// Whether candidates are recalibrated: the ways that are open.
fn recalibrations(
    asked: Recalibrate,
    refinery: &Refinery<'_>,
    held_out: &HeldOut<'_>,
    observer: &dyn Observer,
) -> Result<Vec<bool>, Error> {
    match (asked, refinery.cannot_recalibrate()) {
        (Recalibrate::On, Some(why)) => Err(refused("--recalibrate on", &why)),
        (Recalibrate::On, None) => Ok(vec![true]),
        // Nothing would tell whether it helps.
        (Recalibrate::Auto, None) if held_out.is_missing() => Ok(vec![false]),
        (Recalibrate::Auto, None) => Ok(vec![false, true]),
        (Recalibrate::Auto, Some(why)) => {
            observer.note(&format!("no recalibration: {why}"));
            Ok(vec![false])
        }
        (Recalibrate::Off, _) => Ok(vec![false]),
    }
}

/// Every closed form with every shrinkage, the usual one first.
fn refits(shifts: bool) -> Vec<Head> {
    let data: &[bool] = if shifts { &[false, true] } else { &[false] };
    let of_fit = |fit: &&'static dyn HeadFit| {
        let fit = *fit;
        let of_data = move |&shifted: &bool| {
            fit.shrinkages().iter().map(move |&shrinkage| Head::Refit { fit: fit.name(), shrinkage, shifted })
        };
        data.iter().flat_map(of_data)
    };
    FITS.iter().flat_map(of_fit).collect()
}

fn refused(option: &str, why: &str) -> Error {
    Error::Usage(format!("{option} is not possible: {why}; leave the option out"))
}

/// A stronger correction: the one that was tried already, where it differs by rounding alone.
fn half_a_decade_below(strength: &Strength, found: &Search) -> Strength {
    let below = strength.clone().raised(-1);
    let mut tried = found.candidates.iter().filter_map(|candidate| candidate.recipe.strength.as_ref());
    tried.find(|tried| tried.is_close_to(&below)).cloned().unwrap_or(below)
}
