//! Encoded images: what the bytes are counts, not what their file is called.
//!
//! They come out as gray or RGB bytes, as torchvision's loader has them from Pillow (`convert("RGB")`): alpha is dropped,
//! palettes are looked up, EXIF's orientation is left alone.

use super::{jpeg, open_file};
use image::{DynamicImage, GrayImage, ImageReader, Limits, Luma, Rgb, RgbImage};
use std::io::{Cursor, Read};
use std::path::Path;

/// How the names of images end.
const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp"];

/// A decoded image may not take more than this, whatever its header says.
pub(super) const MOST_BYTES: u64 = 512 << 20;
pub(super) const LARGEST_SIDE: u32 = 32_768;

/// Whether a file of that name is taken for an image.
pub(in crate::data) fn is_image(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// The image in a file, or why there is none.
pub(in crate::data) fn read_image(path: &Path) -> Result<DynamicImage, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    open_file(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
    decode(&bytes).map_err(|reason| format!("{}: {reason}", path.display()))
}

/// The image that `bytes` encode, or why they encode none.
pub(in crate::data) fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    if jpeg::is_jpeg(bytes) {
        return jpeg::decode(bytes);
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    reader.decode().map(to_bytes).map_err(|error| error.to_string())
}

/// Gray or RGB of one byte a channel.
fn to_bytes(image: DynamicImage) -> DynamicImage {
    let (width, height) = (image.width(), image.height());
    match image {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageRgb8(_) => image,
        DynamicImage::ImageLumaA8(_) => image.into_luma8().into(),
        // Of 16 bits Pillow keeps the upper byte, except in a gray image without alpha, where it cuts off at 255.
        DynamicImage::ImageLuma16(wide) => {
            GrayImage::from_fn(width, height, |x, y| Luma([wide.get_pixel(x, y).0[0].min(255) as u8])).into()
        }
        DynamicImage::ImageLumaA16(wide) => {
            GrayImage::from_fn(width, height, |x, y| Luma([upper(wide.get_pixel(x, y).0[0])])).into()
        }
        DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_) => {
            let wide = image.into_rgb16();
            RgbImage::from_fn(width, height, |x, y| Rgb(wide.get_pixel(x, y).0.map(upper))).into()
        }
        _ => image.into_rgb8().into(),
    }
}

fn upper(value: u16) -> u8 {
    (value >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, LumaA, Rgba};

    #[test]
    fn wide_pixels_become_bytes_as_in_pillow() {
        let bytes = |image: DynamicImage| to_bytes(image).into_bytes();
        let gray = ImageBuffer::from_fn(4, 1, |x, _| Luma([[3_u16, 255, 256, 65_535][x as usize]]));
        assert_eq!(bytes(gray.into()), [3, 255, 255, 255], "cut off");
        let gray = ImageBuffer::from_pixel(1, 1, LumaA([0x1fff_u16, 0]));
        assert_eq!(bytes(gray.into()), [0x1f]);
        let colour = ImageBuffer::from_pixel(1, 1, Rgba([0x01ff_u16, 0xffff, 0x0080, 0]));
        assert_eq!(bytes(colour.into()), [1, 255, 0], "the upper byte, and no alpha");
    }

    #[test]
    fn alpha_is_dropped_and_gray_stays_gray() {
        let translucent = ImageBuffer::from_pixel(1, 1, Rgba([9_u8, 8, 7, 0]));
        assert_eq!(to_bytes(translucent.into()).into_bytes(), [9, 8, 7]);
        let translucent = ImageBuffer::from_pixel(1, 1, LumaA([9_u8, 0]));
        assert!(matches!(to_bytes(translucent.into()), DynamicImage::ImageLuma8(_)));
    }
}
