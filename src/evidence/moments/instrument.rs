//! The instrumented model: the user's graph with outputs from which second moments are made.
//!
//! On a device of its own, an engine computes `Σ aᵢaᵢᵀ` itself, by nodes that are appended, so that no activation leaves
//! it; so it does in the bodies of If, Loop and Scan. Where the engine's memory is the program's own, it gives out rows,
//! and `products/` multiplies them, which can make use of symmetry.
//!
//! The patches of a convolution are the output of a depthwise convolution with one-hot kernels `[C·k, 1, k…]` and the
//! same strides, pads and dilations; its channel order `c·k + tap` is that of the flattened weight. Products are taken in
//! float64, because at α = 10⁶ the rounding of a float32 sum is as large as the small eigenvalues that decide λ.

use super::Inputs;
use super::products::Products;
use crate::engine::{Carried, First};
use crate::layers::{Padding, Unfold, Vectors, Window};
use crate::model::fragment::{int, ints, string};
use crate::model::proto::AttributeProto;
use crate::model::{Additions, Fragment, GraphIndex, MAIN, ModelError, ScopeIndex};
use crate::tensor::ElementType;
use std::collections::BTreeSet;

/// A value of a graph and how it unfolds: layers that agree in both share one moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    /// The graph in which it is read: its rows count as often as that graph runs.
    pub scope: ScopeIndex,
    /// The value's name there.
    pub input: String,
    /// How it becomes rows.
    pub unfold: Unfold,
    /// Its element type.
    pub element: ElementType,
}

impl Source {
    /// Whether it is read in the body of an If, Loop or Scan, which may run any number of times.
    pub(super) fn is_in_body(&self) -> bool {
        self.scope != MAIN
    }
}

/// How the moment of a source comes out of the instrumented model.
#[derive(Debug)]
pub(super) enum Measured {
    /// The engine computes it and adds it up from run to run.
    Inside {
        /// The sum, float64 `[groups, d, d]`.
        sum: Box<RunningSum>,
        /// The input that weighs each row of the batch, float64, where rows are drawn.
        mask: Option<String>,
        /// The output that holds the number of rows, float64 `[1]`, where it is not known beforehand.
        rows: Option<String>,
    },
    /// The engine gives its rows.
    Rows {
        /// The output that holds them.
        output: String,
        /// What multiplies them.
        products: Products,
    },
}

/// A sum over the runs of a session, which is its value and what rounding this has lost (see `tiles.rs`).
#[derive(Debug)]
pub(super) struct RunningSum {
    pub(super) value: Carried,
    pub(super) rest: Carried,
}

/// What is known of a source before its moment is taken.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The shape of its value, where it was seen.
    pub(super) shape: Option<Vec<usize>>,
    /// Whether rows are drawn.
    pub(super) drawn: bool,
}

/// A model with outputs for the second moments of its layers' inputs.
#[derive(Debug)]
pub(super) struct Instrumented {
    /// The serialised model.
    pub(super) bytes: Vec<u8>,
    /// One for each source that is measured, in order.
    pub(super) measured: Vec<Measured>,
}

impl Instrumented {
    /// Adds the moments of those sources to a model that `inputs` names. `at_hand`: whether what the engine gives out lies
    /// in the program's own memory. Then it gives out every source, measured or not: what it computes may depend in the
    /// last digit on what it must give out.
    ///
    /// # Errors
    /// [`ModelError`] where the model's bytes cannot be edited.
    pub(super) fn new(
        graph: &GraphIndex<'_>,
        sources: &[Source],
        known: &[Known],
        at_hand: bool,
        inputs: Inputs<'_>,
    ) -> Result<Self, ModelError> {
        let mut additions = Additions::new(graph);
        let declared = graph.model().graph();
        let mut shown: BTreeSet<String> = declared.output.iter().map(|output| output.name.clone()).collect();
        let is_input = |name: &str| declared.input.iter().any(|input| input.name == name);
        let mut measured = Vec::with_capacity(sources.len());
        for (index, (source, known)) in sources.iter().zip(known).enumerate() {
            let Some(products) = products(source, known).filter(|_| at_hand) else {
                if inputs.contain(index) {
                    measured.push(compute_inside(&mut additions, source, known));
                }
                continue;
            };
            let (value, element) = at_least_single(additions.to(MAIN), source);
            // An engine need not give an input out.
            let fragment = additions.to(MAIN);
            let output = if is_input(&value) { fragment.node("Identity", &[&value], vec![]) } else { value };
            if shown.insert(output.clone()) {
                fragment.output(&output, element);
            }
            if inputs.contain(index) {
                measured.push(Measured::Rows { output, products });
            }
        }
        Ok(Self { bytes: additions.into_bytes()?, measured })
    }
}

