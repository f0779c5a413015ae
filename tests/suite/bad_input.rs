//! What cannot be run: exit code 2, one line that names the thing and the way out, and not a byte of any file changed.

use crate::support::{Bench, data, idx, npz, repository, samples, small};
use flate2::Compression;
use flate2::write::GzEncoder;
use onnx_sap::data::READERS;
use onnx_sap::model::proto::{ModelProto, StringStringEntryProto, TensorProto};
use prost::Message;
use serde_json::Value;
use std::fs;
use std::io::Write;

/// What every run needs besides what the case is about.
const USUAL: &str = "in.onnx out.onnx --data npz:data.npz";

/// Runs the command, with no output there and then with one that `--force` may replace, and asserts that it is refused
/// in one line that holds all of `names`, with everything left as it was.
#[track_caller]
fn refuses(bench: &Bench, arguments: &str, names: &[&str]) {
    refused(bench, arguments, names, &[]);
    if !bench.path("out.onnx").exists() {
        bench.put("out.onnx", b"an older output");
        refused(bench, &format!("{arguments} --force"), names, &[]);
        fs::remove_file(bench.path("out.onnx")).unwrap();
    }
}

#[track_caller]
fn refused(bench: &Bench, arguments: &str, names: &[&str], environment: &[(&str, &str)]) {
    let line = refused_in_lines(bench, arguments, names, environment);
    assert_eq!(line.lines().count(), 1, "{arguments}: more than one line\n{line}");
}

/// The same for what the parser of the command line refuses: it adds hints below its first line.
#[track_caller]
fn misused(bench: &Bench, arguments: &str, names: &[&str]) {
    let lines = refused_in_lines(bench, arguments, names, &[]);
    assert!(lines.contains("--help"), "{arguments}: no hint in\n{lines}");
}

#[track_caller]
fn refused_in_lines(bench: &Bench, arguments: &str, names: &[&str], environment: &[(&str, &str)]) -> String {
    let before = bench.everything();
    let ran = bench.run_with(arguments, environment);
    assert_eq!(ran.code, 2, "{arguments}: exit code\nstdout:\n{}\nstderr:\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout, "", "{arguments}: something on stdout");
    let first = ran.stderr.lines().next().unwrap_or_default();
    assert!(first.starts_with("error: "), "{arguments}: {first}");
    for name in names {
        assert!(first.contains(name), "{arguments}: no {name:?} in\n{first}");
    }
    assert!(!ran.stderr.contains("panicked"), "{arguments}: {}", ran.stderr);
    let after = bench.everything();
    assert!(before == after, "{arguments}: files changed from {:?} to {:?}", before.keys(), after.keys());
    ran.stderr
}

fn edited(name: &str, edit: impl FnOnce(&mut ModelProto)) -> Vec<u8> {
    let mut model = ModelProto::decode(fs::read(small(name)).unwrap().as_slice()).unwrap();
    edit(&mut model);
    model.encode_to_vec()
}

fn tensor<'a>(model: &'a mut ModelProto, name: &str) -> &'a mut TensorProto {
    let graph = model.graph.as_mut().unwrap();
    graph.initializer.iter_mut().find(|tensor| tensor.name == name).unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn png() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(8, 8).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A hundred and more bytes without any structure, the same in every run.
