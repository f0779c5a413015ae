//! Turns a panic inside a library into a value.
//!
//! An engine must not bring the program down on an odd model, nor a parser on a damaged file. A panic that [`catch`] stops is not printed either: the
//! process has one panic hook, so a filter is put in front of it once, and it drops only what a thread inside [`catch`]
//! says; every other panic reaches the hook that was there.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; where it panics, the panic's message is the error.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    install_filter();
    let outer = CAUGHT.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(outer);
    result.map_err(|payload| format!("it panicked: {}", message(payload.as_ref())))
}

/// Puts the filter in front of the process's panic hook, once.
fn install_filter() {
    static FILTER: Once = Once::new();
    FILTER.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |information| {
            if !CAUGHT.get() {
                previous(information);
            }
        }));
    });
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::catch;

    #[test]
    fn a_panic_becomes_its_message() {
        let divisor = std::hint::black_box(0);
        assert_eq!(catch(|| 1 / divisor), Err("it panicked: attempt to divide by zero".into()));
        assert_eq!(catch(|| 7), Ok(7));
    }
}