/// A model with the shapes of values of its main graph among its outputs, and the names of those outputs.
pub(super) fn with_shapes(graph: &GraphIndex<'_>, values: &[&str]) -> Result<(Vec<u8>, Vec<String>), ModelError> {
    let mut additions = Additions::new(graph);
    let fragment = additions.to(MAIN);
    let shape = |value: &&str| {
        let name = fragment.node("Shape", &[value], vec![]);
        fragment.output(&name, ElementType::Int64);
        name
    };
    let names = values.iter().map(shape).collect();
    Ok((additions.into_bytes()?, names))
}

/// What multiplies the rows of a source, where the engine need only give out its value.
pub(super) fn products(source: &Source, known: &Known) -> Option<Products> {
    let shape = known.shape.as_deref().filter(|_| !source.is_in_body())?;
    Products::of(&source.unfold, shape, known.drawn)
}

fn compute_inside(additions: &mut Additions<'_>, source: &Source, known: &Known) -> Measured {
    let fragment = additions.to(source.scope);
    // Rows as columns `[groups, d, rows]`, so that the moment is `columns · columnsᵀ`.
    let one_for_all = match (&source.unfold, &known.shape) {
        (Unfold::Vectors(vectors), Some(shape)) => vectors.of_one_group(shape),
        _ => None,
    };
    let columns = match &source.unfold {
        Unfold::Vectors(vectors) => {
            let vectors = one_for_all.as_ref().unwrap_or(vectors);
            columns_of(fragment, &source.input, vectors, known.shape.as_deref())
        }
        Unfold::Patches(window) => {
            let (value, element) = at_least_single(fragment, source);
            let patches = patches_of(fragment, &value, window, element);
            group_first(fragment, &patches, window)
        }
    };
    let columns = to_double(fragment, &columns);
    let (mask, weighed) = if known.drawn {
        // 0 or 1, so one factor of the product is enough.
        let mask = fragment.input(ElementType::Float64, 1);
        let weighed = fragment.node("Mul", &[&columns, &mask], vec![]);
        (Some(mask), weighed)
    } else {
        (None, columns.clone())
    };
    let transposed = fragment.node("Transpose", &[&columns], vec![ints("perm", [0, 2, 1])]);
    let mut moment = fragment.node("MatMul", &[&weighed, &transposed], vec![]);
    let (groups, dim) = (source.unfold.groups() as i64, source.unfold.dim() as i64);
    if one_for_all.is_some() {
        let all = fragment.integers(&[groups, dim, dim]);
        moment = fragment.node("Expand", &[&moment, &all], vec![]);
    }
    let count = source.is_in_body().then(|| number_of_rows(fragment, &columns));
    let term = additions.bring_out(source.scope, moment, &[groups, dim, dim], ElementType::Float64);
    let shape = [source.unfold.groups(), source.unfold.dim(), source.unfold.dim()];
    let sum = add_up(additions.to(MAIN), &term, &shape);
    let rows = count.map(|count| additions.bring_out(source.scope, count, &[1], ElementType::Float64));
    Measured::Inside { sum: Box::new(sum), mask, rows }
}

/// Adds a term to a sum over the runs, exactly but for what the rest of it loses (Knuth, "The Art of Computer Programming",
/// vol. 2, 4.2.2, theorem B): sums of any batches are then the same.
fn add_up(fragment: &mut Fragment, term: &str, shape: &[usize]) -> RunningSum {
    let [value, rest] = [(); 2].map(|()| fragment.input(ElementType::Float64, shape.len()));
    let sum = fragment.node("Add", &[&value, term], vec![]);
    let of_term = fragment.node("Sub", &[&sum, &value], vec![]);
    let of_value = fragment.node("Sub", &[&sum, &of_term], vec![]);
    let lost_of_value = fragment.node("Sub", &[&value, &of_value], vec![]);
    let lost_of_term = fragment.node("Sub", &[term, &of_term], vec![]);
    let lost = fragment.node("Add", &[&lost_of_value, &lost_of_term], vec![]);
    let new_rest = fragment.node("Add", &[&rest, &lost], vec![]);
    let mut carried = |input, output: String| {
        fragment.output(&output, ElementType::Float64);
        Carried { input, output, first: First::Zeros(ElementType::Float64, shape.to_vec()) }
    };
    RunningSum { value: carried(value, sum), rest: carried(rest, new_rest) }
}

