//! Damaged files never bring the program down: mutations of good ones, drawn by a fixed seed, go through everything
//! that reads files. What they must give is an answer or an error, without a panic and in bounded memory.
//!
//! Two seconds for each test; by hand for longer and with other draws (the development profile also finds overflows):
//!
//! ```text
//! ONNX_SAP_FUZZ_SECONDS=300 ONNX_SAP_FUZZ_SEED=7 cargo test --test suite fuzz:: -- --nocapture
//! ```
//!
//! A panic is followed by its round and the folder in which the file that caused it is kept.

mod sets;

use crate::support::{model, npz, repository};
use flate2::Compression;
use flate2::write::GzEncoder;
use onnx_sap::data::{Content, DataSet, Preprocessing, Spec, Transform};
use onnx_sap::layers::{Ledger, Selection};
use onnx_sap::model::{Classifier, GraphIndex, Interface, Model, ModelError, WeightPatch};
use onnx_sap::tensor::ElementType;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::io::{Cursor, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Peak memory that damaged files of a megabyte may cost, over all tests of this process.
const MOST_BYTES: u64 = 4 << 30;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Calls `round` with fresh draws until the time is over; in the round of a panic the folder is kept.
#[expect(clippy::print_stdout, reason = "tests")]
fn rounds(folder: TempDir, mut round: impl FnMut(&mut ChaCha8Rng, &Path)) {
    let end = Instant::now() + Duration::from_secs(variable("ONNX_SAP_FUZZ_SECONDS").unwrap_or(2));
    let seed = variable("ONNX_SAP_FUZZ_SEED").unwrap_or(0);
    let mut count = 0_u64;
    while Instant::now() < end {
        let mut draws = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1 << 32).wrapping_add(count));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| round(&mut draws, folder.path()))) {
            println!("round {count} of seed {seed}; the files are in {}", folder.keep().display());
            resume_unwind(panic);
        }
        count += 1;
    }
    println!("{count} rounds");
    assert!(count > 20, "only {count} rounds: something hangs");
    if let Some(peak) = onnx_sap::report::peak_resident_bytes() {
        assert!(peak < MOST_BYTES, "{peak} bytes were in memory at once");
    }
}

/// Some of `bytes`' damage: flipped bits, bytes at their limits, a cut, a hole, a repetition, a piece of another file.
fn damage(draws: &mut ChaCha8Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..1_usize << draws.random_range(0..5_u32) {
        if bytes.is_empty() {
            return;
        }
        // Headers and names lie at the ends, and most of the middle is weights.
        let length = bytes.len();
        let near = draws.random_range(0..length.min(600));
        let at = match draws.random_range(0..4_u32) {
            0 => near,
            1 => length - 1 - near,
            _ => draws.random_range(0..length),
        };
        let piece = draws.random_range(0..64_usize).min(length - at);
        match draws.random_range(0..16_u32) {
            0..5 => bytes[at] ^= 1 << draws.random_range(0..8_u32),
            5..8 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][draws.random_range(0..5_usize)],
            8 => bytes[at] = bytes[at].wrapping_add(1),
            9 => bytes[at] = bytes[at].wrapping_sub(1),
            // A varint or an integer becomes huge.
            10 | 11 => bytes[at..at + piece.min(9)].fill(0xff),
            12 => bytes.truncate(at),
            13 => drop(bytes.drain(at..at + piece)),
            14 => {
                let copy = bytes[at..at + piece].to_vec();
                bytes.splice(at..at, copy);
            }
            _ if other.is_empty() => {}
            _ => {
                let from = draws.random_range(0..other.len());
                let to = (from + draws.random_range(0..400_usize)).min(other.len());
                bytes.splice(at..at + piece, other[from..to].iter().copied());
            }
        }
    }
}

