//! The gate: whether a candidate may take the place of a golden model, by a policy.
//!
//! [`gather()`] runs what a policy asks for and keeps it as [`Evidence`]; each of the [`RULES`] judges it. A new rule is a file
//! in `rules/` and a line in the list. What could not be judged is never a pass ([`Verdict`]).

mod evidence;
mod finding;
mod gather;
mod policy;
mod rules;
mod tolerance;

pub use evidence::{Basis, Evidence, Outputs, Run};
pub use finding::{Finding, Status, Verdict};
pub use gather::{CheckJob, Gathered, gather};
pub use policy::{ANY_OUTPUT, Accuracy, Drift, PerClass, Policy, Predictions, Structure, Tensors};
pub use rules::{RULES, Rule, judge};
pub use tolerance::{Comparison, Tolerance};
