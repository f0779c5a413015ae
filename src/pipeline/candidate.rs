//! A corrected model that is run before it is known whether it will be written.

use super::clock::Clock;
use crate::engine::Engine;
use crate::error::Error;
use crate::evidence::Forward;
use crate::model::{Classifier, Model, ModelError, Staged, WeightPatch};
use bytes::Bytes;
use std::path::{Path, PathBuf};

/// The most bytes of a candidate that is one message in memory; protobuf ends at 2 GiB. A larger one goes to the disk.
const IN_MEMORY: u64 = 1 << 30;

/// What candidates are made from and run on.
pub(crate) struct Candidates<'a> {
    model: &'a Model,
    classifier: &'a Classifier,
    engine: &'a dyn Engine,
    out: &'a Path,
    in_memory: u64,
}

/// A candidate that is ready to run.
pub(crate) struct Candidate {
    pub(crate) forward: Forward,
    /// The files that it runs from, which go when it goes.
    _files: Option<Staged>,
}

/// The model with new weights, before an engine has read it.
pub(super) struct Made {
    pub(super) bytes: Bytes,
    pub(super) folder: PathBuf,
    files: Option<Staged>,
}

impl<'a> Candidates<'a> {
    /// Those of `model`. Files that they need lie beside `out` while they run.
    pub(crate) fn new(model: &'a Model, classifier: &'a Classifier, engine: &'a dyn Engine, out: &'a Path) -> Self {
        Self { model, classifier, engine, out, in_memory: IN_MEMORY }
    }

    /// Loads the model with new weights.
    ///
    /// # Errors
    /// Those of [`load`](Self::load).
    pub(crate) fn open(&self, patches: &[WeightPatch]) -> Result<Candidate, Error> {
        self.load(patches, &mut Clock::default())
    }

    /// Loads the model with new weights. The clock tells making it from loading it.
    ///
    /// # Errors
    /// What cannot be written, or that the engine does not run.
    pub(super) fn load(&self, patches: &[WeightPatch], clock: &mut Clock) -> Result<Candidate, Error> {
        let Made { bytes, folder, files } = self.make(patches)?;
        clock.lap("patch");
        let forward = Forward::load(self.engine, self.classifier, &bytes, &folder)?;
        clock.lap("load");
        Ok(Candidate { forward, _files: files })
    }

    /// The bytes of the model with new weights.
    ///
    /// # Errors
    /// What cannot be written.
    pub(super) fn make(&self, patches: &[WeightPatch]) -> Result<Made, Error> {
        let Self { model, out, .. } = *self;
        let weights: usize = patches.iter().map(|patch| patch.values.len() * size_of::<f32>()).sum();
        if (model.bytes().len() + weights) as u64 <= self.in_memory {
            let bytes = model.with_patches(patches)?.into();
            return Ok(Made { bytes, folder: model.folder().to_path_buf(), files: None });
        }
        let files = Staged::write(model, &model.output_plan(patches, &[], out)?, out)?;
        let path = files.model();
        let bytes = std::fs::read(path).map_err(|source| ModelError::Read { path: path.into(), source })?.into();
        let folder = path.parent().unwrap_or(Path::new(".")).to_path_buf();
        Ok(Made { bytes, folder, files: Some(files) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tract::TractEngine;
    use crate::layers::{Ledger, Selection};
    use crate::model::{GraphIndex, Interface};
    use crate::tensor::{ElementType, NamedTensor, Tensor};
    use ndarray::{ArrayD, IxDyn};

    #[test]
    fn a_candidate_computes_the_same_from_memory_and_from_files_that_go_with_it() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/weights-everywhere");
        let model = Model::open(&fixtures.join("external-data.onnx")).unwrap();
        let graph = GraphIndex::new(&model).unwrap();
        let classifier = Classifier::of(&graph, &Interface::default()).unwrap();
        let ledger = Ledger::survey(&graph, &Selection::default()).unwrap();
        let halved = |weight| WeightPatch {
            values: model.values(weight).unwrap() / 2.0,
            constant: weight.clone(),
            copies: Vec::new(),
        };
        let patches: Vec<WeightPatch> = ledger.layers.iter().map(|layer| halved(&layer.weight)).collect();
        let ramp = ArrayD::from_shape_fn(IxDyn(&[3, 1, 8, 8]), |at| (at[0] * 31 + at[2] * 7 + at[3]) as f32 / 64.0);
        let tensor = Tensor::from_f32(&ramp, ElementType::Float32);
        let batch = [NamedTensor { name: classifier.data[0].name.clone(), tensor }];
        let (engine, folder) = (TractEngine::new(), tempfile::tempdir().unwrap());
        let out = folder.path().join("out.onnx");
        let scores = |in_memory, files| {
            let candidates = Candidates { in_memory, ..Candidates::new(&model, &classifier, &engine, &out) };
            let mut candidate = candidates.load(&patches, &mut Clock::default()).unwrap();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), files);
            candidate.forward.scores(&batch).unwrap()
        };
        let original = Forward::load(&engine, &classifier, model.bytes(), model.folder());
        let original = original.unwrap().scores(&batch).unwrap();
        assert_eq!(scores(u64::MAX, 0), scores(0, 1));
        assert_ne!(scores(0, 1), original);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
