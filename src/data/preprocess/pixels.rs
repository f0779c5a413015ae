//! Pixel operations: channels, resizing, the centre crop, normalising. They follow what torchvision does with PIL
//! images, because that is how most models were trained; EXIF orientation is left alone, as there.

use super::{Channels, ImageSize, InputLayout, Resize};
use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Pixel};

/// Scaling that is not given: bytes to the unit interval.
pub(super) const BYTE_SCALE: f32 = 1.0 / 255.0;

/// The most pixels that an image may have once it is resized; only absurd proportions get there.
const MOST_PIXELS: u64 = 1 << 25;

/// What each byte becomes, for one channel.
pub(super) type Table = Vec<f32>;

/// `(x · scale − mean) / std` for every byte, in float32 and in that order, as numpy computes it.
pub(super) fn table(scale: f32, mean: f32, std: f32) -> Table {
    // A division by 255 is not a multiplication with 1/255 in the last bit, and the former is what everyone writes.
    let scaled = |x: f32| if scale.to_bits() == BYTE_SCALE.to_bits() { x / 255.0 } else { x * scale };
    (0..=u8::MAX).map(|byte| (scaled(f32::from(byte)) - mean) / std).collect()
}

/// The image as bytes in rows of `channels`, red first, of exactly `size`; or why that cannot be.
pub(super) fn fit(image: DynamicImage, channels: Channels, size: ImageSize, resize: Resize) -> Result<Vec<u8>, String> {
    match channels {
        Channels::Gray => fit_buffer(to_gray(image), size, resize).map(ImageBuffer::into_raw),
        Channels::Rgb | Channels::Bgr => fit_buffer(image.into_rgb8(), size, resize).map(ImageBuffer::into_raw),
    }
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

type Buffer<P> = ImageBuffer<P, Vec<u8>>;

fn fit_buffer<P>(image: Buffer<P>, size: ImageSize, resize: Resize) -> Result<Buffer<P>, String>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let (width, height) = image.dimensions();
    if width == 0 || height == 0 {
        return Err("the image is empty".into());
    }
    let resized = resized_size(ImageSize { height, width }, size, resize)?;
    let image = if (resized.width, resized.height) == (width, height) {
        image
    } else {
        imageops::resize(&image, resized.width, resized.height, FilterType::Triangle)
    };
    if resized == size {
        return Ok(image);
    }
    if resized.height < size.height || resized.width < size.width {
        return Err(format!(
            "with `--resize {resize}` the image is {resized}, smaller than the {size} to cut out of it"
        ));
    }
    let (left, top) = (margin(resized.width, size.width), margin(resized.height, size.height));
    Ok(imageops::crop_imm(&image, left, top, size.width, size.height).to_image())
}

/// What an image of size `from` is resized to before it is cropped to `size`.
fn resized_size(from: ImageSize, size: ImageSize, resize: Resize) -> Result<ImageSize, String> {
    let resized = match resize {
        Resize::None => Some(from),
        Resize::Exact(exact) => Some(exact),
        Resize::Shorter(length) if from.height <= from.width => with_height(from, length),
        Resize::Shorter(length) => with_width(from, length),
        Resize::Cover { from: numerator, to } => {
            let scaled = |length: u32| {
                let (product, to) = (u64::from(length) * u64::from(numerator), u64::from(to.max(1)));
                u32::try_from((product + to / 2) / to).unwrap_or(u32::MAX).max(1)
            };
            // The axis that needs the larger factor decides; the other one then covers its side by itself.
            let by_height =
                u64::from(size.height) * u64::from(from.width) >= u64::from(size.width) * u64::from(from.height);
            if by_height { with_height(from, scaled(size.height)) } else { with_width(from, scaled(size.width)) }
        }
    };
    resized
        .filter(|size| *size == from || u64::from(size.height) * u64::from(size.width) <= MOST_PIXELS)
        .ok_or_else(|| format!("an image of {from} has proportions that make it huge once it is resized"))
}

