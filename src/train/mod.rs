//! Training: a step as one graph, and what drives it over data.
//!
//! A [`TrainingStep`] is the model with its loss, its gradients and the update of every parameter as nodes; a [`Trainer`] runs it, and
//! what goes from one step to the next stays where the engine computes. [`fit()`] drives it over a data set. How parameters follow
//! their gradients is an [`Optimizer`], one file in `optimizers/`; what they make small is a criterion, one file in `criteria/`.

mod checkpoint;
mod criteria;
mod fit;
mod memory;
mod mixing;
mod optimizers;
mod schedule;
mod step;
mod trainer;

pub use criteria::{CRITERIA, EarlyLearning, Generalized, NamedCriterion, OfMixed, Symmetric, Teacher, criterion};
pub use fit::{Epoch, Examples, Fitted, Kept, Lesson, Plan, Validate, fit, pass};
pub use memory::Memory;
pub use mixing::{Follow, Mixing, Says};
pub use optimizers::{AdamW, Averaged, Masked, Optimizer, Sgd, Squares, Step, Updated};
pub use schedule::Schedule;
pub use step::{Training, TrainingStep};
pub use trainer::{HeldAgainst, Taken, Trainer, patches};
