//! The instrumented model: the user's graph with nodes appended that compute `Σ aᵢaᵢᵀ` inside the engine.
//!
//! The patches of a convolution are the output of a depthwise convolution with one-hot kernels `[C·k, 1, k…]` and the
//! same strides, pads and dilations; its channel order `c·k + tap` is that of the flattened weight. So no activation
//! leaves the engine, and memory does not grow with the number of samples. Products are taken in float64, because at
//! α = 10⁶ the rounding of a float32 sum is as large as the small eigenvalues that decide λ.

use crate::layers::{FeatureAxis, Padding, Unfold, Window};
use crate::model::Fragment;
use crate::model::fragment::{int, ints, string};
use crate::model::proto::AttributeProto;
use crate::tensor::ElementType;

/// A value of the graph and how it unfolds: layers that agree in both share one moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The value.
    pub input: String,
    /// How it becomes rows.
    pub unfold: Unfold,
    /// Its element type.
    pub element: ElementType,
}

/// A source whose moment the instrumented model computes.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The output that holds `Σ aᵢaᵢᵀ`, float64 `[groups, d, d]`.
    pub moment: String,
    /// The input that weighs each row of the batch, float64, where rows are picked.
    pub mask: Option<String>,
}

/// A model with outputs for the second moments of its layers' inputs.
#[derive(Debug)]
pub struct Instrumented {
    /// The serialised model.
    pub bytes: Vec<u8>,
    /// One for each source, in order.
    pub measured: Vec<Measured>,
}

impl Instrumented {
    /// Appends the moment of each source to a model. `ranks`: the number of axes of each source's value.
    pub fn new(model: &[u8], sources: &[Source], ranks: &[usize], masked: bool) -> Self {
        let mut fragment = Fragment::default();
        let measured = sources.iter().zip(ranks).map(|(source, &rank)| measure(&mut fragment, source, rank, masked));
        let measured = measured.collect();
        Self { bytes: fragment.append_to(model), measured }
    }
}

/// A model with the shapes of all sources among its outputs, and the names of those outputs.
pub(super) fn with_shapes(model: &[u8], sources: &[Source]) -> (Vec<u8>, Vec<String>) {
    let mut fragment = Fragment::default();
    let shape = |source: &Source| {
        let name = fragment.node("Shape", &[&source.input], vec![]);
        fragment.output(&name, ElementType::Int64);
        name
    };
    let names = sources.iter().map(shape).collect();
    (fragment.append_to(model), names)
}

fn measure(fragment: &mut Fragment, source: &Source, rank: usize, masked: bool) -> Measured {
    // Rows as columns `[groups, d, rows]`, so that the moment is `columns · columnsᵀ`.
    let columns = match &source.unfold {
        Unfold::Vectors { dim, axis } => vectors(fragment, source, *dim, *axis, rank),
        Unfold::Patches(window) => patches(fragment, source, window),
    };
    let (mask, weighed) = if masked {
        // 0 or 1, so one factor of the product is enough.
        let mask = fragment.input(ElementType::Float64, 1);
        let weighed = fragment.node("Mul", &[&columns, &mask], vec![]);
        (Some(mask), weighed)
    } else {
        (None, columns.clone())
    };
    let rows = fragment.node("Transpose", &[&columns], vec![ints("perm", [0, 2, 1])]);
    let moment = fragment.node("MatMul", &[&weighed, &rows], vec![]);
    fragment.output(&moment, ElementType::Float64);
    Measured { moment, mask }
}

fn to_double(fragment: &mut Fragment, value: &str) -> String {
    fragment.node("Cast", &[value], vec![int("to", i64::from(ElementType::Float64.onnx()))])
}

fn reshape(fragment: &mut Fragment, value: &str, shape: &[i64]) -> String {
    let shape = fragment.integers(shape);
    fragment.node("Reshape", &[value, &shape], vec![])
}

fn vectors(fragment: &mut Fragment, source: &Source, dim: usize, axis: FeatureAxis, rank: usize) -> String {
    let mut value = source.input.clone();
    if axis == FeatureAxis::SecondLast && rank >= 2 {
        let mut order: Vec<i64> = (0..rank as i64).collect();
        order.swap(rank - 2, rank - 1);
        value = fragment.node("Transpose", &[&value], vec![ints("perm", order)]);
    }
    let rows = reshape(fragment, &value, &[1, -1, dim as i64]);
    let columns = fragment.node("Transpose", &[&rows], vec![ints("perm", [0, 2, 1])]);
    to_double(fragment, &columns)
}

fn patches(fragment: &mut Fragment, source: &Source, window: &Window) -> String {
    let mut value = source.input.clone();
    let mut element = source.element;
    if matches!(element, ElementType::Float16 | ElementType::Bfloat16) {
        // Exact, and every engine convolves float32.
        element = ElementType::Float32;
        value = fragment.node("Cast", &[&value], vec![int("to", i64::from(element.onnx()))]);
    }
    if !window.is_pointwise() {
        let kernel = one_hot_kernel(fragment, window, element);
        value = fragment.node("Conv", &[&value, &kernel], conv_attributes(window));
    }
    let by_group = reshape(fragment, &value, &[0, window.groups as i64, window.dim() as i64, -1]);
    let group_first = fragment.node("Transpose", &[&by_group], vec![ints("perm", [1, 2, 0, 3])]);
    let columns = reshape(fragment, &group_first, &[window.groups as i64, window.dim() as i64, -1]);
    to_double(fragment, &columns)
}

/// `[C·k, 1, k…]`: for each channel, one kernel for each tap, which is 1 there and 0 elsewhere.
fn one_hot_kernel(fragment: &mut Fragment, window: &Window, element: ElementType) -> String {
    let channels = window.groups * window.channels;
    let taps: usize = window.kernel.iter().product();
    let mut raw = vec![0_u8; channels * taps * taps * element.size()];
    for channel in 0..channels {
        for tap in 0..taps {
            let at = ((channel * taps + tap) * taps + tap) * element.size();
            match element {
                ElementType::Float64 => raw[at..at + 8].copy_from_slice(&1.0_f64.to_le_bytes()),
                _ => raw[at..at + 4].copy_from_slice(&1.0_f32.to_le_bytes()),
            }
        }
    }
    let dims: Vec<usize> = [channels * taps, 1].into_iter().chain(window.kernel.iter().copied()).collect();
    fragment.initializer(&dims, element, raw)
}

fn conv_attributes(window: &Window) -> Vec<AttributeProto> {
    let list = |values: &[usize]| values.iter().map(|&value| value as i64).collect::<Vec<_>>();
    let mut attributes = vec![
        int("group", (window.groups * window.channels) as i64),
        ints("kernel_shape", list(&window.kernel)),
        ints("strides", list(&window.strides)),
        ints("dilations", list(&window.dilations)),
    ];
    attributes.push(match &window.padding {
        Padding::Explicit { begin, end } => ints("pads", list(begin).into_iter().chain(list(end))),
        Padding::SameUpper => string("auto_pad", "SAME_UPPER"),
        Padding::SameLower => string("auto_pad", "SAME_LOWER"),
    });
    attributes
}
