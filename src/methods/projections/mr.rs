//! `P = Mr`: what trusted samples use is kept. The published method.

use super::{Projection, Spaces};
use crate::linalg::LinalgError;
use ndarray::Array2;

pub(super) struct Mr;

impl Projection for Mr {
    fn name(&self) -> &'static str {
        "mr"
    }

    fn summary(&self) -> &'static str {
        "Mr: what trusted samples use is kept (arXiv 2403.08618)"
    }

    fn forgets(&self) -> bool {
        false
    }

    fn leaves(&self, retain: bool, _forget: bool) -> bool {
        !retain
    }

    fn project(&self, weight: &Array2<f64>, spaces: &Spaces<'_>) -> Result<Array2<f64>, LinalgError> {
        spaces.retain.map_or_else(|| Ok(weight.clone()), super::Space::of_weight)
    }
}
