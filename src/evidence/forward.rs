//! Runs a classifier on batches, whatever batch size it was exported with.

use super::EvidenceError;
use crate::engine::{Engine, Runnable, Session};
use crate::model::Classifier;
use crate::tensor::Tensor;
use ndarray::{Array2, Axis, concatenate, s};
use std::path::Path;

/// A loaded classifier.
pub struct Forward<'a> {
    session: Box<dyn Session>,
    classifier: &'a Classifier,
}

impl<'a> Forward<'a> {
    /// Loads the bytes of a model that is fed and read as `classifier` says.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn load(
        engine: &dyn Engine,
        classifier: &'a Classifier,
        model: Vec<u8>,
        folder: &Path,
    ) -> Result<Self, EvidenceError> {
        let bytes = classifier.with_logits(model);
        let session = engine.load(Runnable { bytes: &bytes, folder })?;
        Ok(Self { session, classifier })
    }

    /// The logits `[samples, classes]` of a batch, in float64.
    ///
    /// # Errors
    /// Those of the engine; [`EvidenceError::Logits`] where the output is not one row a sample.
    pub fn logits(&mut self, batch: &Tensor) -> Result<Array2<f64>, EvidenceError> {
        let samples = batch.shape()[0];
        let padded = pad(batch, self.classifier.batch.unwrap_or(samples));
        let input = [(self.classifier.input.as_str(), &padded)];
        let outputs = self.session.run(&input, &[self.classifier.logits.as_str()])?;
        let values = outputs.first().map(Tensor::to_f64).unwrap_or_default();
        let wrong = || EvidenceError::Logits {
            output: self.classifier.logits.clone(),
            found: values.shape().to_vec(),
            samples: padded.shape()[0],
        };
        // Trailing axes of extent 1, as a fully convolutional head leaves them, are no classes.
        let [rows, classes, rest @ ..] = values.shape() else { return Err(wrong()) };
        if *rows != padded.shape()[0] || rest.iter().any(|&extent| extent != 1) || *classes == 0 {
            return Err(wrong());
        }
        let matrix = values.to_shape((*rows, *classes)).map_err(|_| wrong())?;
        Ok(matrix.slice(s![..samples, ..]).to_owned())
    }
}

/// Fills a batch up to `size` with copies of its first sample, for models that fix their batch size.
pub(super) fn pad(batch: &Tensor, size: usize) -> Tensor {
    macro_rules! fill {
        ($variant:ident, $array:expr) => {{
            let missing = size.saturating_sub($array.shape()[0]);
            let mut parts = vec![$array.view()];
            parts.extend(std::iter::repeat_n($array.slice_axis(Axis(0), (0..1).into()), missing));
            Tensor::$variant(concatenate(Axis(0), &parts).expect("parts of one array have one shape"))
        }};
    }
    match batch {
        full if full.shape()[0] >= size => full.clone(),
        Tensor::Float32(array) => fill!(Float32, array),
        Tensor::Uint8(array) => fill!(Uint8, array),
        Tensor::Int32(array) => fill!(Int32, array),
        Tensor::Int64(array) => fill!(Int64, array),
        Tensor::Float16(array) => fill!(Float16, array),
        Tensor::Float64(array) => fill!(Float64, array),
        Tensor::Bfloat16(array) => fill!(Bfloat16, array),
    }
}
