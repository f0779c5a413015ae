//! The moments of a pass under way: `moments.safetensors` in the work folder, replaced from time to time.

use super::moments_file::MomentsFile;
use super::{Identity, PartialError, WorkFolder};
use crate::evidence::{EvidenceError, MomentSums, SumsKeeper};
use std::io;
use std::time::{Duration, Instant};

const FILE: &str = "moments.safetensors";

/// What is lost at most where a process is killed.
const INTERVAL: Duration = Duration::from_secs(20);

/// Large moments take long to write: they are kept so rarely that this takes no more than one part in so many.
const SHARE: u32 = 30;

/// The way out for moments of other runs.
const ADVICE: &str = "name another folder with --work, or empty this one";

/// What an identity calls the inputs that a pass measures.
pub const INPUTS: &str = "measured inputs";

/// Keeps sums in a work folder.
#[derive(Debug)]
pub struct MomentsCheckpoint<'a> {
    folder: &'a WorkFolder,
    identity: Identity,
    finished: Option<MomentSums>,
    kept: Instant,
    interval: Duration,
}

impl<'a> MomentsCheckpoint<'a> {
    /// Looks for sums that were kept. Those of other inputs of the same run are of another pass, and are passed over.
    ///
    /// # Errors
    /// [`PartialError::Foreign`] where they belong to another run; [`PartialError::Damaged`].
    pub fn open(folder: &'a WorkFolder, identity: &Identity) -> Result<Self, PartialError> {
        let path = folder.file(FILE);
        let name = path.display().to_string();
        let finished = match std::fs::read(&path) {
            Ok(bytes) => {
                let file = MomentsFile::<()>::decode(&name, &bytes)?;
                let whole = |identity: &Identity| identity.clone().without(&[INPUTS]);
                whole(identity).check(&name, &whole(&file.identity), ADVICE)?;
                (file.identity == *identity).then_some(file.sums)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(PartialError::Read { path: name, source }),
        };
        Ok(Self { folder, identity: identity.clone(), finished, kept: Instant::now(), interval: INTERVAL })
    }

    /// Removes sums that were kept, if there are any.
    ///
    /// # Errors
    /// [`PartialError::Keep`].
    pub fn remove(folder: &WorkFolder) -> Result<(), PartialError> {
        folder.remove(FILE)
    }
}

impl SumsKeeper for MomentsCheckpoint<'_> {
    fn finished(&mut self) -> Option<MomentSums> {
        self.finished.take()
    }

    fn is_due(&self) -> bool {
        self.kept.elapsed() >= self.interval
    }

    fn keep(&mut self, sums: &MomentSums) -> Result<(), EvidenceError> {
        let begun = Instant::now();
        self.folder.replace(FILE, |path| MomentsFile::write(&self.identity, sums, (), path))?;
        self.interval = INTERVAL.max(begun.elapsed() * SHARE);
        self.kept = Instant::now();
        Ok(())
    }
}
