//! Wrong names, shapes, types and bytes: an error in one line from every engine, never a panic.

use super::*;
use crate::engine::{DEVICES, ENGINES, EngineName, choose};

/// Runs a model with these inputs on every engine, and returns the errors.
fn refusals(inputs: &[(&str, &Tensor)], wanted: &[&str]) -> Vec<String> {
    let refusal = |engine: Box<dyn Engine>| {
        let mut session = load(engine.as_ref(), &gemm_relu(FLOAT)).expect("it loads");
        let error = session.run(inputs, wanted).expect_err("it must be refused");
        assert!(matches!(error, EngineError::Run { .. }), "{error:?}");
        let text = error.to_string();
        assert!(!text.contains('\n') && text.contains(engine.info().name), "{text}");
        text
    };
    engines().into_iter().map(refusal).collect()
}

#[test]
fn wrong_names_are_named() {
    let x = numbers(&[2, 3]);
    for text in refusals(&[("pixels", &x)], &["y"]) {
        assert!(text.contains("no input `pixels`") && text.contains("`x`"), "{text}");
    }
    for text in refusals(&[("x", &x)], &["z"]) {
        assert!(text.contains("no output `z`") && text.contains("`y`, `g`"), "{text}");
    }
    for text in refusals(&[], &["y"]) {
        assert!(text.contains("input `x` is not fed"), "{text}");
    }
    for text in refusals(&[("x", &x), ("x", &x)], &["y"]) {
        assert!(text.contains("`x` is fed twice"), "{text}");
    }
}

#[test]
fn wrong_shapes_and_types_are_refused() {
    for tensor in [numbers(&[2, 4]), numbers(&[3]), numbers(&[2, 3, 1]), numbers(&[])] {
        for text in refusals(&[("x", &tensor)], &["y"]) {
            assert!(text.contains('x'), "{text}");
        }
    }
    refusals(&[("x", &Tensor::from_f32(&arr2(&[[1.0, 2.0, 3.0]]).into_dyn(), ElementType::Float64))], &["y"]);
}

#[test]
fn nothing_wanted_gives_nothing() {
    each(&gemm_relu(FLOAT), &[("x", &numbers(&[1, 3]))], &[], |engine, outputs| {
        assert!(outputs.is_empty(), "{engine}");
    });
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    let whole = gemm_relu(FLOAT);
    let models: [&[u8]; 5] = [b"", b"not a model", &[0xff; 64], &whole[..whole.len() / 2], &whole[..whole.len() - 9]];
    for engine in engines() {
        for model in models {
            let refused = load(engine.as_ref(), model)
                .and_then(|mut session| session.run(&[("x", &numbers(&[1, 3]))], &["y"]))
                .err();
            assert!(refused.is_some(), "{} took {model:?}", engine.info().name);
        }
    }
}

#[test]
fn graphs_that_cannot_run_are_refused() {
    let input = || Graph::new().input("x", FLOAT, &["N", "3"]);
    let models = [
        input().node("NoSuchOperator", &["x"], "y", vec![]).output("y", FLOAT).bytes(),
        input().node("Relu", &["x"], "y", vec![]).of_domain("my.own").output("y", FLOAT).bytes(),
        input().node("Relu", &["nowhere"], "y", vec![]).output("y", FLOAT).bytes(),
        input().node("Relu", &["x"], "y", vec![]).output("elsewhere", FLOAT).bytes(),
        input().node("MatMul", &["x", "x"], "y", vec![]).output("y", FLOAT).bytes(),
        input().node("Conv", &["x", "x"], "y", vec![]).output("y", FLOAT).bytes(),
        input().node("Transpose", &["x"], "y", vec![ints("perm", &[0, 7])]).output("y", FLOAT).bytes(),
    ];
    for engine in engines() {
        for (number, model) in models.iter().enumerate() {
            let refused = load(engine.as_ref(), model)
                .and_then(|mut session| session.run(&[("x", &numbers(&[2, 3]))], &["y"]))
                .err();
            let text = refused.map(|error| error.to_string()).unwrap_or_default();
            assert!(!text.is_empty() && !text.contains('\n'), "{} model {number}: {text}", engine.info().name);
        }
    }
}

