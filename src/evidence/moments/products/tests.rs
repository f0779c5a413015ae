//! Moments against their definition: every row, its outer product with itself.

use super::tiling::Tiling;
use super::*;
use crate::layers::{Padding, Vectors, Window};
use ndarray::{Array2, ArrayD, IxDyn};
use proptest::prelude::*;

/// A window over N axes, and the input's extents there.
#[derive(Clone, Debug)]
struct Case {
    window: Window,
    samples: usize,
    spatial: Vec<usize>,
}

fn cases() -> impl Strategy<Value = Case> {
    let one = || (1_usize..4, 1_usize..3, 0_usize..3, 0_usize..3, 0_usize..9);
    let axes = proptest::collection::vec(one(), 1..4);
    (axes, 1_usize..3, 1_usize..4, 1_usize..3).prop_map(|(axes, groups, channels, samples)| {
        let part = |pick: fn(&(usize, usize, usize, usize, usize)) -> usize| axes.iter().map(pick).collect::<Vec<_>>();
        let (kernel, dilations) = (part(|axis| axis.0), part(|axis| axis.1));
        let padding = Padding::Explicit { begin: part(|axis| axis.2), end: part(|axis| axis.3) };
        // Large enough for one position of the window.
        let spatial = axes.iter().map(|axis| (axis.0 - 1) * axis.1 + 1 + axis.4).collect();
        let strides = vec![1; axes.len()];
        Case { window: Window { groups, channels, kernel, strides, dilations, padding }, samples, spatial }
    })
}

impl Case {
    fn input(&self) -> ArrayD<f32> {
        let channels = self.window.groups * self.window.channels;
        let shape: Vec<usize> = [self.samples, channels].into_iter().chain(self.spatial.iter().copied()).collect();
        let mut next = 7_u32;
        ArrayD::from_shape_simple_fn(IxDyn(&shape), || {
            next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (next >> 8) as f32 / (1 << 24) as f32 - 0.25
        })
    }

    /// As ONNX defines it for Conv.
    fn zeros_before(&self, axis: usize) -> usize {
        let (window, size) = (&self.window, self.spatial[axis]);
        let reach = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
        let total = ((size.div_ceil(window.strides[axis]) - 1) * window.strides[axis] + reach).saturating_sub(size);
        match &window.padding {
            Padding::Explicit { begin, .. } => begin[axis],
            Padding::SameUpper => total / 2,
            Padding::SameLower => total.div_ceil(2),
        }
    }

    /// `[rows, d]` of a group.
    fn rows(&self, input: &ArrayD<f32>, group: usize) -> Array2<f64> {
        let window = &self.window;
        let begin: Vec<usize> = (0..self.spatial.len()).map(|axis| self.zeros_before(axis)).collect();
        let extents: Vec<usize> =
            (0..self.spatial.len()).map(|axis| window.extent(axis, self.spatial[axis]).unwrap()).collect();
        let mut rows = Vec::new();
        for sample in 0..self.samples {
            for position in ndarray::indices(extents.clone()) {
                for channel in group * window.channels..(group + 1) * window.channels {
                    for tap in ndarray::indices(window.kernel.clone()) {
                        let place = |axis: usize| {
                            (position[axis] * window.strides[axis] + tap[axis] * window.dilations[axis])
                                .checked_sub(begin[axis])
                        };
                        let at: Option<Vec<usize>> = (0..self.spatial.len()).map(place).collect();
                        let at = at.filter(|at| at.iter().zip(&self.spatial).all(|(at, size)| at < size));
                        let index = at.map(|at| [sample, channel].into_iter().chain(at).collect::<Vec<_>>());
                        rows.push(index.map_or(0.0, |index| f64::from(input[IxDyn(&index)])));
                    }
                }
            }
        }
        Array2::from_shape_vec((rows.len() / window.dim(), window.dim()), rows).unwrap()
    }
}

fn shown(values: &ArrayD<f32>) -> Shown<'_> {
    Shown { shape: values.shape().to_vec(), values: Numbers::Float32(values.as_slice().unwrap()) }
}

