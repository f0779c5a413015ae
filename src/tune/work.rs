//! Where trainings are kept, each in a folder of its own.

use super::Settings;
use crate::error::Error;
use crate::model::hexadecimal;
use crate::partial::{Identity, WorkFolder};
use crate::train::{Lesson, Plan};
use sha2::{Digest, Sha256};

/// The folder of a tuning.
#[derive(Debug)]
pub struct TuningWork<'a> {
    /// Where.
    pub folder: &'a WorkFolder,
    /// Everything that decides what comes of the tuning, but for what differs from training to training.
    pub identity: Identity,
    /// How many trainings have begun.
    pub begun: usize,
}

impl TuningWork<'_> {
    /// The folder of the next training, and what that is.
    ///
    /// # Errors
    /// A folder that cannot be had.
    pub(super) fn next(
        &mut self,
        settings: &Settings,
        plan: &Plan<'_>,
        lessons: &[Lesson<'_>],
    ) -> Result<(WorkFolder, Identity), Error> {
        self.begun += 1;
        let folder = WorkFolder::open(&self.folder.file(&format!("training-{}", self.begun)))?;
        let settings = settings.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(" ");
        let Plan { epochs, batch, rate, schedule, seed, patience, work: _ } = plan;
        let plan =
            format!("{epochs} epochs in batches of {batch}, {rate} {schedule:?}, seed {seed}, patience {patience:?}");
        let lessons = hexadecimal(&Sha256::digest(format!("{lessons:?}")));
        let identity = self.identity.clone().with("settings", settings).with("plan", plan).with("lessons", lessons);
        Ok((folder, identity))
    }
}
