//! Several ways to go on from a model, of which validation takes one.

use super::{Ground, Tuned, Tuning};
use crate::error::Error;
use serde_json::{Value, json};

/// Tunings that begin with the same model, one after the other.
#[derive(Debug)]
pub struct Competing(pub Vec<Box<dyn Tuning>>);

impl Tuning for Competing {
    fn tune(&self, ground: &mut Ground<'_>) -> Result<Vec<Tuned>, Error> {
        let mut tried = Vec::new();
        for tuning in &self.0 {
            tried.extend(tuning.tune(ground)?);
        }
        Ok(tried)
    }

    fn helps_as_a_rule(&self) -> bool {
        self.0.iter().all(|tuning| tuning.helps_as_a_rule())
    }

    /// Where they differ, of each its own, in their order.
    fn params(&self) -> Vec<(&'static str, Value)> {
        let of_each: Vec<_> = self.0.iter().map(|tuning| tuning.params()).collect();
        let mut found: Vec<(&'static str, Vec<Value>)> = Vec::new();
        for (name, value) in of_each.into_iter().flatten() {
            match found.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value),
                None => found.push((name, vec![value])),
            }
        }
        let together = |(name, values): (&'static str, Vec<Value>)| {
            let all_the_same = values.iter().all(|value| *value == values[0]);
            (name, if all_the_same { values[0].clone() } else { json!(values) })
        };
        found.into_iter().map(together).collect()
    }
}
