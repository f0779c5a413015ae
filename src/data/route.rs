//! The way from a data set to one input of a model.

use super::{Content, DataError, DataSet, Preprocessing, SampleValues, Transform};
use crate::tensor::ElementType;

/// How one input of a model is fed.
#[derive(Clone, Debug)]
pub struct Route {
    /// The name of the input.
    pub input: String,
    /// Its element type.
    pub element: ElementType,
    /// Which of the set's contents it takes.
    pub position: usize,
    /// How each becomes an input.
    pub transform: Transform,
}

impl Route {
    /// Settles how contents like `example`, at `position` of a set, become samples of an input whose shape is `shape`
    /// without the batch axis.
    ///
    /// # Errors
    /// As [`Transform::resolve`].
    pub fn resolve(
        (input, element, shape): (&str, ElementType, &[Option<usize>]),
        preprocessing: &Preprocessing,
        position: usize,
        example: &Content,
    ) -> Result<Self, DataError> {
        let transform = Transform::resolve(preprocessing, element, shape, example)?;
        Ok(Self { input: input.to_owned(), element, position, transform })
    }

    /// One sample of the input.
    pub(super) fn sample(&self, set: &dyn DataSet, index: usize) -> Result<SampleValues, DataError> {
        self.transform.apply(set.content_at(self.position, index)?, &set.id(index))
    }
}
