//! Tensors to and from ONNX Runtime's values.

use crate::engine::{Numbers, Shown};
use crate::tensor::Tensor;
use ndarray::{ArrayD, IxDyn};
use ort::session::SessionInputValue;
use ort::value::{DynValue, PrimitiveTensorElementType, TensorElementType, TensorRef, Value};
use std::fmt::Debug;

/// `tensor` as an input: a view of its memory, or a copy where the layout is not the standard one.
pub(super) fn input(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
    match tensor {
        Tensor::Float32(array) => view(array),
        Tensor::Uint8(array) => view(array),
        Tensor::Int32(array) => view(array),
        Tensor::Int64(array) => view(array),
        Tensor::Bool(array) => view(array),
        Tensor::Float16(array) => view(array),
        Tensor::Float64(array) => view(array),
        Tensor::Bfloat16(array) => view(array),
    }
}

fn view<T: PrimitiveTensorElementType + Clone + Debug + 'static>(
    array: &ArrayD<T>,
) -> ort::Result<SessionInputValue<'_>> {
    if array.is_standard_layout() { Ok(TensorRef::from_array_view(array)?.into()) } else { copied(array) }
}

/// A copy of `tensor` as an input that is bound. Binding one that is only borrowed, ort 2.0.0-rc.15 copies it by a session that it
/// locks for the same copy: it waits for itself.
pub(super) fn owned(tensor: &Tensor) -> ort::Result<SessionInputValue<'static>> {
    match tensor {
        Tensor::Float32(array) => copied(array),
        Tensor::Uint8(array) => copied(array),
        Tensor::Int32(array) => copied(array),
        Tensor::Int64(array) => copied(array),
        Tensor::Bool(array) => copied(array),
        Tensor::Float16(array) => copied(array),
        Tensor::Float64(array) => copied(array),
        Tensor::Bfloat16(array) => copied(array),
    }
}

fn copied<T: PrimitiveTensorElementType + Clone + Debug + 'static>(
    array: &ArrayD<T>,
) -> ort::Result<SessionInputValue<'static>> {
    Ok(Value::from_array(array.as_standard_layout().into_owned())?.into())
}

/// An output as a tensor: one copy, because ONNX Runtime owns what it returns.
pub(super) fn output(value: &DynValue) -> Result<Tensor, String> {
    let Some(element) = value.dtype().tensor_type() else {
        return Err(format!("it is no tensor but {}", value.dtype()));
    };
    match element {
        TensorElementType::Float32 => copy(value).map(Tensor::Float32),
        TensorElementType::Uint8 => copy(value).map(Tensor::Uint8),
        TensorElementType::Int32 => copy(value).map(Tensor::Int32),
        TensorElementType::Int64 => copy(value).map(Tensor::Int64),
        TensorElementType::Bool => copy(value).map(Tensor::Bool),
        TensorElementType::Float16 => copy(value).map(Tensor::Float16),
        TensorElementType::Float64 => copy(value).map(Tensor::Float64),
        TensorElementType::Bfloat16 => copy(value).map(Tensor::Bfloat16),
        other => Err(format!("its element type, {other}, is not one that is read here")),
    }
}

/// An output where ONNX Runtime holds it.
pub(super) fn shown(value: &DynValue) -> Result<Shown<'_>, String> {
    let numbers = match value.dtype().tensor_type() {
        Some(TensorElementType::Float32) => extract(value).map(|(shape, values)| (shape, Numbers::Float32(values))),
        Some(TensorElementType::Float64) => extract(value).map(|(shape, values)| (shape, Numbers::Float64(values))),
        _ => Ok((Vec::new(), Numbers::Other)),
    };
    numbers.map(|(shape, values)| Shown { shape, values })
}

fn extract<T: PrimitiveTensorElementType>(value: &DynValue) -> Result<(Vec<usize>, &[T]), String> {
    let (shape, values) = value.try_extract_tensor::<T>().map_err(|error| error.to_string())?;
    Ok((shape.iter().map(|extent| *extent as usize).collect(), values))
}

fn copy<T: PrimitiveTensorElementType + Clone>(value: &DynValue) -> Result<ArrayD<T>, String> {
    let (extents, values) = extract::<T>(value)?;
    ArrayD::from_shape_vec(IxDyn(&extents), values.to_vec()).map_err(|error| error.to_string())
}
