//! Tensors to and from tract's values.

use crate::tensor::{ElementType, Tensor};
use ndarray::{ArrayD, IxDyn};
use tract_onnx::prelude::{Datum, DatumType, IntoTValue, TValue, Tensor as TractTensor};

/// tract's name for an element type.
pub(super) fn datum_type(element: ElementType) -> Result<DatumType, String> {
    match element {
        ElementType::Float32 => Ok(DatumType::F32),
        ElementType::Uint8 => Ok(DatumType::U8),
        ElementType::Int32 => Ok(DatumType::I32),
        ElementType::Int64 => Ok(DatumType::I64),
        ElementType::Bool => Ok(DatumType::Bool),
        ElementType::Float16 => Ok(DatumType::F16),
        ElementType::Float64 => Ok(DatumType::F64),
        ElementType::Bfloat16 => Err("tract has no bfloat16".into()),
    }
}

/// `tensor` as an input: a copy, because tract owns and aligns its tensors.
pub(super) fn input(tensor: &Tensor) -> Result<TValue, String> {
    match tensor {
        Tensor::Float32(array) => copy_in(array),
        Tensor::Uint8(array) => copy_in(array),
        Tensor::Int32(array) => copy_in(array),
        Tensor::Int64(array) => copy_in(array),
        Tensor::Bool(array) => copy_in(array),
        Tensor::Float16(array) => copy_in(array),
        Tensor::Float64(array) => copy_in(array),
        Tensor::Bfloat16(_) => Err("tract has no bfloat16".into()),
    }
}

fn copy_in<T: Datum + Copy>(array: &ArrayD<T>) -> Result<TValue, String> {
    let standard = array.as_standard_layout();
    let values = standard.as_slice().ok_or("the tensor is not contiguous")?;
    let tensor = TractTensor::from_shape(array.shape(), values).map_err(|error| error.to_string())?;
    Ok(tensor.into_tvalue())
}

/// An output as a tensor. tract computes shapes with a type of its own, which is int64 in ONNX.
pub(super) fn output(tensor: &TractTensor) -> Result<Tensor, String> {
    match tensor.datum_type() {
        DatumType::F32 => copy_out(tensor).map(Tensor::Float32),
        DatumType::U8 => copy_out(tensor).map(Tensor::Uint8),
        DatumType::I32 => copy_out(tensor).map(Tensor::Int32),
        DatumType::I64 => copy_out(tensor).map(Tensor::Int64),
        DatumType::Bool => copy_out(tensor).map(Tensor::Bool),
        DatumType::F16 => copy_out(tensor).map(Tensor::Float16),
        DatumType::F64 => copy_out(tensor).map(Tensor::Float64),
        DatumType::TDim => {
            let numbers = tensor.cast_to::<i64>().map_err(|error| error.to_string())?;
            copy_out(&numbers).map(Tensor::Int64)
        }
        other => Err(format!("an output's element type, {other:?}, is not one that is read here")),
    }
}

fn copy_out<T: Datum + Clone>(tensor: &TractTensor) -> Result<ArrayD<T>, String> {
    let view = tensor.to_plain_array_view::<T>().map_err(|error| error.to_string())?;
    ArrayD::from_shape_vec(IxDyn(view.shape()), view.iter().cloned().collect()).map_err(|error| error.to_string())
}
