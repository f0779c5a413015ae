//! `--shard`: which part of the work this process does, as it says itself or as the system that started it says.

use super::ui::Ui;
use crate::error::Error;
use crate::evidence::Shard;
use std::str::FromStr;

/// As the user writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShardChoice {
    /// `I/N`.
    Given(Shard),
    /// `auto`, or `auto/N`: the index, and the number where it is not given, from the environment.
    Auto(Option<usize>),
}

impl FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither I/N, counted from 0, nor auto or auto/N");
        if text == "auto" {
            return Ok(Self::Auto(None));
        }
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        if index == "auto" {
            return Ok(Self::Auto(Some(count)));
        }
        let index = index.parse().map_err(|_| wrong())?;
        Shard::new(index, count).map(Self::Given).ok_or_else(wrong)
    }
}

/// A system that starts many processes and tells each which one it is.
struct Scheduler {
    name: &'static str,
    index: &'static str,
    /// The variable with the smallest index, where it is not 0.
    first: Option<&'static str>,
    count: &'static str,
}

const SCHEDULERS: [Scheduler; 3] = [
    Scheduler {
        name: "Slurm",
        index: "SLURM_ARRAY_TASK_ID",
        first: Some("SLURM_ARRAY_TASK_MIN"),
        count: "SLURM_ARRAY_TASK_COUNT",
    },
    Scheduler { name: "Kubernetes", index: "JOB_COMPLETION_INDEX", first: None, count: "JOB_COMPLETIONS" },
    Scheduler { name: "AWS Batch", index: "AWS_BATCH_JOB_ARRAY_INDEX", first: None, count: "AWS_BATCH_JOB_ARRAY_SIZE" },
];

impl ShardChoice {
    /// The shard, with `variable` looking up the environment.
    ///
    /// # Errors
    /// [`Error::Usage`] where the environment does not say it.
    pub(super) fn resolve(self, variable: impl Fn(&str) -> Option<String>) -> Result<Shard, Error> {
        let asked = match self {
            Self::Given(shard) => return Ok(shard),
            Self::Auto(count) => count,
        };
        let here = SCHEDULERS.iter().find(|scheduler| variable(scheduler.index).is_some());
        let Some(Scheduler { name, index, first, count }) = here else {
            let known: Vec<&str> = SCHEDULERS.iter().map(|scheduler| scheduler.index).collect();
            let known = known.join(", ");
            return Err(Error::Usage(format!("--shard auto finds none of {known}; say it with --shard I/N")));
        };
        let number = |variable_name: &str| -> Result<Option<usize>, Error> {
            let Some(text) = variable(variable_name) else { return Ok(None) };
            let wrong = || Error::Usage(format!("{variable_name} is {text:?}, which is no number; use --shard I/N"));
            text.trim().parse().map(Some).map_err(|_| wrong())
        };
        let from = first.map_or(Ok(None), number)?.unwrap_or(0);
        let index_value = number(index)?.unwrap_or(0);
        let Some(count) = asked.map_or_else(|| number(count), |count| Ok(Some(count)))? else {
            return Err(Error::Usage(format!(
                "{name} gives the index in {index}, and nothing gives the number of shards; say it with --shard auto/N"
            )));
        };
        let shard = index_value.checked_sub(from).and_then(|index| Shard::new(index, count));
        shard.ok_or_else(|| {
            Error::Usage(format!(
                "{index} is {index_value}, which is none of {count} shards from {from} on; number the array without \
                 gaps, or use --shard I/N"
            ))
        })
    }
}

/// The shard that was asked for, which is printed, or all of the work.
pub(super) fn announce(choice: Option<ShardChoice>, ui: &Ui) -> Result<Shard, Error> {
    let Some(choice) = choice else { return Ok(Shard::WHOLE) };
    let shard = choice.resolve(|name| std::env::var(name).ok())?;
    ui.say(&format!("shard {shard}"));
    Ok(shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(choice: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        let choice: ShardChoice = choice.parse()?;
        choice.resolve(variable).map(|shard| shard.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_scheduler_says_which_shard_it_is() {
        let slurm = [("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_ARRAY_TASK_COUNT", "8"), ("SLURM_ARRAY_TASK_MIN", "0")];
        let from_1 = [("SLURM_ARRAY_TASK_ID", "8"), ("SLURM_ARRAY_TASK_COUNT", "8"), ("SLURM_ARRAY_TASK_MIN", "1")];
        let batch = [("AWS_BATCH_JOB_ARRAY_INDEX", "0"), ("AWS_BATCH_JOB_ARRAY_SIZE", "2")];
        for (choice, variables, shard) in [
            ("2/5", &[][..], "2/5"),
            ("2/5", &slurm, "2/5"),
            ("auto", &slurm, "3/8"),
            ("auto", &from_1, "7/8"),
            ("auto/16", &[("JOB_COMPLETION_INDEX", "15")], "15/16"),
            ("auto", &[("JOB_COMPLETION_INDEX", "1"), ("JOB_COMPLETIONS", "4")], "1/4"),
            ("auto", &batch, "0/2"),
        ] {
            assert_eq!(resolve(choice, variables).as_deref(), Ok(shard), "{choice} {variables:?}");
        }
    }

    #[test]
    fn what_the_environment_does_not_say_is_asked_for() {
        for (choice, variables, says) in [
            ("auto", &[][..], "SLURM_ARRAY_TASK_ID"),
            ("auto", &[("JOB_COMPLETION_INDEX", "1")], "auto/N"),
            ("auto/2", &[("JOB_COMPLETION_INDEX", "2")], "none of 2 shards"),
            ("auto/2", &[("JOB_COMPLETION_INDEX", "x")], "no number"),
            ("auto", &[("SLURM_ARRAY_TASK_ID", "9"), ("SLURM_ARRAY_TASK_COUNT", "4")], "without gaps"),
        ] {
            let message = resolve(choice, variables).unwrap_err();
            assert!(message.contains(says), "{message}");
        }
        for wrong in ["", "1", "3/3", "-1/2", "0/0", "auto/0", "a/b", "1/2/3"] {
            assert!(resolve(wrong, &[]).is_err(), "{wrong}");
        }
    }
}
