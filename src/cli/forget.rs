//! What the last layer forgets, for the methods that let it forget.

use super::options::{positive_share, refuse_losing};
use crate::data::SampleId;
use crate::error::Error;
use crate::methods::Method;
use crate::pipeline::{Forget, Forgetting};
use crate::refine::Update;
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Args, Clone)]
#[command(next_help_heading = "Forgetting (methods and projections that forget samples)")]
pub(super) struct ForgetArgs {
    /// The share of samples to forget, those of the highest losses [default: as many as labels are likely wrong, by the losses]
    #[arg(long, value_name = "P", value_parser = positive_share, conflicts_with = "forget_ids")]
    forget_fraction: Option<f64>,
    /// Forget exactly the samples with these ids, one a line
    #[arg(long, value_name = "FILE")]
    forget_ids: Option<PathBuf>,
    /// By the Hessian over all samples (influence) or over those that are kept (newton) [default: influence]
    #[arg(long, value_name = "influence|newton")]
    update: Option<Update>,
    /// What is added to the Hessian, in multiples of its mean eigenvalue: by validation data (auto), or a number, which is applied
    /// as it is; 0 takes the pseudo-inverse [default: auto]
    #[arg(long, value_name = "auto|X", value_parser = damping)]
    damping: Option<Damping>,
    /// Let the bias take part
    #[arg(long)]
    with_bias: bool,
}

#[derive(Clone, Copy, Debug)]
enum Damping {
    Auto,
    Given(f64),
}

fn damping(text: &str) -> Result<Damping, String> {
    if text == "auto" {
        return Ok(Damping::Auto);
    }
    let value = text.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0);
    value.map(Damping::Given).ok_or_else(|| "give auto or a number of at least 0".to_owned())
}

impl ForgetArgs {
    /// Those that say which samples are to be forgotten, and whether they are given.
    pub(super) fn of_sets(&self) -> [(&'static str, bool); 2] {
        [("--forget-fraction", self.forget_fraction.is_some()), ("--forget-ids", self.forget_ids.is_some())]
    }

    /// Those that say how the last layer forgets, and whether they are given.
    pub(super) fn of_heads(&self) -> [(&'static str, bool); 3] {
        [("--update", self.update.is_some()), ("--damping", self.damping.is_some()), ("--with-bias", self.with_bias)]
    }

    /// What is asked for, where the method lets anything be forgotten. None of the `outputs` may be the list of ids.
    pub(super) fn forgetting(&self, method: &dyn Method, outputs: &[&Path]) -> Result<Option<Forgetting>, Error> {
        if !method.forgets() {
            return Ok(None);
        }
        let damping = match self.damping {
            None | Some(Damping::Auto) => None,
            Some(Damping::Given(damping)) => Some(damping),
        };
        let update = self.update.unwrap_or(Update::ALL[0]);
        Ok(Some(Forgetting { which: self.which(outputs)?, update, damping, with_bias: self.with_bias }))
    }

    /// Which samples are to be forgotten. None of the `outputs` may be the list of ids.
    pub(super) fn which(&self, outputs: &[&Path]) -> Result<Forget, Error> {
        Ok(match (self.ids(outputs)?, self.forget_fraction) {
            (Some(ids), _) => Forget::Ids(ids),
            (None, Some(share)) => Forget::Fraction(share),
            (None, None) => Forget::Estimated,
        })
    }

    /// The samples that are listed, where any are. None of the `outputs` may be the list.
    pub(super) fn ids(&self, outputs: &[&Path]) -> Result<Option<Vec<SampleId>>, Error> {
        let Some(file) = &self.forget_ids else { return Ok(None) };
        refuse_losing(file, "the list of --forget-ids", outputs)?;
        super::trust::read_ids(file).map(Some)
    }
}
