//! What a criterion remembers of each sample: a probability of every class.

use crate::tensor::{ElementType, Tensor};
use ndarray::{Array2, Axis};
use std::collections::BTreeMap;

/// A row for each of some samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    rows: Array2<f32>,
    /// Which row is whose.
    row_of: BTreeMap<usize, usize>,
}

impl Memory {
    /// Of those samples, a row each.
    pub fn new(samples: &[usize], rows: Array2<f32>) -> Self {
        Self { rows, row_of: samples.iter().enumerate().map(|(row, &sample)| (sample, row)).collect() }
    }

    /// The rows of some of them.
    pub(super) fn of(&self, samples: &[usize], element: ElementType) -> Tensor {
        let rows: Vec<usize> = samples.iter().filter_map(|sample| self.row_of.get(sample).copied()).collect();
        Tensor::from_f32(&self.rows.select(Axis(0), &rows).into_dyn(), element)
    }

    /// Takes in new rows of some of them.
    pub(super) fn learn(&mut self, samples: &[usize], found: &Tensor) {
        let found = found.to_f64();
        for (sample, new) in samples.iter().zip(found.outer_iter()) {
            if let Some(&row) = self.row_of.get(sample) {
                self.rows.row_mut(row).iter_mut().zip(&new).for_each(|(old, new)| *old = *new as f32);
            }
        }
    }

    /// Moves the rows of some of them to new ones, by all but the share that stays.
    pub(super) fn follow(&mut self, samples: &[usize], rows: &Array2<f32>, stays: f64) {
        for (sample, new) in samples.iter().zip(rows.outer_iter()) {
            if let Some(&row) = self.row_of.get(sample) {
                let moved = |old: f32, new: f32| (stays * f64::from(old) + (1.0 - stays) * f64::from(new)) as f32;
                self.rows.row_mut(row).zip_mut_with(&new, |old, &new| *old = moved(*old, new));
            }
        }
    }

    /// All rows, for a checkpoint.
    pub(super) fn tensor(&self) -> Tensor {
        Tensor::from_f32(&self.rows.clone().into_dyn(), ElementType::Float32)
    }

    /// Goes on from a checkpoint.
    pub(super) fn restore(&mut self, saved: &Tensor) {
        if saved.shape() == self.rows.shape() {
            let values = saved.to_f64();
            self.rows.iter_mut().zip(&values).for_each(|(old, new)| *old = *new as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rows_are_found_and_replaced_by_sample() {
        let mut memory = Memory::new(&[7, 3], array![[1.0, 0.0], [0.25, 0.75]]);
        assert_eq!(memory.of(&[3], ElementType::Float32).to_f64(), array![[0.25, 0.75]].into_dyn());
        let learnt = Tensor::from_f64(&array![[0.5, 0.5], [0.0, 1.0]].into_dyn(), ElementType::Float32);
        memory.learn(&[3, 7], &learnt);
        let now = memory.of(&[7, 3], ElementType::Float64).to_f64();
        assert_eq!(now, array![[0.0, 1.0], [0.5, 0.5]].into_dyn());
        memory.follow(&[7], &array![[1.0, 0.0]], 0.75);
        let now = memory.of(&[7, 3], ElementType::Float64).to_f64();
        assert_eq!(now, array![[0.25, 0.75], [0.5, 0.5]].into_dyn());
    }
}
