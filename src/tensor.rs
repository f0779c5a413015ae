//! The values that cross the boundary to an engine: a dense array with an ONNX element type.

use half::{bf16, f16};
use ndarray::{ArrayD, Axis, IxDyn};
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
    /// True or false.
    Bool,
    /// 16-bit IEEE float.
    Float16,
    /// 64-bit IEEE float.
    Float64,
    /// 16-bit float with the exponent of a `Float32`.
    Bfloat16,
}

impl ElementType {
    /// Every element type, in the order of ONNX's numbering.
    pub const ALL: [Self; 8] = [
        Self::Float32,
        Self::Uint8,
        Self::Int32,
        Self::Int64,
        Self::Bool,
        Self::Float16,
        Self::Float64,
        Self::Bfloat16,
    ];

    /// The number of ONNX's `TensorProto.DataType`.
    pub const fn onnx(self) -> i32 {
        match self {
            Self::Float32 => 1,
            Self::Uint8 => 2,
            Self::Int32 => 6,
            Self::Int64 => 7,
            Self::Bool => 9,
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

    /// The whole numbers that an integer or boolean holds, or `None` for floats.
    pub const fn range(self) -> Option<(i64, i64)> {
        match self {
            Self::Uint8 => Some((0, 255)),
            Self::Int32 => Some((i32::MIN as i64, i32::MAX as i64)),
            Self::Int64 => Some((i64::MIN, i64::MAX)),
            Self::Bool => Some((0, 1)),
            Self::Float16 | Self::Bfloat16 | Self::Float32 | Self::Float64 => None,
        }
    }

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::Uint8 | Self::Bool => 1,
            Self::Float16 | Self::Bfloat16 => 2,
            Self::Float32 | Self::Int32 => 4,
            Self::Float64 | Self::Int64 => 8,
        }
    }

    /// The spacing of floats next to 1, or 0 for integers and booleans.
    pub fn epsilon(self) -> f64 {
        match self {
            Self::Float16 => f64::from(f16::EPSILON),
            Self::Bfloat16 => f64::from(bf16::EPSILON),
            Self::Float32 => f64::from(f32::EPSILON),
            Self::Float64 => f64::EPSILON,
            Self::Uint8 | Self::Int32 | Self::Int64 | Self::Bool => 0.0,
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
            Self::Bool => "bool",
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
    /// Booleans.
    Bool(ArrayD<bool>),
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
            Tensor::Bool($array) => $body,
            Tensor::Float16($array) => $body,
            Tensor::Float64($array) => $body,
            Tensor::Bfloat16($array) => $body,
        }
    };
}

/// The same for an expression that makes another array of the same type: the result is a [`Tensor`] again.
macro_rules! map_each_type {
    ($tensor:expr, $array:ident => $body:expr) => {
        match $tensor {
            Tensor::Float32($array) => Tensor::Float32($body),
            Tensor::Uint8($array) => Tensor::Uint8($body),
            Tensor::Int32($array) => Tensor::Int32($body),
            Tensor::Int64($array) => Tensor::Int64($body),
            Tensor::Bool($array) => Tensor::Bool($body),
            Tensor::Float16($array) => Tensor::Float16($body),
            Tensor::Float64($array) => Tensor::Float64($body),
            Tensor::Bfloat16($array) => Tensor::Bfloat16($body),
        }
    };
}

impl Tensor {
    /// The extent of every axis.
    pub fn shape(&self) -> &[usize] {
        for_each_type!(self, array => array.shape())
    }

    /// The type of the elements.
    pub fn element_type(&self) -> ElementType {
        match self {
            Self::Float32(_) => ElementType::Float32,
            Self::Uint8(_) => ElementType::Uint8,
            Self::Int32(_) => ElementType::Int32,
            Self::Int64(_) => ElementType::Int64,
            Self::Bool(_) => ElementType::Bool,
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
            Self::Bool(array) => array.mapv(|value| f64::from(u8::from(value))),
            Self::Float16(array) => array.mapv(f64::from),
            Self::Float64(array) => array.clone(),
            Self::Bfloat16(array) => array.mapv(f64::from),
        }
    }

    /// `values` rounded once to `element`; integers saturate, and what is not 0 is true.
    pub fn from_f32(values: &ArrayD<f32>, element: ElementType) -> Self {
        match element {
            ElementType::Float32 => Self::Float32(values.clone()),
            ElementType::Uint8 => Self::Uint8(values.mapv(|value| value as u8)),
            ElementType::Int32 => Self::Int32(values.mapv(|value| value as i32)),
            ElementType::Int64 => Self::Int64(values.mapv(|value| value as i64)),
            ElementType::Bool => Self::Bool(values.mapv(|value| value != 0.0)),
            ElementType::Float16 => Self::Float16(values.mapv(f16::from_f32)),
            ElementType::Float64 => Self::Float64(values.mapv(f64::from)),
            ElementType::Bfloat16 => Self::Bfloat16(values.mapv(bf16::from_f32)),
        }
    }

