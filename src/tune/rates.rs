//! Which learning rate: a short training with each of a few, judged on validation data.

use crate::error::Error;

/// Rates that are tried, in the order in which they are.
const RATES: [f64; 4] = [0.02, 0.006, 0.06, 0.002];

/// The rate after whose short training validation says the most, of those that do not diverge; nothing where all do.
///
/// # Errors
/// Those of `short`, which trains with a rate and tells how good that is, where it is anything.
pub(super) fn best(mut short: impl FnMut(f64) -> Result<Option<f64>, Error>) -> Result<Option<f64>, Error> {
    let mut best: Option<(f64, f64)> = None;
    for rate in RATES {
        if let Some(found) = short(rate)?
            && best.is_none_or(|(_, most)| found > most)
        {
            best = Some((rate, found));
        }
    }
    Ok(best.map(|(rate, _)| rate))
}
