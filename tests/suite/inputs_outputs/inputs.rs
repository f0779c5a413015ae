//! Inputs: several, fed from named arrays or with constants, of integers and booleans, with a fixed batch size.

use super::{ENGINES, bench, check_alike, corrected, refused, scored};
use crate::net::{Net, SAMPLES, archive, bytes, floats, integers, labels, net, x};
use crate::support::Bench;
use onnx_sap::model::fragment::{int, ints};
use onnx_sap::model::hexadecimal;
use onnx_sap::tensor::ElementType::{Bool, Float32, Int64, Uint8};
use sha2::{Digest, Sha256};

fn folder(model: Net, data: &[u8]) -> Bench {
    let bench = Bench::new();
    bench.put("in.onnx", &model.bytes());
    bench.put("data.npz", data);
    bench
}

fn plain() -> Net {
    net(4).output("z", Float32, &["N", "4"])
}

/// Far beyond what float32 tells apart.
const FAR: i64 = 1 << 40;

/// `(ids − FAR) / 8 · mask → z`: the usual samples, if every digit arrives.
fn tokens(batch: &str) -> Net {
    Net::default()
        .input("ids", Int64, &[batch, "3"])
        .input("mask", Int64, &[batch, "S"])
        .integers("far", &[], &[FAR])
        .floats("eighth", &[], &[0.125])
        .node("Sub", &["ids", "far"], "near", vec![])
        .node("Mul", &["near", "mask"], "kept", vec![])
        .node("Cast", &["kept"], "floats", vec![int("to", 1)])
        .node("Mul", &["floats", "eighth"], "x", vec![])
        .linear("x", 4)
        .output("z", Float32, &[batch, "4"])
}

fn ids() -> Vec<i64> {
    x().iter().map(|value| FAR + (value * 8.0) as i64).collect()
}

#[test]
fn integers_of_two_inputs_arrive_exactly_whatever_the_batch_size() {
    let mask = vec![1_u8; 3 * SAMPLES];
    let arrays = [integers("ids", &[SAMPLES, 3], &ids()), bytes("mask", &[SAMPLES, 3], &mask)];
    let wanted = scored(&bench(plain(), 4), "");
    let reference = corrected(&bench(plain(), 4), "");
    for (batch, engine) in [("N", "ort"), ("N", "tract"), ("4", "ort"), ("4", "tract")] {
        let bench = folder(tokens(batch), &archive(&arrays, 4));
        for asked in ["", "--batch 3"] {
            check_alike(&scored(&bench, &format!("--engine {engine} {asked}")), &wanted, engine);
        }
        let report = corrected(&bench, &format!("--engine {engine}"));
        assert_eq!(report["trusted"], reference["trusted"], "batch {batch} on {engine}");
        assert_eq!(report["layers"][0]["rows"], reference["layers"][0]["rows"]);
        let (found, wanted) = (&report["layers"][0]["relative_change"], &reference["layers"][0]["relative_change"]);
        assert!((found.as_f64().unwrap() - wanted.as_f64().unwrap()).abs() < 1e-6, "{found}, not {wanted}");
    }
}

