//! One suite over every engine: what a graph gives, and how each wrong input is answered.

mod carried;
mod graph;
mod moments;
mod names;
mod recalibration;

use super::{Computes, Device, Engine, EngineError, Runnable, Session, ort::OrtEngine, runtime, tract::TractEngine};
use crate::progress::Silent;
use crate::tensor::{ElementType, Tensor};
use graph::{Graph, int, ints, raw};
use half::f16;
use ndarray::{Array, ArrayD, Dimension, Ix2, IxDyn, arr1, arr2};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const FLOAT: ElementType = ElementType::Float32;

/// Every engine. A machine without ONNX Runtime fetches it here, as it would for a user.
fn engines() -> Vec<Box<dyn Engine>> {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| runtime::locate(&Silent, true).expect("the tests need ONNX Runtime").path);
    let onnx_runtime = OrtEngine::open(library, Device::Cpu, Some(2)).expect("ONNX Runtime opens");
    vec![Box::new(onnx_runtime), Box::new(TractEngine::new())]
}

fn load(engine: &dyn Engine, model: &[u8]) -> Result<Box<dyn Session>, EngineError> {
    engine.load(Runnable { bytes: model.to_vec().into(), folder: Path::new(""), computes: Computes::Outputs })
}

/// Runs a model once on every engine, and hands each answer to `check` with the engine's name.
fn each(model: &[u8], inputs: &[(&str, &Tensor)], wanted: &[&str], check: impl Fn(&str, Vec<Tensor>)) {
    each_of(engines(), model, inputs, wanted, check);
}

fn each_of(
    engines: Vec<Box<dyn Engine>>,
    model: &[u8],
    inputs: &[(&str, &Tensor)],
    wanted: &[&str],
    check: impl Fn(&str, Vec<Tensor>),
) {
    for engine in engines {
        let name = engine.info().name;
        let mut session = load(engine.as_ref(), model).unwrap_or_else(|error| unreachable!("{error}"));
        check(name, session.run(inputs, wanted).unwrap_or_else(|error| unreachable!("{error}")));
    }
}

fn close(engine: &str, actual: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(actual.element_type(), expected.element_type(), "{engine}");
    assert_eq!(actual.shape(), expected.shape(), "{engine}");
    let difference = (actual.to_f64() - expected.to_f64()).mapv(f64::abs).into_iter().fold(0.0, f64::max);
    assert!(difference <= tolerance, "{engine}: {actual:?} is off by {difference}");
}

fn float<D: Dimension>(array: Array<f32, D>) -> Tensor {
    Tensor::Float32(array.into_dyn())
}

