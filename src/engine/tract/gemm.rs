//! `Gemm` for every float type: tract 0.23 multiplies by alpha and beta as float32, which float64 and float16 refuse.
//!
//! This stands in for tract's own operator, and goes once tract casts the two numbers to the type of the tensors.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::{
    AxesMapping, Expansion, InferenceOp, InferenceResult, OutletId, Solver, SpecialOps, StaticName, TVec, TensorProxy,
    TractResult, TypedModel, expand, tensor0, tvec,
};
use tract_onnx::tract_hir::ops::math::{add, mul};
use tract_onnx::tract_hir::tract_core::internal::bail;
use tract_onnx::tract_hir::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::tract_core::ops::einsum::EinSum;

/// `alpha · A · B + beta · C`, with A and B transposed on demand.
#[derive(Clone, Debug)]
struct Gemm {
    alpha: f32,
    beta: f32,
    transpose_a: bool,
    transpose_b: bool,
}

/// Reads the attributes; the signature is that of tract's registry of operators.
pub(super) fn build(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let gemm = Gemm {
        alpha: node.get_attr_opt("alpha")?.unwrap_or(1.0),
        beta: node.get_attr_opt("beta")?.unwrap_or(1.0),
        transpose_a: node.get_attr_opt("transA")?.unwrap_or(false),
        transpose_b: node.get_attr_opt("transB")?.unwrap_or(false),
    };
    Ok((expand(gemm), Vec::new()))
}

impl Gemm {
    /// `factor · value` in the type of `value`, and nothing to compute where the factor is 1.
    fn scaled(name: String, model: &mut TypedModel, factor: f32, value: OutletId) -> TractResult<OutletId> {
        if factor.to_bits() == 1f32.to_bits() {
            return Ok(value);
        }
        let fact = model.outlet_fact(value)?;
        let constant = tensor0(factor).cast_to_dt(fact.datum_type)?.into_owned().broadcast_into_rank(fact.rank())?;
        let constant = model.add_const(format!("{name}.factor"), constant)?;
        Ok(model.wire_node(name, mul(), &[constant, value])?[0])
    }
}

impl Expansion for Gemm {
    fn name(&self) -> StaticName {
        "Gemm".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        if inputs.len() != 2 && inputs.len() != 3 || outputs.len() != 1 {
            bail!("Gemm takes two or three inputs and gives one output");
        }
        for input in inputs {
            solver.equals(&input.datum_type, &outputs[0].datum_type)?;
        }
        for tensor in [&inputs[0], &inputs[1], &outputs[0]] {
            solver.equals(&tensor.rank, 2)?;
        }
        let (row, shared) = if self.transpose_a { (1, 0) } else { (0, 1) };
        let (other_shared, column) = if self.transpose_b { (1, 0) } else { (0, 1) };
        solver.equals(&inputs[0].shape[row], &outputs[0].shape[0])?;
        solver.equals(&inputs[0].shape[shared], &inputs[1].shape[other_shared])?;
        solver.equals(&inputs[1].shape[column], &outputs[0].shape[1])
    }

    fn wire(&self, name: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let axes = AxesMapping::for_numpy_matmul(2, self.transpose_a, self.transpose_b, false)?;
        let product = EinSum::new(axes, model.outlet_fact(inputs[0])?.datum_type);
        let product = model.wire_node(format!("{name}.product"), product, &inputs[..2])?[0];
        let product = Self::scaled(format!("{name}.alpha"), model, self.alpha, product)?;
        let Some(&(mut addend)) = inputs.get(2) else { return Ok(tvec!(product)) };
        while model.outlet_fact(addend)?.rank() < 2 {
            let rank = model.outlet_fact(addend)?.rank();
            addend = model.wire_node(format!("{name}.axis_{rank}"), AxisOp::Add(0), &[addend])?[0];
        }
        let addend = Self::scaled(format!("{name}.beta"), model, self.beta, addend)?;
        model.wire_node(name, add(), &[product, addend])
    }
}