    /// Whole numbers as `element`: integers and booleans exactly, or saturated where they lie beyond its range; floats
    /// rounded once.
    pub fn from_i64(values: &ArrayD<i64>, element: ElementType) -> Self {
        let (least, most) = element.range().unwrap_or((i64::MIN, i64::MAX));
        let values = values.mapv(|value| value.clamp(least, most));
        match element {
            ElementType::Int64 => Self::Int64(values),
            ElementType::Int32 => Self::Int32(values.mapv(|value| value as i32)),
            ElementType::Uint8 => Self::Uint8(values.mapv(|value| value as u8)),
            ElementType::Bool => Self::Bool(values.mapv(|value| value != 0)),
            float => Self::from_f64(&values.mapv(|value| value as f64), float),
        }
    }

    /// `values` rounded once to `element`; integers saturate, and what is not 0 is true.
    pub fn from_f64(values: &ArrayD<f64>, element: ElementType) -> Self {
        match element {
            ElementType::Float32 => Self::Float32(values.mapv(|value| value as f32)),
            ElementType::Uint8 => Self::Uint8(values.mapv(|value| value as u8)),
            ElementType::Int32 => Self::Int32(values.mapv(|value| value as i32)),
            ElementType::Int64 => Self::Int64(values.mapv(|value| value as i64)),
            ElementType::Bool => Self::Bool(values.mapv(|value| value != 0.0)),
            ElementType::Float16 => Self::Float16(values.mapv(f16::from_f64)),
            ElementType::Float64 => Self::Float64(values.clone()),
            ElementType::Bfloat16 => Self::Bfloat16(values.mapv(bf16::from_f64)),
        }
    }

    /// Filled up to `size` along the first axis with copies of its first entry; as it is where it has as many, and
    /// where it has no first entry.
    #[must_use]
    pub fn padded(&self, size: usize) -> Self {
        map_each_type!(self, array => match array.shape() {
            [0, ..] | [] => array.clone(),
            [length, ..] => {
                let order: Vec<usize> = (0..size.max(*length)).map(|at| if at < *length { at } else { 0 }).collect();
                array.select(Axis(0), &order)
            }
        })
    }

    /// The first entry of the first axis, which stays.
    #[must_use]
    pub fn first_entry(&self) -> Self {
        map_each_type!(self, array => array.slice_axis(Axis(0), (..1).into()).to_owned())
    }

    /// The same values in another shape, repeated along axes that this one lacks or has once (as numpy broadcasts), or
    /// `None` where they do not fit.
    pub fn broadcast(&self, shape: &[usize]) -> Option<Self> {
        Some(map_each_type!(self, array => array.broadcast(IxDyn(shape))?.to_owned()))
    }

    /// The same values, row by row, in a shape that holds as many, or `None` where it does not.
    pub fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        Some(map_each_type!(self, array => array.to_shape(IxDyn(shape)).ok()?.to_owned()))
    }

    /// The elements, row by row, each as little-endian bytes.
    pub fn to_little_endian(&self) -> Vec<u8> {
        match self {
            Self::Float32(array) => array.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Uint8(array) => array.iter().copied().collect(),
            Self::Int32(array) => array.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Int64(array) => array.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Bool(array) => array.iter().map(|value| u8::from(*value)).collect(),
            Self::Float16(array) => array.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Float64(array) => array.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::Bfloat16(array) => array.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    /// The same the other way; `None` where the bytes do not fit the shape.
    pub fn from_little_endian(element: ElementType, shape: &[usize], bytes: &[u8]) -> Option<Self> {
        fn array<const N: usize, T>(shape: &[usize], bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Option<ArrayD<T>> {
            let (chunks, rest) = bytes.as_chunks::<N>();
            let values = chunks.iter().map(|chunk| value(*chunk)).collect();
            rest.is_empty().then(|| ArrayD::from_shape_vec(IxDyn(shape), values).ok()).flatten()
        }
        Some(match element {
            ElementType::Float32 => Self::Float32(array(shape, bytes, f32::from_le_bytes)?),
            ElementType::Uint8 => Self::Uint8(array(shape, bytes, u8::from_le_bytes)?),
            ElementType::Int32 => Self::Int32(array(shape, bytes, i32::from_le_bytes)?),
            ElementType::Int64 => Self::Int64(array(shape, bytes, i64::from_le_bytes)?),
            ElementType::Bool => Self::Bool(array(shape, bytes, |[byte]| byte != 0)?),
            ElementType::Float16 => Self::Float16(array(shape, bytes, f16::from_le_bytes)?),
            ElementType::Float64 => Self::Float64(array(shape, bytes, f64::from_le_bytes)?),
            ElementType::Bfloat16 => Self::Bfloat16(array(shape, bytes, bf16::from_le_bytes)?),
        })
    }

    /// A float32 tensor of zeros.
    pub fn zeros(shape: &[usize]) -> Self {
        Self::Float32(ArrayD::zeros(IxDyn(shape)))
    }
}

/// A tensor and the input of the model that it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// The name of the input.
    pub name: String,
    /// What it is fed.
    pub tensor: Tensor,
}
