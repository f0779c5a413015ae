//! Flipped and shifted images: the same objects to a person, new samples to a network that memorised the originals.

use super::{DataError, InputLayout, Route, Transform};
use ndarray::{ArrayD, ArrayView3, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The largest shift as a share of an image's size: one pixel of 28. With 2 or 3 pixels the reference networks fail on so
/// many images that smaller α look better than they are; without any, memorised labels still help and larger ones do.
const LARGEST_SHIFT: f64 = 1.0 / 28.0;

/// Shifts every image by up to 1/28 of its size in both directions, repeating its edge, and may flip it horizontally before.
/// The shift depends on the seed and the index of the sample only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Perturbation {
    /// Chooses the shifts.
    pub seed: u64,
    /// Whether every image is flipped.
    pub flips: bool,
}

impl Perturbation {
    /// Images that are shifted.
    pub fn shift(seed: u64) -> Self {
        Self { seed, flips: false }
    }

    /// Images that are flipped and shifted.
    pub fn flip_and_shift(seed: u64) -> Self {
        Self { seed, flips: true }
    }

    /// Whether samples that go these ways can be perturbed: one of them at least is an image.
    ///
    /// # Errors
    /// [`DataError::Request`] where none is.
    pub fn check(routes: &[Route]) -> Result<(), DataError> {
        if routes.iter().any(|route| route.transform.is_image()) { Ok(()) } else { Err(no_image()) }
    }

    /// The perturbed values of sample `index`, which `transform` has prepared.
    ///
    /// # Errors
    /// [`DataError::Request`] where it is no image.
    pub fn apply(self, index: usize, values: &ArrayD<f32>, transform: &Transform) -> Result<ArrayD<f32>, DataError> {
        let geometry = transform.geometry.ok_or_else(no_image)?;
        let (height, width) = (geometry.height, geometry.width);
        let extents = match geometry.layout {
            InputLayout::Nchw => (geometry.channels, height, width),
            InputLayout::Nhwc => (height, width, geometry.channels),
        };
        let mismatch = |error| DataError::request(error, "prepare the sample with the same transform");
        let flat: Vec<f32> = values.iter().copied().collect();
        let image = ArrayView3::from_shape(extents, &flat).map_err(mismatch)?;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64);
        let rows = sources(height, &mut random, false);
        let columns = sources(width, &mut random, self.flips);
        let moved = match geometry.layout {
            InputLayout::Nchw => image.select(ndarray::Axis(1), &rows).select(ndarray::Axis(2), &columns),
            InputLayout::Nhwc => image.select(ndarray::Axis(0), &rows).select(ndarray::Axis(1), &columns),
        };
        ArrayD::from_shape_vec(IxDyn(values.shape()), moved.iter().copied().collect()).map_err(mismatch)
    }
}

fn no_image() -> DataError {
    DataError::request(
        "only images can be flipped and shifted, and the samples are not known to be images",
        "give held-out data with --val SPEC, or --layout where they are images",
    )
}

/// Which row or column of the original each one of the result is.
fn sources(size: usize, random: &mut ChaCha8Rng, flip: bool) -> Vec<usize> {
    let last = size.saturating_sub(1) as i64;
    let reach = ((size as f64 * LARGEST_SHIFT).round() as i64).max(1);
    let offset = random.random_range(-reach..=reach);
    (0..size as i64)
        .map(|position| {
            let source = (position - offset).clamp(0, last);
            (if flip { last - source } else { source }) as usize
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Content, Preprocessing};
    use super::*;
    use crate::tensor::ElementType;

    fn values(shape: &[usize]) -> ArrayD<f32> {
        let count = shape.iter().product::<usize>();
        ArrayD::from_shape_vec(IxDyn(shape), (0..count).map(|value| value as f32).collect()).unwrap()
    }

    fn transform(shape: &[usize]) -> Transform {
        let model: Vec<_> = shape.iter().copied().map(Some).collect();
        let example = Content::Values(values(shape));
        Transform::resolve(&Preprocessing::default(), ElementType::Float32, &model, &example).unwrap()
    }

    #[test]
    fn the_same_seed_and_index_give_the_same_image_and_others_differ() {
        let (image, transform) = (values(&[1, 40, 40]), transform(&[1, 40, 40]));
        let apply = |seed, index| Perturbation::flip_and_shift(seed).apply(index, &image, &transform).unwrap();
        assert_eq!(apply(7, 3), apply(7, 3));
        assert!((0..20).any(|index| apply(7, index) != apply(7, 0)));
        assert!((0..20).any(|index| apply(8, index) != apply(7, index)));
    }

    #[test]
    fn an_image_is_flipped_shifted_by_whole_pixels_and_filled_from_its_edge() {
        let (height, width) = (56, 84);
        let (image, transform) = (values(&[1, 56, 84]), transform(&[1, 56, 84]));
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..200 {
            let moved = Perturbation::flip_and_shift(0).apply(index, &image, &transform).unwrap();
            // From the middle, which no shift reaches the edge from, the offset can be read off.
            let middle = moved[[0, 28, 42]] as i64;
            let (down, right) = (28 - middle / width, 42 - (width - 1 - middle % width));
            assert!(down.abs() <= 2 && right.abs() <= 3, "{down} {right}");
            seen.insert((down, right));
            for row in 0..height {
                for column in 0..width {
                    let (above, mirrored) = ((row - down).clamp(0, height - 1), (column - right).clamp(0, width - 1));
                    assert_eq!(moved[[0, row as usize, column as usize]] as i64, above * width + width - 1 - mirrored);
                }
            }
        }
        assert!(seen.len() > 20, "all offsets should turn up, and only {} did", seen.len());
    }

    #[test]
    fn an_image_that_is_only_shifted_is_not_flipped() {
        let (image, transform) = (values(&[1, 56, 56]), transform(&[1, 56, 56]));
        let [shifted, flipped] = [Perturbation::shift(3), Perturbation::flip_and_shift(3)]
            .map(|perturbation| perturbation.apply(0, &image, &transform).unwrap());
        // From row to row values grow by 56, from column to column by 1, backwards where it is flipped.
        let slope = |moved: &ArrayD<f32>| moved[[0, 28, 29]] - moved[[0, 28, 28]];
        assert_eq!((slope(&shifted), slope(&flipped)), (1.0, -1.0));
    }

    #[test]
    fn both_layouts_move_alike() {
        let first = values(&[3, 16, 12]);
        let last = first.clone().permuted_axes(IxDyn(&[1, 2, 0]));
        let perturbation = Perturbation::flip_and_shift(5);
        let moved_first = perturbation.apply(9, &first, &transform(&[3, 16, 12])).unwrap();
        let moved_last = perturbation.apply(9, &last, &transform(&[16, 12, 3])).unwrap();
        assert_eq!(moved_first.permuted_axes(IxDyn(&[1, 2, 0])), moved_last);
    }

    #[test]
    fn what_is_no_image_is_refused_with_the_way_out() {
        let vector = values(&[10]);
        let message = Perturbation::flip_and_shift(0).apply(0, &vector, &transform(&[10])).unwrap_err().to_string();
        assert!(message.contains("--val"), "{message}");
    }
}
