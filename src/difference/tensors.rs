//! Which stored tensors differ, and by how much. Tensors are known by their names, those without one by where they are.

use crate::linalg::Spectrum;
use crate::model::proto::TensorProto;
use crate::model::{GraphIndex, Model, ModelError, Place};
use crate::tensor::ElementType;
use ndarray::ArrayD;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Multiplications that the spectrum of a matrix may take: some ten seconds of two cores.
const MOST_MULTIPLICATIONS: f64 = 2e11;

/// What differs between the tensors of two models.
#[derive(Clone, Debug, Serialize)]
pub struct TensorDifferences {
    /// How many are the same, bit by bit.
    pub same: usize,
    /// Those that are not, in the order of the first model.
    pub different: Vec<TensorChange>,
}

/// A tensor that is not the same in both models.
#[derive(Clone, Debug, Serialize)]
pub struct TensorChange {
    /// Its name, behind the function or body that it is in.
    pub name: String,
    /// In the first model; nothing where it is not there.
    pub a: Option<TensorForm>,
    /// In the second.
    pub b: Option<TensorForm>,
    /// How far apart they are, where both hold floats of one shape.
    pub distance: Option<Distance>,
}

/// What kind of tensor it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorForm {
    /// The element type, in ONNX's words.
    pub dtype: String,
    /// The extent of each axis.
    pub shape: Vec<usize>,
}

/// How far two tensors of floats are apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Distance {
    /// `‖B − A‖ / ‖A‖` (Frobenius); nothing where A is zero or a value is not finite.
    pub relative: Option<f64>,
    /// The largest difference of two values; nothing where one is not a number.
    pub max_abs: Option<f64>,
    /// How many values differ.
    pub values: usize,
    /// The spectra of both as matrices, the first axis against the rest; nothing for vectors, for matrices too large for it, and
    /// where it was not asked for.
    pub spectra: Option<[Spectrum; 2]>,
}

/// How thoroughly tensors are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// By their values.
    Values,
    /// And by the spectra of those that differ, which take a while for large ones.
    Spectra,
}

/// Compares all tensors of two models: initializers, constants, those of bodies and functions.
///
/// # Errors
/// [`ModelError`] where a tensor cannot be read.
pub fn tensors(a: &Model, b: &Model, depth: Depth) -> Result<TensorDifferences, ModelError> {
    let (first, second) = (named(a)?, named(b)?);
    let by_name: BTreeMap<&str, &TensorProto> = second.iter().map(|(name, tensor)| (name.as_str(), *tensor)).collect();
    let known: BTreeSet<&str> = first.iter().map(|(name, _)| name.as_str()).collect();
    let here = first.iter().map(|(name, tensor)| (name, Some(*tensor), by_name.get(name.as_str()).copied()));
    let there = second.iter().filter(|(name, _)| !known.contains(name.as_str()));
    let pairs: Vec<_> = here.chain(there.map(|(name, tensor)| (name, None, Some(*tensor)))).collect();
    let changes: Result<Vec<Option<TensorChange>>, ModelError> =
        pairs.par_iter().map(|(name, old, new)| change((a, b), name, (*old, *new), depth)).collect();
    let changes = changes?;
    let same = changes.iter().filter(|change| change.is_none()).count();
    Ok(TensorDifferences { same, different: changes.into_iter().flatten().collect() })
}

/// The names of all tensors of a model.
///
/// # Errors
/// [`ModelError::Tensor`] for a constant whose shape is impossible.
pub fn tensor_names(model: &Model) -> Result<Vec<String>, ModelError> {
    Ok(named(model)?.into_iter().map(|(name, _)| name).collect())
}

/// Every tensor under a name that no other has.
fn named(model: &Model) -> Result<Vec<(String, &TensorProto)>, ModelError> {
    let graph = GraphIndex::new(model)?;
    let names: BTreeMap<&Place, &str> =
        graph.constants().into_iter().map(|constant| (&constant.place, constant.name.as_str())).collect();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let name = |(place, tensor): (Place, _)| {
        let tensor: &TensorProto = tensor;
        let own = || if tensor.name.is_empty() { place.to_string() } else { tensor.name.clone() };
        let name = names.get(&place).map_or_else(own, |name| (*name).to_owned());
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        (if *count == 1 { name } else { format!("{name} ({count})") }, tensor)
    };
    Ok(model.tensors().into_iter().map(name).collect())
}

fn change(
    (a, b): (&Model, &Model),
    name: &str,
    (old, new): (Option<&TensorProto>, Option<&TensorProto>),
    depth: Depth,
) -> Result<Option<TensorChange>, ModelError> {
    let form = |tensor: Option<&TensorProto>| tensor.map(TensorForm::of).transpose();
    let (form_a, form_b) = (form(old)?, form(new)?);
    let mut distance = None;
    if let (Some(old), Some(new)) = (old, new)
        && form_a == form_b
    {
        if a.stored(old)? == b.stored(new)? {
            return Ok(None);
        }
        if ElementType::from_onnx(old.data_type).is_some_and(ElementType::is_float) {
            distance = Some(Distance::between(&a.decoded(old)?, &b.decoded(new)?, depth));
        }
    }
    Ok(Some(TensorChange { name: name.to_owned(), a: form_a, b: form_b, distance }))
}

impl TensorForm {
    fn of(tensor: &TensorProto) -> Result<Self, ModelError> {
        Ok(Self { dtype: tensor.type_name(), shape: tensor.extents()? })
    }
}

impl Distance {
    /// Of two tensors of one shape.
    pub fn between(a: &ArrayD<f64>, b: &ArrayD<f64>, depth: Depth) -> Self {
        let pairs = || a.iter().zip(b);
        let (size, apart) =
            pairs().fold((0.0, 0.0), |(size, apart): (f64, f64), (a, b)| (size + a * a, apart + (b - a) * (b - a)));
        // A NaN must not vanish in a maximum.
        let largest = pairs().map(|(a, b)| (b - a).abs());
        let largest = largest.fold(0.0, |most: f64, d| if d.is_nan() || d > most { d } else { most });
        let relative = (apart / size).sqrt();
        Self {
            relative: relative.is_finite().then_some(relative),
            max_abs: largest.is_finite().then_some(largest),
            values: pairs().filter(|(a, b)| a.to_bits() != b.to_bits()).count(),
            spectra: (depth == Depth::Spectra).then(|| Some([spectrum(a)?, spectrum(b)?])).flatten(),
        }
    }
}

/// The spectrum of a tensor as a matrix.
fn spectrum(tensor: &ArrayD<f64>) -> Option<Spectrum> {
    let rows = *tensor.shape().first().filter(|rows| **rows > 0 && tensor.ndim() > 1)?;
    let matrix = tensor.to_shape((rows, tensor.len() / rows)).ok()?.to_owned();
    let (short, long) = (matrix.nrows().min(matrix.ncols()) as f64, matrix.nrows().max(matrix.ncols()) as f64);
    if short * short * (long + short) > MOST_MULTIPLICATIONS {
        return None;
    }
    // Values that are not finite have none.
    Spectrum::of(&matrix).ok()
}
