//! What size an image is resized to, and which part of that is kept; as torchvision's `Resize` and `CenterCrop` do it.

use super::{ImageSize, Resize};

/// The most pixels that an image may have once it is resized; only absurd proportions get there.
const MOST_PIXELS: u64 = 1 << 25;

/// An image that is resized, and the window of the result that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) from: ImageSize,
    pub(super) resized: ImageSize,
    pub(super) top: u32,
    pub(super) left: u32,
    pub(super) size: ImageSize,
}

impl Plan {
    /// How an image of size `from` becomes one of `size`, or why it cannot.
    pub(super) fn new(from: ImageSize, size: ImageSize, resize: Resize) -> Result<Self, String> {
        if from.width == 0 || from.height == 0 {
            return Err("the image is empty".into());
        }
        let resized = resized_size(from, size, resize)?;
        if resized.height < size.height || resized.width < size.width {
            return Err(format!(
                "with `--resize {resize}` the image is {resized}, smaller than the {size} to cut out of it"
            ));
        }
        let (top, left) = (margin(resized.height, size.height), margin(resized.width, size.width));
        Ok(Self { from, resized, top, left, size })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn size(height: u32, width: u32) -> ImageSize {
        ImageSize { height, width }
    }

    const IMAGENET: Resize = Resize::Cover { from: 256, to: 224 };

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
    fn margins_are_halved_as_python_rounds() {
        assert_eq!([margin(5, 5), margin(6, 5), margin(8, 5), margin(7, 5)], [0, 0, 2, 1]);
        let plan = Plan::new(size(375, 500), size(224, 224), IMAGENET).unwrap();
        assert_eq!((plan.resized, plan.top, plan.left), (size(256, 341), 16, 58));
    }

    #[test]
    fn an_image_that_is_too_small_to_be_cropped_is_refused() {
        assert!(Plan::new(size(3, 5), size(4, 4), Resize::None).unwrap_err().contains("3x5, smaller than the 4x4"));
        assert!(Plan::new(size(3, 0), size(4, 4), Resize::TO_SIZE).is_err());
    }
}