/// Everything that the program does with a model's bytes, short of running it.
fn use_model(path: &Path) -> Result<(), ModelError> {
    let model = Model::open(path)?;
    let graph = GraphIndex::new(&model)?;
    let _ = Classifier::of(&graph, &Interface::default())
        .and_then(|classifier| classifier.with_scores(model.bytes(), model.folder()).map(drop));
    let _ = (model.sha256(), model.external_files(), model.opset());
    let out = path.with_file_name("out.onnx");
    model.check_rewritten(&out, true)?;
    let Ok(ledger) = Ledger::survey(&graph, &Selection::default()) else { return Ok(()) };
    let _ = ledger.entries();
    let mut patches = Vec::new();
    for layer in &ledger.layers {
        let Ok(values) = model.values(&layer.weight) else { continue };
        let _ = model.check_finite(&layer.weight);
        let matrices = layer.matrix.matrices(&values);
        assert_eq!(layer.matrix.tensor(&matrices, &layer.weight.dims).shape(), values.shape());
        for site in &layer.sites {
            let _ = site.unfold.rows(&[2, 1, 8, 8]);
        }
        let (constant, copies) = (layer.weight.clone(), layer.copies.clone());
        patches.push(WeightPatch { constant, values, copies });
    }
    let provenance = [("onnx_sap.version".to_owned(), "0".to_owned())];
    let plan = model.output_plan(&patches, &provenance, &out)?;
    // What was planned is again a model with the same weights.
    let rewritten = model.with_patches(&patches)?;
    assert!(!rewritten.is_empty() && plan.provenance.len() > 8);
    Ok(())
}

#[test]
fn damaged_models_are_refused_or_understood() {
    let folder = tempfile::tempdir().unwrap();
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for entry in fs::read_dir(repository("fixtures/weights-everywhere")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "onnx") {
            seeds.push(fs::read(&path).unwrap());
        }
    }
    assert!(seeds.len() > 15, "the fixtures are there");
    // The order in which a folder is read is no one's promise.
    seeds.sort();
    seeds.push(fs::read(model("mlp")).unwrap());
    let external = repository("fixtures/weights-everywhere/external-data.onnx.data");
    fs::copy(external, folder.path().join("external-data.onnx.data")).unwrap();
    let mut understood = 0;
    rounds(folder, |draws, folder| {
        let seed = draws.random_range(0..seeds.len());
        let other = draws.random_range(0..seeds.len());
        let mut bytes = seeds[seed].clone();
        damage(draws, &mut bytes, &seeds[other]);
        let path = folder.join("in.onnx");
        fs::write(&path, &bytes).unwrap();
        match use_model(&path) {
            Ok(()) => understood += 1,
            Err(error) => assert!(error.to_string().len() < 100_000, "{error:.200}"),
        }
    });
    assert!(understood > 0, "the damage leaves some models whole, or it proves nothing");
}

/// Everything that the program does with a data set, short of feeding it.
fn use_data(spec: &str) -> bool {
    let Ok(spec) = Spec::parse(spec, Path::new("nowhere")) else { return false };
    let _ = spec.validation();
    let Ok(set) = spec.open() else { return false };
    assert!(!set.is_empty());
    let example = set.content(0);
    for index in [0, set.len() / 2, set.len() - 1] {
        let (id, _label) = (set.id(index), set.label(index));
        let (Ok(content), Ok(example)) = (set.content(index), &example) else { continue };
        if let Content::Image(image) = &content {
            assert!(u64::from(image.width()) * u64::from(image.height()) <= 1 << 29);
        }
        for shape in [vec![Some(1), Some(8), Some(8)], vec![None, None, None], vec![Some(3), None, None], vec![None]] {
            for options in [Preprocessing::default(), spec.reader.preset()] {
                for element in [ElementType::Float32, ElementType::Int64, ElementType::Bool] {
                    if let Ok(transform) = Transform::resolve(&options, element, &shape, example) {
                        let _ = transform.apply(content.clone(), &id);
                    }
                }
            }
        }
    }
    sane(set.as_ref())
}

