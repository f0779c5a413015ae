//! The labels of a set: small integers, checked once when the set is opened.

use crate::data::{DataError, SampleId};

/// More classes than any classifier has: a label beyond is a mistake in the data, not a class.
const MOST_CLASSES: i128 = 1 << 20;

/// The labels by sample index.
#[derive(Default)]
pub(in crate::data) struct Labels(Vec<u32>);

impl Labels {
    /// Adds the label of the next sample.
    ///
    /// # Errors
    /// [`DataError::Sample`] where the label is negative or larger than any classifier has classes.
    pub(in crate::data) fn push(&mut self, label: i128) -> Result<(), DataError> {
        if !(0..MOST_CLASSES).contains(&label) {
            return Err(DataError::sample(
                &SampleId(self.0.len().to_string()),
                format_args!("its label is {label}"),
                "labels count from 0: repair the label, or take the sample out of the set",
            ));
        }
        self.0.push(label as u32);
        Ok(())
    }

    pub(in crate::data) fn len(&self) -> usize {
        self.0.len()
    }

    /// The label of sample `index`; an index beyond the set is a mistake of the caller, as with a slice.
    pub(in crate::data) fn get(&self, index: usize) -> usize {
        self.0[index] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_cannot_be_classes_name_their_sample() {
        let mut labels = Labels::default();
        assert!(labels.push(0).is_ok() && labels.push(999_999).is_ok());
        for absurd in [-1, 1 << 20, i128::from(u64::MAX)] {
            let message = labels.push(absurd).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(message.starts_with("sample 2: "), "{message}");
        }
        assert_eq!((labels.len(), labels.get(1)), (2, 999_999));
    }
}
