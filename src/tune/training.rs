//! A training that is judged on validation data after every epoch.

use super::{Ground, Settings, Tuned};
use crate::error::Error;
use crate::evidence::Scores;
use crate::tensor::NamedTensor;
use crate::train::{Examples, Fitted, Plan, Trainer, fit};

/// Trains from the first parameters on, and gives those after the best epoch; nothing where no epoch came to its end.
///
/// # Errors
/// Those of data, engine and judge.
pub(super) fn judged(
    ground: &mut Ground<'_>,
    trainer: &mut Trainer,
    (plan, examples): (&Plan<'_>, Examples<'_>),
    mut settings: Settings,
) -> Result<Option<Tuned>, Error> {
    trainer.start_anew();
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
    Ok(best.map(|scores| Tuned { settings, parameters, scores }))
}
