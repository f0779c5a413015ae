//! Variants of the projection, for the methods that correct layers.

use super::forget::ForgetArgs;
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
}

impl VariantArgs {
    /// The options that say something of it, and whether they are given.
    pub(super) fn given(&self) -> [(&'static str, bool); 3] {
        [
            ("--scaling", self.scaling.is_some()),
            ("--projection", self.projection.is_some()),
            ("--alpha-forget", self.alpha_forget.is_some()),
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
        if self.alpha_forget.is_some() && !(projection.forgets() && projection.retains()) {
            let (name, other) = (projection.name(), "--alpha-forget is for projections of two spaces");
            return Err(Error::Usage(format!("{other}, and {name} is of one, whose strength is --alpha")));
        }
        let alpha = self.alpha_forget.or_else(|| Alpha::new(USUAL_ALPHA_FORGET)).filter(|_| projection.retains());
        let which = projection.forgets().then(|| forget.which(outputs)).transpose()?;
        let unwanted = which.map(|which| UnwantedChoice { which, alpha });
        Ok(Variant { scaling, projection, unwanted })
    }
}

/// Refuses --evidence, --max-memory and --alpha-per-layer, whichever of them are given, where the variant cannot have them.
pub(super) fn refuse_unfit(variant: &Variant, [evidence, memory, by_layer]: [bool; 3]) -> Result<(), Error> {
    let (scaling, projection) = (variant.scaling.name(), variant.projection.name());
    let given = [
        ("--evidence", evidence, "its moments are of trusted samples alone"),
        ("--max-memory", memory, "two moments of each input are in memory at once"),
    ];
    let forgets = variant.projection.forgets();
    if let Some((option, _, why)) = given.iter().find(|(_, given, _)| *given && forgets) {
        let reason = format!("{option} cannot go with --projection {projection}: {why}");
        return Err(Error::Usage(format!("{reason}; leave out one of them")));
    }
    if by_layer && variant.alphas().is_some() {
        return Err(Error::Usage(format!(
            "--alpha-per-layer tries the strengths that suit --scaling sap and a projection that retains, not --scaling {scaling} with \
             --projection {projection}"
        )));
    }
    Ok(())
}
