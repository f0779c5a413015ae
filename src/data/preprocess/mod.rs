//! From what a data set holds to what the model takes: options, what they leave open, and the pixels themselves.

mod convolve;
mod geometry;
mod options;
mod pixels;
mod resample;
mod resolve;
mod transform;

pub use options::{Channels, ImageSize, InputLayout, Interpolation, Preprocessing, Resize};
pub use transform::{SampleValues, Transform};
