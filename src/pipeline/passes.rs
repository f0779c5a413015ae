//! Moments in several passes, none of which keeps more in memory than there is room for.

use super::memory::Plan;
use super::subject::{Measurement, Subject};
use crate::error::Error;
use crate::evidence::{EvidenceError, Inputs, Moments, check_unchanged};
use crate::model::Classifier;
use crate::partial::{EvidenceFile, MomentsShelf, PutAside};
use crate::progress::Observer;
use std::collections::BTreeMap;

impl<'a> Subject<'a> {
    /// The moments: of evidence that was gathered before, or measured now, in one pass or as the plan divides them.
    ///
    /// # Errors
    /// Those of data, engine and files; evidence of another run; an interruption.
    pub(super) fn moments(
        &self,
        classifier: &Classifier,
        measurement: &Measurement<'_>,
        evidence: Option<EvidenceFile>,
        plan: Option<&Plan>,
        observer: &dyn Observer,
    ) -> Result<Moments<'a>, Error> {
        let sums = match (evidence, plan) {
            (Some(evidence), _) => self.measured(classifier, measurement, evidence)?,
            (None, Some(plan)) => return self.measure_in_passes(classifier, measurement, plan, observer),
            (None, None) => self.measure(classifier, measurement, Inputs::All, observer)?,
        };
        Ok(Moments::of(measurement.layers, sums).ok_or(EvidenceError::NoneTrusted)?)
    }

    /// Measures the moments pass by pass, and puts them aside: in the work folder, or beside the output. What an interrupted run
    /// has put aside is not measured again.
    ///
    /// # Errors
    /// Those of data and engine; a disk that is full; an interruption.
    fn measure_in_passes(
        &self,
        classifier: &Classifier,
        measurement: &Measurement<'_>,
        plan: &Plan,
        observer: &dyn Observer,
    ) -> Result<Moments<'a>, Error> {
        let identity = self.measuring(classifier, measurement)?;
        let aside = match self.work {
            Some(folder) => MomentsShelf::in_work(folder, identity),
            None => MomentsShelf::beside(&plan.out, identity)?,
        };
        let mut there = self.put_aside(&aside, measurement, plan)?;
        for (number, pass) in plan.passes.iter().enumerate() {
            let missing: Vec<usize> = pass.iter().copied().filter(|input| !there.contains_key(input)).collect();
            if missing.is_empty() {
                continue;
            }
            observer.note(&format!("pass {} of {} measures {} inputs", number + 1, plan.passes.len(), missing.len()));
            let sums = self.measure(classifier, measurement, Inputs::These(&missing), observer)?;
            let said = sums.rows.iter().copied().zip(sums.losses.iter().copied());
            there.extend(missing.iter().copied().zip(said));
            aside.put(&missing, sums)?;
            self.forget_pass()?;
        }
        let (rows, losses): (Vec<f64>, Vec<f64>) = there.into_values().unzip();
        Ok(Moments::on_shelf(measurement.layers, Box::new(aside), &rows, losses))
    }

    /// The numbers of rows of the inputs that were put aside before, over samples that are what they were, and what these
    /// inputs' moments have lost.
    fn put_aside(
        &self,
        aside: &MomentsShelf<'_>,
        measurement: &Measurement<'_>,
        plan: &Plan,
    ) -> Result<BTreeMap<usize, (f64, f64)>, Error> {
        let mut found = BTreeMap::new();
        let mut checked = None;
        for &input in plan.passes.iter().flatten() {
            let Some(PutAside { rows, loss, digest }) = aside.find(input)? else { continue };
            // All of them were measured over the same samples, which are read once.
            if checked != Some(digest) {
                check_unchanged(self.data.stream(None), &measurement.trusted.samples, &digest)?;
                checked = Some(digest);
            }
            found.insert(input, (rows, loss));
        }
        Ok(found)
    }
}
