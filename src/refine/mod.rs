//! What can be done to a corrected model afterwards, by the same patches: pure, as methods are. Each is kept only where
//! validation says so.
//!
//! [`Recalibration`] gives layers back the mean and the deviation of their outputs. A [`HeadFit`] computes the last layer anew. A
//! [`Recipe`] says which of them a candidate is made with.

mod head;
mod recalibrate;
mod recipe;
mod tuning;
mod unlearn;
mod vector;

pub use head::{Contest, Entrant, FITS, HeadError, HeadFit, HeadLayer, LinearHead};
pub use recalibrate::Recalibration;
pub use recipe::{Head, Recipe, Strength};
pub use tuning::{Start, TuningRecipe};
pub use unlearn::{Loss, Unlearned, Unlearning, Update};

/// The closed form of that name.
pub fn head_fit(name: &str) -> Option<&'static dyn HeadFit> {
    FITS.iter().copied().find(|fit| fit.name() == name)
}