fn largest(matrix: &Array2<f64>) -> f64 {
    matrix.iter().fold(0.0, |most, value| most.max(value.abs()))
}

fn padding(same: Option<bool>, case: &Case) -> Padding {
    same.map_or(case.window.padding.clone(), |upper| if upper { Padding::SameUpper } else { Padding::SameLower })
}

proptest! {
    /// Whatever the tiles are, and whichever correlations are left to products position by position.
    #[test]
    fn correlations_make_the_moment_of_the_patches(
        case in cases(),
        strides in proptest::collection::vec(1_usize..4, 3),
        same in proptest::option::of(prop::bool::ANY),
        tiling in any::<prop::sample::Index>(),
        one_by_one in prop::bool::weighted(0.3),
    ) {
        let strides = strides[..case.spatial.len()].to_vec();
        let case = Case { window: Window { strides, padding: padding(same, &case), ..case.window.clone() }, ..case };
        let Some(plan) = Plan::of(&case.window, &case.spatial) else { return Ok(()) };
        let channels = Channels { groups: case.window.groups, channels: case.window.channels };
        let tilings = Tiling::all(&plan);
        let whole = plan.correlations.iter().map(|correlation| plan.is_whole(correlation));
        // Both correlations of two phases, or none of them.
        let spectral = whole.zip(&plan.correlations).map(|(whole, of)| whole && !(one_by_one && of.phases[0] == 0)).collect();
        let scheme = Scheme { tiling: tilings[tiling.index(tilings.len())].clone(), spectral };
        let input = case.input();
        let correlations = Box::new(Correlations::zeros(plan, &scheme, channels));
        let mut products = Products { form: Form::Correlations(correlations), known: None };
        let mut moment = SymmetricSum::zeros(channels.groups, case.window.dim());
        for weight in [1.0, 0.5] {
            products.add(weight, &shown(&input), None, &mut moment, &Buffers::default()).unwrap();
            products.flush(&mut moment);
        }
        for group in 0..channels.groups {
            let rows = case.rows(&input, group);
            let wanted = 1.5 * rows.t().dot(&rows);
            prop_assert!(largest(&(moment.matrix(group) - &wanted)) <= 1e-13 * (1.0 + largest(&wanted)));
        }
    }

    #[test]
    fn gathered_patches_are_those_that_the_window_sees(
        case in cases(),
        strides in proptest::collection::vec(1_usize..4, 3),
        same in proptest::option::of(prop::bool::ANY),
    ) {
        let strides = strides[..case.spatial.len()].to_vec();
        let case = Case { window: Window { strides, padding: padding(same, &case), ..case.window.clone() }, ..case };
        let groups = case.window.groups;
        let Some(patches) = Patches::of(&case.window, &case.spatial) else { return Ok(()) };
        let input = case.input();
        let mut products = Products { form: Form::Patches(patches), known: None };
        let mut moment = SymmetricSum::zeros(groups, case.window.dim());
        products.add(1.0, &shown(&input), None, &mut moment, &Buffers::default()).unwrap();
        for group in 0..groups {
            let rows = case.rows(&input, group);
            let wanted = rows.t().dot(&rows);
            prop_assert!(largest(&(moment.matrix(group) - &wanted)) <= 1e-13 * (1.0 + largest(&wanted)));
        }
    }
}

