//! The preprocessing options, as the user or a preset gives them.
//!
//! Everything is optional here; [`Transform::resolve`](super::Transform::resolve) makes it concrete with what the
//! model's input and the data say.

use crate::data::DataError;
use crate::data::error::one_line;
use crate::tensor::ElementType;
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// How images become a model's input. Options that stay `None` are settled by the model, then by the images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preprocessing {
    /// The size that the model takes; an error where the model fixes another one.
    pub size: Option<ImageSize>,
    /// The size where neither `size` nor the model says one (only presets set it).
    pub usual_size: Option<ImageSize>,
    /// What happens before the centre crop to the size.
    pub resize: Option<Resize>,
    /// How resizing finds the colour between pixels; bilinear where it is not given.
    pub interpolation: Option<Interpolation>,
    /// Subtracted after scaling: one value, or one a channel in the order of `channels`.
    pub mean: Option<Vec<f32>>,
    /// Divided by at the end: one value, or one a channel in the order of `channels`.
    pub std: Option<Vec<f32>>,
    /// Multiplied with the pixels' 0 to 255; where it is not given 1/255, or 1 for inputs of integers.
    pub scale: Option<f32>,
    /// The channels and their order.
    pub channels: Option<Channels>,
    /// Where the channel axis of the model's input is.
    pub layout: Option<InputLayout>,
}

impl Preprocessing {
    /// This preset for inputs of another type: integers and booleans take pixels as they are, unless the user says
    /// otherwise.
    #[must_use]
    pub fn for_element(self, element: ElementType) -> Self {
        if element.is_float() { self } else { Self { scale: None, mean: None, std: None, ..self } }
    }

    /// These options, and those of `preset` where these leave something open.
    #[must_use]
    pub fn or(self, mut preset: Self) -> Self {
        if self.channels == Some(Channels::Bgr) && preset.channels != Some(Channels::Bgr) {
            // The preset lists red first; the values have to follow their channels.
            preset.mean.iter_mut().chain(&mut preset.std).for_each(|values| values.reverse());
        }
        Self {
            size: self.size.or(preset.size),
            usual_size: self.usual_size.or(preset.usual_size),
            resize: self.resize.or(preset.resize),
            interpolation: self.interpolation.or(preset.interpolation),
            mean: self.mean.or(preset.mean),
            std: self.std.or(preset.std),
            scale: self.scale.or(preset.scale),
            channels: self.channels.or(preset.channels),
            layout: self.layout.or(preset.layout),
        }
    }
}

/// Height and width in pixels, both at least 1: `224` or `HEIGHTxWIDTH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageSize {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

/// The largest side that an option may ask for: far beyond any classifier, far below what exhausts memory.
const LARGEST_SIDE: u32 = 16_384;

fn side(text: &str) -> Option<u32> {
    text.parse().ok().filter(|side| (1..=LARGEST_SIDE).contains(side))
}

fn height_and_width(text: &str) -> Option<ImageSize> {
    let (height, width) = text.split_once(['x', 'X'])?;
    Some(ImageSize { height: side(height)?, width: side(width)? })
}

fn refuse(text: &str, expected: &'static str) -> DataError {
    DataError::Value { text: one_line(text), expected }
}

impl FromStr for ImageSize {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        side(text)
            .map(|side| Self { height: side, width: side })
            .or_else(|| height_and_width(text))
            .ok_or_else(|| refuse(text, "a size in pixels such as `224` or `240x320` (height x width)"))
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

/// What happens to an image before it is cropped to its size around the centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resize {
    /// Nothing.
    None,
    /// The shorter side becomes this long, and the proportions stay.
    Shorter(u32),
    /// Exactly this size, whatever the proportions were.
    Exact(ImageSize),
    /// The image just covers `from / to` of the size, and the proportions stay: `256/224` for a size of 224 makes the
    /// shorter side 256, and keeps that ratio for any other size.
    Cover {
        /// The numerator.
        from: u32,
        /// The denominator, at most the numerator.
        to: u32,
    },
}

impl Resize {
    /// The image just covers the size: nothing is lost but what the proportions force.
    pub const TO_SIZE: Self = Self::Cover { from: 1, to: 1 };
}

impl FromStr for Resize {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let ratio = || {
            let (from, to) = text.split_once('/')?;
            let (from, to) = (side(from)?, side(to)?);
            (from >= to).then_some(Self::Cover { from, to })
        };
        match text {
            "none" => Some(Self::None),
            _ => side(text).map(Self::Shorter).or_else(|| height_and_width(text).map(Self::Exact)).or_else(ratio),
        }
        .ok_or_else(|| refuse(text, "`none`, a shorter side such as `256`, a size such as `240x320`, or `256/224`"))
    }
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Shorter(side) => write!(f, "{side}"),
            Self::Exact(size) => write!(f, "{size}"),
            Self::Cover { from, to } => write!(f, "{from}/{to}"),
        }
    }
}

