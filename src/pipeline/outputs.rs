//! What a run may write: nothing that it reads, and nothing twice.

use super::job::Job;
use super::prepared::Prepared;
use crate::error::Error;
use crate::model::Model;
use crate::paths::same_place;
use crate::store::Location;
use std::path::Path;

/// Refuses outputs that could not be written, or would destroy an input, before hours of work are spent.
///
/// # Errors
/// The output that is refused, and why.
pub(super) fn check(job: &Job, model: &Model) -> Result<(), Error> {
    model.check_rewritten(&job.output, job.force || job.dry_run)?;
    model.check_output(&job.report, true)?;
    if same_place(&job.report, &job.output) {
        let both = job.output.display();
        return Err(Error::Usage(format!("{both} cannot be both model and report; name another --report")));
    }
    job.page.as_ref().map_or(Ok(()), |page| check_page(job, &page.path, model))
}

/// Refuses a page that would destroy an input or another output.
fn check_page(job: &Job, page: &Path, model: &Model) -> Result<(), Error> {
    model.check_output(page, true)?;
    let evidence = job.evidence.as_ref().and_then(Location::local);
    let others = [(&*job.output, "the model"), (&*job.report, "the JSON report")];
    let others = others.into_iter().chain(evidence.map(|evidence| (evidence, "the evidence")));
    for (other, what) in others {
        if same_place(page, other) {
            return Err(Error::Usage(format!(
                "{} cannot be both {what} and the page; name another --html",
                page.display()
            )));
        }
    }
    Ok(())
}

/// Refuses outputs that are files of data sets.
///
/// # Errors
/// The output that is refused, and why.
pub(super) fn check_sets<'a>(job: &Job, mut sets: impl Iterator<Item = &'a Prepared>) -> Result<(), Error> {
    sets.try_for_each(|set| {
        set.check_output(&job.output)?;
        set.check_output(&job.report)?;
        job.page.as_ref().map_or(Ok(()), |page| set.check_output(&page.path))
    })
}
