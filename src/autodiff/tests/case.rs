//! A node to try a rule on.

use crate::model::fragment::{Fragment, int, one};
use crate::model::proto::{AttributeProto, DimensionProto, ModelProto, OperatorSetIdProto, TensorShapeProto};
use crate::tensor::{ElementType, Tensor};
use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;
use proptest::sample::subsequence;
use prost::Message;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// What a node is given at an input.
#[derive(Clone, Debug)]
pub enum Given {
    /// An input of the model of that shape: distinct numbers between two bounds, none of them near 0.
    Floats(Vec<usize>, f64, f64),
    /// A constant of these integers, with as many axes.
    Integers(Vec<usize>, Vec<i64>),
    /// A constant number of the type of the floats.
    Number(f64),
    /// A constant vector in float32, whatever the type of the floats.
    Singles(Vec<f32>),
    /// Which of two values is taken.
    Truths(Vec<usize>, Vec<bool>),
    /// Nothing: an optional input that is left out.
    Nothing,
}

impl Given {
    /// Numbers between −1 and 1.
    pub fn floats(shape: &[usize]) -> Self {
        Self::Floats(shape.to_vec(), -1.0, 1.0)
    }

    /// A vector of integers.
    pub fn integers(values: &[i64]) -> Self {
        Self::Integers(vec![values.len()], values.to_vec())
    }
}

/// How far the inputs of a function can be moved to find its slopes: the further, the fewer digits are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As far as one likes: it is linear in each input.
    Linear,
    /// A little: it has no kinks.
    Smooth,
    /// Less than what lies between two inputs: it has kinks, or chooses the largest.
    Kinked,
}

/// A node, and what it is given.
#[derive(Clone, Debug)]
#[must_use]
pub struct Case {
    /// Its operator.
    pub operator: &'static str,
    /// What it is given at each input.
    pub given: Vec<Given>,
    /// Its attributes.
    pub attributes: Vec<AttributeProto>,
    /// How many outputs it has.
    pub outputs: usize,
    /// The operator set of the model.
    pub opset: i64,
    /// The inputs of which the first axis is declared open, as a batch is.
    pub open: Vec<usize>,
    /// Draws the numbers.
    pub seed: u64,
    /// Whether the node is one of float32 alone.
    pub single: bool,
    /// How far its inputs can be moved.
    pub kind: Kind,
}

impl Case {
    /// With one output, in opset 20, the batch of the first input open.
    pub fn new(operator: &'static str, given: Vec<Given>, attributes: Vec<AttributeProto>) -> Self {
        let open = match given.first() {
            Some(Given::Floats(shape, ..)) if !shape.is_empty() => vec![0],
            _ => vec![],
        };
        Self { operator, given, attributes, outputs: 1, opset: 20, open, seed: 1, single: false, kind: Kind::Kinked }
    }

    /// The inputs of which the first axis is open.
    pub fn open(self, open: &[usize]) -> Self {
        Self { open: open.to_vec(), ..self }
    }

    /// In another operator set.
    pub fn opset(self, opset: i64) -> Self {
        Self { opset, ..self }
    }

    /// With several outputs.
    pub fn outputs(self, outputs: usize) -> Self {
        Self { outputs, ..self }
    }

    /// Of float32 alone, where so.
    pub fn single(self, single: bool) -> Self {
        Self { single, ..self }
    }

    /// Of a function of that kind.
    pub fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// How far inputs are moved to find a slope.
    pub(super) fn step(&self, element: ElementType) -> f64 {
        match (self.kind, element) {
            (Kind::Linear, _) => 0.25,
            (_, ElementType::Float64) => 1e-4,
            (Kind::Smooth, _) => 0.03,
            (Kind::Kinked, _) => 0.003,
        }
    }

    /// How many digits quotients of differences in float32 have lost.
    pub(super) fn tolerance(&self) -> f64 {
        match self.kind {
            Kind::Linear => 2e-5,
            Kind::Smooth => 2e-4,
            Kind::Kinked => 2e-3,
        }
    }

    /// The floating-point inputs: their names, and what they hold.
    pub(super) fn floats(&self) -> Vec<(String, ArrayD<f64>)> {
        let input = |(at, given): (usize, &Given)| match given {
            Given::Floats(shape, least, most) => {
                Some((format!("x{at}"), Self::numbers(shape, [*least, *most], self.seed + at as u64)))
            }
            _ => None,
        };
        self.given.iter().enumerate().filter_map(input).collect()
    }

    /// Evenly spaced numbers in random order, as float32 has them: no two are close, so that a small step changes no order.
    fn numbers(shape: &[usize], [least, most]: [f64; 2], seed: u64) -> ArrayD<f64> {
        let count: usize = shape.iter().product();
        let spacing = (most - least) / count.max(1) as f64;
        let mut values: Vec<f64> = (0..count).map(|at| least + spacing * (at as f64 + 0.4)).collect();
        for value in &mut values {
            let away = if value.abs() < 0.1 * spacing { 0.2 * spacing } else { 0.0 };
            *value = f64::from((*value + away) as f32);
        }
        values.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many as the shape")
    }