fn numbers(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let values = (0..count).map(|index| ((index * 37 + 11) % 23) as f32 / 23.0 - 0.4).collect();
    Tensor::Float32(ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many as the shape"))
}

/// `relu(x · Wᵀ + b)` with W = [[1, 0, −1], [0, 2, 0]] and b = [0.5, −1].
fn gemm_relu(element: ElementType) -> Vec<u8> {
    let weight = arr2(&[[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]).into_dyn();
    Graph::new()
        .input("x", element, &["N", "3"])
        .weight("w", &Tensor::from_f32(&weight, element))
        .weight("b", &Tensor::from_f32(&arr1(&[0.5, -1.0]).into_dyn(), element))
        .node("Gemm", &["x", "w", "b"], "g", vec![int("transB", 1)])
        .node("Relu", &["g"], "y", vec![])
        .output("y", element)
        .output("g", element)
        .bytes()
}

#[test]
fn gemm_and_relu_in_every_float_type() {
    for element in [ElementType::Float32, ElementType::Float64, ElementType::Float16] {
        let x = Tensor::from_f32(&arr2(&[[1.0, 2.0, 3.0], [4.0, 0.0, -1.0]]).into_dyn(), element);
        let y = Tensor::from_f32(&arr2(&[[0.0, 3.0], [5.5, 0.0]]).into_dyn(), element);
        let g = Tensor::from_f32(&arr2(&[[-1.5, 3.0], [5.5, -1.0]]).into_dyn(), element);
        each(&gemm_relu(element), &[("x", &x)], &["g", "y", "g"], |engine, outputs| {
            assert_eq!(outputs.len(), 3, "{engine}");
            close(engine, &outputs[0], &g, 1e-3);
            close(engine, &outputs[1], &y, 1e-3);
            assert_eq!(outputs[0], outputs[2], "{engine}");
        });
    }
}

#[test]
fn one_session_takes_batches_of_every_size() {
    for engine in engines() {
        let mut session = load(engine.as_ref(), &gemm_relu(FLOAT)).expect("it loads");
        for size in [4, 1, 4, 3, 2, 0, 4] {
            let x = float(Array::ones((size, 3)));
            let outputs = session.run(&[("x", &x)], &["y"]);
            let outputs = outputs.unwrap_or_else(|error| unreachable!("batch of {size}: {error}"));
            let row = arr1(&[0.5, 1.0]);
            close(engine.info().name, &outputs[0], &float(row.broadcast((size, 2)).expect("rows").to_owned()), 1e-6);
        }
    }
}

#[test]
fn an_input_in_another_layout_is_read_in_order() {
    let x = float(arr2(&[[1.0, 4.0], [2.0, 0.0], [3.0, -1.0]]).reversed_axes());
    each(&gemm_relu(FLOAT), &[("x", &x)], &["y"], |engine, outputs| {
        close(engine, &outputs[0], &float(arr2(&[[0.0, 3.0], [5.5, 0.0]])), 1e-6);
    });
}

#[test]
fn a_grouped_dilated_convolution_in_every_float_type() {
    let x = Array::from_shape_fn((1, 4, 5, 5), |(_, channel, row, column)| (20 * channel + 5 * row + column) as f32);
    // Of each patch the sum is 8 × its middle: channels 0, 1 or 2, 3, and one row and column further.
    let y = Array::from_shape_fn((1, 2, 3, 3), |(_, group, row, column)| {
        (8 * (40 * group + 10 + 5 * (row + 1) + column + 1)) as f32
    });
    for element in [ElementType::Float32, ElementType::Float64, ElementType::Float16] {
        let of_type = |array: Array<f32, ndarray::Ix4>| Tensor::from_f32(&array.into_dyn(), element);
        let model = Graph::new()
            .input("x", element, &["N", "4", "5", "5"])
            .weight("w", &of_type(Array::ones((2, 2, 2, 2))))
            .node("Conv", &["x", "w"], "y", vec![int("group", 2), ints("dilations", &[2, 2])])
            .output("y", element)
            .bytes();
        // ONNX Runtime has no convolution in float64 on the CPU.
        let mut able = engines();
        able.retain(|engine| element != ElementType::Float64 || load(engine.as_ref(), &model).is_ok());
        each_of(able, &model, &[("x", &of_type(x.clone()))], &["y"], |engine, outputs| {
            close(engine, &outputs[0], &of_type(y.clone()), 1e-3);
        });
    }
}

#[test]
fn gemm_with_factors_and_both_sides_transposed() {
    let factor = |name: &str, value: f32| {
        let kind = tract_onnx::pb::attribute_proto::AttributeType::Float as i32;
        tract_onnx::pb::AttributeProto { name: name.into(), r#type: kind, f: value, ..Default::default() }
    };
    let attributes = || vec![factor("alpha", 0.5), factor("beta", -2.0), int("transA", 1), int("transB", 1)];
    for element in [ElementType::Float32, ElementType::Float64] {
        let of_type = |array: ndarray::Array2<f32>| Tensor::from_f32(&array.into_dyn(), element);
        let model = Graph::new()
            .input("x", element, &["3", "N"])
            .weight("w", &of_type(arr2(&[[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]])))
            .weight("c", &of_type(arr2(&[[1.0, 3.0]])))
            .node("Gemm", &["x", "w", "c"], "y", attributes())
            .output("y", element)
            .bytes();
        let x = of_type(arr2(&[[1.0], [2.0], [4.0]]));
        each(&model, &[("x", &x)], &["y"], |engine, outputs| {
            close(engine, &outputs[0], &of_type(arr2(&[[-3.5, -4.0]])), 1e-6);
        });
    }
}

#[test]
fn double_keeps_what_float_would_lose() {
    let model = Graph::new()
        .input("x", FLOAT, &["N", "2"])
        .node("Cast", &["x"], "d", vec![int("to", 11)])
        .node("Transpose", &["d"], "t", vec![ints("perm", &[1, 0])])
        .node("MatMul", &["t", "d"], "m", vec![])
        .output("m", ElementType::Float64)
        .bytes();
    let fine = 1.0 + f32::EPSILON;
    let square = f64::from(fine) * f64::from(fine);
    assert!(f64::from(square as f32) < square, "a float cannot hold the square");
    let x = float(arr2(&[[fine, 0.0], [0.0, 1.0]]));
    each(&model, &[("x", &x)], &["m"], |engine, outputs| {
        let expected = Tensor::Float64(arr2(&[[square, 0.0], [0.0, 1.0]]).into_dyn());
        close(engine, &outputs[0], &expected, 0.0);
    });
}

#[test]
fn reshape_transpose_shape_and_an_extra_input() {
    let model = Graph::new()
        .input("x", FLOAT, &["N", "2", "3"])
        .input("scale", FLOAT, &["N", "1", "1"])
        .weight("to", &Tensor::Int64(arr1(&[0, -1]).into_dyn()))
        .node("Mul", &["x", "scale"], "scaled", vec![])
        .node("Transpose", &["scaled"], "turned", vec![ints("perm", &[0, 2, 1])])
        .node("Reshape", &["turned", "to"], "flat", vec![])
        .node("Shape", &["flat"], "shape", vec![])
        .output("flat", FLOAT)
        .output("shape", ElementType::Int64)
        .bytes();
    let x = Array::from_shape_fn((2, 2, 3), |(sample, row, column)| (100 * sample + 10 * row + column) as f32);
    let scale = float(arr1(&[1.0, 0.0]).into_shape_with_order((2, 1, 1)).expect("two numbers"));
    each(&model, &[("scale", &scale), ("x", &float(x))], &["shape", "flat"], |engine, outputs| {
        assert_eq!(outputs[0], Tensor::Int64(arr1(&[2, 6]).into_dyn()), "{engine}");
        let flat = arr2(&[[0.0, 10.0, 1.0, 11.0, 2.0, 12.0], [0.0; 6]]);
        close(engine, &outputs[1], &float(flat), 0.0);
    });
}

#[test]
fn every_integer_type_passes_through() {
    let tensors = [
        Tensor::Uint8(arr1(&[0, 255]).into_dyn()),
        Tensor::Int32(arr1(&[i32::MIN, i32::MAX]).into_dyn()),
        Tensor::Int64(arr1(&[i64::MIN, i64::MAX]).into_dyn()),
        Tensor::Float16(arr1(&[f16::MIN, f16::MAX]).into_dyn()),
    ];
    for tensor in tensors {
        let element = tensor.element_type();
        let graph = Graph::new().input("x", element, &["N"]).node("Identity", &["x"], "y", vec![]);
        each(&graph.output("y", element).bytes(), &[("x", &tensor)], &["y"], |engine, outputs| {
            assert_eq!(outputs[0], tensor, "{engine}");
        });
    }
}

#[test]
fn bfloat16_runs_or_is_refused() {
    let x = Tensor::from_f32(&arr1(&[1.5, -2.0]).into_dyn(), ElementType::Bfloat16);
    let graph = Graph::new().input("x", x.element_type(), &["N"]).node("Identity", &["x"], "y", vec![]);
    let model = graph.output("y", x.element_type()).bytes();
    let [onnx_runtime, tract] = engines().try_into().unwrap_or_else(|_| unreachable!("there are two engines"));
    let mut session = load(onnx_runtime.as_ref(), &model).expect("it loads");
    assert_eq!(session.run(&[("x", &x)], &["y"]).expect("it runs"), [x]);
    let error = load(tract.as_ref(), &model).err().expect("tract has no bfloat16");
    assert!(matches!(error, EngineError::Unsupported { .. }), "{error:?}");
}

/// As exporters did it before ONNX's IR version 4.
#[test]
fn a_weight_that_is_listed_as_an_input_need_not_be_fed() {
    let model = Graph::new()
        .input("x", FLOAT, &["N", "3"])
        .input("w", FLOAT, &["3", "2"])
        .weight("w", &float(Array::ones((3, 2))))
        .node("MatMul", &["x", "w"], "y", vec![])
        .output("y", FLOAT)
        .output("x", FLOAT)
        .bytes();
    let x = float(arr2(&[[1.0, 2.0, 3.0]]));
    each(&model, &[("x", &x)], &["x", "y"], |engine, outputs| {
        assert_eq!(outputs[0], x, "{engine}");
        close(engine, &outputs[1], &float(arr2(&[[6.0, 6.0]])), 0.0);
    });
}

#[test]
fn external_data_is_found_beside_the_model() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let weight = numbers(&[3, 200]);
    let model = Graph::new()
        .input("x", FLOAT, &["N", "3"])
        .external("w", &weight, "weights.bin")
        .node("MatMul", &["x", "w"], "y", vec![])
        .output("y", FLOAT)
        .bytes();
    for engine in engines() {
        let name = engine.info().name;
        let file = folder.path().join("weights.bin");
        let load = || {
            engine.load(Runnable { bytes: model.clone().into(), folder: folder.path(), computes: Computes::Outputs })
        };
        let error = load().err().expect("the file is missing").to_string();
        assert!(error.contains(name) && error.contains("weights.bin"), "{error}");
        std::fs::write(&file, &raw(&weight)[..8]).expect("writing a file");
        assert!(load().is_err(), "{name}: the file is cut short");
        std::fs::write(&file, raw(&weight)).expect("writing a file");
        let mut session = load().unwrap_or_else(|error| unreachable!("{error}"));
        let outputs = session.run(&[("x", &float(arr2(&[[0.0, 1.0, 0.0]])))], &["y"]).expect("it runs");
        let rows = weight.to_f64();
        let expected = rows.index_axis(ndarray::Axis(0), 1).mapv(|value| value as f32).insert_axis(ndarray::Axis(0));
        close(name, &outputs[0], &float(expected), 1e-7);
        std::fs::remove_file(file).expect("removing a file");
    }
}

/// tract takes such a weight from where it lies in the model's bytes, beside weights in files.
#[test]
fn large_weights_are_the_same_inside_and_outside_of_the_model() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (large, outside) = (numbers(&[300, 200]), numbers(&[200, 100]));
    let model = Graph::new()
        .input("x", FLOAT, &["N", "300"])
        .weight("large", &large)
        .external("outside", &outside, "weights.bin")
        .node("MatMul", &["x", "large"], "h", vec![])
        .node("MatMul", &["h", "outside"], "y", vec![])
        .output("y", FLOAT)
        .bytes();
    std::fs::write(folder.path().join("weights.bin"), raw(&outside)).expect("writing a file");
    let matrix = |tensor: &Tensor| tensor.to_f64().into_dimensionality::<Ix2>().expect("a matrix");
    let x = numbers(&[2, 300]);
    let expected = matrix(&x).dot(&matrix(&large)).dot(&matrix(&outside)).mapv(|value| value as f32);
    for engine in engines() {
        let loaded =
            engine.load(Runnable { bytes: model.clone().into(), folder: folder.path(), computes: Computes::Outputs });
        let mut session = loaded.unwrap_or_else(|error| unreachable!("{error}"));
        let outputs = session.run(&[("x", &x)], &["y"]).expect("it runs");
        close(engine.info().name, &outputs[0], &float(expected.clone()), 1e-3);
    }
}

#[test]
fn what_was_prepared_runs_and_other_shapes_still_do() {
    let model = gemm_relu(FLOAT);
    for engine in engines() {
        let name = engine.info().name;
        let mut session = load(engine.as_ref(), &model).unwrap_or_else(|error| unreachable!("{error}"));
        let [one, two] = [1, 2].map(|rows| float(Array::ones((rows, 3))));
        session.prepare(&[("x", &one)], &["y"]).expect("it can be planned");
        for (x, expected) in [(&one, float(arr2(&[[0.5, 1.0]]))), (&two, float(arr2(&[[0.5, 1.0]; 2])))] {
            let outputs = session.run(&[("x", x)], &["y"]).expect("it runs");
            close(name, &outputs[0], &expected, 1e-6);
        }
    }
}

#[test]
fn tract_refuses_when_it_prepares_what_it_could_not_run() {
    let mut session = load(&TractEngine::new(), &gemm_relu(FLOAT)).unwrap_or_else(|error| unreachable!("{error}"));
    let wide = float(Array::ones((1, 4)));
    for (name, wanted) in [("x", "y"), ("z", "y"), ("x", "z")] {
        let refused = session.prepare(&[(name, &wide)], &[wanted]).expect_err("a wrong shape, input or output");
        let same = session.run(&[(name, &wide)], &[wanted]).expect_err("it cannot run, either");
        assert_eq!(refused.to_string(), same.to_string());
    }
}
