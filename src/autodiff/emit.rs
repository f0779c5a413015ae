//! Writes the nodes of a backward graph: what rules are made of, in the form that the model's operator set has for it.

use super::error::Refusal;
use super::known::{Known, Value};
use super::shape::Shape;
use crate::model::fragment::{float, int, ints};
use crate::model::proto::AttributeProto;
use crate::model::{Additions, MAIN, NodeIndex};
use crate::tensor::{ElementType, Tensor};
use ndarray::{ArrayD, IxDyn};
use std::collections::BTreeMap;

/// The end of a slice that goes to the end. (tract cannot add to larger numbers.)
pub(super) const TO_THE_END: i64 = i32::MAX as i64;

/// Since this operator set axes of ReduceSum, Squeeze and Unsqueeze are an input.
const AXES_AS_INPUT: i64 = 13;

/// The same of the other reductions.
const MEAN_AXES_AS_INPUT: i64 = 18;

/// Writes nodes behind those of a model. Equal constants are written once.
pub struct Emit<'g> {
    additions: Additions<'g>,
    opset: i64,
    constants: BTreeMap<(ElementType, Vec<usize>, Vec<u8>), Value>,
}

impl<'g> Emit<'g> {
    /// Nothing yet. `opset`: the version of ONNX's own operator set that the model imports.
    pub fn new(additions: Additions<'g>, opset: i64) -> Self {
        Self { additions, opset, constants: BTreeMap::new() }
    }

