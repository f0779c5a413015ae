//! `P = I − (Mf − Mi)` with the intersection `Mi = Mf Mr`, in the basis of the samples to forget: what these use is removed, but for
//! what those to retain use, too (the projection of arXiv 2312.00761). `Ŵ = W − W (I − Mr) Mf`.

use super::{Projection, Space, Spaces};
use crate::linalg::LinalgError;
use ndarray::Array2;

pub(super) struct NoUnshared;

impl Projection for NoUnshared {
    fn name(&self) -> &'static str {
        "i-(mf-mi)"
    }

    fn summary(&self) -> &'static str {
        "I − (Mf − Mf Mr): what samples to forget use is removed, but for what trusted ones use, too (arXiv 2312.00761)"
    }

    fn leaves(&self, _retain: bool, forget: bool) -> bool {
        !forget
    }

    fn project(&self, weight: &Array2<f64>, spaces: &Spaces<'_>) -> Result<Array2<f64>, LinalgError> {
        let Some(forget) = spaces.forget else { return Ok(weight.clone()) };
        let removed = match spaces.retain.map(Space::of_weight).transpose()? {
            Some(retained) => forget.of(weight - retained)?,
            None => forget.of_weight()?,
        };
        Ok(weight - removed)
    }
}