/// More features than a tile has, in groups, all rows and some.
#[test]
fn rows_are_multiplied_tile_by_tile() {
    let (groups, dim, samples, positions) = (2, 131, 3, 5);
    let value = |sample: usize, feature: usize, position: usize| {
        ((sample * 31 + feature * 17 + position * 7) % 23) as f32 / 8.0 - 1.0
    };
    let features = ArrayD::from_shape_fn(IxDyn(&[samples, groups * dim, positions]), |at| value(at[0], at[1], at[2]));
    let unfold = Unfold::Patches(Window {
        groups,
        channels: dim,
        kernel: vec![1],
        strides: vec![1],
        dilations: vec![1],
        padding: Padding::SameUpper,
    });
    let sum = |value: &ArrayD<f32>, drawn: Option<&[usize]>| {
        let mut moment = SymmetricSum::zeros(groups, dim);
        let mut products = Products::of(&unfold, value.shape(), drawn.is_some()).unwrap();
        products.add(1.0, &shown(value), drawn, &mut moment, &Buffers::default()).unwrap();
        moment
    };
    for drawn in [None, Some(&[0, 7, 8, 14][..])] {
        let moment = sum(&features, drawn);
        let all: Vec<usize> = (0..samples * positions).collect();
        for group in 0..groups {
            let chosen = drawn.unwrap_or(&all);
            let rows = Array2::from_shape_fn((chosen.len(), dim), |(row, feature)| {
                f64::from(value(chosen[row] / positions, group * dim + feature, chosen[row] % positions))
            });
            assert!(largest(&(moment.matrix(group) - rows.t().dot(&rows))) < 1e-12);
        }
    }
}

/// Fewer and more rows and features than are turned together, and tiles of either size.
#[test]
fn rows_along_the_last_axis_are_turned() {
    for (samples, tokens, dim) in [(1, 1, 1), (3, 1, 262), (4, 2, 16), (5, 7, 51), (19, 3, 336)] {
        let value = |at: IxDyn| ((at[0] * 31 + at[1] * 7 + at[2] * 17) % 23) as f32 / 8.0 - 1.0;
        let activations = ArrayD::from_shape_fn(IxDyn(&[samples, tokens, dim]), value);
        let mut moment = SymmetricSum::zeros(1, dim);
        let unfold = Unfold::Vectors(Vectors::along(-1, dim));
        let mut products = Products::of(&unfold, activations.shape(), false).unwrap();
        products.add(1.0, &shown(&activations), None, &mut moment, &Buffers::default()).unwrap();
        let rows = activations.mapv(f64::from).into_shape_with_order((samples * tokens, dim)).unwrap();
        assert!(largest(&(moment.matrix(0) - rows.t().dot(&rows))) < 1e-12);
    }
}

#[test]
fn a_value_of_another_shape_is_refused_even_where_it_has_as_many_values() {
    let vectors = Unfold::Vectors(Vectors::along(-1, 4));
    let padding = Padding::Explicit { begin: vec![1, 1], end: vec![1, 1] };
    let window =
        Window { groups: 1, channels: 2, kernel: vec![3, 3], strides: vec![1, 1], dilations: vec![1, 1], padding };
    let stepping = Window { strides: vec![2, 2], ..window.clone() };
    let pointwise = Window { kernel: vec![1, 1], padding: Padding::SameUpper, ..window.clone() };
    let cases: [(Unfold, &[usize], &[usize]); 4] = [
        (vectors, &[3, 4], &[2, 6]),
        (Unfold::Patches(pointwise), &[1, 2, 6, 8], &[1, 4, 6, 4]),
        (Unfold::Patches(window), &[1, 2, 6, 8], &[1, 2, 8, 6]),
        (Unfold::Patches(stepping), &[1, 2, 6, 8], &[1, 2, 8, 6]),
    ];
    for (unfold, right, wrong) in cases {
        let mut products = Products::of(&unfold, right, false).unwrap();
        let mut moment = SymmetricSum::zeros(unfold.groups(), unfold.dim());
        let mut add = |shape: &[usize]| {
            products.add(1.0, &shown(&ArrayD::zeros(IxDyn(shape))), None, &mut moment, &Buffers::default())
        };
        assert_eq!(add(wrong), Err(wrong.to_vec()));
        assert_eq!(add(right), Ok(()));
    }
}

/// Values of a kind that rounds: not small multiples of powers of two.
fn activations(shape: &[usize], scale: impl Fn(usize) -> f32) -> ArrayD<f32> {
    let mut next = 11_u32;
    ArrayD::from_shape_fn(IxDyn(shape), |at| {
        next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // As after a ReLU: not negative, often zero.
        scale(at[1]) * ((next >> 8) as f32 / (1 << 23) as f32 - 0.7).max(0.0)
    })
}

