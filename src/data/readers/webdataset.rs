//! `webdataset:PATH`: samples in tar archives, in the layout of the WebDataset library. PATH is a `.tar`, a folder of them,
//! or a pattern such as `DIR/shard-{000..099}.tar`.
//!
//! Members that follow each other and share their name up to the first dot of its last part are a sample: its image is the
//! one ending in `.jpg`, `.jpeg`, `.png` or `.webp`, its label the integer in its `.cls`, or under `label`, `cls` or
//! `class` of its `.json`. A sample without either is quarantined. Shards are read in the order of their names, whatever
//! order they come in; a sample's id is `SHARD/KEY`, so that it stays the same when shards are added. There are no splits.
//!
//! Of a shard only the headers and the labels are read when it is opened. No file stays open: there may be more shards
//! than a process may have files.

mod pattern;
mod shard;

use super::imagenet;
use crate::data::storage::{Labels, Source, decode};
use crate::data::{Content, DataError, DataSet, Preprocessing, Quarantined, Reader, SampleId};
use crate::paths::same_file;
use rayon::prelude::*;
use shard::Shard;
use std::path::Path;

/// The reader of `webdataset:PATH`.
pub(super) static WEBDATASET: WebDataset = WebDataset;

/// See the head of this file.
pub(super) struct WebDataset;

const ADVICE: &str = "give tar archives of samples, each an image and a .cls or .json of the same name";

impl Reader for WebDataset {
    fn name(&self) -> &'static str {
        "webdataset"
    }

    fn summary(&self) -> &'static str {
        "tar archives of images and .cls or .json labels: a file, a folder, or a pattern DIR/shard-{000..099}.tar"
    }

    fn preset(&self) -> Preprocessing {
        imagenet()
    }

    fn default_split(&self) -> Option<&'static str> {
        None
    }

    fn open(&self, path: &Path, split: Option<&str>) -> Result<Box<dyn DataSet>, DataError> {
        if let Some(split) = split {
            let advice = format!("leave out `#{split}`, and name the shards of the split");
            return Err(DataError::file(path, "shards have no splits", advice));
        }
        let shards = pattern::shards(path)?;
        let shards = shards.into_par_iter().map(Shard::scan).collect::<Result<Vec<_>, _>>()?;
        let set = ShardedSet::new(shards)?;
        if set.labels.len() == 0 {
            let first = set.quarantined.first().map(|bad| format!(": {} for one, {}", bad.id, bad.reason));
            let reason = format!("no sample has an image and a label{}", first.unwrap_or_default());
            return Err(DataError::file(path, reason, ADVICE));
        }
        Ok(Box::new(set))
    }

    fn validation_split(&self, _path: &Path) -> Option<&'static str> {
        None
    }
}

/// Open shards.
struct ShardedSet {
    shards: Vec<Shard>,
    /// For each shard the index behind its last sample.
    ends: Vec<usize>,
    labels: Labels,
    quarantined: Vec<Quarantined>,
}

impl ShardedSet {
    fn new(mut shards: Vec<Shard>) -> Result<Self, DataError> {
        let (mut labels, mut ends, mut quarantined) = (Labels::default(), Vec::new(), Vec::new());
        for shard in &mut shards {
            shard.take_labels().into_iter().try_for_each(|label| labels.push(label))?;
            ends.push(labels.len());
            quarantined.append(&mut shard.quarantined);
        }
        Ok(Self { shards, ends, labels, quarantined })
    }

    /// The shard that has sample `index`, and the sample's place in it.
    fn place(&self, index: usize) -> (&Shard, usize) {
        let shard = self.ends.partition_point(|end| *end <= index);
        let first = shard.checked_sub(1).map_or(0, |before| self.ends[before]);
        (&self.shards[shard], index - first)
    }
}

impl DataSet for ShardedSet {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn class_names(&self) -> Option<&[String]> {
        None
    }

    fn id(&self, index: usize) -> SampleId {
        let (shard, place) = self.place(index);
        shard.id(shard.key(place))
    }

    fn label(&self, index: usize) -> usize {
        self.labels.get(index)
    }

    fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    fn reads(&self, file: &Path) -> bool {
        self.shards.iter().any(|shard| same_file(shard.path(), file))
    }

    fn content(&self, index: usize) -> Result<Content, DataError> {
        if index >= self.len() {
            return Err(DataError::beyond(index, self.len()));
        }
        let (shard, place) = self.place(index);
        let repair = "repair the image, or take it out of its shard";
        let failed = |reason: String| DataError::sample(&self.id(index), reason, repair);
        let (offset, size) = shard.extent(place);
        let source = Source::plain(shard.path())?;
        // An extent lies in the file as it was when it was opened, so a lie about it asks for no memory.
        let mut bytes = vec![0; size];
        source.read_at(offset, &mut bytes).map_err(|error| failed(error.to_string()))?;
        decode(&bytes).map(Content::Image).map_err(failed)
    }
}

#[cfg(test)]
#[path = "webdataset_tests.rs"]
mod tests;
