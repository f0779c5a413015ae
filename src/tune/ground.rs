//! What a tuning works on.

use super::opinions::Opinions;
use super::work::TuningWork;
use crate::autodiff::{Loss, Targets};
use crate::data::Stream;
use crate::engine::Engine;
use crate::error::Error;
use crate::evidence::Scores;
use crate::layers::Layer;
use crate::model::{Classifier, Link, Model};
use crate::progress::Observer;
use crate::tensor::NamedTensor;
use crate::train::{Optimizer, Trainer, Training};
use std::collections::BTreeMap;

/// Holds parameters against validation data.
pub type Judge<'a> = dyn FnMut(&[NamedTensor]) -> Result<Scores, Error> + 'a;

/// The model that is tuned, its data, and who judges.
pub struct Ground<'a> {
    /// Where it begins.
    pub model: &'a Model,
    /// The layers of the original whose outputs can be seen.
    pub layers: &'a [Layer],
    /// The stored tensors that may change.
    pub parameters: &'a [String],
    /// How the model is fed and read.
    pub classifier: &'a Classifier,
    /// What runs it.
    pub engine: &'a dyn Engine,
    /// The training data.
    pub stream: Stream<'a>,
    /// Whether its samples are images, which can be shifted.
    pub images: bool,
    /// What the corrected model says of the training samples that can be used.
    pub opinions: &'a Opinions,
    /// What the model that is tuned says of them: the same where that is the corrected one.
    pub before: &'a Opinions,
    /// Those that are to be forgotten.
    pub forget: &'a [usize],
    /// Those that were trusted in correcting it.
    pub trusted: &'a [usize],
    /// Judges parameters.
    pub judge: &'a mut Judge<'a>,
    /// Where trainings are kept, where they are.
    pub work: Option<TuningWork<'a>>,
    /// Draws what is drawn.
    pub seed: u64,
    /// Hears how far it is.
    pub observer: &'a dyn Observer,
}

/// Samples of a step, where the model takes any number: more make steps better and rarer.
const BATCH: usize = 128;

impl Ground<'_> {
    /// A training of the model as it is.
    ///
    /// # Errors
    /// What cannot be differentiated; those of the engine.
    pub fn trainer(
        &self,
        criterion: &dyn crate::autodiff::Criterion,
        optimizer: &dyn Optimizer,
    ) -> Result<Trainer, Error> {
        self.trainer_against(Targets::Labels, criterion, optimizer, None)
    }

    /// The same, of a loss that is held against labels or probabilities, with gradients whose norm is at most `most_norm`.
    ///
    /// # Errors
    /// What cannot be differentiated; those of the engine.
    pub fn trainer_against(
        &self,
        targets: Targets,
        criterion: &dyn crate::autodiff::Criterion,
        optimizer: &dyn Optimizer,
        most_norm: Option<f64>,
    ) -> Result<Trainer, Error> {
        let link = self.classifier.head.link.unwrap_or(Link::Softmax);
        let training = Training {
            scores: &self.classifier.head.value,
            loss: Loss { link, targets, weighted: false, criterion },
            optimizer,
            most_norm,
            parameters: self.parameters,
            extents: &BTreeMap::new(),
        };
        Ok(Trainer::new(self.model, self.engine, &training)?)
    }

    /// Samples of a step: as asked for, as many as the model takes, or the usual number.
    pub fn batch(&self, asked: Option<usize>) -> usize {
        self.classifier.batch.or(asked).unwrap_or(BATCH)
    }

    /// How the model does with those parameters on validation data.
    ///
    /// # Errors
    /// Those of data and engine.
    pub fn judge(&mut self, parameters: &[NamedTensor]) -> Result<Scores, Error> {
        (self.judge)(parameters)
    }
}
