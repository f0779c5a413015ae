//! `P = Mr − Mi` with the intersection `Mi = Mr Mf`, in the basis of the samples to retain: what these use is kept, but for what
//! those to forget use, too. `Ŵ = W (I − Mf) Mr`.

use super::{Projection, Space, Spaces};
use crate::linalg::LinalgError;
use ndarray::Array2;

pub(super) struct NoMi;

impl Projection for NoMi {
    fn name(&self) -> &'static str {
        "mr-mi"
    }

    fn summary(&self) -> &'static str {
        "Mr − Mr Mf: what trusted samples use is kept, but for what samples to forget use, too"
    }

    fn leaves(&self, retain: bool, _forget: bool) -> bool {
        !retain
    }

    fn project(&self, weight: &Array2<f64>, spaces: &Spaces<'_>) -> Result<Array2<f64>, LinalgError> {
        let Some(retain) = spaces.retain else { return Ok(weight.clone()) };
        match spaces.forget.map(Space::of_weight).transpose()? {
            Some(forgotten) => retain.of(weight - forgotten),
            None => retain.of_weight(),
        }
    }
}
