//! Variants of the projection, for the methods that correct layers.

use crate::error::Error;
use crate::linalg::{self, SCALINGS, Solver};
use crate::methods::Method;
use crate::pipeline::Variant;
use clap::Args;
use clap::builder::PossibleValuesParser;

#[derive(Args, Clone)]
#[command(next_help_heading = "Variants of the projection")]
pub(super) struct VariantArgs {
    /// Which share of a direction is kept [default: sap]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(SCALINGS.iter().map(|scaling| scaling.name())))]
    scaling: Option<String>,
}

impl VariantArgs {
    /// The options that say something of it, and whether they are given.
    pub(super) fn given(&self) -> [(&'static str, bool); 1] {
        [("--scaling", self.scaling.is_some())]
    }

    /// The variant. `solver`: the one that is asked for.
    pub(super) fn variant(&self, method: &dyn Method, solver: Option<&dyn Solver>) -> Result<Variant, Error> {
        let scaling = match &self.scaling {
            None => SCALINGS[0],
            Some(name) => linalg::scaling(name).ok_or_else(|| Error::Usage(format!("there is no scaling {name:?}")))?,
        };
        if let Some(solver) = solver.filter(|solver| method.of_layers().is_some() && !solver.computes(scaling)) {
            return Err(Error::Usage(format!(
                "--solver {} has no eigenvectors, which --scaling {} needs; use --solver eigh or svd",
                solver.name(),
                scaling.name()
            )));
        }
        Ok(Variant { scaling })
    }
}