    /// What was written.
    pub fn into_additions(self) -> Additions<'g> {
        self.additions
    }

    /// What is added to the main graph.
    pub fn additions(&mut self) -> &mut Additions<'g> {
        &mut self.additions
    }

    /// The version of ONNX's own operator set.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// Refuses operator sets before that one, of which `what` is part.
    ///
    /// # Errors
    /// The refusal.
    pub fn since(&self, opset: i64, what: &str) -> Result<(), Refusal> {
        if self.opset >= opset {
            return Ok(());
        }
        let have = self.opset;
        Err(Refusal::new(format!("{what} is of opset {opset}, the model's is {have}; convert the model to that opset")))
    }

    /// An output of a node of the model, which may have left it out until now.
    pub fn output_of(&mut self, at: NodeIndex, output: usize, element: ElementType) -> Value {
        Value { name: self.additions.output_of(at, output), element }
    }

    /// Makes a value an output of the model.
    pub fn output(&mut self, name: &str) {
        self.additions.to(MAIN).untyped_output(name);
    }

    /// Makes a value an output of the model under a name of its own, which nothing has.
    pub fn name_output(&mut self, value: &Value, name: &str) {
        let fragment = self.additions.to(MAIN);
        fragment.node_giving("Identity", &[&value.name], &[name.to_owned()], vec![]);
        fragment.output(name, value.element);
    }

    /// Adds a node with one output, of the type of its first input.
    pub fn node(&mut self, op_type: &str, inputs: &[&Value], attributes: Vec<AttributeProto>) -> Value {
        self.node_of(op_type, inputs, attributes, inputs[0].element)
    }

    /// Adds a node with one output of that type.
    pub fn node_of(
        &mut self,
        op_type: &str,
        inputs: &[&Value],
        attributes: Vec<AttributeProto>,
        element: ElementType,
    ) -> Value {
        let names: Vec<&str> = inputs.iter().map(|value| value.name.as_str()).collect();
        Value { name: self.additions.to(MAIN).node(op_type, &names, attributes), element }
    }

    /// A constant tensor.
    pub fn constant(&mut self, tensor: &Tensor) -> Value {
        let key = (tensor.element_type(), tensor.shape().to_vec(), tensor.to_little_endian());
        if let Some(made) = self.constants.get(&key) {
            return made.clone();
        }
        let (element, dims, raw) = &key;
        let value = Value { name: self.additions.to(MAIN).initializer(dims, *element, raw.clone()), element: *element };
        self.constants.insert(key, value.clone());
        value
    }

    /// A constant number without axes.
    pub fn number(&mut self, number: f64, element: ElementType) -> Value {
        self.constant(&Tensor::from_f64(&ArrayD::from_elem(IxDyn(&[]), number), element))
    }

    /// A constant vector of integers, as shapes are given.
    pub fn integers(&mut self, integers: &[i64]) -> Value {
        self.constant(&Tensor::Int64(
            ArrayD::from_shape_vec(IxDyn(&[integers.len()]), integers.to_vec()).unwrap_or_default(),
        ))
    }

    /// `a + b`.
    pub fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Add", &[a, b], vec![])
    }

    /// `a − b`.
    pub fn sub(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Sub", &[a, b], vec![])
    }

    /// `a ∘ b`.
    pub fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Mul", &[a, b], vec![])
    }

    /// `a / b`.
    pub fn div(&mut self, a: &Value, b: &Value) -> Value {
        self.node("Div", &[a, b], vec![])
    }

    /// A function of one value without attributes: `Exp`, `Neg`, `Sqrt`, …
    pub fn unary(&mut self, op_type: &str, a: &Value) -> Value {
        self.node(op_type, &[a], vec![])
    }

    /// `factor · a`.
    pub fn scaled(&mut self, a: &Value, factor: f64) -> Value {
        if factor == 1.0 {
            return a.clone();
        }
        let factor = self.number(factor, a.element);
        self.mul(a, &factor)
    }

    /// `a + number`.
    pub fn shifted(&mut self, a: &Value, number: f64) -> Value {
        let number = self.number(number, a.element);
        self.add(a, &number)
    }

    /// A comparison, as 1 where it holds and 0 elsewhere, in the type of `a`: `Greater`, `Less`, `Equal`.
    pub fn indicator(&mut self, op_type: &str, a: &Value, b: &Value) -> Value {
        let holds = self.node_of(op_type, &[a, b], vec![], ElementType::Bool);
        self.cast(&holds, a.element)
    }

    /// In another element type.
    pub fn cast(&mut self, a: &Value, element: ElementType) -> Value {
        if a.element == element {
            return a.clone();
        }
        self.node_of("Cast", &[a], vec![int("to", i64::from(element.onnx()))], element)
    }

    /// The extents of a value at run time.
    pub fn shape(&mut self, a: &Value) -> Value {
        self.node_of("Shape", &[a], vec![], ElementType::Int64)
    }

    /// The sum over axes, which stay with one entry where `keep`.
    pub fn sum(&mut self, a: &Value, axes: &[usize], keep: bool) -> Value {
        if axes.is_empty() {
            return a.clone();
        }
        let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
        self.with_axes("ReduceSum", a, &axes, vec![int("keepdims", i64::from(keep))])
    }

    /// The mean over axes, which stay with one entry.
    pub fn mean(&mut self, a: &Value, axes: &[usize]) -> Value {
        let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
        if self.opset < MEAN_AXES_AS_INPUT {
            return self.node("ReduceMean", &[a], vec![ints("axes", axes)]);
        }
        let axes = self.integers(&axes);
        self.node("ReduceMean", &[a, &axes], vec![])
    }

    /// Without those axes, which have one entry.
    pub fn squeeze(&mut self, a: &Value, axes: &[i64]) -> Value {
        self.with_axes("Squeeze", a, axes, vec![])
    }

    /// With axes of one entry at those places of the result.
    pub fn unsqueeze(&mut self, a: &Value, axes: &[i64]) -> Value {
        self.with_axes("Unsqueeze", a, axes, vec![])
    }

    fn with_axes(&mut self, op_type: &str, a: &Value, axes: &[i64], mut attributes: Vec<AttributeProto>) -> Value {
        if self.opset < AXES_AS_INPUT {
            attributes.push(ints("axes", axes.iter().copied()));
            return self.node(op_type, &[a], attributes);
        }
        let axes = self.integers(axes);
        self.node(op_type, &[a, &axes], attributes)
    }

    /// In a fixed shape, in which one extent may be −1.
    pub fn reshape(&mut self, a: &Value, target: &[i64]) -> Value {
        let target = self.integers(target);
        self.node("Reshape", &[a, &target], vec![])
    }

    /// In the shape of a value of the model.
    pub fn reshape_as(&mut self, a: &Value, like: &Known) -> Value {
        let target = self.target(like);
        self.node("Reshape", &[a, &target], vec![])
    }

    /// The shape of a value of the model as a target of Reshape or Expand: a constant where that suffices.
    fn target(&mut self, like: &Known) -> Value {
        match like.shape.as_target() {
            Some(target) => self.integers(&target),
            None => self.shape(&like.value),
        }
    }

    /// The extents of a value of the model: a constant where all are fixed.
    pub fn extents(&mut self, of: &Known) -> Value {
        match of.shape.fixed() {
            Some(fixed) => self.integers(&fixed.iter().map(|&extent| extent as i64).collect::<Vec<_>>()),
            None => self.shape(&of.value),
        }
    }

    /// Repeated to the shape of a value of the model.
    pub fn expand_as(&mut self, a: &Value, like: &Known) -> Value {
        let extents = self.extents(like);
        self.node("Expand", &[a, &extents], vec![])
    }

    /// Zeros in the shape of a value of the model.
    pub fn zeros_as(&mut self, like: &Known) -> Value {
        let zero = self.number(0.0, like.value.element);
        self.expand_as(&zero, like)
    }

    /// With axes in another order.
    pub fn transpose(&mut self, a: &Value, order: &[usize]) -> Value {
        if order.iter().enumerate().all(|(at, &axis)| at == axis) {
            return a.clone();
        }
        self.node("Transpose", &[a], vec![ints("perm", order.iter().map(|&axis| axis as i64))])
    }

    /// With the last two of `rank` axes exchanged.
    pub fn transpose_last(&mut self, a: &Value, rank: usize) -> Value {
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 2, rank - 1);
        self.transpose(a, &order)
    }

    /// A matrix product, batched as numpy's.
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        self.node("MatMul", &[a, b], vec![])
    }

    /// `α A' B'` of matrices, `A'` and `B'` transposed where said so.
    pub fn gemm(&mut self, (a, transpose_a): (&Value, bool), (b, transpose_b): (&Value, bool), alpha: f32) -> Value {
        let attributes =
            vec![float("alpha", alpha), int("transA", i64::from(transpose_a)), int("transB", i64::from(transpose_b))];
        self.node("Gemm", &[a, b], attributes)
    }

    /// Several values one behind the other along an axis.
    pub fn concat(&mut self, values: &[&Value], axis: i64) -> Value {
        if let [only] = values {
            return (*only).clone();
        }
        self.node("Concat", values, vec![int("axis", axis)])
    }

    /// Along an axis from a start up to an end, every `step`-th.
    pub fn slice(&mut self, a: &Value, axis: usize, [start, end]: [i64; 2], step: i64) -> Value {
        let bounds = [start, end, axis as i64, step].map(|bound| self.integers(&[bound]));
        let [start, end, axis, step] = &bounds;
        self.node("Slice", &[a, start, end, axis, step], vec![])
    }

    /// In the opposite order along an axis.
    pub fn reverse(&mut self, a: &Value, axis: usize) -> Value {
        self.slice(a, axis, [-1, -TO_THE_END], -1)
    }

    /// With an axis of `rank` and the next one as one.
    pub fn merge_axes(&mut self, a: &Value, axis: usize, rank: usize) -> Value {
        // A zero keeps an extent, and behind the merged axis all of them are one further.
        if axis + 2 == rank {
            let mut target = vec![0; axis];
            target.push(-1);
            return self.reshape(a, &target);
        }
        let extents = self.shape(a);
        let before = self.slice(&extents, 0, [0, axis as i64], 1);
        let merged = self.integers(&[-1]);
        let behind = self.slice(&extents, 0, [axis as i64 + 2, TO_THE_END], 1);
        let parts = if axis == 0 { vec![&merged, &behind] } else { vec![&before, &merged, &behind] };
        let target = self.concat(&parts, 0);
        self.node("Reshape", &[a, &target], vec![])
    }

    /// With zeros before and behind every axis: first all numbers before, then all behind.
    pub fn pad(&mut self, a: &Value, pads: &[i64]) -> Value {
        if pads.iter().all(|&pad| pad == 0) {
            return a.clone();
        }
        let pads = self.integers(pads);
        self.node("Pad", &[a, &pads], vec![])
    }

    /// A gradient of the shape `of` as one of a value that was broadcast to it.
    pub fn unbroadcast(&mut self, gradient: &Value, of: &Shape, to: &Known) -> Value {
        let axes = of.broadcast_axes(&to.shape);
        let lacks = of.rank().saturating_sub(to.shape.rank());
        let leading: Vec<usize> = axes.iter().copied().filter(|axis| *axis < lacks).collect();
        let kept: Vec<usize> = axes.iter().copied().filter(|axis| *axis >= lacks).collect();
        if kept.is_empty() {
            return self.sum(gradient, &leading, false);
        }
        let summed = self.sum(gradient, &axes, true);
        if leading.is_empty() { summed } else { self.reshape_as(&summed, to) }
    }
}
