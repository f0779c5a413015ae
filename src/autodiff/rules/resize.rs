//! Resize, which is linear in its input, axis by axis.
//!
//! What it makes of the unit vectors of an axis are the columns of its matrix there. The engine makes them, by the same operator with
//! the same attributes, so that every mode and every convention for coordinates has the gradient that belongs to it.

#[cfg(test)]
use super::super::tests::{Case, Given, Kind};
use super::super::{Applied, Emit, Gradients, OutputGradients, Refusal, Rule, Value};
#[cfg(test)]
use crate::model::fragment::string;
use crate::model::proto::AttributeProto;
use crate::tensor::{ElementType, Tensor};
use ndarray::{Array2, ArrayD, IxDyn};
#[cfg(test)]
use proptest::prelude::*;

/// Resize.
pub(super) struct Resize;

impl Rule for Resize {
    fn operators(&self) -> &'static [&'static str] {
        &["Resize"]
    }

    fn equation(&self) -> &'static str {
        "dx = g times the transpose of its matrix on every axis that changes"
    }

    fn limits(&self) -> &'static str {
        "extents that are the same in every run; no regions of interest (tf_crop_and_resize)"
    }

    #[cfg(test)]
    fn cases(&self) -> BoxedStrategy<Case> {
        let modes = prop_oneof![
            Just(("nearest", "half_pixel")),
            Just(("nearest", "asymmetric")),
            Just(("linear", "half_pixel")),
            Just(("linear", "align_corners")),
            Just(("linear", "asymmetric"))
        ];
        let case = |((mode, coordinates), extents, targets, by_scale): ((&str, &str), [usize; 2], [usize; 2], bool)| {
            let x = Given::floats(&[1, 2, extents[0], extents[1]]);
            let attributes = vec![string("mode", mode), string("coordinate_transformation_mode", coordinates)];
            if by_scale {
                let scales = [1.0, 1.0, 2.0, 1.5];
                return Case::new("Resize", vec![x, Given::Nothing, Given::Singles(scales.to_vec())], attributes)
                    .kind(Kind::Linear)
                    .single(true);
            }
            let sizes = Given::integers(&[1, 2, targets[0] as i64, targets[1] as i64]);
            Case::new("Resize", vec![x, Given::Nothing, Given::Nothing, sizes], attributes)
                .open(&[])
                .kind(Kind::Linear)
                .single(true)
        };
        (modes, [2..5_usize, 2..5_usize], [2..7_usize, 2..7_usize], any::<bool>()).prop_map(case).boxed()
    }

    fn gradients(&self, node: &Applied<'_>, outputs: &OutputGradients, emit: &mut Emit<'_>) -> Gradients {
        if node.proto().string("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize" {
            return Err(Refusal::new("it crops"));
        }
        let (x, y) = (node.input(0)?, node.output(0)?);
        let rank = x.shape.rank();
        let mut gradient = outputs.only()?.clone();
        for axis in 0..rank {
            if x.shape[axis] == y.shape[axis] {
                continue;
            }
            let extents = x.shape[axis].fixed().zip(y.shape[axis].fixed());
            let extents =
                extents.ok_or_else(|| Refusal::new(format!("the extent of axis {axis} is not always the same")))?;
            let matrix = Matrix { node, axis, extents }.transposed(emit)?;
            let mut order: Vec<usize> = (0..rank).collect();
            order.swap(axis, rank - 1);
            let last = emit.transpose(&gradient, &order);
            let product = emit.matmul(&last, &matrix);
            gradient = emit.transpose(&product, &order);
        }
        Ok(vec![Some(gradient)])
    }
}

/// What a Resize does on one axis.
struct Matrix<'a> {
    node: &'a Applied<'a>,
    axis: usize,
    extents: (usize, usize),
}

impl Matrix<'_> {
    /// `[extent of the output, extent of the input]`.
    fn transposed(&self, emit: &mut Emit<'_>) -> Result<Value, Refusal> {
        let (from, to) = self.extents;
        let element = self.node.element()?;
        let units = Tensor::from_f64(&Array2::eye(from).into_dyn(), element);
        let units = emit.constant(&units);
        let none = Value { name: String::new(), element };
        let inputs = if self.node.has(2) && self.scale().is_ok() {
            let scales =
                Tensor::Float32(ArrayD::from_shape_vec(IxDyn(&[2]), vec![1.0, self.scale()?]).unwrap_or_default());
            vec![units, none, emit.constant(&scales)]
        } else {
            let sizes = emit.integers(&[from as i64, to as i64]);
            let none_of_scales = Value { name: String::new(), element: ElementType::Float32 };
            vec![units, none, none_of_scales, sizes]
        };
        let columns = emit.node("Resize", &inputs.iter().collect::<Vec<_>>(), self.attributes());
        Ok(emit.transpose(&columns, &[1, 0]))
    }

    /// The scale of the axis, where scales are given: with the same extents another one gives other coordinates.
    fn scale(&self) -> Result<f32, Refusal> {
        let position = match self.node.proto().ints("axes") {
            None => Some(self.axis),
            Some(axes) => {
                let shape = &self.node.input(0)?.shape;
                axes.iter().position(|&axis| shape.axis(axis) == Some(self.axis))
            }
        };
        let scales = self.node.numbers(2)?;
        let scale = position.and_then(|position| scales.get(position)).copied();
        scale.map(|scale| scale as f32).ok_or_else(|| Refusal::new("its scales are not those of its axes"))
    }

    fn attributes(&self) -> Vec<AttributeProto> {
        let kept = ["axes", "keep_aspect_ratio_policy"];
        self.node
            .proto()
            .attribute
            .iter()
            .filter(|attribute| !kept.contains(&attribute.name.as_str()))
            .cloned()
            .collect()
    }
}
