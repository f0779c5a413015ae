//! Pixels are those that torchvision shows to a model, for every kind of image file and every way of resizing.
//!
//! `fixtures/preprocessing/parity.py` computed what is expected. A small set is committed; a larger one, of photographs in
//! several sizes, is made by hand and checked with
//!
//! ```text
//! ONNX_SAP_PARITY=DIR cargo test --release --test suite parity:: -- --nocapture
//! ```
//!
//! which prints the table of `docs/preprocessing.md`.

use crate::support::repository;
use flate2::read::GzDecoder;
use onnx_sap::data::{DataSet, Preprocessing, SampleId, SampleValues, Spec, Transform};
use onnx_sap::tensor::ElementType;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Fixture {
    pillow: String,
    torchvision: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    image: String,
    kind: String,
    transform: String,
    options: Options,
    shape: [usize; 3],
}

#[derive(Deserialize)]
struct Options {
    channels: String,
    size: String,
    resize: String,
    interpolation: Option<String>,
}

/// How far bytes are from those that were expected.
#[derive(Clone, Copy, Default)]
struct Difference {
    values: u64,
    sum: u64,
    largest: u8,
}

impl Difference {
    fn between(ours: &[u8], theirs: &[u8]) -> Self {
        assert_eq!(ours.len(), theirs.len());
        let each = || ours.iter().zip(theirs).map(|(ours, theirs)| ours.abs_diff(*theirs));
        Self { values: ours.len() as u64, sum: each().map(u64::from).sum(), largest: each().max().unwrap_or(0) }
    }

    fn mean(self) -> f64 {
        self.sum as f64 / self.values.max(1) as f64
    }

    fn with(self, other: Self) -> Self {
        Self { values: self.values + other.values, sum: self.sum + other.sum, largest: self.largest.max(other.largest) }
    }
}

/// The images of a folder as a set of one class, so that they are read as the tool reads them.
fn set_of_images(folder: &Path) -> (tempfile::TempDir, Box<dyn DataSet>) {
    let root = tempfile::tempdir().unwrap();
    let class = root.path().join("class");
    fs::create_dir(&class).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_image = path.extension().is_some_and(|extension| ["jpg", "png", "webp"].iter().any(|e| extension == *e));
        if is_image {
            fs::copy(&path, class.join(path.file_name().unwrap())).unwrap();
        }
    }
    let set = Spec::parse(&format!("folder:{}", root.path().display()), Path::new("")).unwrap().open().unwrap();
    (root, set)
}

/// The bytes that the model would see before they are scaled, with the channels last.
fn prepared(set: &dyn DataSet, index: usize, case: &Case) -> Vec<u8> {
    let options = Preprocessing {
        channels: case.options.channels.parse().ok(),
        size: case.options.size.parse().ok(),
        resize: case.options.resize.parse().ok(),
        interpolation: case.options.interpolation.as_ref().map(|name| name.parse().unwrap()),
        ..Preprocessing::default()
    };
    let content = set.content(index).unwrap();
    let shape = case.shape.map(Some);
    let transform = Transform::resolve(&options, ElementType::Uint8, &shape, &content).unwrap();
    match transform.apply(content, &SampleId(case.image.clone())).unwrap() {
        SampleValues::Floats(values) => values.iter().map(|value| *value as u8).collect(),
        SampleValues::Integers(_) => panic!("{} is an image", case.image),
    }
}

/// The difference of every case of a folder.
fn differences(folder: &Path) -> (Fixture, Vec<Difference>) {
    let fixture: Fixture = serde_json::from_slice(&fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let mut expected = GzDecoder::new(File::open(folder.join("expected.gz")).unwrap());
    let (_root, set) = set_of_images(folder);
    let index: BTreeMap<String, usize> = (0..set.len()).map(|index| (set.id(index).0, index)).collect();
    let difference = |case: &Case| {
        let mut theirs = vec![0; case.shape.iter().product()];
        expected.read_exact(&mut theirs).unwrap();
        let ours = prepared(set.as_ref(), index[&format!("class/{}", case.image)], case);
        let difference = Difference::between(&ours, &theirs);
        assert_within_limits(case, difference);
        difference
    };
    let differences = fixture.cases.iter().map(difference).collect();
    (fixture, differences)
}

/// Lossy files may differ by half a step in the mean and 4 at most, others by 1.
fn assert_within_limits(case: &Case, difference: Difference) {
    let (mean, largest) = if case.kind.starts_with("jpeg") { (0.5, 4) } else { (1.0, 1) };
    assert!(
        difference.mean() <= mean && difference.largest <= largest,
        "{} ({}, {}) differs by {:.4} in the mean and {} at most",
        case.image,
        case.options.channels,
        case.transform,
        difference.mean(),
        difference.largest
    );
}

#[expect(clippy::print_stdout, reason = "tests")]
fn print_table(fixture: &Fixture, differences: &[Difference]) {
    let mut transforms: Vec<&str> = Vec::new();
    let mut table: BTreeMap<&str, BTreeMap<&str, Difference>> = BTreeMap::new();
    for (case, difference) in fixture.cases.iter().zip(differences) {
        if !transforms.contains(&case.transform.as_str()) {
            transforms.push(&case.transform);
        }
        let cell = table.entry(&case.kind).or_default().entry(&case.transform).or_default();
        *cell = cell.with(*difference);
    }
    println!("{} cases; Pillow {}, torchvision {}\n", differences.len(), fixture.pillow, fixture.torchvision);
    println!("| mean / largest of 255 | {} |\n| --- |{}", transforms.join(" | "), " --- |".repeat(transforms.len()));
    for (kind, row) in table {
        let cell = |transform: &&str| match row.get(transform) {
            Some(difference) if difference.largest == 0 => "0".to_owned(),
            Some(difference) => format!("{:.4} / {}", difference.mean(), difference.largest),
            None => String::new(),
        };
        println!("| {kind} | {} |", transforms.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
}

#[test]
fn pixels_are_torchvisions() {
    let folder =
        std::env::var_os("ONNX_SAP_PARITY").map_or_else(|| repository("fixtures/preprocessing"), PathBuf::from);
    let (fixture, differences) = differences(&folder);
    print_table(&fixture, &differences);
    assert!(fixture.cases.len() > 100, "fewer cases than the fixture has");
}
