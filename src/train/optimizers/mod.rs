//! How parameters follow their gradients, one file each.

mod adamw;
mod averaged;
mod masked;
mod sgd;
mod squares;

pub use adamw::AdamW;
pub use averaged::Averaged;
pub use masked::Masked;
pub use sgd::Sgd;
pub use squares::Squares;

use crate::autodiff::{Emit, Known, Value};

/// A step of an optimiser, written as nodes.
pub trait Optimizer: Sync {
    /// How many values of its shape it keeps of each parameter from step to step, all 0 before the first.
    fn kept(&self) -> usize;

    /// Which of the kept values, if one does, must be added to a parameter to give the one that counts in the end.
    fn lag(&self) -> Option<usize> {
        None
    }

    /// Writes what one parameter and what is kept of it become.
    fn update(&self, step: &Step<'_>, emit: &mut Emit<'_>) -> Updated;
}

/// What an optimiser is given of one parameter.
pub struct Step<'a> {
    /// The parameter.
    pub parameter: &'a Known,
    /// Its gradient.
    pub gradient: Value,
    /// What is kept of it.
    pub kept: Vec<Value>,
    /// The learning rate, a number without axes.
    pub rate: Value,
    /// Which step it is, from 1 on, a number without axes.
    pub count: Value,
}

/// What a step has made.
pub struct Updated {
    /// The parameter.
    pub parameter: Value,
    /// What is kept of it.
    pub kept: Vec<Value>,
}
