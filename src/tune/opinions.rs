//! What a model says of every training sample.

use crate::data::Stream;
use crate::detect::{Detection, Opinion};
use crate::error::Error;
use crate::evidence::{BadLimit, EvidenceError, Forward, predict_showing, probabilities};
use crate::model::Link;
use crate::progress::Observer;
use ndarray::Array2;

/// The most probabilities that are kept: 1.6 GB.
const MOST_PROBABILITIES: usize = 400_000_000;

/// What a model says of samples.
#[derive(Clone, Debug)]
pub struct Opinions {
    /// The samples.
    pub samples: Vec<usize>,
    /// Of each its label, the predicted class, and how probable classes are.
    pub opinions: Vec<Opinion>,
    /// The probability of every class: `[samples, classes]`, rows of sum 1.
    pub probabilities: Array2<f32>,
}

impl Opinions {
    /// Of those samples, as steps of a phase of their own.
    ///
    /// # Errors
    /// Those of data and engine; more probabilities than can be kept.
    pub fn of(
        forward: &mut Forward,
        stream: &Stream<'_>,
        (samples, batch): (&[usize], usize),
        observer: &dyn Observer,
    ) -> Result<Self, Error> {
        let mut found = Self { samples: Vec::new(), opinions: Vec::new(), probabilities: Array2::zeros((0, 0)) };
        let (mut rows, mut classes) = (Vec::new(), 0);
        observer.begin("opinions", samples.len(), "samples");
        let mut see = |prediction: &crate::evidence::Prediction, scores: &ndarray::ArrayView1<'_, f64>, link: Link| {
            found.opinions.push(Opinion::of(prediction, scores, link));
            let row = probabilities(scores, link);
            let sum = row.iter().sum::<f64>().max(f64::MIN_POSITIVE);
            classes = row.len();
            if rows.len() < MOST_PROBABILITIES {
                rows.extend(row.into_iter().map(|probability| (probability / sum) as f32));
            }
        };
        let batches = (samples, batch);
        let scores =
            predict_showing(forward, stream, batches, BadLimit::default(), observer, &mut |_| false, &mut see)?;
        observer.end();
        found.samples = scores.samples;
        let wanted = (found.samples.len(), classes);
        found.probabilities = Array2::from_shape_vec(wanted, rows).map_err(|_| {
            let (samples, classes) = wanted;
            Error::Usage(format!(
                "{samples} samples of {classes} classes are more than can be remembered; give fewer training samples"
            ))
        })?;
        Ok(found)
    }

    /// The samples whose label the model predicts.
    pub fn agreed(&self) -> Vec<usize> {
        let agrees = |(_, opinion): &(&usize, &Opinion)| opinion.predicted == opinion.label;
        self.samples.iter().zip(&self.opinions).filter(agrees).map(|(sample, _)| *sample).collect()
    }

    /// Which labels are likely wrong.
    ///
    /// # Errors
    /// [`EvidenceError::NoneUsable`] where there are no samples.
    pub fn detection(&self) -> Result<Detection, Error> {
        match self.probabilities.ncols() {
            0 => Err(EvidenceError::NoneUsable.into()),
            classes => Ok(Detection::of(&self.opinions, classes)),
        }
    }
}
