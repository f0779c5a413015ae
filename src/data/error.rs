//! What can go wrong while data is found, read and prepared. Every message is one line that names the file or the
//! sample and the way out, because the command line prints it as it is.

use super::SampleId;
use std::fmt::Display;
use std::io;
use std::path::Path;
use thiserror::Error;

/// Failures to read labelled data or to turn it into what a model takes.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A data specification that names no set.
    #[error("data specification `{text}`: {reason}; {advice}")]
    Specification {
        /// As the user wrote it.
        text: String,
        /// What is wrong with it.
        reason: String,
        /// The way out.
        advice: String,
    },
    /// The value of a preprocessing option that cannot be read.
    #[error("`{text}` is not {expected}")]
    Value {
        /// As the user wrote it.
        text: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// A file or folder that is missing or malformed.
    #[error("{path}: {reason}; {advice}")]
    File {
        /// The file or folder.
        path: String,
        /// What is wrong with it.
        reason: String,
        /// The way out.
        advice: String,
    },
    /// One sample that cannot be read, decoded or prepared.
    #[error("sample {sample}: {reason}; {advice}")]
    Sample {
        /// The sample.
        sample: String,
        /// What is wrong with it.
        reason: String,
        /// The way out.
        advice: String,
    },
    /// Preprocessing options, data and model that contradict each other.
    #[error("{reason}; {advice}")]
    Preprocessing {
        /// Both sides of the contradiction.
        reason: String,
        /// The option that resolves it.
        advice: String,
    },
    /// A request that the data set cannot serve.
    #[error("{reason}; {advice}")]
    Request {
        /// What was asked for.
        reason: String,
        /// The way out.
        advice: String,
    },
}

impl DataError {
    pub(super) fn file(path: &Path, reason: impl Display, advice: impl Display) -> Self {
        Self::File { path: one_line(path.display()), reason: one_line(reason), advice: one_line(advice) }
    }

    /// A failed system call on `path`.
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        Self::file(path, error, "check that the file is there, complete and readable")
    }

    pub(super) fn sample(sample: &SampleId, reason: impl Display, advice: impl Display) -> Self {
        Self::Sample { sample: one_line(sample), reason: one_line(reason), advice: one_line(advice) }
    }

    pub(super) fn preprocessing(reason: impl Display, advice: impl Display) -> Self {
        Self::Preprocessing { reason: one_line(reason), advice: one_line(advice) }
    }

    /// The same of one of several inputs, which the message names.
    #[must_use]
    pub fn of_input(self, input: &str) -> Self {
        match self {
            Self::Preprocessing { reason, advice } => Self::preprocessing(format!("input {input}: {reason}"), advice),
            other => other,
        }
    }

    /// A sample that no set of `length` samples has.
    pub(super) fn beyond(index: usize, length: usize) -> Self {
        let reason = format!("sample {index} was asked for, and the set has {length}");
        Self::request(reason, "name samples that are in the set")
    }

    pub(super) fn request(reason: impl Display, advice: impl Display) -> Self {
        Self::Request { reason: one_line(reason), advice: one_line(advice) }
    }
}

/// `text` without control characters: file names and the errors of libraries may hold line breaks.
pub(super) fn one_line(text: impl Display) -> String {
    text.to_string().chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_on_one_line_whatever_a_file_is_called() {
        let error = DataError::sample(&SampleId("cats/a\nb\u{1b}.png".into()), "cannot\r\nbe decoded", "replace it");
        let message = error.to_string();
        assert_eq!(message.lines().count(), 1);
        assert!(!message.contains(char::is_control));
    }
}
