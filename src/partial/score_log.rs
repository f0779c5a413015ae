//! The scores of a run under way: `scores.jsonl` in the work folder, one line a batch behind a line that says what they
//! are. A line counts once it ends, so a process that is killed while it writes loses that line and no other.

use super::{Identity, PartialError, WorkFolder};
use crate::data::{DataDigest, Quarantined};
use crate::evidence::{EvidenceError, Journal, Meaning, Prediction, ScoredBatch};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The version of this format.
const VERSION: u32 = 1;

/// How often the system is asked to bring what was written to the disk, in case the machine goes down.
const SYNC: Duration = Duration::from_secs(5);

/// The way out for logs of other runs.
const ADVICE: &str = "name another folder with --work, or empty this one";

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    identity: Identity,
}

/// A line. Floats are kept as their bits: nothing is lost, and nothing needs to be rounded back.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    meaning: Option<Meaning>,
    digest: DataDigest,
    /// Index, label, predicted class, and the bits of confidence and loss.
    scored: Vec<(usize, usize, usize, u64, u64)>,
    quarantined: Vec<(usize, Quarantined)>,
}

/// An open log.
#[derive(Debug)]
pub struct ScoreLog {
    path: PathBuf,
    file: File,
    finished: Vec<ScoredBatch>,
    synced: Instant,
}

impl ScoreLog {
    /// Opens the log of the work folder, and begins it where there is none.
    ///
    /// # Errors
    /// [`PartialError::Foreign`] where it belongs to another run; what cannot be read or written.
    pub fn open(folder: &WorkFolder, identity: &Identity) -> Result<Self, PartialError> {
        let path = folder.file("scores.jsonl");
        let failed = |source| PartialError::Keep { path: path.clone(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let (finished, end) = read(&path, &file, identity)?;
        // What a dying process left behind the last whole line goes.
        file.set_len(end).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        if end == 0 {
            let header = Header { version: VERSION, identity: identity.clone() };
            write_line(&mut file, &header).map_err(failed)?;
        }
        Ok(Self { path, file, finished, synced: Instant::now() })
    }

    fn sync(&mut self) -> Result<(), PartialError> {
        self.synced = Instant::now();
        self.file.sync_data().map_err(|source| PartialError::Keep { path: self.path.clone(), source })
    }
}

/// The batches of a log, and where its whole lines end: at 0 where there is not even a header.
fn read(path: &Path, file: &File, identity: &Identity) -> Result<(Vec<ScoredBatch>, u64), PartialError> {
    let name = path.display().to_string();
    let failed = |source| PartialError::Read { path: name.clone(), source };
    let damaged =
        |reason: &dyn std::fmt::Display| PartialError::Damaged { path: name.clone(), reason: reason.to_string() };
    let mut reader = BufReader::new(file);
    let (mut batches, mut end) = (Vec::new(), 0_u64);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line).map_err(failed)? as u64;
        if line.last() != Some(&b'\n') {
            return Ok((batches, end));
        }
        if end == 0 {
            let header: Header = serde_json::from_slice(&line).map_err(|error| damaged(&error))?;
            if header.version != VERSION {
                return Err(damaged(&format!("it has version {}, and this program reads {VERSION}", header.version)));
            }
            identity.check(&name, &header.identity, ADVICE)?;
        } else {
            batches.push(serde_json::from_slice::<Line>(&line).map_err(|error| damaged(&error))?.into());
        }
        end += length;
    }
}

/// A line is one write: a file that is full takes all of it or a part that does not count.
fn write_line(file: &mut File, line: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)
}

impl Journal for ScoreLog {
    fn finished(&mut self) -> Vec<ScoredBatch> {
        std::mem::take(&mut self.finished)
    }

    fn keep(&mut self, batch: &ScoredBatch) -> Result<(), EvidenceError> {
        write_line(&mut self.file, &Line::from(batch))
            .map_err(|source| PartialError::Keep { path: self.path.clone(), source })?;
        if self.synced.elapsed() > SYNC {
            self.sync()?;
        }
        Ok(())
    }
}

