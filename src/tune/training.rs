//! A training that is judged on validation data after every epoch.

use super::{Ground, Settings, Tuned};
use crate::error::Error;
use crate::evidence::Scores;
use crate::tensor::NamedTensor;
use crate::train::{Examples, Fitted, Kept, Plan, Trainer, fit};

/// Trains from the first parameters on, and gives those after the best epoch; nothing where no epoch came to its end.
///
/// # Errors
/// Those of data, engine and judge.
pub(super) fn judged(
    ground: &mut Ground<'_>,
    trainer: &mut Trainer,
    (plan, examples): (&Plan<'_>, Examples<'_>),
    (by, mut settings): (&'static str, Settings),
) -> Result<Option<Tuned>, Error> {
    trainer.start_anew();
    let next = ground.work.as_mut().map(|work| work.next(&settings, plan, &examples.lessons));
    let kept = next.transpose()?;
    let plan = &Plan { work: kept.as_ref().map(|(folder, identity)| Kept { folder, identity }), ..*plan };
    let observer = ground.observer;
    let mut best: Option<Scores> = None;
    let mut validate = |parameters: &[NamedTensor]| {
        let scores = ground.judge(parameters)?;
        let accuracy = scores.quality().accuracy;
        if best.as_ref().is_none_or(|best| accuracy > best.quality().accuracy) {
            best = Some(scores);
        }
        Ok(accuracy)
    };
    let Fitted { parameters, best: epoch, .. } = fit(trainer, plan, examples, &mut validate, observer)?;
    settings.push(("epochs", (epoch + 1) as f64));
    if kept.is_some() && !parameters.is_empty() {
        // The best epoch may be one of those that were kept.
        best = Some(ground.judge(&parameters)?);
    }
    Ok(best.map(|scores| Tuned { by, settings, parameters, scores }))
}
