//! Which labels are likely wrong: what a model says of its own training samples.
//!
//! A model that has memorised its labels finds none of them wrong; one that was corrected does. Whether it can tell, the
//! distribution of its losses says ([`Separation`]). Which classes are labelled as which, the [`ConfidentJoint`] estimates.
//! Pure: no file, no engine.

mod detection;
mod joint;
mod mixture;
mod opinion;
mod separation;

pub use detection::Detection;
pub use joint::{ConfidentJoint, Overlap};
pub use mixture::Mixture;
pub use opinion::Opinion;
pub use separation::Separation;
