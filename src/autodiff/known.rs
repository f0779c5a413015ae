//! What is known of the values of a graph before it is differentiated: their types, shapes, and integers.
//!
//! The engine tells: the model runs twice, with other extents of every axis that it leaves open, and gives out what the rules may
//! ask for. What is the same in both runs is fixed; so the pass needs no shape inference of its own, which would have to know
//! every operator, and knows shapes that nodes compute.

use super::AutodiffError;
use super::shape::Shape;
use crate::engine::{Computes, Engine, Runnable};
use crate::model::proto::ValueInfoProto;
use crate::model::{Additions, GraphIndex, MAIN, ModelError};
use crate::tensor::{ElementType, Tensor};
use std::collections::{BTreeMap, BTreeSet};

/// A value that nodes read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value {
    /// Its name in the main graph.
    pub name: String,
    /// The type of its elements.
    pub element: ElementType,
}

/// A value of the graph that is differentiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name and type.
    pub value: Value,
    /// Its shape.
    pub shape: Shape,
    /// Its elements where they are the same integers in every run, and few.
    pub integers: Option<Vec<i64>>,
}

/// More integers than a shape, a list of axes or of pads has.
const MOST_INTEGERS: usize = 256;

/// The extents of the first open axis in the two runs, and of the next ones: those of a batch are small, since all activations are
/// given out.
const OPEN_EXTENTS: [[usize; 2]; 4] = [[2, 3], [11, 13], [17, 19], [23, 29]];

/// What is known of values by their names.
#[derive(Debug, Default)]
pub struct Knowledge(BTreeMap<String, Known>);

impl Knowledge {
    /// Runs a model twice to know those values of its main graph. `given`: extents of open axes by their symbols, where they cannot
    /// be any number.
    ///
    /// # Errors
    /// Those of the engine, and [`AutodiffError::Target`] where an input cannot be made up or a value has not always as many axes.
    pub fn gather(
        graph: &GraphIndex<'_>,
        engine: &dyn Engine,
        values: &BTreeSet<String>,
        given: &BTreeMap<String, usize>,
    ) -> Result<Self, AutodiffError> {
        let mut known = Self::stored(graph);
        let open = OpenAxes::of(graph, given)?;
        let runs = [open.inputs(0), open.inputs(1)];
        known.add(&runs[0], &runs[1])?;
        let wanted: Vec<&str> = values.iter().filter(|name| !known.0.contains_key(*name)).map(String::as_str).collect();
        let mut additions = Additions::new(graph);
        let declared: BTreeSet<&str> = graph.model().graph().output.iter().map(|output| &*output.name).collect();
        for name in wanted.iter().filter(|name| !declared.contains(*name)) {
            additions.to(MAIN).untyped_output(name);
        }
        let bytes = additions.into_bytes()?.into();
        let mut session =
            engine.load(Runnable { bytes, folder: graph.model().folder(), computes: Computes::Outputs })?;
        let mut run = |inputs: &[(String, Tensor)]| -> Result<Vec<(String, Tensor)>, AutodiffError> {
            let fed: Vec<(&str, &Tensor)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
            let found = session.run(&fed, &wanted)?;
            Ok(wanted.iter().map(ToString::to_string).zip(found).collect())
        };
        let (one, other) = (run(&runs[0])?, run(&runs[1])?);
        known.add(&one, &other)?;
        Ok(known)
    }

    /// The tensors of the model.
    fn stored(graph: &GraphIndex<'_>) -> Self {
        let tensors = graph.model().graph().initializer.iter().filter_map(|tensor| {
            let constant = graph.constant(&tensor.name)?;
            let integers = graph.model().integers(constant).filter(|integers| integers.len() <= MOST_INTEGERS);
            let value = Value { name: tensor.name.clone(), element: constant.element? };
            Some((tensor.name.clone(), Known { value, shape: Shape::of(&constant.dims), integers }))
        });
        Self(tensors.collect())
    }