/// The last extent of `[groups, d, rows]`.
fn number_of_rows(fragment: &mut Fragment, columns: &str) -> String {
    let shape = fragment.node("Shape", &[columns], vec![]);
    let last = fragment.integers(&[2]);
    let rows = fragment.node("Gather", &[&shape, &last], vec![int("axis", 0)]);
    to_double(fragment, &rows)
}

fn to_double(fragment: &mut Fragment, value: &str) -> String {
    fragment.node("Cast", &[value], vec![int("to", i64::from(ElementType::Float64.onnx()))])
}

fn reshape(fragment: &mut Fragment, value: &str, shape: &[i64]) -> String {
    let shape = fragment.integers(shape);
    fragment.node("Reshape", &[value, &shape], vec![])
}

/// Vectors as `[groups, d, rows]`.
fn columns_of(fragment: &mut Fragment, input: &str, vectors: &Vectors, shape: Option<&[usize]>) -> String {
    let axes = if vectors.is_last_axis() { None } else { axes(vectors, shape) };
    let Some(axes) = axes else {
        let rows = reshape(fragment, input, &[1, -1, vectors.dim as i64]);
        return fragment.node("Transpose", &[&rows], vec![ints("perm", [0, 2, 1])]);
    };
    let mut value = input.to_owned();
    if !vectors.groups.is_empty() {
        // As MatMul itself broadcasts: where an extent is there already, it stays.
        let mut wanted = vec![1; axes.order.len()];
        for (axis, (_, extent)) in axes.order.iter().zip(&vectors.groups) {
            wanted[*axis] = *extent as i64;
        }
        let wanted = fragment.integers(&wanted);
        value = fragment.node("Expand", &[&value, &wanted], vec![]);
    }
    let order = axes.order.iter().map(|&axis| axis as i64);
    let ordered = fragment.node("Transpose", &[&value], vec![ints("perm", order)]);
    reshape(fragment, &ordered, &[vectors.group_count() as i64, vectors.dim as i64, -1])
}

/// The axes of an input whose shape was seen, or of which the operator fixes how many there are.
fn axes(vectors: &Vectors, shape: Option<&[usize]>) -> Option<crate::layers::Axes> {
    match shape {
        Some(shape) => vectors.axes(shape),
        None => vectors.order_of(vectors.rank?),
    }
}

/// The value of a source in float32 where its own type is shorter: exact, and every engine convolves it.
fn at_least_single(fragment: &mut Fragment, source: &Source) -> (String, ElementType) {
    if !matches!(source.element, ElementType::Float16 | ElementType::Bfloat16) {
        return (source.input.clone(), source.element);
    }
    let element = ElementType::Float32;
    (fragment.node("Cast", &[&source.input], vec![int("to", i64::from(element.onnx()))]), element)
}

/// Patches as `[samples, groups · d, positions…]`.
fn patches_of(fragment: &mut Fragment, value: &str, window: &Window, element: ElementType) -> String {
    if window.is_pointwise() {
        return value.to_owned();
    }
    let kernel = one_hot_kernel(fragment, window, element);
    fragment.node("Conv", &[value, &kernel], conv_attributes(window))
}

/// Patches as `[groups, d, rows]`.
fn group_first(fragment: &mut Fragment, patches: &str, window: &Window) -> String {
    let by_group = reshape(fragment, patches, &[0, window.groups as i64, window.dim() as i64, -1]);
    let group_first = fragment.node("Transpose", &[&by_group], vec![ints("perm", [1, 2, 0, 3])]);
    reshape(fragment, &group_first, &[window.groups as i64, window.dim() as i64, -1])
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