#[test]
fn the_digest_covers_every_input_and_adds_up_over_samples() {
    let digest = |model: Net, data: &[u8], options: &str| {
        corrected(&folder(model, data), options)["data"]["sha256"].as_str().unwrap().to_owned()
    };
    let mut sum = [0_u8; 32];
    for (index, (label, values)) in labels(4).iter().zip(x().chunks(3)).enumerate() {
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let sample = Sha256::digest([format!("{index}\0{label}\0").as_bytes(), &values].concat());
        let mut carry = 0;
        for (byte, of_sample) in sum.iter_mut().zip(sample) {
            carry += u32::from(*byte) + u32::from(of_sample);
            *byte = carry as u8;
            carry >>= 8;
        }
    }
    let one = archive(&[floats("x", &[SAMPLES, 3], &x())], 4);
    assert_eq!(digest(plain(), &one, ""), hexadecimal(&Sha256::digest(sum)));
    assert_eq!(digest(plain(), &one, "--batch 3"), hexadecimal(&Sha256::digest(sum)));

    let with_mask = |change: usize| {
        let mut mask = vec![1; 3 * SAMPLES];
        mask[change] = 0;
        archive(&[integers("ids", &[SAMPLES, 3], &ids()), bytes("mask", &[SAMPLES, 3], &mask)], 4)
    };
    assert_ne!(digest(tokens("N"), &with_mask(0), ""), digest(tokens("N"), &with_mask(1), ""));
    let ids_only = archive(&[integers("ids", &[SAMPLES, 3], &ids())], 4);
    let constant = |value: i64| digest(tokens("N"), &ids_only, &format!("--input mask={value}"));
    assert_ne!(constant(1), constant(2));
}

#[test]
fn constants_fill_the_inputs_that_data_does_not() {
    // z of `flag ? x · scale + shift : x`.
    let model = Net::default()
        .input("flag", Bool, &[])
        .input("scale", Float32, &[])
        .input("x", Float32, &["N", "3"])
        .input("shift", Float32, &["N", "3"])
        .node("Mul", &["x", "scale"], "scaled", vec![])
        .node("Add", &["scaled", "shift"], "shifted", vec![])
        .node("Where", &["flag", "shifted", "x"], "fed", vec![])
        .linear("fed", 4)
        .output("z", Float32, &["N", "4"]);
    let usual = archive(&[floats("x", &[SAMPLES, 3], &x())], 4);
    let shifts = [0.5, -1.0, 0.25];
    let moved: Vec<f32> = x().iter().enumerate().map(|(at, value)| value * 2.0 + shifts[at % 3]).collect();
    let moved = folder(plain(), &archive(&[floats("x", &[SAMPLES, 3], &moved)], 4));
    for engine in ENGINES {
        let options = format!("--engine {engine}");
        let bench = folder(model.clone(), &usual);
        let found = scored(&bench, &format!("{options} --input flag=true --input scale=2 --input shift=0.5,-1,0.25"));
        check_alike(&found, &scored(&moved, &options), engine);
        let off = "--input flag=false --input scale=2 --input shift=3";
        check_alike(&scored(&bench, &format!("{options} {off}")), &scored(&super::bench(plain(), 4), &options), engine);
        let report = corrected(&bench, &format!("{options} {off}"));
        assert_eq!(report["params"]["input"], serde_json::json!(["flag=false", "scale=2", "shift=3"]));
    }
    let bench = folder(model, &usual);
    for (options, says) in [
        ("", &["input flag is bool []", "--input flag=false"][..]),
        ("--input flag=1", &["input scale is float32 []", "--input scale=0"]),
        (
            "--input flag=1 --input scale=1",
            &["nothing feeds the model's input shift, float32 [?, 3]", "the array x", "--input shift=0"],
        ),
        ("--input flag=2", &["--input flag=2", "`2` is no bool", "bool []"]),
        ("--input flag=1 --input flag=0", &["--input flag=0", "given twice"]),
        ("--input scale=1,2", &["--input scale=1,2", "2 values", "float32 []"]),
        ("--input shift=1,2", &["--input shift=1,2", "2 values", "float32 [?, 3]"]),
        ("--input nothing=1", &["--input nothing=1", "no such input", "flag: bool []", "shift: float32 [?, 3]"]),
    ] {
        refused(&bench, options, says);
    }
    let ran = bench.run("score in.onnx --data npz:data.npz -o s.csv --input flag").expect(2);
    assert!(ran.stderr.contains("--input") && ran.stderr.contains("flag=true"), "{}", ran.stderr);
}