/// How resizing finds the colour between pixels, under torchvision's names. Both average over what shrinking merges
/// (`antialias=True` there).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// A triangle over two pixels.
    #[default]
    Bilinear,
    /// A cubic over four pixels, a = −0.5.
    Bicubic,
}

impl Interpolation {
    /// How many pixels it reaches to either side, where nothing shrinks.
    pub(super) const fn reach(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => super::convolve::REACH,
        }
    }
}

impl FromStr for Interpolation {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        match text {
            "bilinear" => Ok(Self::Bilinear),
            "bicubic" => Ok(Self::Bicubic),
            _ => Err(refuse(text, "`bilinear` or `bicubic`")),
        }
    }
}

impl fmt::Display for Interpolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        })
    }
}

/// The channels that a model takes, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channels {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// Luminance.
    Gray,
}

impl Channels {
    /// How many they are.
    pub const fn count(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Gray => 1,
        }
    }
}

impl FromStr for Channels {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        match text {
            "rgb" => Ok(Self::Rgb),
            "bgr" => Ok(Self::Bgr),
            "gray" => Ok(Self::Gray),
            _ => Err(refuse(text, "`rgb`, `bgr` or `gray`")),
        }
    }
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rgb => "rgb",
            Self::Bgr => "bgr",
            Self::Gray => "gray",
        })
    }
}

/// Where the channel axis of a model's input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InputLayout {
    /// Batch, channels, height, width.
    Nchw,
    /// Batch, height, width, channels.
    Nhwc,
}

impl FromStr for InputLayout {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        match text {
            "nchw" => Ok(Self::Nchw),
            "nhwc" => Ok(Self::Nhwc),
            _ => Err(refuse(text, "`nchw` or `nhwc`")),
        }
    }
}

impl fmt::Display for InputLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nchw => "nchw",
            Self::Nhwc => "nhwc",
        })
    }
}

/// In the report an option reads as on the command line.
macro_rules! serialize_as_text {
    ($($option:ty),*) => {$(
        impl Serialize for $option {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

serialize_as_text!(ImageSize, Resize, Interpolation, Channels, InputLayout);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_values_read_as_they_print() {
        for text in ["none", "256", "240x320", "256/224", "1/1"] {
            assert_eq!(text.parse::<Resize>().unwrap().to_string(), text);
        }
        for text in ["bilinear", "bicubic"] {
            assert_eq!(text.parse::<Interpolation>().unwrap().to_string(), text);
        }
        for text in ["rgb", "bgr", "gray"] {
            assert_eq!(text.parse::<Channels>().unwrap().to_string(), text);
        }
        for text in ["nchw", "nhwc"] {
            assert_eq!(text.parse::<InputLayout>().unwrap().to_string(), text);
        }
        assert_eq!("224".parse::<ImageSize>().unwrap(), ImageSize { height: 224, width: 224 });
        assert_eq!("240x320".parse::<ImageSize>().unwrap(), ImageSize { height: 240, width: 320 });
    }

    #[test]
    fn nonsense_is_refused_in_one_line() {
        for text in ["", "0", "0x3", "-1", "3x", "x", "1e3", "99999999999", "16385", "3x3x3", "224/256", "1\n2"] {
            let message = text.parse::<ImageSize>().err().or_else(|| text.parse::<Resize>().err()).unwrap().to_string();
            assert_eq!(message.lines().count(), 1);
            assert!(text.parse::<Resize>().is_err() && text.parse::<ImageSize>().is_err(), "{text}");
        }
        assert!("lanczos".parse::<Interpolation>().is_err());
        assert!("RGBA".parse::<Channels>().is_err() && "chwn".parse::<InputLayout>().is_err());
    }

    #[test]
    fn the_users_options_win_over_the_preset() {
        let preset = Preprocessing { scale: Some(1.0), mean: Some(vec![0.5]), ..Preprocessing::default() };
        let user = Preprocessing { scale: Some(2.0), ..Preprocessing::default() };
        let merged = user.or(preset);
        assert_eq!((merged.scale, merged.mean), (Some(2.0), Some(vec![0.5])));
    }

    #[test]
    fn the_values_of_a_preset_follow_their_channels() {
        let preset = Preprocessing { mean: Some(vec![0.1, 0.2, 0.3]), ..Preprocessing::default() };
        let user =
            Preprocessing { channels: Some(Channels::Bgr), std: Some(vec![1.0, 2.0, 3.0]), ..Preprocessing::default() };
        let merged = user.or(preset);
        assert_eq!(merged.mean, Some(vec![0.3, 0.2, 0.1]));
        assert_eq!(merged.std, Some(vec![1.0, 2.0, 3.0]), "the user's own values stay as they are");
    }
}
