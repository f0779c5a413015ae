//! Labelled samples in: readers (one file each), preprocessing, batches.
//!
//! A [`Reader`] opens a [`Spec`] as a [`DataSet`] with random access; [`Transform`] turns what a data set holds into
//! what the model takes; [`Stream`] delivers batches, one ahead of the engine, in bounded memory.
//! A new format is one file in `readers/` and one line in [`READERS`].
//!
//! A model may take several inputs. A set of images has one [`Content`] a sample; a set of named [`Arrays`] has one for
//! each input that an array feeds. A [`Route`] is the way from either to one input.

mod arrays;
mod batches;
mod digest;
mod error;
mod perturb;
mod preprocess;
mod readers;
mod relabelled;
mod route;
mod spec;
mod storage;

pub use arrays::{Arrays, Fed};
pub use batches::{Batch, Stream};
pub use digest::DataDigest;
pub use error::DataError;
pub use perturb::Perturbation;
pub use preprocess::{Channels, ImageSize, InputLayout, Interpolation, Preprocessing, Resize, SampleValues, Transform};
pub use readers::READERS;
pub use relabelled::Relabelled;
pub use route::Route;
pub use spec::Spec;
pub(crate) use storage::{read_arrays, write_array};

use image::DynamicImage;
use ndarray::ArrayD;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// The stable name of a sample: its index in the set, or its path relative to the set's root where samples are files.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SampleId(pub String);

impl fmt::Display for SampleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A sample that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The sample.
    pub id: SampleId,
    /// What is wrong with it.
    pub reason: String,
}

impl Quarantined {
    fn new(id: &SampleId, reason: impl fmt::Display) -> Self {
        Self { id: id.clone(), reason: error::one_line(reason) }
    }
}

/// What a data set holds for one sample, before preprocessing.
#[derive(Clone, Debug)]
pub enum Content {
    /// Pixels that still need scaling and normalising.
    Image(DynamicImage),
    /// Values that the model takes as they are, without the batch axis.
    Values(ArrayD<f32>),
    /// Whole numbers that the model takes as they are, every digit of them: ids of tokens, masks, flags.
    Integers(ArrayD<i64>),
}

/// Labelled samples with random access. Implementations hold file handles and offsets, not the samples.
///
/// `id` and `label` take indices below `len` and panic beyond, as slices do; `content` reports an error.
pub trait DataSet: Send + Sync {
    /// The number of samples, at least 1.
    fn len(&self) -> usize;
    /// Never true: an empty set is refused when it is opened.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The names of the classes by label, where the format carries them.
    fn class_names(&self) -> Option<&[String]>;
    /// The stable name of sample `index`.
    fn id(&self, index: usize) -> SampleId;
    /// The (possibly wrong) label of sample `index`.
    fn label(&self, index: usize) -> usize;
    /// The content of sample `index`; of several the first.
    ///
    /// # Errors
    /// [`DataError::Sample`] where the file cannot be read or decoded.
    fn content(&self, index: usize) -> Result<Content, DataError>;
    /// The arrays, and which inputs they feed, where the set has named ones. A set without names feeds one input.
    fn arrays(&self) -> Option<&Arrays> {
        None
    }
    /// The content of sample `index` in the array that is at `position` of [`Arrays::fed`].
    ///
    /// # Errors
    /// As [`content`](Self::content).
    fn content_at(&self, position: usize, index: usize) -> Result<Content, DataError> {
        let _ = position;
        self.content(index)
    }
    /// What the set names but cannot deliver, as samples without a label. They are none of its samples.
    fn quarantined(&self) -> &[Quarantined] {
        &[]
    }
    /// Whether samples or labels come from that file, so that it must not be overwritten. A set that lies in no file
    /// keeps the default.
    fn reads(&self, _file: &Path) -> bool {
        false
    }
}

/// A format of labelled data.
pub trait Reader: Sync {
    /// The name in a data specification, as `fashion-mnist` in `fashion-mnist:DIR#test`.
    fn name(&self) -> &'static str;
    /// One line for `--help`.
    fn summary(&self) -> &'static str;
    /// How images of this set are usually preprocessed.
    fn preset(&self) -> Preprocessing;
    /// The split that is read where the specification names none, or `None` where the format has no splits.
    fn default_split(&self) -> Option<&'static str>;
    /// Opens the set at `path`.
    ///
    /// # Errors
    /// Missing or malformed files, an unknown split, an empty set, labels that do not fit the samples.
    fn open(&self, path: &Path, split: Option<&str>) -> Result<Box<dyn DataSet>, DataError>;
    /// Opens the set at `path` for a model whose `inputs` are to be fed. Formats without named arrays have the same
    /// content for every model.
    ///
    /// # Errors
    /// As [`open`](Self::open). That nothing in the set feeds an input is none: [`DataSet::arrays`] tells.
    fn open_for(&self, path: &Path, split: Option<&str>, inputs: &[&str]) -> Result<Box<dyn DataSet>, DataError> {
        let _ = inputs;
        self.open(path, split)
    }
    /// The validation split that the set at `path` has of its own, if any.
    fn validation_split(&self, path: &Path) -> Option<&'static str>;
}