    /// A model of the node and of `Σ weights ∘ output`, called `target`, in that type; weights tell the entries apart.
    pub(super) fn model(&self, element: ElementType) -> Vec<u8> {
        let header = ModelProto {
            ir_version: 9,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: self.opset }],
            ..ModelProto::default()
        };
        let mut fragment = Fragment::default();
        let names: Vec<String> =
            self.given.iter().enumerate().map(|(at, given)| self.give(at, given, element, &mut fragment)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let outputs: Vec<String> = (0..self.outputs).map(|at| format!("y{at}")).collect();
        fragment.node_giving(self.operator, &names, &outputs, self.attributes.clone());
        let mut terms = Vec::new();
        for output in &outputs {
            let weights = weights(&mut fragment, output, element);
            let product = fragment.node("Mul", &[output, &weights], vec![]);
            let flat = fragment.integers(&[1, -1]);
            let row = fragment.node("Reshape", &[&product, &flat], vec![]);
            // A product with ones, which is a sum in every operator set and in float64 on every engine.
            let shape = fragment.node("Shape", &[&row], vec![]);
            let ones = fragment.node("ConstantOfShape", &[&shape], vec![one("value", element)]);
            let column = fragment.node("Transpose", &[&ones], vec![]);
            terms.push(fragment.node("MatMul", &[&row, &column], vec![]));
        }
        if let Some(sum) = terms.into_iter().reduce(|a, b| fragment.node("Add", &[&a, &b], vec![])) {
            fragment.node_giving("Identity", &[&sum], &["target".to_owned()], vec![]);
            fragment.untyped_output("target");
        }
        fragment.append_to(&header.encode_to_vec())
    }

    fn give(&self, at: usize, given: &Given, element: ElementType, fragment: &mut Fragment) -> String {
        match given {
            Given::Floats(shape, ..) => {
                let name = format!("x{at}");
                let open = self.open.contains(&at);
                let dim = |(axis, &extent): (usize, &usize)| {
                    let symbol = (open && axis == 0).then(|| "N".to_owned());
                    DimensionProto { dim_value: symbol.is_none().then_some(extent as i64), dim_param: symbol }
                };
                let shape = TensorShapeProto { dim: shape.iter().enumerate().map(dim).collect() };
                fragment.named_input(&name, element, shape);
                name
            }
            Given::Integers(shape, values) => {
                let array = ArrayD::from_shape_vec(IxDyn(shape), values.clone()).expect("as many as the shape");
                constant(fragment, &Tensor::Int64(array))
            }
            Given::Singles(values) => {
                let array = ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.clone()).expect("a vector");
                constant(fragment, &Tensor::Float32(array))
            }
            Given::Truths(shape, values) => {
                let array = ArrayD::from_shape_vec(IxDyn(shape), values.clone()).expect("as many as the shape");
                constant(fragment, &Tensor::Bool(array))
            }
            Given::Number(number) => {
                constant(fragment, &Tensor::from_f64(&ArrayD::from_elem(IxDyn(&[]), *number), element))
            }
            Given::Nothing => String::new(),
        }
    }
}

fn constant(fragment: &mut Fragment, tensor: &Tensor) -> String {
    fragment.initializer(tensor.shape(), tensor.element_type(), tensor.to_little_endian())
}

/// Numbers between −1 and 1 in the shape of a value, whatever that is: sines of 1, 4, 7, …
fn weights(fragment: &mut Fragment, of: &str, element: ElementType) -> String {
    let size = fragment.node("Size", &[of], vec![]);
    let [one, three] = [1, 3].map(|number| constant(fragment, &Tensor::Int64(ArrayD::from_elem(IxDyn(&[]), number))));
    let end = fragment.node("Mul", &[&size, &three], vec![]);
    let end = fragment.node("Add", &[&end, &one], vec![]);
    let numbers = fragment.node("Range", &[&one, &end, &three], vec![]);
    let numbers = fragment.node("Cast", &[&numbers], vec![int("to", i64::from(ElementType::Float32.onnx()))]);
    let sines = fragment.node("Sin", &[&numbers], vec![]);
    let sines = fragment.node("Cast", &[&sines], vec![int("to", i64::from(element.onnx()))]);
    let shape = fragment.node("Shape", &[of], vec![]);
    fragment.node("Reshape", &[&sines, &shape], vec![])
}

/// Shapes of so many axes of 1 to 4 entries.
pub fn shapes(rank: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(1..=4_usize, rank)
}

/// The same with one entry on some axes.
pub fn with_ones(shape: &[usize], ones: &[usize]) -> Vec<usize> {
    let extent = |(axis, &extent): (usize, &usize)| if ones.contains(&axis) { 1 } else { extent };
    shape.iter().enumerate().map(extent).collect()
}

/// Some of so many axes, in order.
pub fn axes(rank: usize) -> impl Strategy<Value = Vec<usize>> {
    subsequence((0..rank).collect::<Vec<_>>(), 0..=rank)
}
