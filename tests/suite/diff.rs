//! What `onnx-sap diff` says of two models.

use crate::net::{archive, floats, net, x};
use crate::support::{Bench, data, model};
use onnx_sap::model::proto::ModelProto;
use prost::Message;
use serde_json::Value;

/// A model, decoded, changed and encoded again.
fn changed(bytes: &[u8], change: impl FnOnce(&mut ModelProto)) -> Vec<u8> {
    let mut proto = ModelProto::decode(bytes).unwrap();
    change(&mut proto);
    proto.encode_to_vec()
}

fn linear() -> Vec<u8> {
    net(4).output("z", onnx_sap::tensor::ElementType::Float32, &["N", "4"]).bytes()
}

/// What `diff a.onnx b.onnx` says as JSON, and its exit code.
fn diff(bench: &Bench, a: &[u8], b: &[u8], options: &str) -> (Value, i32) {
    bench.put("a.onnx", a);
    bench.put("b.onnx", b);
    let ran = bench.run(&format!("diff a.onnx b.onnx --format json {options}"));
    assert_eq!(ran.stderr, "");
    (serde_json::from_str(&ran.stdout).unwrap(), ran.code)
}

#[test]
fn a_model_is_the_same_as_itself_however_it_is_stored() {
    let bench = Bench::new();
    let raw = linear();
    let (found, code) = diff(&bench, &raw, &raw, "");
    assert_eq!((code, &found["identical"]), (0, &Value::Bool(true)));
    let listed = changed(&raw, |model| {
        for tensor in &mut model.graph.as_mut().unwrap().initializer {
            let raw = std::mem::take(&mut tensor.raw_data);
            tensor.float_data = raw.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        }
    });
    let outside = changed(&raw, |model| {
        let mut file = Vec::new();
        for tensor in &mut model.graph.as_mut().unwrap().initializer {
            let raw = std::mem::take(&mut tensor.raw_data);
            *tensor = tensor.clone().outside("weights.bin", file.len() as u64, raw.len() as u64);
            file.extend(raw);
        }
        bench.put("weights.bin", &file);
    });
    let reordered = changed(&raw, |model| model.graph.as_mut().unwrap().initializer.reverse());
    for same in [listed, outside, reordered] {
        let (found, code) = diff(&bench, &raw, &same, "");
        assert_eq!((code, &found["identical"]), (0, &Value::Bool(true)), "{found}");
    }
}

#[test]
fn a_changed_value_is_measured() {
    let bench = Bench::new();
    let old = linear();
    let new = changed(&old, |model| {
        let weight = &mut model.graph.as_mut().unwrap().initializer[0];
        let mut raw = weight.raw_data.to_vec();
        raw[..4].copy_from_slice(&(0.5_f32 + 3.0).to_le_bytes());
        weight.raw_data = raw.into();
    });
    let (found, code) = diff(&bench, &old, &new, "");
    assert_eq!(code, 1);
    let [change] = found["tensors"]["different"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!(found["structure"], Value::Array(Vec::new()));
    let distance = &change["distance"];
    assert_eq!((distance["values"].as_u64(), distance["max_abs"].as_f64()), (Some(1), Some(3.0)));
    let norm: f64 =
        [0.5, -1.0, 0.25, 1.5, -0.75, 2.0, 1.0, -0.5, 1.25, 0.5, -1.5, 0.75].map(|w: f64| w * w).iter().sum();
    assert!((distance["relative"].as_f64().unwrap() - 3.0 / norm.sqrt()).abs() < 1e-12);
    let spectra = distance["spectra"].as_array().unwrap();
    assert!(spectra[1]["norm"].as_f64() > spectra[0]["norm"].as_f64());
}

#[test]
fn what_the_structure_differs_in_is_named() {
    let bench = Bench::new();
    let old = linear();
    let new = changed(&old, |model| {
        model.opset_import[0].version = 18;
        model.producer_name = "somebody".into();
        let graph = model.graph.as_mut().unwrap();
        graph.node[0].name = "renamed".into();
        graph.output.swap_remove(0);
        graph.initializer[1].dims = vec![1, 4];
    });
    bench.put("a.onnx", &old);
    bench.put("b.onnx", &new);
    let (found, code) = diff(&bench, &old, &new, "");
    assert_eq!(code, 1);
    let parts = |what: &str| -> Vec<String> {
        found[what].as_array().unwrap().iter().map(|fact| fact["part"].as_str().unwrap().to_owned()).collect()
    };
    let structure = parts("structure");
    for part in ["opset ai.onnx", "output z", "outputs"] {
        assert!(structure.iter().any(|found| found == part), "{part}: {structure:?}");
    }
    assert!(structure.iter().any(|part| part.starts_with("node ") && part.ends_with(": name")), "{structure:?}");
    assert_eq!(parts("metadata"), ["producer"]);
    let [tensor] = found["tensors"]["different"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!((&tensor["distance"], &tensor["b"]["shape"]), (&Value::Null, &serde_json::json!([1, 4])));
}

#[test]
fn flips_are_those_that_two_scores_show() {
    let bench = Bench::new();
    bench.run(&format!("score {} --data {} -o a.csv", model("mlp").display(), data("val"))).expect(0);
    bench.run(&format!("score {} --data {} -o b.csv", model("lenet").display(), data("val"))).expect(0);
    let predicted = |file: &str| -> Vec<String> {
        let text = std::fs::read_to_string(bench.path(file)).unwrap();
        let column = text.lines().next().unwrap().split(',').position(|name| name == "predicted").unwrap();
        text.lines().skip(1).map(|line| line.split(',').nth(column).unwrap().to_owned()).collect()
    };
    let (a, b) = (predicted("a.csv"), predicted("b.csv"));
    let flips = a.iter().zip(&b).filter(|(a, b)| a != b).count();
    let models = [model("mlp"), model("lenet")].map(|path| std::fs::read(path).unwrap());
    let (found, code) = diff(&bench, &models[0], &models[1], &format!("--data {}", data("val")));
    assert_eq!(code, 1);
    let predictions = &found["predictions"];
    assert_eq!(predictions["flips"].as_array().unwrap().len(), flips);
    assert_eq!(predictions["flipped"].as_array().unwrap().len(), flips);
    assert!(flips > 0 && flips < a.len());
    let total = |of: &str, what: &str| -> u64 {
        predictions[of].as_array().unwrap().iter().map(|entry| entry[what].as_u64().unwrap()).sum()
    };
    assert_eq!((total("classes", "flips"), total("directions", "flips")), (flips as u64, flips as u64));
    assert_eq!(total("classes", "samples"), a.len() as u64);
    assert_eq!(predictions["gained"].as_u64().unwrap(), total("directions", "gained"));
}

#[test]
fn models_without_common_inputs_or_files_that_are_none_cannot_be_compared() {
    let bench = Bench::new();
    bench.put("a.onnx", &linear());
    bench.put("b.onnx", b"no model");
    bench.put("data.npz", &archive(&[floats("x", &[10, 3], &x())], 4));
    let ran = bench.run("diff a.onnx b.onnx").expect(2);
    assert!(ran.stderr.contains("b.onnx"), "{}", ran.stderr);
    bench.put("b.onnx", &std::fs::read(model("mlp")).unwrap());
    let ran = bench.run("diff a.onnx b.onnx --data npz:data.npz").expect(2);
    assert!(ran.stdout.is_empty() && ran.stderr.starts_with("error: "), "{}", ran.stderr);
}
