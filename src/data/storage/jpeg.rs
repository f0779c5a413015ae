//! JPEG as libjpeg decodes it, and so Pillow and torchvision, to the last bit: the same inverse transform, the same
//! upsampling of the colours. A file that ends before its image does is refused, as Pillow refuses it.

use super::picture::{LARGEST_SIDE, MOST_BYTES};
use crate::panics;
use image::{DynamicImage, GrayImage, RgbImage};
use mozjpeg::{ColorSpace, Decompress};
use std::io::{BufRead, Error, ErrorKind, Read};

/// A block of 8 by 8 pixels takes a bit or more.
const MOST_PIXELS_A_BYTE: u64 = 8 * 64;

/// Whether `bytes` begin as a JPEG file does.
pub(super) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

/// The image in a JPEG file as gray or RGB, or why there is none.
pub(super) fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    // libjpeg says what is wrong by unwinding.
    panics::catch(|| decompress(bytes)).unwrap_or_else(|panic| Err(reason(&panic)))
}

fn decompress(bytes: &[u8]) -> Result<DynamicImage, String> {
    let header = Decompress::new_reader(Whole(bytes)).map_err(|error| error.to_string())?;
    let (width, height) = check_size(&header, bytes.len())?;
    let (image, colours) = match header.color_space() {
        ColorSpace::JCS_GRAYSCALE => (header.grayscale(), 1),
        ColorSpace::JCS_YCbCr | ColorSpace::JCS_RGB => (header.rgb(), 3),
        ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => (header.to_colorspace(ColorSpace::JCS_CMYK), 4),
        other => return Err(format!("a JPEG file with the colours {other:?} is none that a model takes")),
    };
    let mut image = image.map_err(|error| error.to_string())?;
    let samples: Vec<u8> = image.read_scanlines().map_err(|error| error.to_string())?;
    image.finish().map_err(|error| error.to_string())?;
    let image = match colours {
        1 => GrayImage::from_raw(width, height, samples).map(DynamicImage::ImageLuma8),
        3 => RgbImage::from_raw(width, height, samples).map(DynamicImage::ImageRgb8),
        _ => RgbImage::from_raw(width, height, from_inverted_cmyk(&samples)).map(DynamicImage::ImageRgb8),
    };
    image.ok_or_else(|| "it has fewer pixels than its header says".to_owned())
}

/// Width and height, where memory holds them and the file can be that large an image: a few bytes may claim gigabytes.
fn check_size<R>(header: &Decompress<R>, bytes: usize) -> Result<(u32, u32), String> {
    let (width, height) = header.size();
    let pixels = width as u64 * height as u64;
    if width > LARGEST_SIDE as usize || height > LARGEST_SIDE as usize || pixels * 4 > MOST_BYTES {
        return Err(format!("an image of {height}x{width} is larger than memory should hold"));
    }
    if pixels / MOST_PIXELS_A_BYTE > bytes as u64 {
        return Err(format!("its header says {height}x{width}, and its {bytes} bytes cannot be that many pixels"));
    }
    Ok((width as u32, height as u32))
}

/// Adobe's programs, which write nearly all such files, store ink as 255 − ink; Pillow takes that for granted too, and
/// so turns ink to colour.
fn from_inverted_cmyk(samples: &[u8]) -> Vec<u8> {
    let colour = |ink: u8, light: u8| {
        let product = u32::from(255 - ink) * u32::from(light) + 128;
        light.saturating_sub((((product >> 8) + product) >> 8) as u8)
    };
    samples.as_chunks::<4>().0.iter().flat_map(|[c, m, y, k]| [*c, *m, *y].map(|ink| colour(ink, *k))).collect()
}

/// libjpeg's words without those of the machinery that carries them.
fn reason(panic: &str) -> String {
    match panic.rsplit_once("libjpeg fatal error: ") {
        // Only the end of the bytes is such an error here.
        Some((_, "Input file read error")) => "the file ends before the image does".into(),
        Some((_, reason)) => reason.into(),
        None => panic.into(),
    }
}

/// The bytes of a file, whose end is an error: otherwise libjpeg paints what is missing gray.
struct Whole<'a>(&'a [u8]);

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for Whole<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.0.is_empty() { Err(Error::from(ErrorKind::InvalidData)) } else { Ok(self.0) }
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn photograph(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/preprocessing").join(name)).unwrap()
    }

    #[test]
    fn gray_stays_gray_and_ink_becomes_colour() {
        assert!(matches!(decode(&photograph("jpeg-gray.jpg")), Ok(DynamicImage::ImageLuma8(_))));
        for name in ["jpeg-cmyk.jpg", "jpeg-rgb.jpg", "jpeg-progressive.jpg"] {
            assert!(matches!(decode(&photograph(name)), Ok(DynamicImage::ImageRgb8(_))), "{name}");
        }
        // Pillow: Image.new("CMYK", (1, 1), (255 - c, 255 - m, 255 - y, 255 - k)).convert("RGB")
        assert_eq!(
            from_inverted_cmyk(&[255, 255, 255, 255, 0, 128, 255, 100, 9, 8, 7, 0]),
            [255, 255, 255, 0, 50, 100, 0, 0, 0]
        );
    }

    #[test]
    fn a_file_that_ends_too_early_is_refused_wherever_it_ends() {
        for name in ["jpeg-420.jpg", "jpeg-progressive.jpg", "jpeg-gray.jpg"] {
            let bytes = photograph(name);
            for length in (3..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
                let reason = decode(&bytes[..length]).unwrap_err();
                assert!(!reason.contains("panick") && reason.lines().count() == 1, "{name}, {length}: {reason}");
            }
            assert_eq!(decode(&bytes[..bytes.len() - 1]).unwrap_err(), "the file ends before the image does", "{name}");
        }
    }

    #[test]
    fn a_header_that_claims_more_than_the_file_can_hold_is_refused() {
        let mut bytes = photograph("jpeg-420.jpg");
        let header = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
        bytes[header + 5..header + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
        assert!(decode(&bytes).unwrap_err().contains("cannot be that many pixels"));
        bytes[header + 5..header + 9].copy_from_slice(&[0xf0, 0, 0xf0, 0]);
        assert!(decode(&bytes).unwrap_err().contains("larger than memory should hold"));
    }
}
