//! Pixel operations: channels, fitting to a size, normalising. They follow what torchvision does with PIL
//! images, because that is how most models were trained; EXIF orientation is left alone, as there.

use super::geometry::Plan;
use super::resample::{Raster, resample};
use super::{Channels, ImageSize, InputLayout, Interpolation, Resize};
use image::{DynamicImage, GrayImage, Luma};

/// Scaling that is not given: bytes to the unit interval.
pub(super) const BYTE_SCALE: f32 = 1.0 / 255.0;

/// What each byte becomes, for one channel.
pub(super) type Table = Vec<f32>;

/// `(x · scale − mean) / std` for every byte, in float32 and in that order, as numpy computes it.
pub(super) fn table(scale: f32, mean: f32, std: f32) -> Table {
    // A division by 255 is not a multiplication with 1/255 in the last bit, and the former is what everyone writes.
    let scaled = |x: f32| if scale.to_bits() == BYTE_SCALE.to_bits() { x / 255.0 } else { x * scale };
    (0..=u8::MAX).map(|byte| (scaled(f32::from(byte)) - mean) / std).collect()
}

/// The image as bytes in rows of `channels`, red first, of exactly `size`; or why that cannot be.
pub(super) fn fit(
    image: DynamicImage,
    channels: Channels,
    size: ImageSize,
    resize: Resize,
    interpolation: Interpolation,
) -> Result<Vec<u8>, String> {
    let (height, width) = (image.height(), image.width());
    let plan = Plan::new(ImageSize { height, width }, size, resize)?;
    // Channels come first, as in torchvision's loader: resizing rounds, so the order shows.
    let bytes = match channels {
        Channels::Gray => to_gray(image).into_raw(),
        Channels::Rgb | Channels::Bgr => image.into_rgb8().into_raw(),
    };
    let raster = Raster { bytes, height, width, channels: channels.count() };
    resample(raster, plan, interpolation).map(|raster| raster.bytes)
}

/// Luminance as PIL computes it (ITU-R 601-2); alpha is dropped.
fn to_gray(image: DynamicImage) -> GrayImage {
    if !image.color().has_color() {
        return image.into_luma8();
    }
    let colour = image.into_rgb8();
    let luminance = |[red, green, blue]: [u8; 3]| {
        (u32::from(red) * 19_595 + u32::from(green) * 38_470 + u32::from(blue) * 7_471 + 0x8000) >> 16
    };
    GrayImage::from_fn(colour.width(), colour.height(), |x, y| Luma([luminance(colour.get_pixel(x, y).0) as u8]))
}

/// Bytes with the channels last, red first, become floats in the model's order.
pub(super) fn normalise(bytes: &[u8], channels: Channels, layout: InputLayout, tables: &[Table]) -> Vec<f32> {
    let count = channels.count();
    let source = |channel: usize| if channels == Channels::Bgr { count - 1 - channel } else { channel };
    let value = |pixel: &[u8], channel: usize| tables[channel][usize::from(pixel[source(channel)])];
    let mut values = Vec::with_capacity(bytes.len());
    match layout {
        InputLayout::Nhwc => {
            for pixel in bytes.chunks_exact(count) {
                values.extend((0..count).map(|channel| value(pixel, channel)));
            }
        }
        InputLayout::Nchw => {
            for channel in 0..count {
                values.extend(bytes.chunks_exact(count).map(|pixel| value(pixel, channel)));
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage, Rgba, RgbaImage};

    fn size(height: u32, width: u32) -> ImageSize {
        ImageSize { height, width }
    }

    fn fit(image: DynamicImage, channels: Channels, size: ImageSize, resize: Resize) -> Result<Vec<u8>, String> {
        super::fit(image, channels, size, resize, Interpolation::Bilinear)
    }

    #[test]
    fn the_table_is_numpys_float32_arithmetic() {
        // numpy: ((np.uint8(b).astype("f4") / 255 - np.float32(0.2860)) / np.float32(0.3530)).view("u4")
        let fashion = table(BYTE_SCALE, 0.2860, 0.3530);
        for (byte, bits) in NUMPY {
            assert_eq!(fashion[byte].to_bits(), bits, "byte {byte}");
        }
        assert_eq!(table(1.0, 0.0, 1.0)[200].to_bits(), 200.0_f32.to_bits());
    }

    const NUMPY: [(usize, u32); 5] =
        [(0, 0xbf4f_6929), (1, 0xbf4c_911b), (127, 0x3f19_c603), (200, 0x3fb4_b111), (255, 0x4001_734f)];

    #[test]
    fn a_crop_takes_the_centre() {
        let image = GrayImage::from_fn(5, 3, |x, y| Luma([(10 * y + x) as u8]));
        let cropped = fit(image.into(), Channels::Gray, size(1, 3), Resize::None).unwrap();
        assert_eq!(cropped, [11, 12, 13]);
    }

    #[test]
    fn channels_convert_and_alpha_is_dropped() {
        let gray: DynamicImage = GrayImage::from_pixel(1, 1, Luma([200])).into();
        assert_eq!(fit(gray, Channels::Rgb, size(1, 1), Resize::None).unwrap(), [200; 3]);
        let colour: DynamicImage = RgbImage::from_pixel(1, 1, Rgb([255, 0, 0])).into();
        assert_eq!(fit(colour, Channels::Gray, size(1, 1), Resize::None).unwrap(), [76], "PIL's weight of red");
        let translucent: DynamicImage = RgbaImage::from_pixel(2, 2, Rgba([9, 8, 7, 0])).into();
        assert_eq!(fit(translucent, Channels::Rgb, size(1, 1), Resize::TO_SIZE).unwrap(), [9, 8, 7]);
    }

    #[test]
    fn layouts_and_channel_orders_place_the_same_values() {
        let tables = vec![table(1.0, 0.0, 1.0), table(1.0, 0.0, 1.0), table(1.0, 0.0, 2.0)];
        let bytes = [1, 2, 3, 4, 5, 6];
        let nchw = normalise(&bytes, Channels::Rgb, InputLayout::Nchw, &tables);
        assert_eq!(nchw, [1.0, 4.0, 2.0, 5.0, 1.5, 3.0]);
        let nhwc = normalise(&bytes, Channels::Bgr, InputLayout::Nhwc, &tables);
        assert_eq!(nhwc, [3.0, 2.0, 0.5, 6.0, 5.0, 2.0]);
    }
}
