//! Which samples a projection forgets: those whose labels are likely wrong, by what ranks trusted samples.

use super::choose::{Choice, Scored};
use super::forget::{Forget, samples_with};
use super::job::{Job, TrustedChoice};
use super::subject::{Measurement, Subject};
use super::variant::UnwantedChoice;
use crate::data::DataSet;
use crate::detect::Separation;
use crate::error::Error;
use crate::evidence::{EvidenceError, Inputs, Moments, Ranked, Ranking, Trusted};
use crate::model::Classifier;
use crate::partial::WorkFolder;
use crate::progress::Observer;
use crate::report::ForgottenReport;
use std::collections::BTreeSet;

/// The folder inside of the work folder that keeps the moments of samples to forget.
const FOLDER: &str = "forget";

/// The samples to forget.
pub(super) struct Unwanted {
    samples: Trusted,
    of: usize,
    by: &'static str,
}

impl Unwanted {
    /// Those that the job wants forgotten. What is to be forgotten by its id is not trusted, unless that was asked for.
    ///
    /// # Errors
    /// Ids that are no samples, or trusted by their ids as well; more samples than are not trusted.
    pub(super) fn choose(job: &Job, choice: &mut Choice, set: &dyn DataSet) -> Result<Option<Self>, Error> {
        let (Some(UnwantedChoice { which, .. }), Some(scored)) = (&job.variant.unwanted, &choice.scored) else {
            return Ok(None);
        };
        let of = scored.ranked.samples.len();
        if let Forget::Ids(ids) = which {
            let unwanted = samples_with(ids, set, &scored.ranked.samples)?;
            let given = matches!(job.trusted, TrustedChoice::Given(_));
            if let Some(both) = choice.trusted.samples.iter().find(|sample| given && unwanted.contains(sample)) {
                let id = set.id(*both);
                return Err(Error::Usage(format!(
                    "{id} is in --trusted-ids and in --forget-ids; take it off one of the lists"
                )));
            }
            choice.trusted.samples.retain(|sample| !unwanted.contains(sample));
            let samples = Trusted { samples: unwanted.into_iter().collect(), ..Trusted::default() };
            return Ok(Some(Self { samples, of, by: "given" }));
        }
        let rest = scored.without(&choice.trusted);
        let (count, by) = count(which, scored, choice.trusted.samples.len());
        if count > rest.samples.len() {
            let (all, rest) = (of, rest.samples.len());
            return Err(Error::Usage(format!(
                "{count} of {all} samples are to be forgotten, and {rest} are not trusted; trust fewer (--trusted) or forget fewer \
                 (--forget-fraction)"
            )));
        }
        let ranking = match job.trusted {
            TrustedChoice::Lowest { ranking, .. } => ranking,
            TrustedChoice::Given(_) => Ranking::ALL[0],
        };
        let samples = Trusted::lowest(&rest, count, ranking)?;
        Ok(Some(Self { samples, of, by }))
    }

    /// The moments of the layers' inputs over them.
    ///
    /// # Errors
    /// Those of measuring.
    pub(super) fn moments<'a>(
        &self,
        subject: &Subject<'a>,
        classifier: &Classifier,
        measurement: &Measurement<'_>,
        observer: &dyn Observer,
    ) -> Result<Moments<'a>, Error> {
        // What is kept of the trusted samples' moments stays where it is.
        let work = subject.work.map(|work| WorkFolder::open(&work.file(FOLDER))).transpose()?;
        let own = Measurement { trusted: &self.samples, ..*measurement };
        let sums = Subject { work: work.as_ref(), ..*subject }.measure(classifier, &own, Inputs::All, observer)?;
        Ok(Moments::of(measurement.layers, sums).ok_or(EvidenceError::NoneTrusted)?)
    }

    /// For the report.
    pub(super) fn report(&self, set: &dyn DataSet) -> ForgottenReport {
        let ids = self.samples.samples.iter().map(|&sample| set.id(sample)).collect();
        ForgottenReport { count: self.samples.samples.len(), of: self.of, by: self.by, ids }
    }
}

/// How many of the highest scores are forgotten, and what says so: where losses do not tell how many labels are wrong, as many as
/// are trusted, as SAP's public code takes about as many of one as of the other.
fn count(which: &Forget, Scored { ranked, losses }: &Scored, trusted: usize) -> (usize, &'static str) {
    let all = ranked.samples.len();
    let share = |share: f64| ((share * all as f64).round() as usize).max(1);
    match which {
        Forget::Fraction(given) => (share(*given), "given"),
        Forget::Estimated | Forget::Ids(_) => {
            let found = Separation::of(losses.iter().copied());
            let left = all - trusted.min(all);
            if found.separates {
                (share(found.wrong_share).min(left), "losses")
            } else {
                (trusted.min(left), "trusted")
            }
        }
    }
}

impl Scored {
    /// The samples that are not trusted, the likeliest wrong first.
    fn without(&self, trusted: &Trusted) -> Ranked {
        let trusted: BTreeSet<usize> = trusted.samples.iter().copied().collect();
        let Ranked { samples, labels, values } = &self.ranked;
        let mut rest = Ranked::default();
        for ((&sample, &label), &value) in samples.iter().zip(labels).zip(values) {
            if !trusted.contains(&sample) {
                rest.samples.push(sample);
                rest.labels.push(label);
                rest.values.push(-value);
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(losses: &[f64]) -> Scored {
        let samples = (0..losses.len()).collect();
        let ranked = Ranked { samples, labels: vec![0; losses.len()], values: losses.to_vec() };
        Scored { ranked, losses: losses.to_vec() }
    }

    #[test]
    fn the_highest_of_those_that_are_not_trusted_are_forgotten() {
        let scored = scored(&[0.5, 3.0, 0.1, 2.0, 4.0]);
        let trusted = Trusted { samples: vec![2, 4], ..Trusted::default() };
        let forgotten = Trusted::lowest(&scored.without(&trusted), 2, Ranking::Global).unwrap();
        assert_eq!(forgotten.samples, [1, 3]);
    }

    #[test]
    fn losses_that_separate_tell_how_many_and_else_as_many_as_are_trusted() {
        let apart: Vec<f64> = (0..40).map(|at| if at % 4 == 0 { 3.0 } else { 0.05 } + f64::from(at) / 100.0).collect();
        assert_eq!(count(&Forget::Estimated, &scored(&apart), 12), (10, "losses"));
        let alike: Vec<f64> = (0..40).map(|at| 0.01 + f64::from(at) / 1e5).collect();
        assert_eq!(count(&Forget::Estimated, &scored(&alike), 12), (12, "trusted"));
        assert_eq!(count(&Forget::Estimated, &scored(&alike), 35), (5, "trusted"));
        assert_eq!(count(&Forget::Fraction(0.25), &scored(&alike), 12), (10, "given"));
    }
}
