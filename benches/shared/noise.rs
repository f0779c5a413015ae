//! Samples for benchmarks, in memory.

use ndarray::ArrayD;
use onnx_sap::data::{Content, DataError, DataSet, SampleId};

/// Samples of noise, which repeat themselves: making them must not take time.
pub(crate) struct Noise {
    images: Vec<ArrayD<f32>>,
    samples: usize,
}

impl Noise {
    pub(crate) fn new(shape: &[usize], samples: usize) -> Self {
        let image = |seed: u32| {
            let mut state = seed;
            ArrayD::from_shape_simple_fn(shape, || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
        };
        Self { images: (0..16).map(image).collect(), samples }
    }
}

impl DataSet for Noise {
    fn len(&self) -> usize {
        self.samples
    }

    fn class_names(&self) -> Option<&[String]> {
        None
    }

    fn id(&self, index: usize) -> SampleId {
        SampleId(index.to_string())
    }

    fn label(&self, _: usize) -> usize {
        0
    }

    fn content(&self, index: usize) -> Result<Content, DataError> {
        Ok(Content::Values(self.images[index % self.images.len()].clone()))
    }
}
