//! Memory that is used again for every batch: fresh pages cost as much as what is written there.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Buffers that nobody uses at present.
#[derive(Default)]
pub(in crate::evidence::moments) struct Buffers(Mutex<Vec<Vec<f64>>>);

/// A buffer in use.
pub(super) struct Buffer<'a> {
    values: Vec<f64>,
    from: &'a Buffers,
}

impl Buffers {
    /// A buffer of that length, which holds anything.
    pub(super) fn take(&self, length: usize) -> Buffer<'_> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough. Where none is, the largest is given up for a new one.
        let large_enough = (0..free.len()).filter(|&at| free[at].capacity() >= length);
        let best = large_enough.min_by_key(|&at| free[at].capacity());
        let best = best.or_else(|| (0..free.len()).max_by_key(|&at| free[at].capacity()));
        let found = best.map(|at| free.swap_remove(at)).filter(|values| values.capacity() >= length);
        drop(free);
        let mut values = found.unwrap_or_default();
        values.resize(length, 0.0);
        Buffer { values, from: self }
    }
}

impl Deref for Buffer<'_> {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.values
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        self.from.0.lock().unwrap_or_else(PoisonError::into_inner).push(values);
    }
}
