//! The cases: every operator of every rule, in each of the ways in which it uses its weight.

use super::case::{Case, Outputs, Rows};
use onnx_sap::model::fragment::{int, ints, string};
use onnx_sap::tensor::ElementType;

pub(super) fn window(groups: usize, strides: &[usize], dilations: &[usize], begin: &[usize], end: &[usize]) -> Rows {
    Rows::Window { groups, strides: strides.into(), dilations: dilations.into(), begin: begin.into(), end: end.into() }
}

/// A convolution with everything spelt out.
pub(super) fn conv(name: &'static str, sample: &[usize], weight: &[usize], rows: Rows) -> Case {
    let Rows::Window { groups, strides, dilations, begin, end } = &rows else { panic!("{name} has no window") };
    let list = |values: &[usize]| values.iter().map(|&value| value as i64).collect::<Vec<_>>();
    let attributes = vec![
        int("group", *groups as i64),
        ints("strides", list(strides)),
        ints("dilations", list(dilations)),
        ints("pads", [list(begin), list(end)].concat()),
    ];
    Case::new(name, "Conv", sample, weight, rows, Outputs::Second).with(attributes)
}

/// A convolution of a 7 × 8 image whose padding the operator works out.
fn auto_padded(name: &'static str, mode: &str, strides: [usize; 2], begin: [usize; 2], end: [usize; 2]) -> Case {
    let rows = window(1, &strides, &[1, 1], &begin, &end);
    let attributes = vec![string("auto_pad", mode), ints("strides", strides.map(|stride| stride as i64))];
    Case::new(name, "Conv", &[3, 7, 8], &[4, 3, 4, 3], rows, Outputs::Second).with(attributes)
}

