//! A second file, where it is asked for: the written model without the channels that are always 0.

use super::export::{Broken, Target, compare};
use crate::compact::compaction;
use crate::engine::tract::TractEngine;
use crate::error::Error;
use crate::model::{GraphIndex, Model, OutputPlan, Staged, wire};
use crate::report::CompactReport;
use crate::tensor::NamedTensor;
use crate::verify::Agreement;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::Path;

/// The smaller model, beside the place where it goes.
pub(super) struct Compacted {
    pub(super) staged: Staged,
    pub(super) report: CompactReport,
}

impl Target<'_> {
    /// Cuts channels out of a rewritten model, writes what is left beside `out`, and holds it against the rewritten model on the engine
    /// and on tract.
    ///
    /// # Errors
    /// What could not be written or run; where it computes something else, the inner [`Broken`].
    pub(super) fn compact(
        &self,
        rewritten: &Path,
        out: &Path,
        samples: &[NamedTensor],
    ) -> Result<Result<Compacted, Broken>, Error> {
        let model = Model::open(rewritten)?;
        let compaction = compaction(&GraphIndex::new(&model)?);
        let bytes: Bytes = compaction.apply(&model)?.into();
        // All of it in the place of all of the other.
        let whole = wire::Splice { range: 0..model.bytes().len(), bytes };
        let plan = OutputPlan { splices: vec![whole], provenance: Vec::new(), external: BTreeMap::new() };
        let staged = Staged::write(&model, &plan, out)?;
        let broken = |reason| Broken(format!("without channels that are always 0 the model is another: {reason}"));
        let small = match Model::open(staged.model()) {
            Ok(small) => small,
            Err(error) => return Ok(Err(broken(error.to_string()))),
        };
        let scores = |of: &Model| self.load(self.engine, of)?.scores(samples);
        let ours = scores(&model)?;
        let engine = Agreement::compare(&ours.rows, &scores(&small)?.rows, ours.element, "the model without them");
        let tract = TractEngine::new();
        let agreement = match self.second_engine(&tract, &small, samples) {
            Ok(mut forward) => compare(&ours, forward.scores(samples)),
            Err(none) => none,
        };
        let tract = Target { model: &model, ..*self }.second_opinion(&tract, agreement, samples)?;
        if let Some(reason) = [&engine, &tract].into_iter().find_map(Agreement::failure) {
            return Ok(Err(broken(reason)));
        }
        let (path, sha256) = (out.to_path_buf(), small.sha256().to_owned());
        let (bytes, channels) = (small.bytes().len(), compaction.channels);
        Ok(Ok(Compacted { staged, report: CompactReport { path, sha256, bytes, channels, engine, tract } }))
    }
}
