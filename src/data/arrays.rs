//! Which array of a set feeds which input of a model: the one of the input's own name; the only input without one takes
//! the samples, under a name that a format gives them.

/// The arrays of a set besides its labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrays {
    /// Those that feed inputs.
    pub fed: Vec<Fed>,
    /// The names of those that feed none.
    pub others: Vec<String>,
}

/// An array that feeds an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fed {
    /// The input.
    pub input: String,
    /// The array.
    pub array: String,
}

impl Arrays {
    /// Gives the arrays `names` to `inputs`. `samples`: what a format calls the one array that needs no input's name.
    ///
    /// # Errors
    /// The names of `samples` that are there, where one input is left for several of them.
    pub(super) fn assign(names: &[String], inputs: &[&str], samples: &[&str]) -> Result<Self, Vec<String>> {
        let own = |input: &str| names.iter().find(|name| *name == input).cloned();
        let unnamed: Vec<&str> = inputs.iter().copied().filter(|input| own(input).is_none()).collect();
        let free = |name: &&String| samples.contains(&name.as_str()) && !inputs.contains(&name.as_str());
        let free: Vec<String> = names.iter().filter(free).cloned().collect();
        let rest = match (unnamed.as_slice(), free.as_slice()) {
            ([input], [array]) => Some((*input, array.clone())),
            ([_], [_, _, ..]) => return Err(free),
            _ => None,
        };
        let source = |input: &&str| {
            let left = rest.as_ref().filter(|(left, _)| left == input).map(|(_, array)| array.clone());
            Some(Fed { input: (*input).to_owned(), array: own(input).or(left)? })
        };
        let fed: Vec<Fed> = inputs.iter().filter_map(source).collect();
        let others = names.iter().filter(|name| !fed.iter().any(|fed| fed.array == **name)).cloned().collect();
        Ok(Self { fed, others })
    }

    /// The names of all arrays, those that feed an input first.
    pub fn names(&self) -> Vec<&str> {
        let fed = self.fed.iter().map(|fed| fed.array.as_str());
        fed.chain(self.others.iter().map(String::as_str)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(names: &[&str], inputs: &[&str]) -> Result<Vec<(String, String)>, Vec<String>> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let arrays = Arrays::assign(&names, inputs, &["x", "images"])?;
        assert_eq!(arrays.names().len(), names.len());
        Ok(arrays.fed.into_iter().map(|fed| (fed.input, fed.array)).collect())
    }

    #[test]
    fn an_array_feeds_the_input_of_its_name_and_x_the_only_other_one() {
        for (names, inputs, expected) in [
            (&["x"][..], &["input"][..], &[("input", "x")][..]),
            (&["images"], &["input"], &[("input", "images")]),
            (&["x", "input"], &["input"], &[("input", "input")]),
            (&["x", "images"], &["x"], &[("x", "x")]),
            (&["ids", "mask", "more"], &["mask", "ids"], &[("mask", "mask"), ("ids", "ids")]),
            (&["mask", "x"], &["input", "mask"], &[("input", "x"), ("mask", "mask")]),
            (&["x"], &["a", "b"], &[]),
            (&["x", "images"], &["a", "b"], &[]),
            (&["a"], &["input"], &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&(input, array)| (input.into(), array.into())).collect();
            assert_eq!(assigned(names, inputs), Ok(expected), "{names:?} {inputs:?}");
        }
        assert_eq!(assigned(&["x", "images"], &["input"]), Err(vec!["x".into(), "images".into()]));
    }
}
