//! Progress and warnings of a run among others: each says which run it is of.

use crate::progress::{Observer, Signal};

/// An observer that puts the name of a run before what it hears.
pub(super) struct Announcing<'a> {
    observer: &'a dyn Observer,
    run: String,
}

impl<'a> Announcing<'a> {
    pub(super) fn new(observer: &'a dyn Observer, run: String) -> Self {
        Self { observer, run }
    }

    fn of_run(&self, text: &str) -> String {
        format!("{}: {text}", self.run)
    }
}

impl Observer for Announcing<'_> {
    fn begin(&self, phase: &str, steps: usize, unit: &str) {
        self.observer.begin(&self.of_run(phase), steps, unit);
    }

    fn advance(&self, steps: usize) {
        self.observer.advance(steps);
    }

    fn end(&self) {
        self.observer.end();
    }

    fn warn(&self, message: &str) {
        self.observer.warn(&self.of_run(message));
    }

    fn stopped(&self) -> Option<Signal> {
        self.observer.stopped()
    }

    fn note(&self, message: &str) {
        self.observer.note(&self.of_run(message));
    }
}
