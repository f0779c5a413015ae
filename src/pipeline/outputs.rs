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
    let taken = [(job.output.as_path(), "the model"), (&job.report, "the JSON report")];
    let mut taken: Vec<(&Path, &str)> = taken.into_iter().chain(evidence(job)).collect();
    if let Some(compact) = &job.compact {
        model.check_output(compact, job.force || job.dry_run)?;
        check_other(compact, ("the smaller model", "--compact"), &taken)?;
        if !model.external_sizes().is_empty() {
            return Err(Error::Usage(
                "--compact is for models that hold all of their weights: this one has external data".to_owned(),
            ));
        }
        taken.push((compact, "the smaller model"));
    }
    if let Some(page) = &job.page {
        model.check_output(&page.path, true)?;
        check_other(&page.path, ("the page", "--html"), &taken)?;
    }
    Ok(())
}

fn evidence(job: &Job) -> Option<(&Path, &'static str)> {
    Some((job.evidence.as_ref().and_then(Location::local)?, "the evidence"))
}

/// Refuses a file that would destroy another one.
fn check_other(file: &Path, (what, option): (&str, &str), others: &[(&Path, &str)]) -> Result<(), Error> {
    let Some((_, other)) = others.iter().find(|(other, _)| same_place(file, other)) else { return Ok(()) };
    Err(Error::Usage(format!("{} cannot be both {other} and {what}; name another {option}", file.display())))
}

/// Refuses outputs that are files of data sets.
///
/// # Errors
/// The output that is refused, and why.
pub(super) fn check_sets<'a>(job: &Job, mut sets: impl Iterator<Item = &'a Prepared>) -> Result<(), Error> {
    sets.try_for_each(|set| {
        set.check_output(&job.output)?;
        set.check_output(&job.report)?;
        let further = job.page.iter().map(|page| &page.path).chain(&job.compact);
        further.into_iter().try_for_each(|path| set.check_output(path))
    })
}
