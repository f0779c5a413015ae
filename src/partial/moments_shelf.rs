//! Moments that are put aside, each distinct input's in a file of its own, so that none has to stay in memory: in the work
//! folder, where a run that goes on finds them, or in a temporary folder beside the output.

use super::moments_file::MomentsFile;
use super::{Identity, PartialError, WorkFolder};
use crate::data::DataDigest;
use crate::evidence::{EvidenceError, MomentSums, Shelf, SymmetricSum};
use crate::paths::parent;
use ndarray::Array2;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The way out for moments of other runs.
const ADVICE: &str = "name another folder with --work, or empty this one";

/// A folder of moments.
pub struct MomentsShelf<'a> {
    place: Place<'a>,
    identity: Identity,
}

enum Place<'a> {
    Work(&'a WorkFolder),
    Temporary(TempDir),
}

/// What is said of an input's moment besides its values.
#[derive(Clone, Copy, Debug)]
pub struct PutAside {
    /// The number of rows.
    pub rows: f64,
    /// What its entries have lost to float32.
    pub loss: f64,
    /// What was fed.
    pub digest: DataDigest,
}

impl<'a> MomentsShelf<'a> {
    /// In the work folder.
    pub fn in_work(folder: &'a WorkFolder, identity: Identity) -> Self {
        Self { place: Place::Work(folder), identity }
    }

    /// In a folder beside `out` that goes when this value goes.
    ///
    /// # Errors
    /// [`PartialError::PutAside`].
    pub fn beside(out: &Path, identity: Identity) -> Result<Self, PartialError> {
        let folder = tempfile::Builder::new().prefix(".onnx-sap-").tempdir_in(parent(out));
        let folder = folder.map_err(|source| PartialError::PutAside { path: parent(out).to_owned(), source })?;
        Ok(Self { place: Place::Temporary(folder), identity })
    }

    /// What was put aside of an input, if it was: all of it is read and checked.
    ///
    /// # Errors
    /// [`PartialError::Foreign`] where it belongs to another run; [`PartialError::Damaged`].
    pub fn find(&self, input: usize) -> Result<Option<PutAside>, PartialError> {
        if !self.path(input).exists() {
            return Ok(None);
        }
        let sums = self.read(input)?;
        Ok(Some(PutAside { rows: sums.rows[0], loss: sums.losses[0], digest: sums.digest }))
    }

    /// Puts the sums of a pass aside, which measured these inputs.
    ///
    /// # Errors
    /// [`PartialError::PutAside`].
    pub fn put(&self, inputs: &[usize], sums: MomentSums) -> Result<(), PartialError> {
        let MomentSums { range, sums, rows, losses, digest } = sums;
        for (((&input, sum), rows), loss) in inputs.iter().zip(sums).zip(rows).zip(losses) {
            // Each goes once it is written.
            let (sums, rows, losses) = (vec![sum], vec![rows], vec![loss]);
            let one = MomentSums { range: range.clone(), sums, rows, losses, digest };
            let write = |path: &Path| MomentsFile::write(&self.identity_of(input), &one, (), path);
            let written = match &self.place {
                Place::Work(folder) => folder.replace(&name(input), write),
                Place::Temporary(_) => write(&self.path(input)),
            };
            written.map_err(|error| match error {
                PartialError::Keep { path, source } => PartialError::PutAside { path, source },
                other => other,
            })?;
        }
        Ok(())
    }

    fn read(&self, input: usize) -> Result<MomentSums, PartialError> {
        let path = self.path(input);
        let shown = path.display().to_string();
        let bytes = std::fs::read(&path).map_err(|source| PartialError::Read { path: shown.clone(), source })?;
        let file = MomentsFile::<()>::decode(&shown, &bytes)?;
        self.identity_of(input).check(&shown, &file.identity, ADVICE)?;
        if file.sums.sums.len() != 1 {
            let reason = format!("it holds {} moments instead of one", file.sums.sums.len());
            return Err(PartialError::Damaged { path: shown, reason });
        }
        Ok(file.sums)
    }

    fn identity_of(&self, input: usize) -> Identity {
        self.identity.clone().with("input of layers", input.to_string())
    }

    fn path(&self, input: usize) -> PathBuf {
        match &self.place {
            Place::Work(folder) => folder.file(&name(input)),
            Place::Temporary(folder) => folder.path().join(name(input)),
        }
    }
}

impl Shelf for MomentsShelf<'_> {
    fn matrices(&self, input: usize) -> Result<Vec<Array2<f64>>, EvidenceError> {
        let sums = self.read(input)?;
        Ok(sums.sums.first().map(SymmetricSum::matrices).unwrap_or_default())
    }
}

fn name(input: usize) -> String {
    format!("moment-{input}.safetensors")
}
