//! The graph that gathers evidence: patches by a depthwise convolution with a one-hot kernel, then second moments in
//! double. Every engine must give the moments that the definition gives.

use super::graph::text;
use super::*;
use ndarray::{Array3, s};
use tract_onnx::pb::AttributeProto;

/// How a convolution takes its patches.
#[derive(Clone, Copy, Debug)]
struct Case {
    channels: usize,
    groups: usize,
    spatial: &'static [usize],
    kernel: &'static [usize],
    strides: &'static [usize],
    dilations: &'static [usize],
    padding: Padding,
}

#[derive(Clone, Copy, Debug)]
enum Padding {
    /// At the beginning of every axis, then at the end of every axis.
    Explicit(&'static [usize]),
    Auto(&'static str),
}

const fn plane(channels: usize, groups: usize, padding: Padding) -> Case {
    let (spatial, kernel): (&[usize], &[usize]) = (&[7, 6], &[3, 2]);
    Case { channels, groups, spatial, kernel, strides: &[1, 1], dilations: &[1, 1], padding }
}

const CASES: &[Case] = &[
    plane(3, 1, Padding::Explicit(&[0, 0, 0, 0])),
    plane(4, 2, Padding::Explicit(&[1, 1, 1, 1])),
    plane(3, 3, Padding::Explicit(&[1, 1, 1, 1])),
    plane(1, 1, Padding::Explicit(&[1, 1, 1, 1])),
    plane(2, 1, Padding::Explicit(&[2, 0, 1, 1])),
    Case { strides: &[2, 3], ..plane(2, 1, Padding::Explicit(&[1, 0, 0, 1])) },
    Case { dilations: &[2, 3], ..plane(4, 2, Padding::Explicit(&[1, 2, 3, 0])) },
    Case { strides: &[2, 1], dilations: &[1, 2], ..plane(2, 2, Padding::Explicit(&[0, 0, 0, 0])) },
    Case { kernel: &[1, 1], ..plane(4, 2, Padding::Explicit(&[0, 0, 0, 0])) },
    Case { kernel: &[1, 1], strides: &[2, 2], ..plane(3, 1, Padding::Explicit(&[0, 0, 0, 0])) },
    Case { strides: &[2, 2], ..plane(2, 1, Padding::Auto("SAME_UPPER")) },
    Case { strides: &[2, 2], ..plane(4, 2, Padding::Auto("SAME_LOWER")) },
    Case { dilations: &[2, 2], ..plane(2, 1, Padding::Auto("SAME_UPPER")) },
    Case { dilations: &[2, 2], ..plane(2, 1, Padding::Auto("SAME_LOWER")) },
    Case { strides: &[2, 1], ..plane(4, 2, Padding::Auto("VALID")) },
    Case {
        channels: 4,
        groups: 2,
        spatial: &[9],
        kernel: &[3],
        strides: &[2],
        dilations: &[2],
        padding: Padding::Explicit(&[1, 2]),
    },
    Case {
        channels: 3,
        groups: 1,
        spatial: &[9],
        kernel: &[4],
        strides: &[1],
        dilations: &[1],
        padding: Padding::Auto("SAME_LOWER"),
    },
    Case {
        channels: 2,
        groups: 1,
        spatial: &[4, 5, 3],
        kernel: &[2, 3, 2],
        strides: &[1, 2, 1],
        dilations: &[1, 1, 2],
        padding: Padding::Explicit(&[1, 0, 0, 0, 1, 2]),
    },
    Case {
        channels: 4,
        groups: 4,
        spatial: &[4, 5, 3],
        kernel: &[2, 2, 2],
        strides: &[1, 1, 1],
        dilations: &[1, 1, 1],
        padding: Padding::Auto("SAME_UPPER"),
    },
];

impl Case {
    /// The size of one patch in one group.
    fn dim(&self) -> usize {
        self.channels / self.groups * self.kernel.iter().product::<usize>()
    }

    /// Positions and the padding before, per axis, as ONNX defines them.
    fn positions(&self) -> Vec<(usize, usize)> {
        let axis = |at: usize| {
            let (size, stride) = (self.spatial[at], self.strides[at]);
            let reach = (self.kernel[at] - 1) * self.dilations[at] + 1;
            let counted = |before: usize, after: usize| ((size + before + after - reach) / stride + 1, before);
            match self.padding {
                Padding::Explicit(pads) => counted(pads[at], pads[at + self.spatial.len()]),
                Padding::Auto("VALID") => counted(0, 0),
                Padding::Auto(kind) => {
                    let count = size.div_ceil(stride);
                    let total = ((count - 1) * stride + reach).saturating_sub(size);
                    (count, if kind == "SAME_UPPER" { total / 2 } else { total.div_ceil(2) })
                }
            }
        };
        (0..self.spatial.len()).map(axis).collect()
    }

    /// The moments from the definition: every patch, zeros outside the image, its outer product with itself.
    fn moments(&self, x: &ArrayD<f32>) -> Array3<f64> {
        let (dim, positions) = (self.dim(), self.positions());
        let counts: Vec<usize> = positions.iter().map(|(count, _)| *count).collect();
        let per_group = self.channels / self.groups;
        let mut moments = Array3::zeros((self.groups, dim, dim));
        for sample in 0..x.shape()[0] {
            for position in ndarray::indices(counts.clone()) {
                for group in 0..self.groups {
                    let mut patch = Vec::with_capacity(dim);
                    for channel in group * per_group..(group + 1) * per_group {
                        for offset in ndarray::indices(self.kernel.to_vec()) {
                            patch.push(self.pixel(x, sample, channel, &position, &offset));
                        }
                    }
                    let outer = Array::from_shape_fn((dim, dim), |(row, column)| patch[row] * patch[column]);
                    moments.slice_mut(s![group, .., ..]).scaled_add(1.0, &outer);
                }
            }
        }
        moments
    }

    fn pixel(&self, x: &ArrayD<f32>, sample: usize, channel: usize, position: &IxDyn, offset: &IxDyn) -> f64 {
        let mut index = vec![sample, channel];
        for (axis, (_, before)) in self.positions().iter().enumerate() {
            let at = position[axis] * self.strides[axis] + offset[axis] * self.dilations[axis];
            match at.checked_sub(*before).filter(|at| *at < self.spatial[axis]) {
                Some(at) => index.push(at),
                None => return 0.0,
            }
        }
        f64::from(x[IxDyn(&index)])
    }

    fn attributes(&self) -> Vec<AttributeProto> {
        let list =
            |name: &str, values: &[usize]| ints(name, &values.iter().map(|value| *value as i64).collect::<Vec<_>>());
        let padding = match self.padding {
            Padding::Explicit(pads) => list("pads", pads),
            Padding::Auto(kind) => text("auto_pad", kind),
        };
        let group = int("group", self.channels as i64);
        vec![padding, group, list("strides", self.strides), list("dilations", self.dilations)]
    }

    /// The instrumented graph, which outputs the moments.
    fn model(&self) -> Vec<u8> {
        let offsets: usize = self.kernel.iter().product();
        let mut shape = vec![self.channels * offsets, 1];
        shape.extend(self.kernel);
        let one_hot =
            Array::from_shape_fn(
                (self.channels * offsets, offsets),
                |(row, offset)| {
                    if row % offsets == offset { 1.0 } else { 0.0 }
                },
            );
        let one_hot = one_hot.into_shape_with_order(IxDyn(&shape)).expect("the same number of elements");
        let (groups, dim) = (self.groups as i64, self.dim() as i64);
        let size = |extents: &[i64]| Tensor::Int64(arr1(extents).into_dyn());
        let extents: Vec<String> = self.spatial.iter().map(ToString::to_string).collect();
        let channels = self.channels.to_string();
        let mut input = vec!["N", channels.as_str()];
        input.extend(extents.iter().map(String::as_str));
        Graph::new()
            .input("x", FLOAT, &input)
            .weight("one_hot", &float(one_hot))
            .weight("by_group", &size(&[0, groups, dim, -1]))
            .weight("rows", &size(&[groups, dim, -1]))
            .node("Conv", &["x", "one_hot"], "patches", self.attributes())
            .node("Reshape", &["patches", "by_group"], "grouped", vec![])
            .node("Transpose", &["grouped"], "turned", vec![ints("perm", &[1, 2, 0, 3])])
            .node("Reshape", &["turned", "rows"], "a", vec![])
            .node("Cast", &["a"], "double", vec![int("to", 11)])
            .node("Transpose", &["double"], "other", vec![ints("perm", &[0, 2, 1])])
            .node("MatMul", &["double", "other"], "moments", vec![])
            .output("moments", ElementType::Float64)
            .bytes()
    }
}

#[test]
fn patches_and_moments_agree_with_their_definition() {
    let mut failures = Vec::new();
    for case in CASES {
        let model = case.model();
        for batch in [3, 1] {
            let mut shape = vec![batch, case.channels];
            shape.extend(case.spatial);
            let x = numbers(&shape);
            let Tensor::Float32(values) = &x else { unreachable!("numbers are floats") };
            let expected = case.moments(values);
            for engine in engines() {
                let name = engine.info().name;
                let result =
                    load(engine.as_ref(), &model).and_then(|mut session| session.run(&[("x", &x)], &["moments"]));
                match result {
                    // A model with such a layer does not run there either, instrumented or not.
                    Err(error) if error.to_string().contains("Dilation not supported for AutoPadType") => {}
                    Err(error) => failures.push(format!("{case:?} batch {batch}: {error}")),
                    Ok(outputs) => {
                        let difference = match &outputs[0] {
                            Tensor::Float64(actual) if actual.shape() == expected.shape() => {
                                (actual - &expected).mapv(f64::abs).into_iter().fold(0.0, f64::max)
                            }
                            _ => f64::INFINITY,
                        };
                        if difference > 1e-12 {
                            failures.push(format!("{case:?} batch {batch}: {name} is off by {difference}"));
                        }
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