    fn add(&mut self, one: &[(String, Tensor)], other: &[(String, Tensor)]) -> Result<(), AutodiffError> {
        for ((name, one), (_, other)) in one.iter().zip(other) {
            let shape = Shape::common(one.shape(), other.shape())
                .ok_or_else(|| AutodiffError::Target(format!("value {name} has not always as many axes")))?;
            let value = Value { name: name.clone(), element: one.element_type() };
            let integers = integers(one).filter(|integers| Some(integers) == self::integers(other).as_ref());
            self.0.insert(name.clone(), Known { value, shape, integers });
        }
        Ok(())
    }

    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&Known> {
        self.0.get(name)
    }
}

fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    match tensor {
        Tensor::Int64(array) if array.len() <= MOST_INTEGERS => Some(array.iter().copied().collect()),
        Tensor::Int32(array) if array.len() <= MOST_INTEGERS => Some(array.iter().copied().map(i64::from).collect()),
        _ => None,
    }
}

/// The inputs of a model, and the extents of their open axes in two runs.
struct OpenAxes {
    inputs: Vec<(String, ElementType, Vec<[usize; 2]>)>,
}

impl OpenAxes {
    fn of(graph: &GraphIndex<'_>, given: &BTreeMap<String, usize>) -> Result<Self, AutodiffError> {
        let stored: BTreeSet<&str> =
            graph.model().graph().initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let mut symbols: BTreeMap<String, [usize; 2]> = BTreeMap::new();
        let mut next = OPEN_EXTENTS.into_iter().chain(std::iter::repeat([31, 37]));
        let inputs = graph.model().graph().input.iter().filter(|input| !stored.contains(input.name.as_str()));
        let inputs = inputs.map(|input| {
            let (element, symbolic) = declared(input)?;
            let extents = symbolic.into_iter().map(|extent| match extent {
                Ok(fixed) => [fixed, fixed],
                Err(symbol) => match given.get(&symbol) {
                    Some(&extent) => [extent, extent],
                    None => *symbols.entry(symbol).or_insert_with(|| next.next().unwrap_or([31, 37])),
                },
            });
            Ok((input.name.clone(), element, extents.collect()))
        });
        Ok(Self { inputs: inputs.collect::<Result<_, AutodiffError>>()? })
    }

    /// Inputs of one of the runs: what they hold does not matter for shapes.
    fn inputs(&self, run: usize) -> Vec<(String, Tensor)> {
        let input = |(name, element, extents): &(String, ElementType, Vec<[usize; 2]>)| {
            let shape: Vec<usize> = extents.iter().map(|extent| extent[run]).collect();
            (name.clone(), Tensor::from_f64(&ndarray::ArrayD::zeros(shape), *element))
        };
        self.inputs.iter().map(input).collect()
    }
}

/// The element type of an input and its extents, each a number or a symbol; a nameless open axis has a symbol of its own.
fn declared(input: &ValueInfoProto) -> Result<(ElementType, Vec<Result<usize, String>>), AutodiffError> {
    let unknown =
        |what: &str| ModelError::Graph(format!("input {} has no {what}; export the model with it", input.name));
    let tensor = input.tensor().ok_or_else(|| unknown("tensor type"))?;
    let element = ElementType::from_onnx(tensor.elem_type).ok_or_else(|| unknown("known element type"))?;
    let shape = tensor.shape.as_ref().ok_or_else(|| unknown("shape"))?;
    let extents = shape.dim.iter().enumerate().map(|(axis, dim)| match (dim.dim_value, &dim.dim_param) {
        (Some(extent), _) => usize::try_from(extent).map_err(|_| format!("{}.{axis}", input.name)),
        // The first open axis of every input is the batch, whatever it is called.
        (None, _) if axis == 0 => Err("batch".to_owned()),
        (None, Some(symbol)) if !symbol.is_empty() => Err(symbol.clone()),
        (None, _) => Err(format!("{}.{axis}", input.name)),
    });
    Ok((element, extents.collect()))
}
