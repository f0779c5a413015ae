//! x
pub mod data;
pub mod engine;
pub mod evidence;
pub mod layers;
pub mod linalg;
pub mod methods;
pub mod model;
pub mod progress;
pub mod search;
pub mod tensor;
pub mod verify;