fn noise() -> Vec<u8> {
    (0..600_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

// ---- The model file ----

#[test]
fn files_that_are_no_models_are_named_as_such() {
    let bench = Bench::with_small_model();
    let whole = fs::read(small("conv2d.onnx")).unwrap();
    let cases: [(&str, Vec<u8>); 8] = [
        ("empty.onnx", Vec::new()),
        ("image.onnx", png()),
        ("text.onnx", b"just a text, and quite a long one at that\n".repeat(9)),
        ("json.onnx", b"{\"ir_version\": 8, \"graph\": {}}".to_vec()),
        ("packed.onnx", gz(&whole)),
        ("noise.onnx", noise()),
        ("zeros.onnx", vec![0; 4096]),
        ("pickle.onnx", b"PK\x03\x04\x00\x00\x08\x08archive/data.pkl".to_vec()),
    ];
    for (name, bytes) in cases {
        bench.put(name, &bytes);
        let says = [name, "is not an ONNX model", "export or fetch it again"];
        refuses(&bench, &format!("{name} out.onnx --data npz:data.npz"), &says);
        refused(&bench, &format!("inspect {name}"), &says, &[]);
        refused(&bench, &format!("score {name} --data npz:data.npz -o s.csv"), &says, &[]);
    }
}

#[test]
fn a_model_that_is_cut_anywhere_is_refused() {
    let bench = Bench::with_small_model();
    let whole = fs::read(small("conv2d.onnx")).unwrap();
    for cut in (1..whole.len()).step_by(whole.len() / 60).chain([whole.len() - 1]) {
        bench.put("cut.onnx", &whole[..cut]);
        refused(&bench, "cut.onnx out.onnx --data npz:data.npz", &["cut.onnx", "again"], &[]);
    }
}

#[test]
fn a_model_that_is_not_there_or_is_a_folder_is_refused() {
    let bench = Bench::with_small_model();
    fs::create_dir(bench.path("folder.onnx")).unwrap();
    for name in ["missing.onnx", "folder.onnx", "in.onnx/inside.onnx", "no/such/folder.onnx"] {
        let says = ["cannot read", name, "check that the file is there"];
        refuses(&bench, &format!("{name} out.onnx --data npz:data.npz"), &says);
        refused(&bench, &format!("inspect {name}"), &says, &[]);
    }
}

#[test]
fn external_data_that_is_missing_short_or_elsewhere_is_refused() {
    let bench = Bench::with_small_model();
    let all = fs::read(small("external-data.onnx.data")).unwrap();
    let run = "ext.onnx out.onnx --data npz:data.npz";
    bench.put("ext.onnx", &fs::read(small("external-data.onnx")).unwrap());
    refuses(&bench, run, &["tensor ", "external-data.onnx.data", "cannot be read", "beside the model"]);
    fs::create_dir(bench.path("external-data.onnx.data")).unwrap();
    refuses(&bench, run, &["external-data.onnx.data", "is not a file", "put the file"]);
    fs::remove_dir(bench.path("external-data.onnx.data")).unwrap();
    for cut in [0, 1, all.len() / 2, all.len() - 1] {
        bench.put("external-data.onnx.data", &all[..cut]);
        refuses(&bench, run, &["tensor ", "external-data.onnx.data", "is too short", "fetch or export both again"]);
    }
    bench.put("external-data.onnx.data", &all);
    bench.put("secret", &all);

    let with = |key: &str, value: &str| {
        edited("external-data.onnx", |model| {
            let tensors = model.graph.iter_mut().flat_map(|graph| &mut graph.initializer);
            let stored = tensors.map(|tensor| &mut tensor.external_data).find(|entries| !entries.is_empty()).unwrap();
            stored.retain(|entry| entry.key != key);
            stored.push(StringStringEntryProto { key: key.into(), value: value.into() });
        })
    };
    let absolute = bench.path("secret").display().to_string();
    for location in ["../secret", "sub/../../secret", absolute.as_str(), "", "/dev/zero"] {
        bench.put("ext.onnx", &with("location", location));
        refuses(&bench, run, &["tensor ", "external data", location, "must be a path inside the model's folder"]);
    }
    for (key, value, reason) in [
        ("length", "3", "its shape"),
        ("length", "x", "malformed length"),
        ("offset", "-1", "malformed offset"),
        ("offset", "18446744073709551615", "too short"),
    ] {
        bench.put("ext.onnx", &with(key, value));
        refuses(&bench, run, &["tensor ", "external-data.onnx.data", reason, "again"]);
    }
}

#[test]
fn tensors_whose_bytes_do_not_fit_their_shape_are_named() {
    let bench = Bench::with_small_model();
    for dims in [vec![4, 1, 4, 3], vec![4, 1, 4], vec![1 << 40], vec![], vec![0], vec![-4, 1, 4, -2], vec![i64::MAX; 4]]
    {
        bench.put("bad.onnx", &edited("conv2d.onnx", |model| tensor(model, "upper.weight").dims = dims.clone()));
        refuses(&bench, "bad.onnx out.onnx --data npz:data.npz", &["tensor upper.weight", "export it again"]);
        refused(&bench, "inspect bad.onnx", &["tensor upper.weight", "export it again"], &[]);
    }
    for bytes in [0, 1, 127, 129] {
        let cut = |model: &mut ModelProto| tensor(model, "upper.weight").raw_data = vec![0; bytes].into();
        bench.put("bad.onnx", &edited("conv2d.onnx", cut));
        refuses(&bench, "bad.onnx out.onnx --data npz:data.npz", &["tensor upper.weight", "needs 32 values"]);
    }
}

#[test]
fn weights_that_are_not_finite_are_named() {
    let bench = Bench::with_small_model();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let spoil = |model: &mut ModelProto| {
            let tensor = tensor(model, "lower.weight");
            let mut bytes = tensor.raw_data.to_vec();
            bytes[8..12].copy_from_slice(&value.to_le_bytes());
            tensor.raw_data = bytes.into();
        };
        bench.put("bad.onnx", &edited("conv2d.onnx", spoil));
        refuses(&bench, "bad.onnx out.onnx --data npz:data.npz", &["tensor lower.weight", "value", "export it again"]);
    }
}

#[test]
fn models_that_are_no_classifiers_are_refused() {
    let bench = Bench::with_small_model();
    let graph = |edit: &dyn Fn(&mut onnx_sap::model::proto::GraphProto)| {
        edited("conv2d.onnx", |model| edit(model.graph.as_mut().unwrap()))
    };
    let shape = |info: &mut onnx_sap::model::proto::ValueInfoProto, extents: &[i64]| {
        let tensor = info.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
        let dim = |&extent| onnx_sap::model::proto::DimensionProto { dim_value: Some(extent), ..Default::default() };
        tensor.shape.as_mut().unwrap().dim = extents.iter().map(dim).collect();
    };
    let cases: [(&str, Vec<u8>, &[&str]); 9] = [
        ("no input", graph(&|graph| graph.input.clear()), &["no input that must be fed", "export it that way"]),
        (
            "two inputs",
            graph(&|graph| {
                let mut second = graph.input[0].clone();
                second.name = "mask".into();
                graph.input.push(second);
            }),
            &["nothing feeds the model's input input, float32 [", "npz:data.npz has the array x", "--input input=0"],
        ),
        ("no output", graph(&|graph| graph.output.clear()), &["no output", "export it that way"]),
        (
            "two outputs",
            graph(&|graph| {
                let mut second = graph.output[0].clone();
                second.name = "features".into();
                graph.output.push(second);
            }),
            &["several outputs: logits: float32 [", "features: float32 [", "--logits NAME"],
        ),
        ("scalar input", graph(&|graph| shape(&mut graph.input[0], &[])), &["input input", "a batch of samples"]),
        ("vector input", graph(&|graph| shape(&mut graph.input[0], &[8])), &["input input", "a batch of samples"]),
        ("empty input", graph(&|graph| shape(&mut graph.input[0], &[1, 0, 8, 8])), &["input input", "empty"]),
        (
            "input of unknown shape",
            graph(&|graph| graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape = None),
            &["input input", "a batch of samples"],
        ),
        (
            "input of strings",
            graph(&|graph| graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 8),
            &["input input", "cannot be fed", "floats"],
        ),
    ];
    for (what, bytes, says) in cases {
        println!("{what}");
        bench.put("odd.onnx", &bytes);
        refuses(&bench, "odd.onnx out.onnx --data npz:data.npz", says);
    }
}

#[test]
fn an_output_that_is_not_one_row_of_logits_a_sample_is_refused() {
    let bench = Bench::with_small_model();
    let reduced = |keep: i64| {
        edited("conv2d.onnx", |model| {
            let graph = model.graph.as_mut().unwrap();
            for name in graph.node.iter_mut().flat_map(|node| &mut node.output).filter(|name| *name == "logits") {
                *name = "inner".into();
            }
            graph.node.push(onnx_sap::model::proto::NodeProto {
                input: vec!["inner".into()],
                output: vec!["logits".into()],
                name: "reduce".into(),
                op_type: "ReduceSum".into(),
                attribute: vec![onnx_sap::model::fragment::int("keepdims", keep)],
                ..Default::default()
            });
            let tensor = graph.output[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
            tensor.shape = None;
        })
    };
    for keep in [0, 1] {
        bench.put("odd.onnx", &reduced(keep));
        for engine in ["ort", "tract"] {
            let says = ["output logits has shape", "64 samples", "[samples, classes]", "export it"];
            refuses(&bench, &format!("odd.onnx out.onnx --data npz:data.npz --engine {engine}"), &says);
        }
    }
}

#[test]
fn a_graph_that_no_engine_can_run_is_named_with_the_engines_reason() {
    let bench = Bench::with_small_model();
    let unknown = edited("conv2d.onnx", |model| {
        let node = model.graph.as_mut().unwrap().node.iter_mut().find(|node| node.op_type == "Relu").unwrap();
        node.op_type = "Frobnicate".into();
    });
    let dangling = edited("conv2d.onnx", |model| {
        model.graph.as_mut().unwrap().node.last_mut().unwrap().input[0] = "nowhere".into();
    });
    for (bytes, name) in [(unknown, "Frobnicate"), (dangling, "nowhere")] {
        bench.put("odd.onnx", &bytes);
        for engine in ["ort", "tract"] {
            let says = ["cannot run the model", name];
            refuses(&bench, &format!("odd.onnx out.onnx --data npz:data.npz --engine {engine}"), &says);
        }
    }
}

#[test]
fn an_input_of_absurd_extents_is_refused_and_not_allocated() {
    let bench = Bench::with_small_model();
    let huge = edited("conv2d.onnx", |model| {
        let input = &mut model.graph.as_mut().unwrap().input[0];
        let dims = &mut input.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape.as_mut().unwrap().dim;
        dims[2].dim_value = Some(4_294_967_295);
        dims[3].dim_value = Some(4_294_967_295);
    });
    bench.put("huge.onnx", &huge);
    refuses(&bench, "huge.onnx out.onnx --data npz:data.npz", &["[1, 8, 8]", "4294967295"]);
    bench.put("bytes.npz", &npz(&[("x", "|u1", &[1, 8, 8], vec![7; 64]), ("y", "|u1", &[1], vec![0])]));
    refuses(&bench, "huge.onnx out.onnx --data npz:bytes.npz", &["4294967295", "smaller input"]);
}

// ---- The data ----

#[test]
fn labels_that_the_model_does_not_know_name_their_sample() {
    let bench = Bench::with_small_model();
    bench.put("data.npz", &samples(&[2, 1, 8, 8], &[0.5; 128], &[3, 4]));
    refuses(&bench, USUAL, &["1 of 2 samples", "sample 1: its label is 4", "classes 0 to 3", "repair"]);
    refused(&bench, "score in.onnx --data npz:data.npz -o scores.csv", &["sample 1: its label is 4"], &[]);
    let negative =
        npz(&[("x", "<f4", &[1, 1, 8, 8], vec![0; 256]), ("y", "<i8", &[1], (-1_i64).to_le_bytes().to_vec())]);
    bench.put("data.npz", &negative);
    refuses(&bench, USUAL, &["sample 0", "label is -1", "repair the label"]);
}

#[test]
fn samples_whose_shape_the_model_does_not_take_are_refused() {
    let bench = Bench::with_small_model();
    for (shape, shown) in [([2, 1, 8, 9], "[1, 8, 9]"), ([2, 3, 8, 8], "[3, 8, 8]"), ([2, 8, 1, 4], "[8, 1, 4]")] {
        let values = vec![0.5; shape.iter().product()];
        bench.put("data.npz", &samples(&shape, &values, &[0, 1]));
        refuses(&bench, USUAL, &[shown, "[N,1,8,8]", "reshape"]);
    }
    bench.put("data.npz", &samples(&[2, 1, 8, 8], &[0.5; 128], &[0, 1]));
    bench.put("other.npz", &samples(&[2, 7], &[0.5; 14], &[0, 1]));
    refuses(&bench, &format!("{USUAL} --val npz:other.npz"), &["[7]", "[N,1,8,8]"]);
    refuses(&bench, &format!("{USUAL} --test npz:other.npz"), &["[7]", "[N,1,8,8]"]);
}

#[test]
fn values_that_are_not_finite_name_their_sample() {
    let bench = Bench::with_small_model();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut values = [0.5; 192];
        values[130] = value;
        bench.put("data.npz", &samples(&[3, 1, 8, 8], &values, &[0, 1, 2]));
        refuses(&bench, USUAL, &["sample 2", "value", "take them out of the set"]);
    }
}

#[test]
fn empty_sets_are_refused() {
    let bench = Bench::with_small_model();
    bench.put("data.npz", &samples(&[0, 1, 8, 8], &[], &[]));
    refuses(&bench, USUAL, &["data.npz", "no samples", "at least one sample"]);
    bench.put("data.npz", &samples(&[2, 1, 0, 8], &[], &[0, 1]));
    refuses(&bench, USUAL, &["data.npz", "no samples"]);
    fs::create_dir_all(bench.path("images/cat")).unwrap();
    refuses(&bench, "in.onnx out.onnx --data folder:images", &["images", "no images", "one sub-folder a class"]);
    fs::create_dir_all(bench.path("bare")).unwrap();
    refuses(&bench, "in.onnx out.onnx --data folder:bare", &["bare", "no sub-folders", "one sub-folder a class"]);
    bench.put("idx/train-images-idx3-ubyte", &idx(&[0, 8, 8], &[]));
    bench.put("idx/train-labels-idx1-ubyte", &idx(&[0], &[]));
    refuses(&bench, "in.onnx out.onnx --data mnist:idx", &["train-images-idx3-ubyte", "no samples"]);
}

#[test]
fn as_many_labels_as_images_are_needed() {
    let bench = Bench::with_small_model();
    bench.put("data.npz", &samples(&[2, 1, 8, 8], &[0.5; 128], &[0, 1, 2]));
    refuses(&bench, USUAL, &["data.npz", "3 labels for 2 samples", "as many labels"]);
    bench.put("idx/train-images-idx3-ubyte", &idx(&[2, 8, 8], &[9; 128]));
    bench.put("idx/train-labels-idx1-ubyte", &idx(&[3], &[0, 1, 2]));
    refuses(&bench, "in.onnx out.onnx --data mnist:idx", &["train-labels", "3 labels for 2 images", "same release"]);
}

#[test]
fn idx_files_that_are_cut_or_of_another_kind_are_named() {
    let bench = Bench::with_small_model();
    let (images, labels) = (idx(&[4, 8, 8], &[9; 256]), idx(&[4], &[0, 1, 2, 3]));
    let run = "in.onnx out.onnx --data fashion-mnist:idx";
    bench.put("idx/train-labels-idx1-ubyte", &labels);
    refuses(&bench, run, &["idx", "train-images-idx3-ubyte", "put the IDX files there"]);
    for cut in [0, 3, 15, 16, 100, images.len() - 1] {
        bench.put("idx/train-images-idx3-ubyte", &images[..cut]);
        refused(&bench, run, &["train-images-idx3-ubyte", "fetch it again"], &[]);
    }
    for bytes in [png(), noise(), [images.clone(), vec![0]].concat(), idx(&[u32::MAX; 3], &[1; 99])] {
        bench.put("idx/train-images-idx3-ubyte", &bytes);
        refused(&bench, run, &["train-images-idx3-ubyte", "fetch it again"], &[]);
    }
    fs::remove_file(bench.path("idx/train-images-idx3-ubyte")).unwrap();
    let packed = gz(&images);
    for cut in [0, 5, packed.len() / 2, packed.len() - 1] {
        bench.put("idx/train-images-idx3-ubyte.gz", &packed[..cut]);
        refused(&bench, run, &["train-images-idx3-ubyte.gz", "fetch it again"], &[]);
    }
    bench.put("idx/train-images-idx3-ubyte.gz", &images);
    refuses(&bench, run, &["train-images-idx3-ubyte.gz", "fetch it again"]);
}

#[test]
fn archives_that_are_cut_or_hold_something_else_are_named() {
    let bench = Bench::with_small_model();
    let whole = fs::read(small("data.npz")).unwrap();
    for cut in [0, 10, whole.len() / 2, whole.len() - 1] {
        bench.put("data.npz", &whole[..cut]);
        refused(&bench, USUAL, &["data.npz", "numpy.savez"], &[]);
    }
    for bytes in [png(), noise(), npz(&[]), npz(&[("x", "<f4", &[1], vec![0; 4])])] {
        bench.put("data.npz", &bytes);
        refused(&bench, USUAL, &["data.npz", "numpy.savez"], &[]);
    }
    bench.put("data.npz", &npz(&[("x", "<c8", &[1], vec![0; 8]), ("y", "|u1", &[1], vec![0])]));
    refuses(&bench, USUAL, &["data.npz", "type `c8`", "float32"]);
    bench.put("data.npz", &npz(&[("x", "<f4", &[1], vec![0; 4]), ("y", "<f4", &[1], vec![0; 4])]));
    refuses(&bench, USUAL, &["data.npz", "labels", "type `f4`", "integers"]);
    refuses(&bench, "in.onnx out.onnx --data npz:missing.npz", &["missing.npz", "check that the file is there"]);
    refuses(&bench, "in.onnx out.onnx --data npz:.", &[".: not a regular file", "check that the file is there"]);
}

#[test]
fn images_that_cannot_be_decoded_are_named() {
    let bench = Bench::with_small_model();
    let good = png();
    let run = "in.onnx out.onnx --data folder:images --mean 0.5 --std 0.5";
    bench.put("images/a/0.png", &good);
    for bytes in [Vec::new(), noise(), good[..good.len() / 2].to_vec()] {
        bench.put("images/b/1.png", &bytes);
        refuses(&bench, run, &["sample b/1.png", "repair"]);
    }
    // A header that promises an image of some terabytes.
    let mut absurd = good.clone();
    absurd[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    bench.put("images/b/1.png", &absurd);
    refuses(&bench, run, &["sample b/1.png", "repair"]);
}

#[test]
fn a_data_set_that_is_unknown_or_has_no_such_split_is_answered_with_what_there_is() {
    let bench = Bench::with_small_model();
    bench.put("idx/train-images-idx3-ubyte", &idx(&[1, 8, 8], &[9; 64]));
    bench.put("idx/train-labels-idx1-ubyte", &idx(&[1], &[0]));
    let names: Vec<&str> = READERS.iter().map(|reader| reader.name()).collect();
    let known = format!("use {}", names.join(", "));
    for (spec, says) in [
        ("imagenet:somewhere", &["imagenet", known.as_str()][..]),
        ("data.npz", &["data.npz", &known]),
        ("npz:", &["npz:", "path is empty", "npz:PATH"]),
        ("npz:data.npz#test", &["npz", "no splits", "leave out `#test`"]),
        ("mnist:idx#validation", &["idx", "no split `validation`", "train, test or val"]),
        ("mnist:idx#test", &["idx", "t10k-images-idx3-ubyte"]),
        ("mnist:absent", &["absent", "train-images-idx3-ubyte"]),
        ("mnist", &["data/mnist", "name their folder after the `:`"]),
        ("folder:absent", &["absent", "check that the file is there"]),
    ] {
        refuses(&bench, &format!("in.onnx out.onnx --data {spec}"), says);
        refuses(&bench, &format!("{USUAL} --val {spec}"), says);
    }
}

#[test]
fn samples_that_are_no_images_are_not_perturbed_and_nothing_is_chosen_on_them() {
    let bench = Bench::with_small_model();
    let flat = edited("conv2d.onnx", |model| {
        let graph = model.graph.as_mut().unwrap();
        graph.node.retain(|node| node.op_type == "Gemm");
        graph.node[0].input[0] = "input".into();
        let shape = graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape.as_mut().unwrap();
        shape.dim.truncate(2);
        shape.dim[1].dim_value = Some(20);
    });
    bench.put("in.onnx", &flat);
    bench.put("data.npz", &samples(&[2, 20], &[0.5; 40], &[0, 1]));
    for choice in ["--val perturb", "--alpha 30,300", "--alpha-per-layer"] {
        refuses(&bench, &format!("{USUAL} {choice}"), &["only images can be flipped", "--val SPEC"]);
    }
    bench.run(&format!("{USUAL} --val npz:data.npz --alpha 1")).expect(0);
    for (option, alpha) in [("", 3162.28), ("--alpha 30 ", 30.0)] {
        let ran = bench.run(&format!("{USUAL} {option}--test npz:data.npz --force")).expect(0);
        assert!(
            ran.stderr.contains("warning: there is nothing to compare models on: a correction of α = 3"),
            "{}",
            ran.stderr
        );
        // Two samples tell nothing of the other two classes.
        let projected = "warning: the head is projected as the other layers: no sample is labelled 2";
        assert_eq!(ran.stderr.contains(projected), option.is_empty(), "{}", ran.stderr);
        let report = bench.report();
        assert_eq!(report["chosen"]["verdict"], "unjudged");
        assert!((report["chosen"]["alpha"].as_f64().unwrap() - alpha).abs() < 0.01);
        assert_eq!((&report["before"]["validation"], &report["params"]["val"]), (&Value::Null, &Value::Null));
        assert_eq!(report["after"]["test"]["samples"], 2);
        assert_eq!(report["candidates"][0]["val_accuracy"], Value::Null);
        assert!(!ran.stdout.contains("NaN"), "{}", ran.stdout);
    }
}

#[test]
fn preprocessing_that_contradicts_data_or_model_names_the_option() {
    let bench = Bench::with_small_model();
    for option in ["--size 8", "--mean 0.5", "--std 2", "--scale 1", "--channels gray", "--resize 8"] {
        let name = option.split(' ').next().unwrap();
        refuses(&bench, &format!("{USUAL} {option}"), &[name, "leave out"]);
    }
    bench.put("idx/train-images-idx3-ubyte", &idx(&[1, 8, 8], &[9; 64]));
    bench.put("idx/train-labels-idx1-ubyte", &idx(&[1], &[0]));
    let run = "in.onnx out.onnx --data mnist:idx";
    for (option, says) in [
        ("--size 9", &["--size", "8"][..]),
        ("--channels rgb", &["--channels"]),
        ("--mean 1,2,3", &["mean has 3 values", "give --mean one value"]),
        ("--std 0", &["--std"]),
        ("--scale inf", &["--scale"]),
        ("--mean nan", &["--mean"]),
        ("--resize 4", &["--resize 4", "larger"]),
        ("--layout nhwc", &["nhwc"]),
    ] {
        refuses(&bench, &format!("{run} {option}"), says);
    }
}

// ---- Options ----

#[test]
fn options_with_values_that_make_no_sense_are_refused_by_name() {
    let bench = Bench::with_small_model();
    for (option, says) in [
        ("--alpha 0", &["--alpha", "positive"][..]),
        ("--alpha -3", &["--alpha", "positive"]),
        ("--alpha nan", &["--alpha", "positive"]),
        ("--alpha inf", &["--alpha", "positive"]),
        ("--alpha 1,,2", &["--alpha", "1,,2", "not a number"]),
        ("--alpha ,", &["--alpha", "not a number"]),
        ("--alpha 1;2", &["--alpha", "not a number"]),
        ("--alpha 1,0", &["--alpha", "positive"]),
        ("--alpha=", &["--alpha"]),
        ("--trusted 0", &["--trusted", "at least 1"]),
        ("--trusted -1", &["-1"]),
        ("--trusted many", &["--trusted", "at least 1, all or auto"]),
        ("--budget 0", &["--budget", "at least 1"]),
        ("--recalibrate maybe", &["--recalibrate", "neither auto nor on nor off"]),
        ("--head svm", &["--head", "svm"]),
        ("--preset cheap", &["--preset", "cheap"]),
        ("--trusted 10 --trusted-ids ids.txt", &["--trusted", "cannot be used with"]),
        ("--selection best", &["--selection", "balanced"]),
        ("--max-rows 0", &["--max-rows", "positive number"]),
        ("--max-rows some", &["--max-rows", "all"]),
        ("--batch 0", &["--batch", "at least 1"]),
        ("--threads 0", &["--threads", "at least 1"]),
        ("--seed -1", &["-1"]),
        ("--method magic", &["--method", "magic"]),
        ("--solver magic", &["--solver", "magic"]),
        ("--engine magic", &["--engine", "magic", "auto, ort, tract"]),
        ("--device tpu", &["--device", "tpu", "auto, cpu, cuda, cuda:N"]),
        ("--device cuda:x", &["--device", "cuda:x"]),
        ("--device cuda:99999999999", &["--device", "cuda:99999999999"]),
        ("--include (", &["--include", "("]),
        ("--exclude [z-a]", &["--exclude", "[z-a]"]),
        ("--size 0", &["--size", "0"]),
        ("--channels cmyk", &["--channels", "cmyk"]),
        ("--layout chwn", &["--layout", "chwn"]),
        ("--mean 1,x", &["--mean", "x"]),
        ("--val", &["--val"]),
        ("--nonsense", &["--nonsense"]),
        ("third.onnx", &["third.onnx"]),
    ] {
        misused(&bench, &format!("{USUAL} {option}"), says);
    }
    refuses(&bench, &format!("{USUAL} --budget 3 --alpha 10,20"), &["--budget", "--alpha auto"]);
    misused(&bench, "in.onnx --data npz:data.npz", &["required"]);
    misused(&bench, "in.onnx out.onnx", &["required"]);
    misused(&bench, "score in.onnx --data npz:data.npz", &["required"]);
    misused(&bench, "inspect in.onnx --format yaml", &["--format", "yaml"]);
    misused(&bench, "inspect in.onnx -q -v", &["--quiet", "cannot be used with"]);
}

#[test]
fn lists_of_trusted_ids_name_what_is_wrong_with_them() {
    let bench = Bench::with_small_model();
    let run = format!("{USUAL} --trusted-ids ids.txt");
    refuses(&bench, &run, &["cannot read ids.txt", "check that the file is there"]);
    for (list, says) in [
        ("", &["ids.txt", "holds no ids", "one a line"][..]),
        ("\n  \n", &["ids.txt", "holds no ids", "one a line"]),
        ("1\n2\nxyz\n", &["\"xyz\"", "not in the data", "onnx-sap score"]),
        ("64\n", &["\"64\"", "not in the data", "onnx-sap score"]),
        ("3\n4\n3\n", &["\"3\"", "given twice", "leave out one"]),
    ] {
        bench.put("ids.txt", list.as_bytes());
        refuses(&bench, &run, says);
    }
    bench.put("ids.txt", &[0xff, 0xfe, 0, 1]);
    refuses(&bench, &run, &["cannot read ids.txt"]);
}

#[test]
fn patterns_that_match_no_layer_are_refused() {
    let bench = Bench::with_small_model();
    for option in ["--include", "--exclude"] {
        let says = [option, "encoder", "matches no weight", "onnx-sap inspect"];
        refuses(&bench, &format!("{USUAL} {option} encoder"), &says);
        refuses(&bench, &format!("{USUAL} {option} upper {option} encoder"), &says);
        refused(&bench, &format!("inspect in.onnx {option} encoder"), &says, &[]);
    }
    refuses(&bench, &format!("{USUAL} --exclude ."), &["no weight of the model", "onnx-sap inspect"]);
}

#[test]
fn a_device_that_is_not_there_is_never_replaced_by_another() {
    let bench = Bench::with_small_model();
    for device in ["cuda", "cuda:7"] {
        let shown = if device == "cuda" { "cuda:0" } else { device };
        for engine in ["auto", "ort"] {
            let arguments = format!("{USUAL} --device {device} --engine {engine}");
            if std::path::Path::new("/dev/nvidiactl").exists() && device == "cuda" {
                continue;
            }
            refuses(&bench, &arguments, &[&format!("device {shown} cannot be used"), "--device cpu"]);
        }
        let says = [&format!("device {shown}"), "tract runs on the CPU only", "--engine ort"];
        refuses(&bench, &format!("{USUAL} --device {device} --engine tract"), &says);
    }
}

#[test]
fn a_library_that_is_none_is_refused_even_where_another_engine_would_do() {
    let bench = Bench::with_small_model();
    bench.put("garbage.so", &noise());
    for (library, name) in
        [("./garbage.so", "garbage.so"), ("./absent.so", "absent.so"), ("libc.so.6", "libc.so.6"), (".", ".")]
    {
        let says = ["ORT_DYLIB_PATH is of no use", name, "correct or unset the variable"];
        refused(&bench, USUAL, &says, &[("ORT_DYLIB_PATH", library)]);
        refused(&bench, &format!("{USUAL} --engine ort"), &says, &[("ORT_DYLIB_PATH", library)]);
    }
}

// ---- Outputs ----

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_work_begins() {
    let bench = Bench::with_small_model();
    fs::create_dir(bench.path("folder")).unwrap();
    bench.put("file", b"in the way");
    let bad = ["absent/out.onnx", "a/b/c/out.onnx", "file/out.onnx", "folder", ".", "..", "/proc/self/out.onnx"];
    for out in bad {
        let says = ["cannot write", out, "name a place where a file can be written"];
        for force in ["", " --force", " --dry-run"] {
            refused(&bench, &format!("in.onnx {out} --data npz:data.npz{force}"), &says, &[]);
        }
        refuses(&bench, &format!("{USUAL} --report {out}"), &says);
    }
    for out in ["absent/scores.csv", "file/scores.csv", "/proc/self/scores.csv"] {
        refused(&bench, &format!("score in.onnx --data npz:data.npz -o {out}"), &["cannot write", out], &[]);
    }
    refused(
        &bench,
        "score in.onnx --data npz:data.npz -o scores.txt",
        &["scores.txt", ".csv, .jsonl or .parquet"],
        &[],
    );
}

/// As root a rename would put a plain file in the place of `/dev/null`.
#[test]
#[cfg(unix)]
fn what_is_no_regular_file_is_not_replaced() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let bench = Bench::with_small_model();
    let socket = std::os::unix::net::UnixListener::bind(bench.path("socket.onnx")).unwrap();
    symlink("socket.onnx", bench.path("link.csv")).unwrap();
    let says = ["cannot write", "no regular file", "name a place"];
    refused(&bench, "in.onnx socket.onnx --data npz:data.npz --force", &says, &[]);
    refuses(&bench, &format!("{USUAL} --report socket.onnx"), &says);
    refused(&bench, "score in.onnx --data npz:data.npz -o link.csv", &says, &[]);
    assert!(bench.path("socket.onnx").metadata().unwrap().file_type().is_socket());
    drop(socket);
}

#[test]
fn the_input_is_never_an_output() {
    let bench = Bench::with_small_model();
    let says = ["is both input and output", "name another output file"];
    let mut names = vec!["in.onnx".to_owned(), "./in.onnx".to_owned(), bench.path("in.onnx").display().to_string()];
    if cfg!(unix) {
        std::os::unix::fs::symlink("in.onnx", bench.path("link.onnx")).unwrap();
        names.push("link.onnx".into());
    }
    for name in &names {
        for option in ["", " --force", " --dry-run"] {
            refused(&bench, &format!("in.onnx {name} --data npz:data.npz{option}"), &says, &[]);
        }
        refuses(&bench, &format!("{USUAL} --report {name}"), &says);
    }
    let external = Bench::with_small_model();
    for name in ["external-data.onnx", "external-data.onnx.data"] {
        external.put(name, &fs::read(small(name)).unwrap());
    }
    let arguments = "external-data.onnx external-data.onnx.data --data npz:data.npz --force";
    refused(&external, arguments, &["external-data.onnx.data", says[0], says[1]], &[]);
}

#[test]
fn an_output_that_is_a_hard_link_to_the_input_leaves_the_input_alone() {
    let bench = Bench::with_small_model();
    fs::hard_link(bench.path("in.onnx"), bench.path("out.onnx")).unwrap();
    refused(&bench, USUAL, &["out.onnx exists", "--force"], &[]);
    bench.run(&format!("{USUAL} --alpha 1 --force")).expect(0);
    assert_eq!(fs::read(bench.path("in.onnx")).unwrap(), fs::read(small("conv2d.onnx")).unwrap());
    assert_ne!(fs::read(bench.path("out.onnx")).unwrap(), fs::read(small("conv2d.onnx")).unwrap());
}

#[test]
fn an_existing_output_is_replaced_only_by_force() {
    let bench = Bench::with_small_model();
    bench.put("out.onnx", b"precious");
    refused(&bench, USUAL, &["out.onnx exists", "--force"], &[]);
    if cfg!(unix) {
        std::os::unix::fs::symlink("nowhere", bench.path("dangling.onnx")).unwrap();
        refused(&bench, "in.onnx dangling.onnx --data npz:data.npz", &["dangling.onnx exists", "--force"], &[]);
    }
    // The external data that a model takes along into another folder is an output like the model itself.
    for name in ["external-data.onnx", "external-data.onnx.data"] {
        bench.put(name, &fs::read(small(name)).unwrap());
    }
    bench.put("there/external-data.onnx.data", b"of another model");
    let arguments = "external-data.onnx there/out.onnx --data npz:data.npz";
    refused(&bench, arguments, &["there/external-data.onnx.data exists", "--force"], &[]);
    bench.put("new.onnx.data", b"of another model");
    let beside = "external-data.onnx new.onnx --data npz:data.npz";
    refused(&bench, beside, &["new.onnx.data exists", "--force"], &[]);
}

#[test]
fn outputs_do_not_overwrite_each_other_or_what_is_read() {
    let bench = Bench::with_small_model();
    let images = "val/train-images-idx3-ubyte";
    bench.put(images, &idx(&[1, 8, 8], &[9; 64]));
    bench.put("val/train-labels-idx1-ubyte", &idx(&[1], &[0]));
    bench.put("folder/a/0.png", &png());
    bench.put("ids.txt", b"1\n2\n");
    for same in ["out.onnx", "./out.onnx", "val/../out.onnx"] {
        refuses(&bench, &format!("{USUAL} --report {same}"), &["both model and report", "name another --report"]);
    }
    refuses(&bench, &format!("{USUAL} --report data.npz"), &["data.npz", "is a file of the data", "another output"]);
    refused(&bench, "in.onnx data.npz --data npz:data.npz --force", &["data.npz", "is a file of the data"], &[]);
    for option in ["--val", "--test"] {
        let arguments = format!("{USUAL} {option} mnist:val --report {images}");
        refuses(&bench, &arguments, &[images, "is a file of the data mnist:val"]);
    }
    let arguments = "in.onnx folder/a/0.png --data folder:folder --force --mean 0.5 --std 0.5";
    refused(&bench, arguments, &["folder/a/0.png", "is a file of the data"], &[]);
    refuses(&bench, &format!("{USUAL} --trusted-ids ids.txt --report ids.txt"), &["ids.txt", "--trusted-ids"]);
    bench.put("data.csv", &fs::read(small("data.npz")).unwrap());
    refused(&bench, "score in.onnx --data npz:data.csv -o data.csv", &["data.csv", "is a file of the data"], &[]);
}

#[test]
fn the_test_suites_own_data_would_have_been_accepted() {
    // The cases above prove little where everything is refused.
    let bench = Bench::with_small_model();
    bench.run(&format!("{USUAL} --alpha 1 --force")).expect(0);
    assert!(bench.path("out.onnx").is_file() && bench.path("out.report.json").is_file());
    assert_eq!(bench.everything().len(), 4, "nothing else is left behind");
    assert!(repository("fixtures/fashion-noisy").is_dir() && data("val").ends_with("#val"));
}
