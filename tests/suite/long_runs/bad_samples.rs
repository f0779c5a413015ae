//! Samples that cannot be used are set aside with their reason, as long as they are few.

use crate::support::{Bench, small};
use image::{DynamicImage, GrayImage, ImageFormat};
use std::fmt::Write;
use std::fs;
use std::io::Cursor;

fn png(side: u32, shade: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let image = GrayImage::from_fn(side, side, |x, y| image::Luma([shade ^ (x * 31 + y * 7) as u8]));
    DynamicImage::ImageLuma8(image).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A list of 200 images in four classes for the small model, some of which cannot be used.
fn with_bad_samples() -> Bench {
    let bench = Bench::new();
    bench.put("in.onnx", &fs::read(small("conv2d.onnx")).unwrap());
    let mut list = String::from("path,label\n");
    for index in 0..200_u8 {
        let name = format!("images/{index:03}.png");
        let whole = png(8, index);
        match index {
            17 => bench.put(&name, b""),
            18 => bench.put(&name, &whole[..whole.len() / 2]),
            19 => bench.put(&name, b"<html>404</html>"),
            20 => {}
            21 => bench.put(&name, &png(5, index)),
            _ => bench.put(&name, &whole),
        }
        let label = if index == 22 {
            String::new()
        } else if index == 23 {
            "9".into()
        } else {
            (index % 4).to_string()
        };
        writeln!(list, "{name},{label}").unwrap();
    }
    bench.put("list.csv", list.as_bytes());
    bench
}

const DATA: &str = "--data csv:list.csv --size 8 --resize none --mean 0.5 --std 0.5";

/// What is wrong with each of them, in the order of the report.
const REASONS: [(&str, &str); 7] = [
    ("images/022.png", "no label"),
    ("images/017.png", "images/017.png"),
    ("images/018.png", "images/018.png"),
    ("images/019.png", "images/019.png"),
    ("images/020.png", "No such file"),
    ("images/021.png", "smaller than the 8x8"),
    ("images/023.png", "its label is 9"),
];

#[test]
fn a_few_bad_samples_are_set_aside_with_their_reasons_and_never_trusted() {
    let bench = with_bad_samples();
    let run = format!("in.onnx out.onnx {DATA} --val csv:list.csv --max-bad 7 --trusted 150 --alpha 100 --force");
    let ran = bench.run(&run).expect(0);
    assert!(ran.stdout.contains("left out  7 samples"), "{}", ran.stdout);
    let report = bench.report();
    let found = report["data"]["quarantined"].as_array().unwrap();
    assert_eq!(found.len(), REASONS.len());
    for (entry, (id, reason)) in found.iter().zip(REASONS) {
        assert_eq!(entry["id"], id);
        assert!(entry["reason"].as_str().unwrap().contains(reason), "{entry}");
    }
    assert_eq!(report["held_out_quarantined"]["csv:list.csv"].as_array().unwrap().len(), 7);
    let trusted = report["trusted"]["ids"].as_array().unwrap();
    assert_eq!(trusted.len(), 150);
    assert!(REASONS.iter().all(|(id, _)| !trusted.iter().any(|trusted| trusted == id)));
}

#[test]
fn the_result_is_that_of_the_set_without_them() {
    let bench = with_bad_samples();
    let run = |list: &str| {
        format!(
            "in.onnx out.onnx {} --val csv:{list} --max-bad 7 --trusted 150 --alpha 100 --force",
            DATA.replace("list.csv", list)
        )
    };
    bench.run(&run("list.csv")).expect(0);
    let ids = bench.report()["trusted"]["ids"].clone();
    let weights = fs::read(bench.path("out.onnx")).unwrap();
    let lines = fs::read_to_string(bench.path("list.csv")).unwrap();
    let is_bad = |line: &str| REASONS.iter().any(|(id, _)| line.starts_with(id));
    let good: Vec<&str> = lines.lines().filter(|line| !is_bad(line)).collect();
    bench.put("good.csv", good.join("\n").as_bytes());
    bench.run(&run("good.csv")).expect(0);
    assert_eq!(bench.report()["trusted"]["ids"], ids);
    assert_eq!(bench.report()["data"]["quarantined"].as_array().unwrap().len(), 0);
    assert!(fs::read(bench.path("out.onnx")).unwrap() == weights);
}

#[test]
fn more_than_allowed_are_an_error_with_examples() {
    let bench = with_bad_samples();
    for (limit, allowed) in [("", "1% allows 2"), ("--max-bad 6", "6 allows 6"), ("--max-bad 0%", "0% allows 0")] {
        let ran = bench.run(&format!("in.onnx out.onnx {DATA} {limit}")).expect(2);
        assert!(ran.stderr.contains(allowed) && ran.stderr.contains("of 200 samples"), "{}", ran.stderr);
        assert!(ran.stderr.contains("sample images/022.png: it has no label"), "{}", ran.stderr);
        assert!(!bench.path("out.onnx").exists());
    }
}

#[test]
fn a_trusted_id_that_cannot_be_used_is_refused() {
    let bench = with_bad_samples();
    bench.put("ids.txt", b"images/000.png\nimages/018.png\n");
    let ran = bench.run(&format!("in.onnx out.onnx {DATA} --max-bad 7 --trusted-ids ids.txt")).expect(2);
    assert!(ran.stderr.contains("images/018.png cannot be used"), "{}", ran.stderr);
}