/// Of every entry: what a sum has lost, as a share of the root of the product of its diagonal entries.
fn root_mean_square_loss(rounded: &Array2<f64>, exact: &Array2<f64>) -> f64 {
    let squares: f64 = rounded
        .indexed_iter()
        .map(|((i, j), value)| (value - exact[(i, j)]).powi(2) / (exact[(i, i)] * exact[(j, j)]))
        .sum();
    (squares / rounded.len() as f64).sqrt()
}

/// What float32 loses is what the entries that are known say, about what is expected, and nothing where it is not allowed.
#[test]
fn what_float32_loses_is_known() {
    let window = |channels: usize, kernel: usize, stride: usize| Window {
        groups: 1,
        channels,
        kernel: vec![kernel; 2],
        strides: vec![stride; 2],
        dilations: vec![1; 2],
        padding: Padding::SameUpper,
    };
    // So many taps that patches are gathered.
    let cases: [(Unfold, &[usize], usize); 4] = [
        (Unfold::Patches(window(40, 1, 1)), &[6, 40, 16, 16], 256),
        (Unfold::Patches(window(4, 8, 1)), &[6, 4, 16, 16], 256),
        (Unfold::Patches(window(4, 8, 2)), &[6, 4, 16, 16], 64),
        (Unfold::Vectors(Vectors::along(-1, 150)), &[9, 67, 150], 67),
    ];
    for (unfold, shape, per_sample) in cases {
        let value = activations(shape, |at| 0.1 + (at % 7) as f32);
        let moment = |allow: bool| {
            let mut products = Products::of(&unfold, shape, false).unwrap();
            let mut moment = SymmetricSum::zeros(1, unfold.dim());
            products.allow_float32(((shape[0] * per_sample) as f64, shape), &moment, |_| allow);
            for weight in [1.0, 1.0, -0.5] {
                products.add(weight, &shown(&value), None, &mut moment, &Buffers::default()).unwrap();
            }
            products.flush(&mut moment);
            (products.loss(&moment), moment.matrix(0))
        };
        let ((none, exact), (said, rounded)) = (moment(false), moment(true));
        let found = root_mean_square_loss(&rounded, &exact);
        let expected = rounding::expected_loss((shape[0] * per_sample) as f64);
        assert_eq!(none, 0.0);
        assert!(said > 0.6 * found && said < 2.0 * found, "{unfold:?}: {said:e}, is {found:e}");
        assert!(found < 2.0 * expected && found > expected / 20.0, "{unfold:?}: {found:e}, expected {expected:e}");
    }
}

/// A sample with few positions is not worth it, and rows that nobody asked for are not expected to do. Spectra take less
/// than either.
#[test]
fn float32_is_taken_only_where_it_is_expected_to_do() {
    let unfold = Unfold::Vectors(Vectors::along(-1, 8));
    let taken = |shape: &[usize], suffices: bool| {
        let mut products = Products::of(&unfold, shape, false).unwrap();
        products.allow_float32((64.0, shape), &SymmetricSum::zeros(1, 8), |_| suffices);
        products.known.is_some()
    };
    assert!(taken(&[4, 16, 8], true));
    assert!(!taken(&[4, 16, 8], false));
    assert!(!taken(&[64, 8], true));
    assert!(!taken(&[4, 15, 8], true));
    let (ones, padding) = (vec![1; 2], Padding::SameUpper);
    let window =
        Window { groups: 1, channels: 40, kernel: vec![3; 2], strides: ones.clone(), dilations: ones, padding };
    let mut products = Products::of(&Unfold::Patches(window), &[4, 40, 16, 16], false).unwrap();
    products.allow_float32((1024.0, &[4, 40, 16, 16]), &SymmetricSum::zeros(1, 360), |_| true);
    assert!(products.known.is_none());
}
