//! x
pub mod layers;
pub mod linalg;
pub mod model;
pub mod progress;
pub mod tensor;
