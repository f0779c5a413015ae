//! SIGINT and SIGTERM: the first one asks the run to end, the second one ends it.

use crate::progress::Signal;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const SIGNALS: [(i32, Signal); 2] = [(SIGINT, Signal::Interrupt), (SIGTERM, Signal::Terminate)];

/// Which signal came, if any.
#[derive(Default)]
pub(super) struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// Listens from now on. Where the system does not let it, signals do what they always do.
    pub(super) fn listen() -> Self {
        let (came, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        for (number, _) in SIGNALS {
            // In this order: the first signal finds the flag down, and raises it.
            let _ = flag::register_conditional_shutdown(number, exit_code(number), Arc::clone(&asked));
            let _ = flag::register(number, Arc::clone(&asked));
            let _ = flag::register_usize(number, Arc::clone(&came), number as usize);
        }
        Self(came)
    }

    /// The signal that came.
    pub(super) fn came(&self) -> Option<Signal> {
        let number = self.0.load(Ordering::Relaxed) as i32;
        SIGNALS.into_iter().find(|(known, _)| *known == number).map(|(_, signal)| signal)
    }
}

/// What a process that a signal has ended returns, as shells say it.
pub(super) fn code(signal: Signal) -> u8 {
    SIGNALS.into_iter().find(|(_, known)| *known == signal).map_or(2, |(number, _)| exit_code(number) as u8)
}

fn exit_code(number: i32) -> i32 {
    128 + number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_shells() {
        assert_eq!([code(Signal::Interrupt), code(Signal::Terminate)], [130, 143]);
        assert_eq!(Signals::default().came(), None);
    }
}
