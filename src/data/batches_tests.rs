//! What a stream promises: order, labels, bounded work ahead, and an end on the first error of either side.

use super::super::{Content, Preprocessing, SampleId};
use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Sample `i` holds the values `i` and up; one of them may be unreadable.
struct Counting {
    length: usize,
    broken: Option<usize>,
    shape: Vec<usize>,
    read: AtomicUsize,
}

impl Counting {
    fn new(length: usize, broken: Option<usize>) -> Self {
        Self { length, broken, shape: vec![2], read: AtomicUsize::new(0) }
    }
}

impl DataSet for Counting {
    fn len(&self) -> usize {
        self.length
    }

    fn class_names(&self) -> Option<&[String]> {
        None
    }

    fn id(&self, index: usize) -> SampleId {
        SampleId(index.to_string())
    }

    fn label(&self, index: usize) -> usize {
        index % 3
    }

    fn content(&self, index: usize) -> Result<Content, DataError> {
        self.read.fetch_add(1, Ordering::Relaxed);
        if self.broken == Some(index) {
            return Err(DataError::sample(&self.id(index), "it is broken", "repair it"));
        }
        let count = self.shape.iter().product::<usize>();
        let values = (index..index + count).map(|value| value as f32).collect();
        Ok(Content::Values(ArrayD::from_shape_vec(IxDyn(&self.shape), values).unwrap()))
    }
}

fn to_input(element: ElementType, shape: &[Option<usize>], example: &Content) -> Vec<Route> {
    vec![Route::resolve(("input", element, shape), &Preprocessing::default(), 0, example).unwrap()]
}

fn routes() -> Vec<Route> {
    to_input(ElementType::Float32, &[Some(2)], &Content::Values(ArrayD::zeros(IxDyn(&[2]))))
}

fn stream<'a>(set: &'a Counting, routes: &'a [Route]) -> Stream<'a> {
    Stream { set, routes, perturbation: None }
}

#[test]
fn samples_come_in_the_order_asked_for_and_the_last_batch_is_the_rest() {
    let (set, routes) = (Counting::new(10, None), routes());
    let order = [9, 0, 5, 5, 1, 2, 8];
    let mut seen = Vec::new();
    stream(&set, &routes)
        .for_each(&order, 3, |batch| {
            let [NamedTensor { name, tensor }] = batch.inputs.as_slice() else { panic!("one input") };
            assert_eq!((name.as_str(), tensor.shape()), ("input", [batch.indices.len(), 2].as_slice()));
            let expected: Vec<_> =
                batch.indices.iter().flat_map(|index| [*index as f64, *index as f64 + 1.0]).collect();
            assert_eq!(tensor.to_f64().into_iter().collect::<Vec<_>>(), expected);
            assert_eq!(batch.labels, batch.indices.iter().map(|index| index % 3).collect::<Vec<_>>());
            seen.push(batch.indices);
            Ok::<_, DataError>(())
        })
        .unwrap();
    assert_eq!(seen, [vec![9, 0, 5], vec![5, 1, 2], vec![8]]);
}

#[test]
fn the_input_has_the_element_type_of_the_model() {
    let set = Counting::new(4, None);
    for element in ElementType::ALL {
        let routes = to_input(element, &[Some(2)], &set.content(0).unwrap());
        let consume = |batch: Batch| {
            assert_eq!(batch.inputs[0].tensor.element_type(), element);
            Ok::<_, DataError>(())
        };
        // The sample holds 0 and 1, which every type does.
        stream(&set, &routes).for_each(&[0], 2, consume).unwrap();
    }
}

#[test]
fn a_perturbed_sample_keeps_its_label_and_does_not_depend_on_its_batch() {
    let set = Counting { shape: vec![1, 20, 20], ..Counting::new(12, None) };
    let example = set.content(0).unwrap();
    let routes = to_input(ElementType::Float32, &[None, Some(20), Some(20)], &example);
    let run = |perturbation, order: &[usize], batch| {
        let mut samples = std::collections::BTreeMap::new();
        let stream = Stream { perturbation, ..stream(&set, &routes) };
        let consume = |batch: Batch| {
            let values = batch.inputs[0].tensor.to_f64();
            for ((sample, index), label) in values.outer_iter().zip(batch.indices).zip(batch.labels) {
                samples.insert(index, (sample.to_owned(), label));
            }
            Ok::<_, DataError>(())
        };
        stream.for_each(order, batch, consume).unwrap();
        samples
    };
    let forward: Vec<_> = (0..12).collect();
    let backward: Vec<_> = (0..12).rev().collect();
    let perturbation = Some(Perturbation::flip_and_shift(3));
    let perturbed = run(perturbation, &forward, 5);
    assert_eq!(perturbed, run(perturbation, &backward, 1));
    for (index, (values, label)) in run(None, &forward, 12) {
        assert_ne!(values, perturbed[&index].0);
        assert_eq!(label, perturbed[&index].1);
    }
}

#[test]
fn a_broken_sample_ends_the_stream_after_what_came_before_it() {
    let (set, routes) = (Counting::new(1000, Some(4)), routes());
    let mut batches = 0;
    let result = stream(&set, &routes).for_each(&(0..1000).collect::<Vec<_>>(), 2, |_| {
        batches += 1;
        Ok::<_, DataError>(())
    });
    assert!(result.unwrap_err().to_string().starts_with("sample 4: "));
    assert_eq!(batches, 2);
}

#[test]
fn an_error_of_the_consumer_ends_the_stream_and_stops_reading() {
    let (set, routes) = (Counting::new(1000, None), routes());
    let result = stream(&set, &routes).for_each(&(0..1000).collect::<Vec<_>>(), 2, |batch| {
        Err(DataError::request(format!("enough of {:?}", batch.indices), "stop"))
    });
    assert!(result.unwrap_err().to_string().starts_with("enough of [0, 1]"));
    assert!(set.read.load(Ordering::Relaxed) <= 8, "only what was ahead was read");
}

#[test]
fn requests_that_make_no_sense_are_errors() {
    let (set, routes) = (Counting::new(3, None), routes());
    let stream = stream(&set, &routes);
    let ignore = |_| Ok::<_, DataError>(());
    assert!(stream.for_each(&[0], 0, ignore).is_err());
    assert!(stream.for_each(&[3], 1, ignore).unwrap_err().to_string().contains("sample 3"));
    stream.for_each(&[], 1, |_| Err(DataError::request("called", "do not"))).unwrap();
    let perturbed = Stream { perturbation: Some(Perturbation::flip_and_shift(0)), ..stream };
    assert!(perturbed.for_each(&[0], 1, ignore).unwrap_err().to_string().contains("--val"));
}
