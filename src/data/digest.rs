//! What a model was judged on, as one number: the same for the same samples, in whatever order, batches or parts they came.
//!
//! Each sample has the SHA-256 of its id, its label and its prepared inputs. A set has the sum of those modulo 2²⁵⁶, so
//! parts that are scored apart, or before and after a break, add up to what one run gives.

use super::{Route, SampleId, SampleValues};
use crate::model::hexadecimal;
use ndarray::ArrayD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The sum over some samples, the least significant byte first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataDigest([u8; 32]);

impl DataDigest {
    /// Of several samples.
    pub fn sum<'a>(samples: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut total = Self::default();
        samples.into_iter().for_each(|sample| total.add(sample));
        total
    }

    /// Of one sample; `values` are its inputs, in the order of the `routes` that made them.
    pub(super) fn of_sample(id: &SampleId, label: usize, routes: &[Route], values: &[SampleValues]) -> Self {
        let mut digest = Sha256::new();
        digest.update(format!("{id}\0{label}\0"));
        for (route, values) in routes.iter().zip(values) {
            // One input counts by its values alone, several by their names as well.
            if routes.len() > 1 {
                digest.update(format!("{}\0", route.input));
            }
            update(&mut digest, values);
        }
        Self(digest.finalize().into())
    }

    /// Adds the samples of another part.
    pub fn add(&mut self, other: &Self) {
        let mut carry = 0;
        for (byte, other) in self.0.iter_mut().zip(other.0) {
            let sum = u16::from(*byte) + u16::from(other) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
    }

    /// The digest in hexadecimal, once `further` things are taken into account that every sample was fed with.
    pub fn finish(&self, further: impl IntoIterator<Item = String>) -> String {
        let mut digest = Sha256::new_with_prefix(self.0);
        further.into_iter().for_each(|text| digest.update(format!("{text}\0")));
        hexadecimal(&digest.finalize())
    }
}

/// Takes in the values as float32, which do not depend on the type that the model takes. Integers that float32 rounds
/// count with what it leaves out.
fn update(digest: &mut Sha256, values: &SampleValues) {
    match values {
        SampleValues::Floats(values) => update_with_floats(digest, values),
        SampleValues::Integers(values) => values.iter().for_each(|&value| digest.update(whole(value))),
    }
}

/// Through a buffer of some pages: a sample of an image is many floats, and this runs beside the engine.
fn update_with_floats(digest: &mut Sha256, values: &ArrayD<f32>) {
    const FLOATS: usize = 1 << 10;
    let mut buffer = [[0; size_of::<f32>()]; FLOATS];
    let values = values.as_standard_layout();
    for values in values.as_slice().unwrap_or_default().chunks(FLOATS) {
        buffer.iter_mut().zip(values).for_each(|(bytes, value)| *bytes = value.to_le_bytes());
        digest.update(buffer[..values.len()].as_flattened());
    }
}

fn whole(value: i64) -> Vec<u8> {
    let rounded = value as f32;
    let left_out = i128::from(value) - rounded as i128;
    let mut bytes = rounded.to_le_bytes().to_vec();
    if left_out != 0 {
        bytes.extend(left_out.to_le_bytes());
    }
    bytes
}

impl Serialize for DataDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hexadecimal(&self.0))
    }
}

impl<'de> Deserialize<'de> for DataDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("a digest has 64 hexadecimal digits");
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Content, Preprocessing};
    use super::*;
    use crate::tensor::ElementType;
    use ndarray::IxDyn;
    use std::collections::BTreeSet;

    fn integers(values: &[i64]) -> ArrayD<i64> {
        ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.to_vec()).unwrap()
    }

    fn of(id: &str, inputs: &[(&str, &[i64])]) -> DataDigest {
        let route = |&(name, values): &(&str, &[i64])| {
            let example = Content::Integers(integers(values));
            let shape = [Some(values.len())];
            Route::resolve((name, ElementType::Int64, &shape), &Preprocessing::default(), 0, &example).unwrap()
        };
        let routes: Vec<Route> = inputs.iter().map(route).collect();
        let values: Vec<_> = inputs.iter().map(|(_, values)| SampleValues::Integers(integers(values))).collect();
        DataDigest::of_sample(&SampleId(id.into()), 3, &routes, &values)
    }

    #[test]
    fn parts_add_up_in_any_order() {
        let samples = ["a", "b", "c"].map(|id| of(id, &[("x", &[1, 7])]));
        let sum = |order: &[usize]| DataDigest::sum(order.iter().map(|&index| &samples[index]));
        let mut parts = sum(&[2]);
        parts.add(&sum(&[1, 0]));
        assert_eq!(sum(&[0, 1, 2]), parts);
        assert_ne!(sum(&[0, 1, 1]), parts);
        assert_ne!(parts.finish([]), parts.finish(["mask=1".to_owned()]));
    }

    #[test]
    fn whole_numbers_and_floats_of_one_value_are_the_same_sample() {
        for count in [2, 1023, 1024, 5000] {
            let whole: Vec<i64> = (0..count).collect();
            let floats = whole.iter().map(|&value| value as f32).collect();
            let floats = ArrayD::from_shape_vec(IxDyn(&[whole.len()]), floats).unwrap();
            let digest = |values: &SampleValues| {
                let mut digest = Sha256::new();
                update(&mut digest, values);
                digest.finalize()
            };
            let expected = digest(&SampleValues::Integers(integers(&whole)));
            assert_eq!(digest(&SampleValues::Floats(floats)), expected, "{count}");
        }
    }

    #[test]
    fn names_order_and_every_digit_are_told_apart() {
        let large = 1_i64 << 40;
        let samples = [
            of("a", &[("a", &[1]), ("b", &[2])]),
            of("a", &[("b", &[2]), ("a", &[1])]),
            of("a", &[("a", &[1]), ("c", &[2])]),
            of("b", &[("a", &[1]), ("b", &[2])]),
            of("a", &[("a", &[large])]),
            of("a", &[("a", &[large + 1])]),
            of("a", &[("a", &[i64::MAX])]),
            of("a", &[("a", &[i64::MIN])]),
        ];
        assert_eq!(samples.iter().map(|sample| sample.finish([])).collect::<BTreeSet<_>>().len(), samples.len());
    }

    #[test]
    fn a_digest_survives_json() {
        let digest = of("a", &[("x", &[1])]);
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<DataDigest>(&json).unwrap(), digest);
        for damaged in ["\"\"", "\"zz\"", &json.replace('"', "").to_uppercase()] {
            assert!(serde_json::from_str::<DataDigest>(damaged).is_err());
        }
    }
}