#[test]
fn an_output_of_another_type_is_refused() {
    let model = Graph::new().input("x", FLOAT, &["N", "3"]).node("Cast", &["x"], "y", vec![int("to", 3)]);
    let model = model.output_code("y", 3).bytes();
    for engine in engines() {
        let mut session = load(engine.as_ref(), &model).expect("it loads");
        let error = session.run(&[("x", &numbers(&[2, 3]))], &["y"]).expect_err("int8 is not read").to_string();
        assert!(error.to_lowercase().contains("i8") || error.contains("int8"), "{error}");
    }
}

#[test]
fn booleans_go_in_and_come_out() {
    let model = Graph::new().input("x", ElementType::Bool, &["N"]).node("Not", &["x"], "y", vec![]);
    let model = model.output("y", ElementType::Bool).bytes();
    for engine in engines() {
        let mut session = load(engine.as_ref(), &model).expect("it loads");
        let flags = |values: &[bool]| Tensor::Bool(ndarray::arr1(values).into_dyn());
        let outputs = session.run(&[("x", &flags(&[true, false]))], &["y"]).expect("it runs");
        assert_eq!(outputs, [flags(&[false, true])], "{}", engine.info().name);
    }
}

#[test]
fn what_runs_is_told() {
    for engine in engines() {
        let info = engine.info();
        assert_eq!(info.device, "cpu");
        assert!(info.version.split('.').count() >= 2, "{info:?}");
        assert_eq!(info.library.is_some(), info.name == "onnxruntime");
    }
}

#[test]
fn a_second_library_is_refused() {
    engines();
    let error = OrtEngine::open(Path::new("/nowhere/libonnxruntime.so"), Device::Cpu, None).err();
    let text = error.expect("one is loaded").to_string();
    assert!(text.contains("this process already runs"), "{text}");
}

#[test]
fn what_is_loaded_is_found_again_where_it_was_found_and_not_under_its_plain_name() {
    let library = engines()[0].info().library.clone().expect("ONNX Runtime is a library");
    for found in runtime::search().into_iter().filter(|found| found.source == runtime::Source::Loader) {
        assert!(found.outcome == runtime::Outcome::Absent || found.path == Some(library.clone()), "{found:?}");
    }
    assert_eq!(runtime::locate(&Silent, false).expect("it is there").path, library);
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let library = engines()[0].info().library.clone().expect("ONNX Runtime is a library");
    let onnx_runtime = OrtEngine::open(&library, Device::Cuda(31), None).err();
    let tract = choose(EngineName::Tract, Device::Cuda(31), None, &Silent).err();
    for error in [onnx_runtime, tract] {
        let error = error.expect("there is no such device");
        assert!(matches!(error, EngineError::Device { .. }) && error.to_string().contains("cuda:31"), "{error:?}");
    }
}

#[test]
fn names_round_trip() {
    for name in ENGINES {
        assert_eq!(name.to_string().parse(), Ok(*name));
    }
    for device in [Device::Auto, Device::Cpu, Device::Cuda(0), Device::Cuda(17)] {
        assert_eq!(device.to_string().parse(), Ok(device));
    }
    assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
    for wrong in ["", "gpu", "cuda:", "cuda:-1", "cuda:+1", "cuda:x", "cuda:99999999999", "CPU"] {
        let error = wrong.parse::<Device>().expect_err(wrong);
        assert!(DEVICES.iter().all(|known| error.contains(known)), "{error}");
    }
    assert!("onnx".parse::<EngineName>().is_err());
}

#[test]
fn auto_takes_onnx_runtime_and_tract_can_be_named() {
    engines();
    let auto = choose(EngineName::Auto, Device::Cpu, Some(1), &Silent).expect("there is one");
    assert_eq!(auto.engine.info().name, "onnxruntime", "{}", auto.why);
    let tract = choose(EngineName::Tract, Device::Auto, None, &Silent).expect("it is always there");
    assert_eq!(tract.engine.info().name, "tract", "{}", tract.why);
}
