//! What can go wrong while evidence is gathered.

use super::BadLimit;
use crate::autodiff::AutodiffError;
use crate::data::{DataError, SampleId};
use crate::engine::EngineError;
use crate::model::ModelError;
use crate::partial::PartialError;
use crate::progress::Signal;
use crate::tensor::ElementType;
use thiserror::Error;

/// Failures to score samples, to choose some, or to measure moments.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Reading or preparing samples failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Running the model failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What the model is to be fed does not fit it.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The model's output is not one row of scores a sample.
    #[error(
        "output {output} has shape {found:?} for {samples} samples; a classifier gives [samples, classes], export it that way or name another value with --logits NAME"
    )]
    Logits {
        /// The output.
        output: String,
        /// Its shape.
        found: Vec<usize>,
        /// How many samples were fed.
        samples: usize,
    },
    /// The outputs of a layer lie elsewhere than they did for the first samples.
    #[error("value {value} has shape {found:?} for {samples} samples, laid out in another way than for the first ones")]
    Activations {
        /// The value.
        value: String,
        /// Its shape.
        found: Vec<usize>,
        /// How many samples were fed.
        samples: usize,
    },
    /// There is one score a sample, and nothing says what it means.
    #[error(
        "output {output} is one score a sample, which tells no classes apart; with a Sigmoid behind it, it would be that of class 1 against class 0: name the Sigmoid's output with --logits NAME, or export the model with a score a class"
    )]
    OneScore {
        /// The output.
        output: String,
    },
    /// The scores are no floats.
    #[error(
        "value {output} holds {element}, and class scores are floats; say with --logits NAME which value holds them"
    )]
    NotFloats {
        /// The value.
        output: String,
        /// What it holds.
        element: ElementType,
    },
    /// The value is called a probability, but is no distribution over classes.
    #[error(
        "output {output} lies between 0 and 1, but its rows do not sum to 1, so it holds neither logits nor the probabilities of classes; say with --logits NAME which value before it holds the class scores"
    )]
    Unclear {
        /// The output.
        output: String,
    },
    /// An input cannot be moved a little.
    #[error(
        "input {input} holds {element}, and --score curvature moves inputs by a thousandth, which takes float32 or float64; use --score loss"
    )]
    CurvatureInput {
        /// The input.
        input: String,
        /// What it holds.
        element: ElementType,
    },
    /// The loss cannot be differentiated by the inputs.
    #[error("--score curvature needs the gradient of the loss in the inputs: {0}; use --score loss")]
    NoCurvature(#[source] Box<AutodiffError>),
    /// More samples cannot be used than may be.
    #[error(
        "{bad} of {samples} samples cannot be used, and --max-bad {limit} allows {allowed}: {examples}; repair them, take them out of the set, or allow more", allowed = .limit.of(*.samples)
    )]
    TooManyBad {
        /// How many.
        bad: usize,
        /// Of how many.
        samples: usize,
        /// How many may be.
        limit: BadLimit,
        /// Some of them, with their reasons.
        examples: String,
    },
    /// No sample can be used.
    #[error("no sample of the set can be used; the report of `onnx-sap score` says why")]
    NoneUsable,
    /// A trusted sample is one that cannot be used.
    #[error("trusted sample {0} cannot be used: {1}; take it off the list")]
    UnusableId(SampleId, String),
    /// Samples are not what they were when they were scored.
    #[error(
        "the samples at {first} to {last} are not what they were when the interrupted run scored them; start again with an empty --work folder"
    )]
    Changed {
        /// The index of the first one.
        first: usize,
        /// The index of the last one.
        last: usize,
    },
    /// The user or the system ended the run.
    #[error("stopped by {0}")]
    Stopped(Signal),
    /// Partial results that do not belong here, or cannot be kept.
    #[error(transparent)]
    Partial(#[from] PartialError),
    /// A given id is not in the data.
    #[error("trusted id {0:?} is not in the data; ids are those that `onnx-sap score` prints")]
    UnknownId(String),
    /// A given id stands twice.
    #[error("trusted id {0:?} is given twice; leave out one of them")]
    DoubledId(String),
    /// No sample would be trusted.
    #[error("no samples to trust; --trusted must be at least 1 and a list of ids must not be empty")]
    NoneTrusted,
    /// A layer's input has a shape that does not fit its weight.
    #[error("node {node}: its input {input} has shape {shape:?}, which its weight {weight} does not take")]
    Shape {
        /// The node.
        node: String,
        /// The input.
        input: String,
        /// The shape that was seen.
        shape: Vec<usize>,
        /// The weight.
        weight: String,
    },
    /// A moment has an unexpected shape: a defect of an engine, or of this crate.
    #[error("the engine gave a moment of shape {found:?} for {input} instead of {expected:?}")]
    Moment {
        /// The layer's input.
        input: String,
        /// What came.
        found: Vec<usize>,
        /// What was asked for.
        expected: Vec<usize>,
    },
    /// A layer's input has another shape than that of the first sample, or no floats.
    #[error(
        "the engine gave {input} in shape {found:?}, which differs from what it was for the first sample; samples must have one size"
    )]
    Rows {
        /// The layer's input.
        input: String,
        /// Its shape now.
        found: Vec<usize>,
    },
    /// Samples cannot be told apart in a layer's rows.
    #[error(
        "node {node}: rows of single samples cannot be picked, because its input {input} has shape {shape:?} for a batch of {batch}; use --max-rows all and as many trusted samples as fill whole batches"
    )]
    Batch {
        /// The node.
        node: String,
        /// The input.
        input: String,
        /// The shape that was seen.
        shape: Vec<usize>,
        /// The batch size.
        batch: usize,
    },
    /// A batch of padding takes another way through a branch or a loop than the batch that it padded.
    #[error(
        "the model fixes batches of {batch}, the last one was filled up with copies of a sample, and a branch or a loop then ran otherwise than for those copies alone; trust as many samples as fill whole batches (--trusted)"
    )]
    Path {
        /// The batch size.
        batch: usize,
    },
}