impl From<&ScoredBatch> for Line {
    fn from(batch: &ScoredBatch) -> Self {
        let bits = |(&index, prediction): (&usize, &Prediction)| {
            let Prediction { label, predicted, confidence, loss } = *prediction;
            (index, label, predicted, confidence.to_bits(), loss.to_bits())
        };
        let scored = batch.samples.iter().zip(&batch.predictions).map(bits).collect();
        Self { meaning: batch.meaning, digest: batch.digest, scored, quarantined: batch.quarantined.clone() }
    }
}

impl From<Line> for ScoredBatch {
    fn from(line: Line) -> Self {
        let Line { meaning, digest, scored, quarantined } = line;
        let samples = scored.iter().map(|(index, ..)| *index).collect();
        let prediction = |&(_, label, predicted, confidence, loss): &(usize, usize, usize, u64, u64)| Prediction {
            label,
            predicted,
            confidence: f64::from_bits(confidence),
            loss: f64::from_bits(loss),
        };
        let predictions = scored.iter().map(prediction).collect();
        Self { samples, predictions, meaning, digest, quarantined }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::SampleId;
    use crate::model::Link;

    fn batch(first: usize) -> ScoredBatch {
        let prediction = |loss| Prediction { label: 1, predicted: 0, confidence: 0.1 + 0.2, loss };
        ScoredBatch {
            samples: vec![first, first + 1],
            predictions: vec![prediction(f64::MIN_POSITIVE / 8.0), prediction(1.0 / 3.0)],
            meaning: Some(Meaning { classes: 3, link: Link::Sigmoid }),
            digest: DataDigest::default(),
            quarantined: vec![(first + 2, Quarantined { id: SampleId("ü\n".into()), reason: "gone".into() })],
        }
    }

    fn identity() -> Identity {
        Identity::default().with("model", "abc")
    }

    #[test]
    fn whatever_was_cut_off_whole_lines_come_back_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let work = WorkFolder::open(folder.path()).unwrap();
        let mut log = ScoreLog::open(&work, &identity()).unwrap();
        for first in [0, 3, 6] {
            log.keep(&batch(first)).unwrap();
        }
        let whole = std::fs::read(work.file("scores.jsonl")).unwrap();
        for length in 0..=whole.len() {
            std::fs::write(work.file("scores.jsonl"), &whole[..length]).unwrap();
            let mut log = ScoreLog::open(&work, &identity()).unwrap();
            let done = log.finished();
            let lines = whole[..length].split(|&byte| byte == b'\n').count() - 1;
            assert_eq!(done, (0..lines.saturating_sub(1)).map(|index| batch(3 * index)).collect::<Vec<_>>());
            for index in done.len()..3 {
                log.keep(&batch(3 * index)).unwrap();
            }
            assert_eq!(std::fs::read(work.file("scores.jsonl")).unwrap(), whole, "after {length} bytes");
        }
    }

    #[test]
    fn a_log_of_another_run_or_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let work = WorkFolder::open(folder.path()).unwrap();
        ScoreLog::open(&work, &identity()).unwrap().keep(&batch(0)).unwrap();
        let other = identity().with("model", "abd");
        assert!(
            matches!(ScoreLog::open(&work, &other), Err(PartialError::Foreign { aspect, .. }) if aspect == "model")
        );
        let whole = std::fs::read_to_string(work.file("scores.jsonl")).unwrap();
        for damaged in
            [whole.replace("meaning", "mean"), whole.replace("\"version\":1", "\"version\":9"), "\0\n".into()]
        {
            std::fs::write(work.file("scores.jsonl"), damaged).unwrap();
            assert!(matches!(ScoreLog::open(&work, &identity()), Err(PartialError::Damaged { .. })));
        }
    }
}