#[test]
fn arrays_that_no_input_takes_are_told_only_where_it_is_asked_for() {
    let data = archive(&[floats("x", &[SAMPLES, 3], &x()), bytes("more", &[2], &[1, 2])], 4);
    let bench = folder(plain(), &data);
    scored(&bench, "");
    let ran = bench.run("score in.onnx --data npz:data.npz -o scores.jsonl -v").expect(0);
    assert!(ran.stderr.contains("npz:data.npz: no input takes the arrays more\n"), "{}", ran.stderr);
}

#[test]
fn what_no_array_feeds_is_named_with_what_there_is() {
    let only = |arrays: &[crate::net::Array<'_>]| folder(tokens("N"), &archive(arrays, 4));
    let mask = bytes("mask", &[SAMPLES, 3], &[1; 3 * SAMPLES]);
    let says = ["the model's input ids, int64 [?, 3]", "npz:data.npz has the array mask", "--input ids=0"];
    refused(&only(std::slice::from_ref(&mask)), "", &says);
    refused(&only(&[]), "", &["the model's input ids", "no arrays besides the labels"]);
    let x = floats("x", &[SAMPLES, 3], &x());
    refused(
        &only(&[x.clone(), bytes("z", &[SAMPLES], &[0; SAMPLES])]),
        "",
        &["has the arrays x, z; add one called ids"],
    );
    // With the mask in its place, x is the ids; and these are no integers.
    refused(&only(&[x, mask.clone()]), "", &["sample 0", "-1.125, which is no int64"]);
    let short = integers("ids", &[SAMPLES, 2], &ids()[..2 * SAMPLES]);
    refused(&only(&[short, mask]), "", &["input ids: ", "[2]", "[N,3]"]);
}

#[test]
fn images_feed_one_input_and_the_others_need_constants() {
    let model = Net::default()
        .input("image", Float32, &["N", "1", "2", "2"])
        .input("gain", Float32, &["N", "1"])
        .node("Flatten", &["image"], "flat", vec![])
        .node("Mul", &["flat", "gain"], "scaled", vec![])
        .floats("w4", &[4, 3], &[0.5, 1.0, -1.0, 0.25, 2.0, 0.0, 1.0, -0.5, 0.75, 1.5, 0.0, 0.5])
        .node("MatMul", &["scaled", "w4"], "x", vec![])
        .linear("x", 4)
        .output("z", Float32, &["N", "4"]);
    let bench = Bench::new();
    bench.put("in.onnx", &model.bytes());
    bench.put("idx/train-images-idx3-ubyte", &crate::support::idx(&[6, 2, 2], &[40; 24]));
    bench.put("idx/train-labels-idx1-ubyte", &crate::support::idx(&[6], &[0, 1, 2, 3, 0, 1]));
    let run = "in.onnx out.onnx --data mnist:idx --alpha 100 --trusted 4 --device cpu --val perturb";
    let ran = bench.run(run).expect(2);
    for says in ["the model's input gain, float32 [?, 1]", "has images, which feed image", "--input gain=0"] {
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    bench.run(&format!("{run} --input gain=2")).expect(0);
}

#[test]
fn bytes_with_channels_last_are_fed_as_they_are() {
    let pixels: Vec<u8> = (0..6 * SAMPLES).map(|index| (index * 53 % 256) as u8).collect();
    let head = |net: Net| {
        net.floats("small", &[], &[1.0 / 64.0])
            .node("Mul", &["floats", "small"], "scaled", vec![])
            .node("ReduceMean", &["scaled"], "x", vec![ints("axes", [1, 2]), int("keepdims", 0)])
            .linear("x", 4)
            .output("z", Float32, &["N", "4"])
    };
    let of_bytes = Net::default().input("image", Uint8, &["N", "2", "1", "3"]);
    let of_bytes = head(of_bytes.node("Cast", &["image"], "floats", vec![int("to", 1)]));
    let of_floats = head(Net::default().input("floats", Float32, &["N", "2", "1", "3"]));
    let values: Vec<f32> = pixels.iter().map(|&pixel| pixel.into()).collect();
    let wanted = folder(of_floats, &archive(&[floats("x", &[SAMPLES, 2, 1, 3], &values)], 4));
    for engine in ENGINES {
        let options = format!("--engine {engine}");
        let bench = folder(of_bytes.clone(), &archive(&[bytes("x", &[SAMPLES, 2, 1, 3], &pixels)], 4));
        check_alike(&scored(&bench, &options), &scored(&wanted, &options), engine);
        let report = corrected(&bench, &options);
        assert_eq!(report["data"]["preprocessing"]["layout"], "nhwc");
        assert_eq!(report["data"]["preprocessing"]["scale"], 1.0);
        refused(
            &folder(of_bytes.clone(), &archive(&[bytes("x", &[SAMPLES, 2, 1, 3], &pixels)], 4)),
            "--mean 0.5",
            &["takes uint8", "leave out --scale, --mean and --std"],
        );
    }
}

#[test]
fn one_number_a_sample_is_an_input_too() {
    let model = Net::default()
        .input("x", Float32, &["N", "3"])
        .input("gain", Float32, &["N"])
        .integers("last", &[1], &[1])
        .node("Unsqueeze", &["gain", "last"], "column", vec![])
        .node("Mul", &["x", "column"], "scaled", vec![])
        .linear("scaled", 4)
        .output("z", Float32, &["N", "4"]);
    let gains: Vec<f32> = (0..SAMPLES).map(|sample| [1.0, 0.5, 2.0][sample % 3]).collect();
    let scaled: Vec<f32> = x().iter().enumerate().map(|(at, value)| value * gains[at / 3]).collect();
    let data = archive(&[floats("x", &[SAMPLES, 3], &x()), floats("gain", &[SAMPLES], &gains)], 4);
    let wanted = folder(plain(), &archive(&[floats("x", &[SAMPLES, 3], &scaled)], 4));
    for engine in ENGINES {
        let options = format!("--engine {engine}");
        check_alike(&scored(&folder(model.clone(), &data), &options), &scored(&wanted, &options), engine);
    }
}

/// A model of batches of four that has one layer for batches with a value above 2 and one for others.
fn by_the_batch() -> Net {
    let layer = |weight: &str| {
        let weight_of = Net::default().floats(weight, &[3, 4], &[0.5; 12]);
        weight_of.node("MatMul", &["x", weight], &format!("{weight}_z"), vec![]).output(
            &format!("{weight}_z"),
            Float32,
            &["4", "4"],
        )
    };
    Net::default()
        .input("x", Float32, &["4", "3"])
        .floats("two", &[], &[2.0])
        .node("ReduceMax", &["x"], "largest", vec![int("keepdims", 0)])
        .node("Greater", &["largest", "two"], "large", vec![])
        .either("large", layer("high"), layer("low"), "z")
        .output("z", Float32, &["4", "4"])
}

#[test]
fn padding_that_takes_another_branch_than_its_batch_is_refused() {
    let bench = bench(by_the_batch(), 4);
    let run = |ids: &str| {
        bench.put("ids.txt", ids.as_bytes());
        let options = "--trusted-ids ids.txt --alpha 100 --force --engine ort --device cpu";
        bench.run(&format!("in.onnx out.onnx --data npz:data.npz --val npz:data.npz {options}"))
    };
    for (ids, rows) in [("7\n0\n", [0, 2]), ("1\n0\n2\n3\n7\n5\n", [4, 2])] {
        run(ids).expect(0);
        let found = [0, 1].map(|layer| bench.report()["layers"][layer]["rows"].as_u64().unwrap());
        assert_eq!(found, rows, "{ids:?}");
    }
    let ran = run("7\n1\n").expect(2);
    assert!(ran.stderr.contains("batches of 4") && ran.stderr.contains("--trusted"), "{}", ran.stderr);
}
