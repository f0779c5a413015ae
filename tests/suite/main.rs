//! The whole program from outside: one binary, because each would link both engines again.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod bad_input;
mod check;
mod cli;
mod clothing;
mod compare;
mod detect;
mod diff;
mod fuzz;
mod going_on;
mod gradients;
mod html;
mod influence;
mod inputs_outputs;
mod large_model;
mod long_runs;
mod max_memory;
mod net;
#[cfg(feature = "object-store")]
mod object_store;
mod ops;
mod oracle;
mod parity;
mod readme;
mod reference;
mod refinements;
mod resources;
mod selection;
mod support;
mod tuning;
mod unlabeled;
mod variants;
mod weights_everywhere;
