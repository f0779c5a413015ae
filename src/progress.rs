//! What the library tells whoever runs it while it works; the command line draws it, tests ignore it.

use std::fmt;

/// What asks a run to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: someone pressed Ctrl-C.
    Interrupt,
    /// SIGTERM: whoever runs this machine wants it back.
    Terminate,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// Receives progress. Every method has an empty default, so an observer names only what it shows.
pub trait Observer: Sync {
    /// A phase with a known number of steps begins (`unit`: what one step is, in the plural).
    fn begin(&self, _phase: &str, _steps: usize, _unit: &str) {}
    /// `steps` more steps of the current phase are done.
    fn advance(&self, _steps: usize) {}
    /// The current phase has ended.
    fn end(&self) {}
    /// Something that the user should know, and that does not stop the run.
    fn warn(&self, _message: &str) {}
    /// What asks the run to end, if anything does. Whoever works in steps looks between them.
    fn stopped(&self) -> Option<Signal> {
        None
    }
    /// Something that explains what is going on.
    fn note(&self, _message: &str) {}
}

/// An observer that shows nothing.
pub struct Silent;

impl Observer for Silent {}
