//! Resizing as Pillow does it, which is what torchvision's transforms of images call: a convolution along one axis, then
//! along the other, with bytes in between. Only the window that is kept afterwards is computed.
//!
//! The order of the axes shows in the result, since the bytes in between are rounded and cut off; so the axes are done
//! one by one, in Pillow's order. `fast_image_resize` does both at once in its own order, which is off by up to 14.
//!
//! It also keeps weights to 15 bits. With the bilinear filter that moves no byte by more than 1. With the bicubic one it
//! moves one in a million by 2, so that filter runs in [`convolve`], with Pillow's own arithmetic.

use super::geometry::Plan;
use super::{ImageSize, Interpolation, convolve};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use std::ops::Range;

/// Rows of pixels of `channels` bytes: a whole image, or the part from `origin` on along one axis.
pub(super) struct Raster {
    pub(super) bytes: Vec<u8>,
    pub(super) height: u32,
    pub(super) width: u32,
    pub(super) channels: usize,
}

/// The axis of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Along rows: the width changes.
    Horizontal,
    /// Along columns: the height changes.
    Vertical,
}

/// One axis: `from` pixels become `to`, and of these the `length` from `start` on are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) start: u32,
    pub(super) length: u32,
}

impl Axis {
    /// How many pixels become one.
    pub(super) fn scale(self) -> f64 {
        f64::from(self.from) / f64::from(self.to)
    }

    /// The pixels that those which are wanted are made of, with room for rounding.
    fn needed(self, interpolation: Interpolation) -> Range<u32> {
        if self.from == self.to {
            return self.start..self.start + self.length;
        }
        let reach = interpolation.reach() * self.scale().max(1.0) + 1.0;
        let first = (f64::from(self.start) * self.scale() - reach).max(0.0).floor();
        let last = (f64::from(self.start + self.length) * self.scale() + reach).min(f64::from(self.from)).ceil();
        first as u32..last as u32
    }
}

/// The window that `plan` keeps of the resized image.
pub(super) fn resample(image: Raster, plan: Plan, interpolation: Interpolation) -> Result<Raster, String> {
    let Plan { from, resized, top, left, size } = plan;
    if (resized, size) == (from, from) {
        return Ok(image);
    }
    let horizontal = Axis { from: from.width, to: resized.width, start: left, length: size.width };
    let vertical = Axis { from: from.height, to: resized.height, start: top, length: size.height };
    let passes = [(Direction::Horizontal, horizontal), (Direction::Vertical, vertical)];
    let [(first, along), (second, then)] = if vertical_first(from, resized) { [passes[1], passes[0]] } else { passes };
    let across = then.needed(interpolation);
    let origin = across.start;
    let between = pass(&image, first, along, 0, across, interpolation)?;
    if then.from == then.to {
        return Ok(between);
    }
    pass(&between, second, then, origin, 0..along.length, interpolation)
}

/// Whether Pillow shrinks the height before it changes the width: since version 13 where that is less work, which is
/// never so where both change by the same factor. Earlier versions always began with the width.
fn vertical_first(from: ImageSize, to: ImageSize) -> bool {
    let [from_height, from_width, height, width] = [from.height, from.width, to.height, to.width].map(u128::from);
    height < from_height && 2 * width * from_height > from_width * (from_height + height)
}

/// Convolves along one axis the lines `across` the other one. The pixels of `image` are those from `origin` on.
fn pass(
    image: &Raster,
    direction: Direction,
    axis: Axis,
    origin: u32,
    across: Range<u32>,
    interpolation: Interpolation,
) -> Result<Raster, String> {
    if interpolation == Interpolation::Bicubic && axis.from != axis.to {
        return Ok(convolve::bicubic(image, direction, axis, origin, across));
    }
    let box_of_axis = |extent: u32| {
        let start = f64::from(axis.start) * axis.scale() - f64::from(origin);
        // The product may be a rounding beyond the image.
        (start, (f64::from(axis.length) * axis.scale()).min(f64::from(extent) - start))
    };
    let box_across = (f64::from(across.start), f64::from(across.end - across.start));
    let ((left, width), (top, height), out_width, out_height) = match direction {
        Direction::Horizontal => (box_of_axis(image.width), box_across, axis.length, across.end - across.start),
        Direction::Vertical => (box_across, box_of_axis(image.height), across.end - across.start, axis.length),
    };
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(left, top, width, height)
        .use_alpha(false);
    let pixel = if image.channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let source = ImageRef::new(image.width, image.height, &image.bytes, pixel).map_err(|error| error.to_string())?;
    let mut target = Image::new(out_width, out_height, pixel);
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| error.to_string())?;
    Ok(Raster { bytes: target.into_vec(), height: out_height, width: out_width, channels: image.channels })
}

#[cfg(test)]
#[path = "resample_tests.rs"]
mod tests;
