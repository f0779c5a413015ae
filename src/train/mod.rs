//! Training: a step as one graph, and what drives it over data.
//!
//! A [`TrainingStep`] is the model with its loss, its gradients and the update of every parameter as nodes; a [`Trainer`] runs it, and
//! what goes from one step to the next stays where the engine computes. [`fit()`] drives it over a data set. How parameters follow
//! their gradients is an [`Optimizer`], one file in `optimizers/`.

mod checkpoint;
mod fit;
mod optimizers;
mod schedule;
mod step;
mod trainer;

pub use fit::{Epoch, Examples, Fitted, Plan, Validate, fit};
pub use optimizers::{AdamW, Optimizer, Sgd, Step, Updated};
pub use schedule::Schedule;
pub use step::{Training, TrainingStep};
pub use trainer::{Trainer, patches};
