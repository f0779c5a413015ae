//! How long each phase took.

use std::collections::BTreeMap;
use std::time::Instant;

/// A stop watch with laps.
pub(super) struct Clock {
    last: Instant,
    laps: BTreeMap<&'static str, f64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { last: Instant::now(), laps: BTreeMap::new() }
    }
}

impl Clock {
    /// Ends a phase: the time since the last lap is its own.
    pub(super) fn lap(&mut self, phase: &'static str) {
        let now = Instant::now();
        *self.laps.entry(phase).or_default() += now.duration_since(self.last).as_secs_f64();
        self.last = now;
    }

    /// The seconds of each phase so far.
    pub(super) fn seconds(&self) -> BTreeMap<&'static str, f64> {
        self.laps.clone()
    }
}
