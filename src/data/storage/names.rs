//! Names of samples in one buffer: a million of them are no million allocations.

/// Strings that are added at the end and looked up by index.
#[derive(Default)]
pub(in crate::data) struct Names {
    text: String,
    ends: Vec<usize>,
}

impl Names {
    pub(in crate::data) fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    pub(in crate::data) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The name of sample `index`; an index beyond the set is a mistake of the caller, as with a slice.
    pub(in crate::data) fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[index]]
    }

    pub(in crate::data) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_in_order_even_empty_ones() {
        let mut names = Names::default();
        for name in ["a/ü.jpg", "", "b"] {
            names.push(name);
        }
        assert_eq!(names.iter().collect::<Vec<_>>(), ["a/ü.jpg", "", "b"]);
        assert_eq!((names.get(2), names.len()), ("b", 3));
    }
}
