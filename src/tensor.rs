//! The values that cross the boundary to an engine: a dense array with an ONNX element type.

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use serde::Serialize;
use std::fmt;

/// The element types this crate computes with or feeds to a model, numbered as in ONNX's `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// 32-bit IEEE float.
    Float32,
    /// 8-bit unsigned integer.
    Uint8,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// 16-bit IEEE float.
    Float16,
    /// 64-bit IEEE float.
    Float64,
    /// 16-bit float with the exponent of a `Float32`.
    Bfloat16,
}

impl ElementType {
    /// Every element type, in the order of ONNX's numbering.
    pub const ALL: [Self; 7] =
        [Self::Float32, Self::Uint8, Self::Int32, Self::Int64, Self::Float16, Self::Float64, Self::Bfloat16];

    /// The number of ONNX's `TensorProto.DataType`.
    pub const fn onnx(self) -> i32 {
        match self {
            Self::Float32 => 1,
            Self::Uint8 => 2,
            Self::Int32 => 6,
            Self::Int64 => 7,
            Self::Float16 => 10,
            Self::Float64 => 11,
            Self::Bfloat16 => 16,
        }
    }

    /// The element type of a number of ONNX's `TensorProto.DataType`, where this crate knows it.
    pub fn from_onnx(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|element| element.onnx() == code)
    }

    /// Whether weights of this type can be projected.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::Float16 | Self::Bfloat16 | Self::Float32 | Self::Float64)
    }

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::Uint8 => 1,
            Self::Float16 | Self::Bfloat16 => 2,
            Self::Float32 | Self::Int32 => 4,
            Self::Float64 | Self::Int64 => 8,
        }
    }

    /// The spacing of floats next to 1, or 0 for integers.
    pub fn epsilon(self) -> f64 {
        match self {
            Self::Float16 => f64::from(f16::EPSILON),
            Self::Bfloat16 => f64::from(bf16::EPSILON),
            Self::Float32 => f64::from(f32::EPSILON),
            Self::Float64 => f64::EPSILON,
            Self::Uint8 | Self::Int32 | Self::Int64 => 0.0,
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float32 => "float32",
            Self::Uint8 => "uint8",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float16 => "float16",
            Self::Float64 => "float64",
            Self::Bfloat16 => "bfloat16",
        })
    }
}

/// A dense tensor in standard (row-major) layout.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// 32-bit floats.
    Float32(ArrayD<f32>),
    /// Bytes.
    Uint8(ArrayD<u8>),
    /// 32-bit integers.
    Int32(ArrayD<i32>),
    /// 64-bit integers.
    Int64(ArrayD<i64>),
    /// 16-bit IEEE floats.
    Float16(ArrayD<f16>),
    /// 64-bit floats.
    Float64(ArrayD<f64>),
    /// 16-bit brain floats.
    Bfloat16(ArrayD<bf16>),
}

/// Runs one expression for whichever array a [`Tensor`] holds.
macro_rules! for_each_type {
    ($tensor:expr, $array:ident => $body:expr) => {
        match $tensor {
            Tensor::Float32($array) => $body,
            Tensor::Uint8($array) => $body,
            Tensor::Int32($array) => $body,
            Tensor::Int64($array) => $body,
            Tensor::Float16($array) => $body,
            Tensor::Float64($array) => $body,
            Tensor::Bfloat16($array) => $body,
        }
    };
}

impl Tensor {
    /// The extent of every axis.
    pub fn shape(&self) -> &[usize] {
        for_each_type!(self, array => array.shape())
    }

    /// The first position of the first axis.
    pub fn first_sample(&self) -> Self {
        macro_rules! first {
            ($variant:ident, $array:expr) => {
                Self::$variant($array.slice_axis(ndarray::Axis(0), (0..1).into()).to_owned())
            };
        }
        match self {
            Self::Float32(array) => first!(Float32, array),
            Self::Uint8(array) => first!(Uint8, array),
            Self::Int32(array) => first!(Int32, array),
            Self::Int64(array) => first!(Int64, array),
            Self::Float16(array) => first!(Float16, array),
            Self::Float64(array) => first!(Float64, array),
            Self::Bfloat16(array) => first!(Bfloat16, array),
        }
    }

    /// The type of the elements.
    pub fn element_type(&self) -> ElementType {
        match self {
            Self::Float32(_) => ElementType::Float32,
            Self::Uint8(_) => ElementType::Uint8,
            Self::Int32(_) => ElementType::Int32,
            Self::Int64(_) => ElementType::Int64,
            Self::Float16(_) => ElementType::Float16,
            Self::Float64(_) => ElementType::Float64,
            Self::Bfloat16(_) => ElementType::Bfloat16,
        }
    }

    /// The values as float64; exact for every type but integers beyond 2⁵³.
    pub fn to_f64(&self) -> ArrayD<f64> {
        match self {
            Self::Float32(array) => array.mapv(f64::from),
            Self::Uint8(array) => array.mapv(f64::from),
            Self::Int32(array) => array.mapv(f64::from),
            Self::Int64(array) => array.mapv(|value| value as f64),
            Self::Float16(array) => array.mapv(f64::from),
            Self::Float64(array) => array.clone(),
            Self::Bfloat16(array) => array.mapv(f64::from),
        }
    }

    /// `values` rounded once to `element`; integers saturate.
    pub fn from_f32(values: &ArrayD<f32>, element: ElementType) -> Self {
        match element {
            ElementType::Float32 => Self::Float32(values.clone()),
            ElementType::Uint8 => Self::Uint8(values.mapv(|value| value as u8)),
            ElementType::Int32 => Self::Int32(values.mapv(|value| value as i32)),
            ElementType::Int64 => Self::Int64(values.mapv(|value| value as i64)),
            ElementType::Float16 => Self::Float16(values.mapv(f16::from_f32)),
            ElementType::Float64 => Self::Float64(values.mapv(f64::from)),
            ElementType::Bfloat16 => Self::Bfloat16(values.mapv(bf16::from_f32)),
        }
    }

    /// A float32 tensor of zeros.
    pub fn zeros(shape: &[usize]) -> Self {
        Self::Float32(ArrayD::zeros(IxDyn(shape)))
    }
}
