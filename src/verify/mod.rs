//! Proof, before anything is exported: nothing else changed, and the new model runs as it should on two engines.

mod agreement;
mod structure;

pub use agreement::{Agreement, AgreementStatus, tolerance};
pub use structure::{Changed, structure};

use serde::Serialize;

/// What was verified.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// That everything that should be untouched is identical.
    pub structure: Changed,
    /// That the engine runs the written model, with finite outputs.
    pub engine: EngineCheck,
    /// That tract runs it too, and agrees.
    pub tract: Agreement,
}

/// The written model on the engine that made it.
#[derive(Clone, Debug, Serialize)]
pub struct EngineCheck {
    /// Whether every output was finite.
    pub finite: bool,
    /// On how many samples.
    pub samples: usize,
}

impl Verification {
    /// Why the model must not be exported, if so.
    pub fn failure(&self) -> Option<String> {
        if !self.engine.finite {
            return Some("the rewritten model gives outputs that are not finite".into());
        }
        self.tract.failure()
    }
}
