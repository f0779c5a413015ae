//! x
pub mod cli;
pub mod data;
pub mod engine;
pub mod error;
pub mod evidence;
pub mod layers;
pub mod linalg;
pub mod methods;
pub mod model;
pub mod paths;
pub mod pipeline;
pub mod progress;
pub mod report;
pub mod search;
pub mod tensor;
pub mod verify;
