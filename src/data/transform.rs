//! A resolved [`Transform`]: from what a data set holds to what the model takes, with every value concrete.

use super::pixels::{self, Table};
use super::{Channels, Content, DataError, ImageSize, InputLayout, Preprocessing, Resize, SampleId, resolve};
use image::DynamicImage;
use ndarray::{ArrayD, IxDyn};
use serde::Serialize;

/// What happens to every sample. It stands in the report.
#[derive(Clone, Debug, Serialize)]
pub struct Transform {
    pub(super) shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) layout: Option<InputLayout>,
    #[serde(skip)]
    pub(super) geometry: Option<Geometry>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) image: Option<ImageSteps>,
}

/// How the values of one sample are an image, whatever the rank of the input is: a flattened image is one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) layout: InputLayout,
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// What happens to pixels.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ImageSteps {
    pub(super) size: ImageSize,
    pub(super) resize: Resize,
    pub(super) channels: Channels,
    pub(super) scale: f32,
    pub(super) mean: Vec<f32>,
    pub(super) std: Vec<f32>,
    #[serde(skip)]
    pub(super) tables: Vec<Table>,
    #[serde(skip)]
    pub(super) order: InputLayout,
}

impl Transform {
    /// Settles how content like `example` becomes one sample of the model's input, whose shape is `model_shape`
    /// without the batch axis (`None` where the model leaves an extent open).
    ///
    /// # Errors
    /// [`DataError::Preprocessing`] where options, data and model contradict each other, or leave something open.
    pub fn resolve(
        preprocessing: &Preprocessing,
        model_shape: &[Option<usize>],
        example: &Content,
    ) -> Result<Self, DataError> {
        let transform = match example {
            Content::Image(image) => resolve::for_image(preprocessing, model_shape, image),
            Content::Values(values) => resolve::for_values(preprocessing, model_shape, values.shape()),
        }?;
        let count = transform.shape.iter().try_fold(1_usize, |product, extent| product.checked_mul(*extent));
        if count.is_none_or(|count| count > MOST_VALUES) {
            return Err(DataError::preprocessing(
                format!("one sample of the model's input has the shape {:?}, which no memory holds", transform.shape),
                "use a model with a smaller input, or a smaller --size where it leaves the size open",
            ));
        }
        Ok(transform)
    }

    /// The shape of one sample, without the batch axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Where the channel axis is, where the input has one.
    pub fn layout(&self) -> Option<InputLayout> {
        self.layout
    }

    /// Whether a sample is an image, so that flipping and shifting it means something.
    pub fn is_image(&self) -> bool {
        self.geometry.is_some()
    }

    /// One sample of the model's input.
    ///
    /// # Errors
    /// [`DataError::Sample`] where the content does not fit, or a value is not finite.
    pub fn apply(&self, content: Content, id: &SampleId) -> Result<ArrayD<f32>, DataError> {
        match (content, &self.image) {
            (Content::Image(image), Some(steps)) => self.apply_to_image(image, steps, id),
            (Content::Values(values), None) => self.apply_to_values(&values, id),
            (Content::Image(_), None) => Err(DataError::sample(id, "it is an image among arrays of values", ONE_KIND)),
            (Content::Values(_), Some(_)) => {
                Err(DataError::sample(id, "it is an array of values among images", ONE_KIND))
            }
        }
    }

    fn apply_to_image(&self, image: DynamicImage, steps: &ImageSteps, id: &SampleId) -> Result<ArrayD<f32>, DataError> {
        let bytes = pixels::fit(image, steps.channels, steps.size, steps.resize)
            .map_err(|reason| DataError::sample(id, reason, "set --resize and --size to what the images allow"))?;
        let values = pixels::normalise(&bytes, steps.channels, steps.order, &steps.tables);
        self.shaped(values, id)
    }

    fn apply_to_values(&self, values: &ArrayD<f32>, id: &SampleId) -> Result<ArrayD<f32>, DataError> {
        if !resolve::same_values(values.shape(), &self.shape) {
            let reason = format!("its shape is {:?}, the model takes {:?}", values.shape(), self.shape);
            return Err(DataError::sample(id, reason, "store all samples in one shape"));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            let reason = format!("it holds the value {value}");
            return Err(DataError::sample(id, reason, "repair it, or take it out of the set"));
        }
        self.shaped(values.iter().copied().collect(), id)
    }

    fn shaped(&self, values: Vec<f32>, id: &SampleId) -> Result<ArrayD<f32>, DataError> {
        ArrayD::from_shape_vec(IxDyn(&self.shape), values)
            .map_err(|error| DataError::sample(id, error, "set --size to what the model takes"))
    }
}

/// The values of the largest sample: a gigabyte of them, as float32.
const MOST_VALUES: usize = 1 << 28;

const ONE_KIND: &str = "keep images and arrays in sets of their own";

#[cfg(test)]
#[path = "transform_tests.rs"]
mod tests;