fn with_height(from: ImageSize, height: u32) -> Option<ImageSize> {
    Some(ImageSize { height, width: proportional(height, from.width, from.height)? })
}

fn with_width(from: ImageSize, width: u32) -> Option<ImageSize> {
    Some(ImageSize { width, height: proportional(width, from.height, from.width)? })
}

/// `side · longer / shorter`, rounded down as torchvision does.
fn proportional(side: u32, numerator: u32, denominator: u32) -> Option<u32> {
    let scaled = (u64::from(side) * u64::from(numerator)).checked_div(u64::from(denominator))?;
    u32::try_from(scaled).ok().map(|scaled| scaled.max(1))
}

/// Where a crop around the centre begins: half of what is left over, halves to the even side as Python rounds.
fn margin(from: u32, to: u32) -> u32 {
    let (half, odd) = ((from - to) / 2, (from - to) % 2);
    half + (odd & (half % 2))
}

/// Bytes with the channels last, red first, become floats in the model's order.
pub(super) fn normalise(bytes: &[u8], channels: Channels, layout: InputLayout, tables: &[Table]) -> Vec<f32> {
    let count = channels.count();
    let source = |channel: usize| if channels == Channels::Bgr { count - 1 - channel } else { channel };
    let value = |pixel: &[u8], channel: usize| tables[channel][usize::from(pixel[source(channel)])];
    match layout {
        InputLayout::Nhwc => {
            bytes.chunks_exact(count).flat_map(|pixel| (0..count).map(move |channel| value(pixel, channel))).collect()
        }
        InputLayout::Nchw => {
            (0..count).flat_map(|channel| bytes.chunks_exact(count).map(move |pixel| value(pixel, channel))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage, Rgba, RgbaImage};

    fn size(height: u32, width: u32) -> ImageSize {
        ImageSize { height, width }
    }

    const IMAGENET: Resize = Resize::Cover { from: 256, to: 224 };

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
    fn sizes_before_the_crop_follow_torchvision() {
        let resized = |from, resize| resized_size(from, size(224, 224), resize).unwrap();
        assert_eq!(resized(size(375, 500), Resize::Shorter(256)), size(256, 341));
        assert_eq!(resized(size(375, 500), IMAGENET), size(256, 341));
        assert_eq!(resized(size(500, 375), IMAGENET), size(341, 256));
        assert_eq!(resized(size(100, 100), Resize::None), size(100, 100));
        assert_eq!(resized(size(100, 100), Resize::Exact(size(3, 4))), size(3, 4));
        assert_eq!(resized_size(size(20, 40), size(20, 40), Resize::TO_SIZE).unwrap(), size(20, 40));
        assert_eq!(resized_size(size(40, 40), size(20, 10), Resize::TO_SIZE).unwrap(), size(20, 20));
    }

    #[test]
    fn absurd_proportions_are_refused() {
        assert!(resized_size(size(1, u32::MAX), size(224, 224), IMAGENET).is_err());
    }

    #[test]
    fn a_crop_takes_the_centre_and_rounds_as_python_does() {
        assert_eq!([margin(5, 5), margin(6, 5), margin(8, 5), margin(7, 5)], [0, 0, 2, 1]);
        let image = GrayImage::from_fn(5, 3, |x, y| Luma([(10 * y + x) as u8]));
        let cropped = fit(image.into(), Channels::Gray, size(1, 3), Resize::None).unwrap();
        assert_eq!(cropped, [11, 12, 13]);
    }

    #[test]
    fn an_image_that_is_too_small_to_be_cropped_is_refused() {
        let image = GrayImage::new(5, 3);
        assert!(fit(image.into(), Channels::Gray, size(4, 4), Resize::None).is_err());
        assert!(fit(GrayImage::new(0, 3).into(), Channels::Gray, size(4, 4), Resize::TO_SIZE).is_err());
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
