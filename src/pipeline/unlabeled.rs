//! Samples that are measured in the place of trusted ones. Moments need no labels, and those of any images of the kind that the
//! network was made for work nearly as well.

use super::held_out::drawn;
use super::job::{Job, TrustedChoice, TrustedCount};
use super::prepared::Prepared;
use crate::error::Error;
use crate::evidence::Trusted;
use crate::model::Classifier;
use crate::progress::Observer;
use crate::report::UnlabeledReport;

/// The data, and which of its samples are measured.
pub(super) struct Unlabeled {
    pub(super) data: Prepared,
    pub(super) samples: Trusted,
}

impl Unlabeled {
    /// Opens what the job names. As many samples are drawn as would be trusted of it.
    ///
    /// # Errors
    /// Those of opening a data set.
    pub(super) fn open(job: &Job, classifier: &Classifier, observer: &dyn Observer) -> Result<Option<Self>, Error> {
        let Some(spec) = &job.unlabeled else { return Ok(None) };
        let data = Prepared::open(spec, &job.preprocessing, classifier, observer)?;
        let count = match &job.trusted {
            TrustedChoice::Lowest { count, .. } => *count,
            TrustedChoice::Given(_) => TrustedCount::Auto,
        };
        let samples = Trusted { samples: drawn(&data.all(), data.trusted(count), job.seed), ..Trusted::default() };
        Ok(Some(Self { data, samples }))
    }

    /// For the report.
    pub(super) fn report(&self) -> UnlabeledReport {
        UnlabeledReport {
            spec: self.data.spec.to_string(),
            samples: self.samples.samples.len(),
            ids_sha256: self.samples.sha256(self.data.set.as_ref()),
        }
    }
}
