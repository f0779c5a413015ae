//! From what a data set holds to what the model takes: options, what they leave open, and the pixels themselves.

mod options;
mod pixels;
mod resolve;
mod transform;

pub use options::{Channels, ImageSize, InputLayout, Preprocessing, Resize};
pub use transform::{SampleValues, Transform};
