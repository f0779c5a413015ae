//! A small picture of a sample.

use image::codecs::png::PngEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageEncoder};
use std::fmt;

/// The longer side is no longer than this, in pixels.
const LONGEST: u32 = 96;

/// An image as a small PNG.
#[derive(Clone, PartialEq)]
pub struct Thumbnail {
    /// The file.
    pub png: Vec<u8>,
    /// How wide it is, in pixels.
    pub width: u32,
    /// How high.
    pub height: u32,
}

impl Thumbnail {
    /// Of an image, shrunk where it is large; nothing where it cannot be encoded.
    pub fn of(image: &DynamicImage) -> Option<Self> {
        let large = image.width().max(image.height()) > LONGEST;
        let small = if large { &image.resize(LONGEST, LONGEST, FilterType::Triangle) } else { image };
        // Of one byte a channel, as pages show them.
        let small: DynamicImage =
            if small.color().has_color() { small.to_rgb8().into() } else { small.to_luma8().into() };
        let (width, height) = (small.width(), small.height());
        let mut png = Vec::new();
        let encoder = PngEncoder::new(&mut png);
        encoder.write_image(small.as_bytes(), width, height, small.color().into()).ok()?;
        Some(Self { png, width, height })
    }
}

impl fmt::Debug for Thumbnail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbnail({} × {})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    #[test]
    fn small_images_stay_as_they_are_and_large_ones_fit() {
        let gray: DynamicImage = GrayImage::from_fn(28, 20, |x, y| Luma([(x * 9 + y) as u8])).into();
        let thumbnail = Thumbnail::of(&gray).unwrap();
        assert_eq!(image::load_from_memory(&thumbnail.png).unwrap(), gray);
        let large: DynamicImage = RgbImage::from_pixel(400, 200, Rgb([9, 80, 200])).into();
        let thumbnail = Thumbnail::of(&large).unwrap();
        assert_eq!((thumbnail.width, thumbnail.height), (96, 48));
        let read = image::load_from_memory(&thumbnail.png).unwrap().into_rgb8();
        assert_eq!(read.get_pixel(50, 20), &Rgb([9, 80, 200]));
    }
}
