//! Variants of the projection, for the methods that correct layers.

use super::forget::ForgetArgs;
use super::options::positive;
use crate::error::Error;
use crate::linalg::{self, Alpha, SCALINGS, Solver};
use crate::methods::{self, Method, PROJECTIONS, Projection};
use crate::pipeline::{UnwantedChoice, Variant};
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::Path;
use std::str::FromStr;

/// How strongly samples to forget count where nothing is said: Λ is then their energies themselves, as in the scripts of SAP's
/// public code.
const USUAL_ALPHA_FORGET: f64 = 1.0;

#[derive(Args, Clone)]
#[command(next_help_heading = "Variants of the projection")]
pub(super) struct VariantArgs {
    /// Which share of a direction is kept; the list below says how α counts in each [default: sap]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(SCALINGS.iter().map(|of| of.name())))]
    scaling: Option<String>,
    /// What weights are projected onto; all but mr forget samples: those of --forget-fraction or --forget-ids, else as many as
    /// losses say are labelled wrongly, or as are trusted [default: mr]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(PROJECTIONS.iter().map(|of| of.name())))]
    projection: Option<String>,
    /// The α of the samples to forget [default: 1]
    #[arg(long, value_name = "A", value_parser = Alpha::from_str, allow_hyphen_values = true)]
    alpha_forget: Option<Alpha>,
    /// How many times: the corrected model is scored, its samples trusted and its layers projected again, a given α ten times as
    /// large, until that makes it no better on held-out data [default: 1]
    #[arg(long, value_name = "N", value_parser = positive)]
    rounds: Option<usize>,
}

impl VariantArgs {
    /// The options that say something of it, and whether they are given.
    pub(super) fn given(&self) -> [(&'static str, bool); 4] {
        [
            ("--scaling", self.scaling.is_some()),
            ("--projection", self.projection.is_some()),
            ("--alpha-forget", self.alpha_forget.is_some()),
            ("--rounds", self.rounds.is_some()),
        ]
    }

    /// What weights are projected onto.
    pub(super) fn projection(&self) -> Result<&'static dyn Projection, Error> {
        let Some(name) = &self.projection else { return Ok(PROJECTIONS[0]) };
        methods::projection(name).ok_or_else(|| Error::Usage(format!("there is no projection {name:?}")))
    }

    /// The variant. `solver`: the one that is asked for. None of the `outputs` may be a list of samples to forget.
    pub(super) fn variant(
        &self,
        method: &dyn Method,
        solver: Option<&dyn Solver>,
        (forget, outputs): (&ForgetArgs, &[&Path]),
    ) -> Result<Variant, Error> {
        let scaling = match &self.scaling {
            None => SCALINGS[0],
            Some(name) => linalg::scaling(name).ok_or_else(|| Error::Usage(format!("there is no scaling {name:?}")))?,
        };
        let projection = self.projection()?;
        if let Some(solver) = solver.filter(|solver| method.of_layers().is_some() && !solver.computes(scaling)) {
            return Err(Error::Usage(format!(
                "--solver {} has no eigenvectors, which --scaling {} needs; use --solver eigh or svd",
                solver.name(),
                scaling.name()
            )));
        }
        if projection.forgets() && method.forgets() {
            let (projection, method) = (projection.name(), method.name());
            return Err(Error::Usage(format!(
                "--projection {projection} forgets samples in every layer, and the method {method} in the last one; use --method sap"
            )));
        }
        let rounds = self.rounds.unwrap_or(1);
        if rounds > 1 && method.forgets() {
            let method = method.name();
            return Err(Error::Usage(format!("--rounds is for --method sap, and {method} forgets samples once")));
        }
        if rounds > 1 && !method.tune_options().is_empty() {
            let method = method.name();
            return Err(Error::Usage(format!(
                "--rounds is for --method sap, and {method} goes on with gradients once"
            )));
        }
        if self.alpha_forget.is_some() && !(projection.forgets() && projection.retains()) {
            let (name, other) = (projection.name(), "--alpha-forget is for projections of two spaces");
            return Err(Error::Usage(format!("{other}, and {name} is of one, whose strength is --alpha")));
        }
        let alpha = self.alpha_forget.or_else(|| Alpha::new(USUAL_ALPHA_FORGET)).filter(|_| projection.retains());
        let which = projection.forgets().then(|| forget.which(outputs)).transpose()?;
        let unwanted = which.map(|which| UnwantedChoice { which, alpha });
        Ok(Variant { scaling, projection, unwanted, rounds })
    }
}

/// Refuses options that the variant cannot have, of those that are given.
pub(super) fn refuse_unfit(variant: &Variant, given: &[&str]) -> Result<(), Error> {
    let Variant { scaling, projection, rounds, .. } = variant;
    let forgetting = format!("--projection {}", projection.name());
    let two_moments = "two moments of each input are in memory at once";
    let unfit = [
        (projection.forgets(), "--evidence", &*forgetting, "its moments are of trusted samples alone"),
        (projection.forgets(), "--max-memory", &forgetting, two_moments),
        (*rounds > 1, "--evidence", "--rounds", "it serves the first round alone"),
        (*rounds > 1, "--max-memory", "--rounds", "the corrected model is in memory as well"),
        (*rounds > 1, "--html", "--rounds", "the page shows a single round"),
    ];
    if let Some((_, option, other, why)) = unfit.iter().find(|(unfit, option, ..)| *unfit && given.contains(option)) {
        return Err(Error::Usage(format!("{option} cannot go with {other}: {why}; leave out one of them")));
    }
    if given.contains(&"--alpha-per-layer") && variant.alphas().is_some() {
        return Err(Error::Usage(format!(
            "--alpha-per-layer tries the strengths that suit --scaling sap and a projection that retains, not --scaling {} with \
             {forgetting}",
            scaling.name()
        )));
    }
    Ok(())
}