fn sane(set: &dyn DataSet) -> bool {
    assert!(set.content(set.len()).is_err(), "a sample beyond the end");
    true
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflated(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A good file: the name under which its reader looks for it, and the specification that reads it.
type DataFile = (&'static str, &'static str, Vec<u8>);

fn data_files() -> Vec<DataFile> {
    let pixels: Vec<u8> = (0..640_u32).map(|i| (i * 37 % 251) as u8).collect();
    let labels: Vec<u8> = (0..10).collect();
    let images = crate::support::idx(&[10, 8, 8], &pixels);
    let stored = npz(&[("x", "|u1", &[10, 8, 8], pixels.clone()), ("y", "|u1", &[10], labels.clone())]);
    let floats = npz(&[("x", "<f4", &[10, 4, 4], pixels.clone()), ("y", "|i1", &[10], labels.clone())]);
    let npy = fs::read(repository("fixtures/weights-everywhere/data.npz")).unwrap();
    let header = |shape: &str, data: &[u8]| {
        let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00".as_slice(), &(text.len() as u16).to_le_bytes(), text.as_bytes(), data].concat()
    };
    let archive = deflated(&[("images.npy", header("(10, 8, 8)", &pixels)), ("labels.npy", header("(10,)", &labels))]);
    let picture = |format: image::ImageFormat| {
        let image = image::RgbImage::from_fn(24, 16, |x, y| image::Rgb([(x * 9) as u8, (y * 13) as u8, (x ^ y) as u8]));
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let photograph = |name: &str| fs::read(repository("fixtures/preprocessing").join(name)).unwrap();
    let mut files = vec![
        ("plain/train-images-idx3-ubyte", "mnist:plain", images.clone()),
        ("plain/train-labels-idx1-ubyte", "mnist:plain", crate::support::idx(&[10], &labels)),
        ("packed/t10k-images-idx3-ubyte.gz", "fashion-mnist:packed#test", packed(&images)),
        ("packed/t10k-labels-idx1-ubyte.gz", "fashion-mnist:packed#test", packed(&crate::support::idx(&[10], &labels))),
        ("stored.npz", "npz:stored.npz", stored),
        ("floats.npz", "npz:floats.npz", floats),
        ("numpy.npz", "npz:numpy.npz", npy),
        ("deflated.npz", "npz:deflated.npz", archive),
        ("png/class/a.png", "folder:png", picture(image::ImageFormat::Png)),
        ("jpg/class/a.jpg", "folder:jpg", photograph("jpeg-420.jpg")),
        ("progressive/class/a.jpg", "folder:progressive", photograph("jpeg-progressive.jpg")),
        ("cmyk/class/a.jpg", "folder:cmyk", photograph("jpeg-cmyk.jpg")),
        ("webp/class/a.webp", "folder:webp", picture(image::ImageFormat::WebP)),
    ];
    files.extend(sets::files(&picture(image::ImageFormat::Png)));
    files
}

#[test]
fn damaged_data_is_refused_or_understood() {
    let folder = tempfile::tempdir().unwrap();
    let files = data_files();
    for (name, _, bytes) in &files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let spec_in = |spec: &str, folder: &Path| spec.replacen(':', &format!(":{}/", folder.display()), 1);
    for (name, spec, _) in &files {
        assert!(use_data(&spec_in(spec, folder.path())), "{name} is good as it is");
    }
    let mut understood = 0;
    rounds(folder, |draws, folder| {
        let (name, spec, good) = &files[draws.random_range(0..files.len())];
        let (_, _, other) = &files[draws.random_range(0..files.len())];
        let mut bytes = good.clone();
        damage(draws, &mut bytes, other);
        fs::write(folder.join(name), &bytes).unwrap();
        understood += u32::from(use_data(&spec_in(spec, folder)));
        fs::write(folder.join(name), good).unwrap();
    });
    assert!(understood > 0, "the damage leaves some files whole, or it proves nothing");
}
