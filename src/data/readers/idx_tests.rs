//! What the IDX reader promises: any usual spelling, plain or packed, gives the same set; damage is an error.

use super::*;
use flate2::{Compression, write::GzEncoder};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::io::Write;

fn idx(dimensions: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    bytes.extend(dimensions.iter().flat_map(|dimension| dimension.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn images() -> Vec<u8> {
    idx(&[3, 2, 4], &(0..24).collect::<Vec<u8>>())
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn pixels(set: &dyn DataSet, index: usize) -> Vec<u8> {
    match set.content(index).unwrap() {
        Content::Image(image) => image.into_luma8().into_raw(),
        Content::Values(_) | Content::Integers(_) => Vec::new(),
    }
}

#[test]
fn every_spelling_plain_or_packed_gives_the_same_set() {
    let labels = idx(&[3], &[7, 0, 9]);
    for files in [
        [("train-images-idx3-ubyte", images()), ("train-labels-idx1-ubyte", labels.clone())],
        [("train-images.idx3-ubyte", images()), ("train-labels.idx1-ubyte", labels.clone())],
        [("train-images-idx3-ubyte.gz", packed(&images())), ("train-labels-idx1-ubyte.gz", packed(&labels))],
        [("train-images.idx3-ubyte.gz", packed(&images())), ("train-labels-idx1-ubyte", labels.clone())],
    ] {
        let folder = folder(&files);
        let set = MNIST.open(folder.path(), None).unwrap();
        assert_eq!((set.len(), set.label(0), set.label(2)), (3, 7, 9));
        assert_eq!(pixels(&*set, 1), (8..16).collect::<Vec<u8>>());
        assert_eq!(set.id(2), SampleId("2".into()));
        assert!(set.content(3).is_err());
    }
}

#[test]
fn splits_are_found_by_their_prefix_and_val_only_where_it_is() {
    let one = idx(&[1, 1, 1], &[5]);
    let folder = folder(&[
        ("t10k-images-idx3-ubyte", one.clone()),
        ("t10k-labels-idx1-ubyte", idx(&[1], &[1])),
        ("val-images-idx3-ubyte", one),
        ("val-labels-idx1-ubyte", idx(&[1], &[2])),
    ]);
    assert_eq!(MNIST.open(folder.path(), Some("test")).unwrap().label(0), 1);
    assert_eq!(MNIST.open(folder.path(), Some("val")).unwrap().label(0), 2);
    assert_eq!(MNIST.validation_split(folder.path()), Some("val"));
    assert!(MNIST.open(folder.path(), None).is_err(), "no train files");
    assert!(MNIST.open(folder.path(), Some("extra")).is_err());
    assert_eq!(MNIST.validation_split(&folder.path().join("absent")), None);
}

#[test]
fn damaged_files_are_errors() {
    let labels = idx(&[3], &[7, 0, 9]);
    let truncated = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    let overlong = |bytes: &[u8]| [bytes, &[0]].concat();
    for damaged in [
        Vec::new(),
        b"not an idx file at all".to_vec(),
        truncated(&images()),
        overlong(&images()),
        idx(&[0, 2, 4], &[]),
        idx(&[u32::MAX, u32::MAX, u32::MAX], &[1]),
        idx(&[3, u32::MAX, 1], &[1]),
        idx(&[4, 2, 3], &[0; 24]),
        labels.clone(),
    ] {
        for (suffix, bytes) in [("", damaged.clone()), (".gz", packed(&damaged)), (".gz", truncated(&packed(&damaged)))]
        {
            let name = format!("train-images-idx3-ubyte{suffix}");
            let folder = folder(&[(&name, bytes), ("train-labels-idx1-ubyte", labels.clone())]);
            let message = MNIST.open(folder.path(), None).err().map(|error| error.to_string()).unwrap();
            assert!(message.contains("train-") && message.lines().count() == 1, "{message}");
        }
    }
}

#[test]
fn a_packed_file_whose_checksum_or_end_is_wrong_is_an_error() {
    let whole = packed(&images());
    let mut flipped = whole.clone();
    let checksum = flipped.len() - 6;
    flipped[checksum] ^= 1;
    for bytes in [flipped, whole[..whole.len() - 1].to_vec(), [whole.as_slice(), b"rest"].concat()] {
        let folder = folder(&[("train-images-idx3-ubyte.gz", bytes), ("train-labels-idx1-ubyte", idx(&[3], &[0; 3]))]);
        assert!(MNIST.open(folder.path(), None).is_err());
    }
}

#[test]
fn no_mutation_of_the_bytes_makes_it_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (images, labels) = (images(), idx(&[3], &[7, 0, 9]));
    for round in 0..600 {
        let mut bytes = if round % 2 == 0 { images.clone() } else { packed(&images) };
        for _ in 0..random.random_range(1..4) {
            let position = random.random_range(0..bytes.len());
            bytes[position] = random.random();
        }
        bytes.truncate(random.random_range(0..=bytes.len() * 2));
        let name = if round % 2 == 0 { "train-images-idx3-ubyte" } else { "train-images-idx3-ubyte.gz" };
        let folder = folder(&[(name, bytes), ("train-labels-idx1-ubyte", labels.clone())]);
        if let Ok(set) = MNIST.open(folder.path(), None) {
            assert!((0..set.len()).all(|index| set.content(index).is_ok()));
        }
    }
}