pub(super) fn cases() -> Vec<Case> {
    use ElementType::{Float16, Float64};
    let vector =
        |name, op, sample: &[usize], weight: &[usize]| Case::new(name, op, sample, weight, Rows::Last, Outputs::Last);
    vec![
        conv("conv over one axis", &[3, 9], &[4, 3, 4], window(1, &[2], &[2], &[1], &[3])),
        conv("conv over two axes", &[3, 6, 5], &[4, 3, 3, 2], window(1, &[1, 1], &[1, 1], &[0, 0], &[0, 0])),
        conv(
            "conv over three axes",
            &[2, 5, 4, 3],
            &[3, 2, 2, 3, 2],
            window(1, &[2, 1, 1], &[1, 1, 1], &[1, 0, 1], &[0, 1, 0]),
        ),
        conv(
            "conv with strides, dilations and uneven pads",
            &[3, 9, 8],
            &[4, 3, 3, 2],
            window(1, &[2, 3], &[2, 1], &[1, 0], &[3, 2]),
        ),
        conv("conv in groups", &[6, 5, 5], &[4, 3, 3, 3], window(2, &[1, 1], &[1, 1], &[1, 1], &[1, 1])),
        conv("depthwise conv", &[4, 5, 5], &[8, 1, 3, 3], window(4, &[1, 1], &[1, 1], &[1, 1], &[1, 1])),
        conv("pointwise conv", &[5, 4, 3], &[6, 5, 1, 1], window(1, &[1, 1], &[1, 1], &[0, 0], &[0, 0])),
        conv("pointwise conv in groups", &[6, 4, 3], &[4, 3, 1, 1], window(2, &[1, 1], &[1, 1], &[0, 0], &[0, 0])),
        conv("pointwise conv with strides", &[5, 5, 4], &[6, 5, 1, 1], window(1, &[2, 2], &[1, 1], &[0, 0], &[0, 0])),
        conv("conv of float16", &[3, 6, 5], &[4, 3, 3, 2], window(1, &[1, 1], &[1, 1], &[1, 0], &[1, 0])).of(Float16),
        conv("conv of float64", &[3, 6, 5], &[4, 3, 3, 2], window(1, &[1, 1], &[1, 1], &[1, 0], &[1, 0])).of(Float64),
        // 7 × 8 under 4 × 3: with stride 1 in all 3 and 2 zeros are needed, with strides 2 and 3 again 3 and 1.
        auto_padded("conv with SAME_UPPER", "SAME_UPPER", [1, 1], [1, 1], [2, 1]),
        auto_padded("conv with SAME_LOWER", "SAME_LOWER", [1, 1], [2, 1], [1, 1]),
        auto_padded("conv with SAME_UPPER and strides", "SAME_UPPER", [2, 3], [1, 0], [2, 1]),
        auto_padded("conv with SAME_LOWER and strides", "SAME_LOWER", [2, 3], [2, 1], [1, 0]),
        auto_padded("conv with VALID", "VALID", [2, 1], [0, 0], [0, 0]),
        conv("fused conv", &[3, 6, 5], &[4, 3, 3, 2], window(1, &[1, 1], &[1, 1], &[0, 1], &[1, 0])).by("FusedConv"),
        vector("gemm", "Gemm", &[6], &[6, 4]),
        vector("gemm with transB", "Gemm", &[6], &[4, 6]).with(vec![int("transB", 1)]),
        vector("gemm with transA", "Gemm", &[6], &[6, 4]).transposed(&[1, 0]).with(vec![int("transA", 1)]),
        vector("gemm with transA and transB", "Gemm", &[6], &[4, 6])
            .transposed(&[1, 0])
            .with(vec![int("transA", 1), int("transB", 1)]),
        Case::new("gemm with the weight on the left", "Gemm", &[6], &[4, 6], Rows::Last, Outputs::First)
            .weight_first()
            .with(vec![int("transB", 1)]),
        Case::new("gemm with the weight on the left, transA", "Gemm", &[6], &[6, 4], Rows::Last, Outputs::First)
            .weight_first()
            .with(vec![int("transA", 1), int("transB", 1)]),
        Case::new("gemm with the weight on the left of columns", "Gemm", &[6], &[4, 6], Rows::Last, Outputs::First)
            .weight_first()
            .transposed(&[1, 0]),
        vector("gemm of float64", "Gemm", &[6], &[6, 4]).of(Float64),
        vector("gemm of float16", "Gemm", &[6], &[6, 4]).of(Float16),
        vector("matmul of vectors", "MatMul", &[6], &[6, 4]),
        vector("matmul of sequences", "MatMul", &[3, 6], &[6, 4]),
        vector("matmul of grids", "MatMul", &[2, 3, 6], &[6, 4]),
        vector("matmul of float64", "MatMul", &[3, 6], &[6, 4]).of(Float64),
        Case::new("matmul with the weight on the left", "MatMul", &[6, 3], &[4, 6], Rows::SecondLast, Outputs::Second)
            .weight_first(),
        stack("matmul of stacks", "MatMul", &[2, 3, 6], &[2, 6, 4]),
        stack("matmul of one input with a stack", "MatMul", &[1, 3, 6], &[2, 6, 4]),
        Case::new("fused gemm", "FusedGemm", &[6], &[4, 6], Rows::Last, Outputs::Unseen)
            .with(vec![int("transB", 1), string("activation", "Relu")]),
        vector("fused matmul", "FusedMatMul", &[3, 6], &[4, 6]).with(vec![int("transB", 1)]),
        stack("fused matmul of stacks", "FusedMatMul", &[2, 3, 6], &[2, 4, 6]).with(vec![int("transB", 1)]),
        vector("einsum of sequences", "Einsum", &[3, 6], &[6, 4]).with(vec![string("equation", "nsd,do->nso")]),
        vector("einsum with an ellipsis", "Einsum", &[3, 6], &[4, 6]).with(vec![string("equation", "...d,od->...o")]),
        stack("einsum of groups", "Einsum", &[2, 3, 6], &[2, 6, 4]).with(vec![string("equation", "ngsd,gdo->ngso")]),
        transposed("transposed conv", &[4, 5], &[4, 3, 2], 1),
        transposed("transposed conv in groups", &[6, 5], &[6, 2, 3], 2),
        overlapping("transposed conv over two axes", &[3, 4, 5], &[3, 2, 3, 2]),
        recurrent("rnn", "RNN", 1),
        recurrent("lstm", "LSTM", 4),
        recurrent("gru", "GRU", 3),
        Case::new("attention", "Attention", &[3, 8], &[8, 24], Rows::Last, Outputs::Unseen)
            .beside(&[&[24]])
            .with(vec![int("num_heads", 2)]),
    ]
}

/// A stack of matrices, each with inputs of its own, or all with the same.
fn stack(name: &'static str, op: &'static str, sample: &[usize], weight: &[usize]) -> Case {
    Case::new(name, op, sample, weight, Rows::Stack { groups: weight[0] }, Outputs::Stack)
}

/// A transposed convolution over one axis whose strides are its kernel, so that no products meet.
fn transposed(name: &'static str, sample: &[usize], weight: &[usize], groups: usize) -> Case {
    let kernel = weight[2];
    let attributes = vec![int("group", groups as i64), ints("strides", [kernel as i64])];
    let (rows, outputs) = (Rows::Channels { groups }, Outputs::Spread { kernel });
    Case::new(name, "ConvTranspose", sample, weight, rows, outputs).with(attributes)
}

/// One whose products add up.
fn overlapping(name: &'static str, sample: &[usize], weight: &[usize]) -> Case {
    let attributes = vec![ints("strides", [2, 1]), ints("pads", [1, 0, 0, 1])];
    Case::new(name, "ConvTranspose", sample, weight, Rows::Channels { groups: 1 }, Outputs::Unseen).with(attributes)
}

/// A recurrence over sequences of 3 vectors, with 4 hidden units.
fn recurrent(name: &'static str, op: &'static str, gates: usize) -> Case {
    let hidden = 4;
    Case::new(name, op, &[3, 6], &[1, gates * hidden, 6], Rows::Last, Outputs::Unseen)
        .beside(&[&[1, gates * hidden, hidden]])
        .transposed(&[1, 0, 2])
        .with(vec![int("hidden_size", hidden as i64)])
}
