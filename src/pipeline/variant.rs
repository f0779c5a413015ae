//! Which variant of the projection a run computes: what SAP's public code offers beside the published method.

use crate::linalg::Scaling;
use serde_json::{Value, json};

/// A variant; the defaults are the published method.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Which share of a direction is kept.
    pub scaling: &'static dyn Scaling,
}

impl Variant {
    /// As the report shows the options.
    pub(super) fn params(&self) -> [(&'static str, Value); 1] {
        [("scaling", json!(self.scaling.name()))]
    }
}
