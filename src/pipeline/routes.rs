//! Which content of a data set feeds which input of the model, and how.

use crate::data::{Arrays, Content, DataError, DataSet, Preprocessing, Route, Spec};
use crate::error::Error;
use crate::model::{Classifier, DataInput};
use crate::progress::Observer;

/// A way to each input that data has to feed.
///
/// # Errors
/// [`Error::Usage`] for an input that nothing in the set feeds; contradictions between data, options and model.
pub(super) fn routes(
    spec: &Spec,
    set: &dyn DataSet,
    options: &Preprocessing,
    classifier: &Classifier,
    observer: &dyn Observer,
) -> Result<Vec<Route>, Error> {
    let positions = match set.arrays() {
        Some(arrays) => from_arrays(spec, arrays, classifier, observer)?,
        None => vec![from_images(spec, classifier)?],
    };
    let examples = examples(set, &positions)?;
    let is_image = |content: &Content| matches!(content, Content::Image(_));
    let some_images = examples.iter().any(is_image);
    let mut routes = Vec::new();
    for ((input, &position), example) in classifier.data.iter().zip(&positions).zip(&examples) {
        // Options for images concern the images alone, and are refused where there are none.
        let options = if some_images && !is_image(example) { Preprocessing::default() } else { options.clone() };
        let preprocessing = options.or(preset(spec, input, example));
        let route = Route::resolve((&input.name, input.element, &input.sample), &preprocessing, position, example);
        routes.push(route.map_err(|error| if positions.len() > 1 { error.of_input(&input.name) } else { error })?);
    }
    Ok(routes)
}

/// How many samples may be unreadable before one shows what the set holds.
const TRIED: usize = 1000;

/// The contents of the first sample that can be read.
fn examples(set: &dyn DataSet, positions: &[usize]) -> Result<Vec<Content>, DataError> {
    let contents = |index| positions.iter().map(|&position| set.content_at(position, index)).collect();
    let first: Result<Vec<Content>, DataError> = contents(0);
    match first {
        Err(DataError::Sample { .. }) => {
            let mut others = (1..set.len().min(TRIED)).filter_map(|index| contents(index).ok());
            others.next().map_or(first, Ok)
        }
        found => found,
    }
}

/// How the set's images are usually preprocessed; it says nothing of arrays.
fn preset(spec: &Spec, input: &DataInput, example: &Content) -> Preprocessing {
    match example {
        Content::Image(_) => spec.reader.preset().for_element(input.element),
        Content::Values(_) | Content::Integers(_) => Preprocessing::default(),
    }
}

/// The position of each input's array.
fn from_arrays(
    spec: &Spec,
    arrays: &Arrays,
    classifier: &Classifier,
    observer: &dyn Observer,
) -> Result<Vec<usize>, Error> {
    if !arrays.others.is_empty() {
        observer.note(&format!("{spec}: no input takes the arrays {}", arrays.others.join(", ")));
    }
    let position = |input: &DataInput| {
        arrays.fed.iter().position(|fed| fed.input == input.name).ok_or_else(|| {
            let names = arrays.names();
            let there = match names.as_slice() {
                [] => "no arrays besides the labels".to_owned(),
                [name] => format!("the array {name}"),
                names => format!("the arrays {}", names.join(", ")),
            };
            not_fed(input, &format!("{spec} has {there}; add one called {}", input.name))
        })
    };
    classifier.data.iter().map(position).collect()
}

/// The position of the one content of a set of images, which feeds one input.
fn from_images(spec: &Spec, classifier: &Classifier) -> Result<usize, Error> {
    let rank = |input: &&DataInput| input.sample.len();
    let most = classifier.data.iter().map(|input| input.sample.len()).max().unwrap_or(0);
    let image = classifier.data.iter().find(|input| rank(input) == most);
    match (image, classifier.data.iter().find(|&input| Some(input) != image)) {
        (Some(image), Some(other)) => Err(not_fed(
            other,
            &format!("{spec} has images, which feed {}; use npz:FILE with an array for each", image.name),
        )),
        _ => Ok(0),
    }
}

fn not_fed(input: &DataInput, there: &str) -> Error {
    Error::Usage(format!(
        "nothing feeds the model's input {}, {}: {there}, or give it a constant, as {}",
        input.name,
        input.describe(),
        input.constant_option()
    ))
}
