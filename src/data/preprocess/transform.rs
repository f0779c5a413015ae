//! A resolved [`Transform`]: from what a data set holds to what the model takes, with every value concrete.

use super::pixels::{self, Table};
use super::{Channels, ImageSize, InputLayout, Interpolation, Preprocessing, Resize, resolve};
use crate::data::{Content, DataError, SampleId};
use crate::tensor::ElementType;
use image::DynamicImage;
use ndarray::{ArrayD, IxDyn};
use serde::Serialize;
use std::fmt::Display;

/// What happens to every sample. It stands in the report.
#[derive(Clone, Debug, Serialize)]
pub struct Transform {
    #[serde(skip)]
    pub(in crate::data) element: ElementType,
    pub(in crate::data) shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::data) layout: Option<InputLayout>,
    #[serde(skip)]
    pub(in crate::data) geometry: Option<Geometry>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(in crate::data) image: Option<ImageSteps>,
}

/// One sample of an input, without the batch axis.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValues {
    /// Pixels and floats.
    Floats(ArrayD<f32>),
    /// Whole numbers, which float32 would round beyond 2²⁴.
    Integers(ArrayD<i64>),
}

/// How the values of one sample are an image, whatever the rank of the input is: a flattened image is one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) struct Geometry {
    pub(in crate::data) layout: InputLayout,
    pub(in crate::data) channels: usize,
    pub(in crate::data) height: usize,
    pub(in crate::data) width: usize,
}

/// What happens to pixels.
#[derive(Clone, Debug, Serialize)]
pub(in crate::data) struct ImageSteps {
    pub(in crate::data) size: ImageSize,
    pub(in crate::data) resize: Resize,
    pub(in crate::data) interpolation: Interpolation,
    pub(in crate::data) channels: Channels,
    pub(in crate::data) scale: f32,
    pub(in crate::data) mean: Vec<f32>,
    pub(in crate::data) std: Vec<f32>,
    #[serde(skip)]
    pub(in crate::data) tables: Vec<Table>,
    #[serde(skip)]
    pub(in crate::data) order: InputLayout,
}

impl Transform {
    /// Settles how content like `example` becomes one sample of the model's input, which is of type `element` and whose
    /// shape is `model_shape` without the batch axis (`None` where the model leaves an extent open).
    ///
    /// # Errors
    /// [`DataError::Preprocessing`] where options, data and model contradict each other, or leave something open.
    pub fn resolve(
        preprocessing: &Preprocessing,
        element: ElementType,
        model_shape: &[Option<usize>],
        example: &Content,
    ) -> Result<Self, DataError> {
        let transform = match example {
            Content::Image(image) => resolve::for_image(preprocessing, element, model_shape, image),
            Content::Values(values) => resolve::for_values(preprocessing, element, model_shape, values.shape()),
            Content::Integers(values) => resolve::for_integers(preprocessing, element, model_shape, values.shape()),
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
    /// [`DataError::Sample`] where the content does not fit, or a value is not finite or not one that the input's type
    /// holds.
    pub fn apply(&self, content: Content, id: &SampleId) -> Result<SampleValues, DataError> {
        match (content, &self.image) {
            (Content::Image(image), Some(steps)) => self.apply_to_image(image, steps, id),
            (Content::Values(values), None) => self.apply_to_values(&values, id),
            (Content::Integers(values), None) => self.apply_to_integers(&values, id),
            (Content::Image(_), None) => Err(DataError::sample(id, "it is an image among arrays of values", ONE_KIND)),
            (Content::Values(_) | Content::Integers(_), Some(_)) => {
                Err(DataError::sample(id, "it is an array of values among images", ONE_KIND))
            }
        }
    }

    fn apply_to_image(
        &self,
        image: DynamicImage,
        steps: &ImageSteps,
        id: &SampleId,
    ) -> Result<SampleValues, DataError> {
        let bytes = pixels::fit(image, steps.channels, steps.size, steps.resize, steps.interpolation)
            .map_err(|reason| DataError::sample(id, reason, "set --resize and --size to what the images allow"))?;
        let values = pixels::normalise(&bytes, steps.channels, steps.order, &steps.tables);
        self.shaped(values, id).map(SampleValues::Floats)
    }

    fn apply_to_values(&self, values: &ArrayD<f32>, id: &SampleId) -> Result<SampleValues, DataError> {
        self.check_shape(values.shape(), id)?;
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(DataError::sample(id, format!("it holds the value {value}"), REPAIR));
        }
        if let Some(value) = values.iter().find(|value| !holds(self.element, **value)) {
            return Err(self.beyond(value, id));
        }
        self.shaped(values.iter().copied().collect(), id).map(SampleValues::Floats)
    }

    fn apply_to_integers(&self, values: &ArrayD<i64>, id: &SampleId) -> Result<SampleValues, DataError> {
        self.check_shape(values.shape(), id)?;
        let (least, most) = self.element.range().unwrap_or((i64::MIN, i64::MAX));
        if let Some(value) = values.iter().find(|value| !(least..=most).contains(*value)) {
            return Err(self.beyond(value, id));
        }
        self.shaped(values.iter().copied().collect(), id).map(SampleValues::Integers)
    }

    fn check_shape(&self, shape: &[usize], id: &SampleId) -> Result<(), DataError> {
        if resolve::same_values(shape, &self.shape) {
            return Ok(());
        }
        let reason = format!("its shape is {shape:?}, the model takes {:?}", self.shape);
        Err(DataError::sample(id, reason, "store all samples in one shape"))
    }

    fn beyond(&self, value: &dyn Display, id: &SampleId) -> DataError {
        let reason = format!("it holds the value {value}, which is no {}", self.element);
        DataError::sample(id, format!("{reason}, as the model takes it"), REPAIR)
    }

    fn shaped<T>(&self, values: Vec<T>, id: &SampleId) -> Result<ArrayD<T>, DataError> {
        ArrayD::from_shape_vec(IxDyn(&self.shape), values)
            .map_err(|error| DataError::sample(id, error, "set --size to what the model takes"))
    }
}

/// Whether an input of that type holds the value: floats hold every finite one, if rounded.
pub(in crate::data) fn holds(element: ElementType, value: f32) -> bool {
    element.range().is_none_or(|(least, most)| {
        // A conversion to integers saturates, and i128 has room for more than every range.
        value.fract() == 0.0 && (i128::from(least)..=i128::from(most)).contains(&(value as i128))
    })
}

/// The values of the largest sample: a gigabyte of them, as float32.
const MOST_VALUES: usize = 1 << 28;

const REPAIR: &str = "repair it, or take it out of the set";

const ONE_KIND: &str = "keep images and arrays in sets of their own";

#[cfg(test)]
#[path = "transform_tests.rs"]
mod tests;
