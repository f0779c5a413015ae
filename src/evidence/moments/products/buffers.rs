//! Memory that is used again for every batch: fresh pages cost as much as what is written there.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Buffers that nobody uses at present.
#[derive(Default)]
pub(in crate::evidence::moments) struct Buffers {
    pub(super) single: Pool<f32>,
    pub(super) double: Pool<f64>,
}

/// Those of one type of numbers.
#[derive(Default)]
pub(super) struct Pool<T>(Mutex<Vec<Vec<T>>>);

/// A buffer in use.
pub(super) struct Buffer<'a, T> {
    /// At least as long.
    values: Vec<T>,
    length: usize,
    from: &'a Pool<T>,
}

impl<T: Copy + Default> Pool<T> {
    /// A buffer of that length, which holds anything.
    pub(super) fn take(&self, length: usize) -> Buffer<'_, T> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough. Where none is, the largest is given up for a new one.
        let large_enough = (0..free.len()).filter(|&at| free[at].len() >= length);
        let best = large_enough.min_by_key(|&at| free[at].len());
        let best = best.or_else(|| (0..free.len()).max_by_key(|&at| free[at].len()));
        let found = best.map(|at| free.swap_remove(at)).filter(|values| values.len() >= length);
        drop(free);
        let values = found.unwrap_or_else(|| vec![T::default(); length]);
        Buffer { values, length, from: self }
    }
}

impl<T> Deref for Buffer<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[..self.length]
    }
}

impl<T> DerefMut for Buffer<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[..self.length]
    }
}

impl<T> Drop for Buffer<'_, T> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        self.from.0.lock().unwrap_or_else(PoisonError::into_inner).push(values);
    }
}
