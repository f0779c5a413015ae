//! The headline: `onnx-sap in.onnx out.onnx --data clothing1m`, on a small set in the layout of the release.

use crate::oracle::unpacked;
use crate::support::{Bench, model};
use image::{DynamicImage, GrayImage, ImageFormat};
use std::fmt::Write;
use std::io::Cursor;

const SIDE: u32 = 28;

/// Images of the reference set as JPEG, with its noisy labels in training and others in the clean lists.
fn with_release() -> Bench {
    let bench = Bench::new();
    let pixels = unpacked("fixtures/fashion-noisy/val-images-idx3-ubyte.gz", 16);
    let labels = unpacked("fixtures/fashion-noisy/val-labels-idx1-ubyte.gz", 8);
    let (mut train, mut val) = (Lists::default(), Lists::default());
    for (index, (pixels, label)) in pixels.chunks_exact((SIDE * SIDE) as usize).zip(labels).take(400).enumerate() {
        let image = GrayImage::from_raw(SIDE, SIDE, pixels.to_vec()).unwrap();
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageLuma8(image).write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        let key = format!("images/{}/{:02}/{index},{}.jpg", index % 10, index % 37, index * 7);
        bench.put(&format!("data/clothing1m/{key}"), bytes.get_ref());
        if index % 4 == 0 { &mut val } else { &mut train }.add(&key, label);
        if index % 40 == 0 {
            // The release's noisy list has some of the clean samples, too.
            train.add(&key, label);
        }
    }
    for (name, text) in [
        ("noisy_train_key_list.txt", &train.keys),
        ("noisy_label_kv.txt", &train.labels),
        ("clean_val_key_list.txt", &val.keys),
        ("clean_label_kv.txt", &val.labels),
    ] {
        bench.put(&format!("data/clothing1m/{name}"), text.as_bytes());
    }
    bench
}

#[derive(Default)]
struct Lists {
    keys: String,
    labels: String,
}

impl Lists {
    fn add(&mut self, key: &str, label: u8) {
        writeln!(self.keys, "{key}").unwrap();
        writeln!(self.labels, "{key} {label}").unwrap();
    }
}

#[test]
fn a_bare_name_finds_the_release_its_classes_and_its_validation_split() {
    let bench = with_release();
    let options = "--size 28 --resize none --mean 0.2860 --std 0.3530 --trusted 100 --alpha 3000 --force --work work";
    bench.run(&format!("{} out.onnx --data clothing1m {options}", model("lenet").display())).expect(0);
    let report = bench.report();
    assert_eq!(report["data"]["samples"], 300, "no clean sample is trained on");
    assert_eq!(report["data"]["class_names"][0], "T-Shirt");
    assert_eq!(report["data"]["preprocessing"]["channels"], "gray");
    assert_eq!(report["params"]["val"], "clothing1m:./data/clothing1m#val");
    assert_eq!(report["before"]["validation"]["samples"], 100);
    assert!(report["scores"]["accuracy"].as_f64().unwrap() > 0.4, "{}", report["scores"]);
    assert!(report["trusted"]["ids"][0].as_str().unwrap().starts_with("images/"));
    assert_eq!(report["output"]["sha256"].as_str().unwrap().len(), 64);
}
