//! What is kept of training samples to let a last layer forget some of them: their features, and what was solved.

use super::held_out::drawn;
use super::refinery::Place;
use crate::error::Error;
use crate::evidence::{FeatureRows, Forward, feature_rows};
use crate::progress::Observer;
use crate::refine::{Head, HeadError, LinearHead, Loss, Unlearned, Unlearning};
use std::rc::Rc;

/// Features that are kept, in all: 3 GB.
const MOST_REMEMBERED: usize = 400_000_000;

/// Samples that a head has forgotten, and of how many.
pub(super) struct Forgotten {
    pub(super) samples: Vec<usize>,
    pub(super) of: usize,
}

/// The training samples as the last layer of one correction sees them.
pub(super) struct Remembering<'a> {
    place: Place<'a>,
    rows: Option<FeatureRows>,
    solved: Vec<Solved>,
}

/// A head that is ready to forget some samples.
struct Solved {
    /// Which share of the highest losses, where that is to be found out.
    share: Option<f64>,
    unlearning: Unlearning,
    forgotten: Rc<Forgotten>,
}

impl<'a> Remembering<'a> {
    /// Of no sample yet.
    pub(super) fn of(place: &Place<'a>) -> Self {
        Self { place: *place, rows: None, solved: Vec::new() }
    }

    /// A head without the samples that the job wants forgotten, or without this share of the highest losses; nothing where that
    /// is no question. It comes with the loss of its scores, and `forward` reads the features. Inside, why there is no such head.
    ///
    /// # Errors
    /// Those of data and engine.
    pub(super) fn without(
        &mut self,
        share: Option<f64>,
        damping: f64,
        (head, loss): (&LinearHead, Loss),
        forward: &mut Forward,
        observer: &dyn Observer,
    ) -> Result<Option<Result<LinearHead, HeadError>>, Error> {
        if let Some(solved) = self.solved.iter().find(|solved| solved.share == share) {
            return Ok(Some(told(solved.unlearning.head(damping), observer)));
        }
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => self.remember(head.weight.ncols(), forward, observer)?,
        };
        let rows = self.rows.insert(rows);
        let Some(forgetting) = self.place.forgetting else { return Ok(None) };
        let Some(marks) = forgetting.marks(share, self.place.data.set.as_ref(), rows, (head, loss.link()))? else {
            return Ok(None);
        };
        let unlearning = match Unlearning::new((head, loss), rows, &marks, forgetting.update, forgetting.with_bias) {
            Ok(unlearning) => unlearning,
            Err(error) => return Ok(Some(Err(error))),
        };
        let marked = rows.samples.iter().zip(&marks).filter(|(_, forget)| **forget).map(|(sample, _)| *sample);
        let forgotten = Rc::new(Forgotten { samples: marked.collect(), of: rows.samples.len() });
        let found = told(unlearning.head(damping), observer);
        self.solved.push(Solved { share, unlearning, forgotten });
        Ok(Some(found))
    }

    /// What a head has forgotten.
    pub(super) fn forgotten(&self, head: Head) -> Option<Rc<Forgotten>> {
        let Head::Unlearned { share, .. } = head else { return None };
        self.solved.iter().find(|solved| solved.share == share).map(|solved| Rc::clone(&solved.forgotten))
    }

    fn remember(&self, width: usize, forward: &mut Forward, observer: &dyn Observer) -> Result<FeatureRows, Error> {
        let Place { data, usable, batch, seed, .. } = self.place;
        let samples = drawn(usable, MOST_REMEMBERED / width.max(1), seed);
        if samples.len() < usable.len() {
            let (some, all) = (samples.len(), usable.len());
            observer.warn(&format!("the last layer is made to forget by {some} of {all} samples, drawn by the seed"));
        }
        observer.begin("features", samples.len(), "samples");
        let rows = feature_rows(forward, &data.stream(None), (&samples, data.batch(batch)), observer)?;
        observer.end();
        Ok(rows)
    }
}

/// The layer that was found. Says so where rounding has kept it from what was asked for.
fn told(found: Result<Unlearned, HeadError>, observer: &dyn Observer) -> Result<LinearHead, HeadError> {
    let Unlearned { head, residual } = found?;
    if let Some(residual) = residual {
        observer.warn(&format!(
            "the last layer is so ill-conditioned that rounding leaves {residual:.0e} of what is to be forgotten unsolved; \
             a larger --damping makes it well-conditioned"
        ));
    }
    Ok(head)
}
