//! Runs a classifier on batches, whatever batch size it was exported with.

use super::feed::Feed;
use super::{EvidenceError, link};
use crate::engine::{Computes, Engine, Runnable, Session};
use crate::model::{Classifier, Head, Link};
use crate::progress::Observer;
use crate::tensor::{ElementType, NamedTensor, Tensor};
use bytes::Bytes;
use ndarray::{Array2, s};
use std::collections::BTreeMap;
use std::path::Path;

/// A loaded classifier.
pub struct Forward {
    session: Box<dyn Session>,
    classifier: Classifier,
}

/// The class scores of some samples.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScores {
    /// One row a sample.
    pub rows: Array2<f64>,
    /// The type in which the model computes them.
    pub element: ElementType,
}

impl Forward {
    /// Loads the bytes of a model that is fed and read as `classifier` says.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn load(
        engine: &dyn Engine,
        classifier: &Classifier,
        model: &Bytes,
        folder: &Path,
    ) -> Result<Self, EvidenceError> {
        let bytes = classifier.with_scores(model, folder)?;
        let session = engine.load(Runnable { bytes, folder, computes: Computes::Outputs })?;
        Ok(Self { session, classifier: classifier.clone() })
    }

    /// Loads the bytes of a model whose value of that name, an input, an output or inside the graph, is read in the place of class
    /// scores: it, too, holds a row for each sample.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn reading(
        value: &str,
        engine: &dyn Engine,
        classifier: &Classifier,
        (model, folder): (&Bytes, &Path),
    ) -> Result<Self, EvidenceError> {
        let inner = value != classifier.head.value;
        // Its numbers are what they are, and there may be one only.
        let head = Head { value: value.to_owned(), inner, link: Some(Link::Identity) };
        Self::load(engine, &Classifier { head, ..classifier.clone() }, model, folder)
    }

    /// Does beforehand what the first such batch would take besides running.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn prepare(&mut self, batch: &[NamedTensor]) -> Result<(), EvidenceError> {
        let feed = Feed::new(&self.classifier, batch)?;
        Ok(self.session.prepare(&feed.inputs(), &[self.classifier.head.value.as_str()])?)
    }

    /// What of it the first batch left to the CPU, by operator, where another device was to run it and the engine tells.
    pub fn nodes_on_cpu(&self) -> Option<&BTreeMap<String, usize>> {
        self.session.on_cpu()
    }

    /// How the model is fed and read; once samples were scored, its link is known.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// The class scores of a batch, in float64.
    ///
    /// # Errors
    /// Those of the engine; [`EvidenceError::Logits`] where the value is not one row a sample, and its like.
    pub fn scores(&mut self, batch: &[NamedTensor]) -> Result<ClassScores, EvidenceError> {
        let feed = Feed::new(&self.classifier, batch)?;
        let value = self.classifier.head.value.as_str();
        let outputs = self.session.run(&feed.inputs(), &[value])?;
        let element = outputs.first().map_or(ElementType::Float32, Tensor::element_type);
        if !element.is_float() {
            return Err(EvidenceError::NotFloats { output: value.to_owned(), element });
        }
        let values = outputs.first().map(Tensor::to_f64).unwrap_or_default();
        let wrong =
            || EvidenceError::Logits { output: value.to_owned(), found: values.shape().to_vec(), samples: feed.size };
        let link = self.classifier.head.link;
        // Trailing axes of extent 1, as a fully convolutional head leaves them, are no classes.
        let (rows, width) = match values.shape() {
            [rows] if link == Some(Link::Sigmoid) => (*rows, 1),
            [rows, width, rest @ ..] if rest.iter().all(|&extent| extent == 1) => (*rows, *width),
            _ => return Err(wrong()),
        };
        if rows != feed.size || width == 0 {
            return Err(wrong());
        }
        if width == 1 && matches!(link, None | Some(Link::Softmax)) {
            return Err(EvidenceError::OneScore { output: value.to_owned() });
        }
        let matrix = values.to_shape((rows, width)).map_err(|_| wrong())?;
        Ok(ClassScores { rows: matrix.slice(s![..feed.samples, ..]).to_owned(), element })
    }

    /// Settles how the scores become probabilities, where samples that were scored before have shown it.
    pub(crate) fn assume(&mut self, link: Link) {
        self.classifier.head.link.get_or_insert(link);
    }

    /// How the scores become probabilities: as the graph says, or else as the first scores look.
    ///
    /// # Errors
    /// [`EvidenceError::Unclear`] where that is not certain.
    pub(super) fn link(&mut self, scores: &ClassScores, observer: &dyn Observer) -> Result<Link, EvidenceError> {
        let head = &mut self.classifier.head;
        match head.link {
            Some(link) => Ok(link),
            None => Ok(*head.link.insert(link::of(&head.value, scores, observer)?)),
        }
    }
}
