//! Weights stored as integers: `value = (q − zero point) · scale` (ONNX, DequantizeLinear).

use super::graph::{Constant, GraphIndex, NodeIndex};
use super::tensors::{INT8, UINT8};
use crate::tensor::ElementType;
use ndarray::{ArrayD, IxDyn};

/// How integers stand for floats. Scale and zero point stay; new values go to the nearest integer that there is.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    signed: bool,
    float: ElementType,
    /// One for the tensor, or one for each position along `axis`.
    scale: Vec<f64>,
    zero_point: Vec<i64>,
    axis: usize,
}

impl Quantization {
    /// What a DequantizeLinear node says of the stored tensor that it reads; blocks and 4-bit types are not read.
    pub(super) fn of(graph: &GraphIndex<'_>, at: NodeIndex, stored: &Constant) -> Option<Self> {
        let node = graph.node(at);
        let (model, scale) = (graph.model(), graph.operand(at, 1)?);
        let float = scale.element.filter(|element| element.is_float())?;
        if !matches!(stored.data_type, UINT8 | INT8) || node.int("block_size", 0) != 0 {
            return None;
        }
        let scales: Vec<f64> = model.values(&scale.constant).ok()?.iter().copied().collect();
        let zero_point = match node.input(2) {
            Some(_) => model.integers(&graph.operand(at, 2)?.constant)?,
            None => vec![0; scales.len()],
        };
        let rank = stored.dims.len() as i64;
        let axis = node.int("axis", 1);
        let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?;
        let along = *stored.dims.get(axis).unwrap_or(&1);
        let fits = zero_point.len() == scales.len() && (scales.len() == 1 || scales.len() == along);
        let usable = scales.iter().all(|scale| scale.is_finite() && *scale > 0.0);
        (fits && usable).then_some(Self { signed: stored.data_type == INT8, float, scale: scales, zero_point, axis })
    }

    /// The type of the floats.
    pub(super) fn float(&self) -> ElementType {
        self.float
    }

    /// The floats that stored integers stand for.
    pub(super) fn decode(&self, stored: &[u8], dims: &[usize]) -> ArrayD<f64> {
        let value = |(at, &byte): (usize, &u8)| {
            let integer = if self.signed { i64::from(byte.cast_signed()) } else { i64::from(byte) };
            let (scale, zero_point) = self.at(at, dims);
            (integer - zero_point) as f64 * scale
        };
        let values = stored.iter().enumerate().map(value).collect();
        ArrayD::from_shape_vec(IxDyn(dims), values).expect("the tensor was checked against its shape")
    }

    /// The nearest integers, halves to even, as they are stored.
    pub(super) fn encode(&self, values: &ArrayD<f64>) -> Vec<u8> {
        let dims = values.shape();
        let (least, most) = if self.signed { (-128.0, 127.0) } else { (0.0, 255.0) };
        let byte = |(at, value): (usize, &f64)| {
            let (scale, zero_point) = self.at(at, dims);
            let integer = ((value / scale).round_ties_even() + zero_point as f64).clamp(least, most) as i64;
            integer as u8
        };
        values.iter().enumerate().map(byte).collect()
    }

    fn at(&self, position: usize, dims: &[usize]) -> (f64, i64) {
        let index = if self.scale.len() == 1 {
            0
        } else {
            let inner: usize = dims[self.axis + 1..].iter().product();
            position / inner % dims[self.axis]
        };
        (self.scale[index], self.zero_point[index])
    }
}
