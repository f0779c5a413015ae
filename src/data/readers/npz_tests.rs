//! What the npz reader promises: every storage, type and byte order that it takes gives the same samples; the rest is
//! an error with a way out.

use super::*;
use half::f16;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn npy(descr: &str, fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let extents = shape.iter().fold(String::new(), |text, extent| text + &format!("{extent},"));
    let order = if fortran { "True" } else { "False" };
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({extents}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(data);
    bytes
}

fn bytes_of(method: CompressionMethod, arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(format!("{name}.npy"), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn open_bytes(bytes: &[u8]) -> Result<Box<dyn DataSet>, DataError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    NPZ.open(file.path(), None)
}

fn open(arrays: &[(&str, Vec<u8>)]) -> Result<Box<dyn DataSet>, DataError> {
    open_bytes(&bytes_of(CompressionMethod::Stored, arrays))
}

fn labels() -> Vec<u8> {
    npy("|u1", false, &[2], &[4, 2])
}

fn values(set: &dyn DataSet, index: usize) -> Vec<f32> {
    match set.content(index).unwrap() {
        Content::Values(values) => values.into_iter().collect(),
        Content::Image(_) | Content::Integers(_) => Vec::new(),
    }
}

fn pixels(set: &dyn DataSet, index: usize) -> (u32, u32, Vec<u8>) {
    match set.content(index).unwrap() {
        Content::Image(image) => (image.height(), image.width(), image.into_bytes()),
        Content::Values(_) | Content::Integers(_) => (0, 0, Vec::new()),
    }
}

fn integers(set: &dyn DataSet, position: usize, index: usize) -> Vec<i64> {
    match set.content_at(position, index).unwrap() {
        Content::Integers(values) => values.into_iter().collect(),
        Content::Values(_) | Content::Image(_) => Vec::new(),
    }
}

#[test]
fn arrays_feed_the_inputs_of_their_names_and_those_of_no_input_are_not_even_read() {
    let bytes = |values: &[i64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let arrays = [
        ("ids", npy("<i8", false, &[2, 2], &bytes(&[1 << 40, (1 << 40) + 1, -1, i64::MIN]))),
        ("mask", npy("|b1", false, &[2, 2], &[1, 0, 1, 1])),
        ("age", npy(">u4", false, &[2], &[0, 0, 0, 7, 255, 255, 255, 255])),
        ("names", npy("<U3", false, &[9], b"nothing that could be read")),
        ("labels", labels()),
    ];
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes_of(method, &arrays)).unwrap();
        let set = NPZ.open_for(file.path(), None, &["mask", "ids", "age"]).unwrap();
        assert_eq!((set.len(), set.label(1)), (2, 2));
        assert_eq!(set.arrays().unwrap().names(), ["mask", "ids", "age", "names"]);
        assert_eq!((integers(&*set, 0, 0), integers(&*set, 0, 1)), (vec![1, 0], vec![1, 1]));
        assert_eq!(integers(&*set, 1, 0), [1 << 40, (1 << 40) + 1]);
        assert_eq!(integers(&*set, 1, 1), [-1, i64::MIN]);
        assert_eq!((integers(&*set, 2, 0), integers(&*set, 2, 1)), (vec![7], vec![u32::MAX.into()]));
        assert!(set.content_at(3, 0).is_err() && set.content_at(0, 2).is_err());
        assert_eq!(NPZ.open_for(file.path(), None, &["other"]).unwrap().arrays().unwrap().fed, []);
    }
}

#[test]
fn of_two_arrays_of_labels_the_one_that_is_no_input_counts() {
    let samples = npy("|i1", false, &[2, 1], &[5, 6]);
    let arrays = [("y", labels()), ("labels", samples)];
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes_of(CompressionMethod::Stored, &arrays)).unwrap();
    let set = NPZ.open_for(file.path(), None, &["labels"]).unwrap();
    assert_eq!((set.label(0), integers(&*set, 0, 1)), (4, vec![6]));
    assert!(NPZ.open_for(file.path(), None, &["a"]).err().unwrap().to_string().contains("both `labels` and `y`"));
}

#[test]
fn integers_that_int64_does_not_hold_name_their_sample() {
    let set = open(&[("x", npy("<u8", false, &[2, 1], &[255; 16])), ("y", labels())]).unwrap();
    let message = set.content(1).unwrap_err().to_string();
    assert!(message.contains("sample 1") && message.contains("18446744073709551615"), "{message}");
}

#[test]
fn stored_and_deflated_archives_under_either_name_give_the_same_set() {
    let data: Vec<u8> = [0.5_f32, -1.0, 2.0, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let samples = npy("<f4", false, &[2, 2], &data);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        for (x, y) in [("x", "y"), ("images", "labels"), ("x", "labels")] {
            let set = open_bytes(&bytes_of(method, &[(x, samples.clone()), (y, labels())])).unwrap();
            assert_eq!((set.len(), set.label(0), set.label(1)), (2, 4, 2));
            assert_eq!(values(&*set, 0), [0.5, -1.0]);
            assert_eq!(values(&*set, 1), [2.0, 3.0]);
            assert!(set.content(2).is_err());
        }
    }
}

#[test]
fn every_float_type_and_byte_order_gives_the_same_values() {
    let (one, two) = (1.5_f64, -0.25_f64);
    let half = [f16::from_f64(one), f16::from_f64(two)];
    let (single, double) = ([one as f32, two as f32], [one, two]);
    for (descr, data) in [
        ("<f2", half.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()),
        (">f2", half.iter().flat_map(|value| value.to_be_bytes()).collect()),
        ("<f4", single.iter().flat_map(|value| value.to_le_bytes()).collect()),
        (">f4", single.iter().flat_map(|value| value.to_be_bytes()).collect()),
        ("<f8", double.iter().flat_map(|value| value.to_le_bytes()).collect()),
        (">f8", double.iter().flat_map(|value| value.to_be_bytes()).collect()),
    ] {
        let set = open(&[("x", npy(descr, false, &[2, 1], &data)), ("y", labels())]).unwrap();
        assert_eq!([values(&*set, 0), values(&*set, 1)].concat(), [1.5, -0.25], "{descr}");
    }
}

#[test]
fn labels_of_every_integer_type_are_read_and_negative_ones_name_their_sample() {
    let samples = npy("|u1", false, &[2, 1, 1], &[0, 0]);
    for (descr, data) in [
        ("|i1", vec![3, 1]),
        ("<u2", vec![3, 0, 1, 0]),
        (">i4", vec![0, 0, 0, 3, 0, 0, 0, 1]),
        ("<i8", vec![3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        let set = open(&[("x", samples.clone()), ("y", npy(descr, false, &[2, 1], &data))]).unwrap();
        assert_eq!((set.label(0), set.label(1)), (3, 1), "{descr}");
    }
    let negative = npy("<i2", false, &[2], &[3, 0, 0xff, 0xff]);
    let message = open(&[("x", samples), ("y", negative)]).err().unwrap().to_string();
    assert!(message.contains("sample 1") && message.contains("-1"), "{message}");
}

#[test]
fn bytes_of_three_or_four_axes_are_images_whichever_axis_the_channels_are() {
    let data: Vec<u8> = (0..24).collect();
    let open = |shape: &[usize]| open(&[("x", npy("|u1", false, shape, &data)), ("y", labels())]);
    assert_eq!(pixels(&*open(&[2, 3, 4]).unwrap(), 1), (3, 4, (12..24).collect()));
    assert_eq!(pixels(&*open(&[2, 2, 2, 3]).unwrap(), 0), (2, 2, (0..12).collect()));
    assert_eq!(pixels(&*open(&[2, 3, 2, 2]).unwrap(), 0), (2, 2, vec![0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]));
    assert_eq!(pixels(&*open(&[2, 1, 6, 2]).unwrap(), 0), (6, 2, (0..12).collect()));
    for shape in [[2, 3, 4, 1], [2, 1, 4, 3], [2, 2, 3, 2], [2, 12, 1, 1], [2, 6, 2, 1]] {
        let accepted = open(&shape).is_ok();
        let ambiguous = matches!(shape[1], 1 | 3) && matches!(shape[3], 1 | 3);
        let hopeless = !matches!(shape[1], 1 | 3) && !matches!(shape[3], 1 | 3);
        assert_eq!(accepted, !ambiguous && !hopeless, "{shape:?}");
    }
}

#[test]
fn what_cannot_be_read_says_so_and_what_to_do() {
    let samples = npy("|u1", false, &[2, 1, 1], &[0, 0]);
    for (arrays, hint) in [
        (vec![("x", samples.clone())], "neither `y` nor `labels`"),
        (vec![("x", samples.clone()), ("images", samples.clone()), ("y", labels())], "both"),
        (vec![("x", npy("|u1", true, &[2, 1, 1], &[0, 0])), ("y", labels())], "ascontiguousarray"),
        (vec![("x", npy("|u1", false, &[3, 1, 1], &[0; 3])), ("y", labels())], "2 labels for 3 samples"),
        (vec![("x", npy("<c8", false, &[2, 1], &[0; 16])), ("y", labels())], "uint8"),
        (vec![("x", npy("|u1", false, &[2, 1, 1, 1, 1], &[0; 2])), ("y", labels())], "(N,H,W)"),
        (vec![("z", samples.clone()), ("y", labels())], "neither `x` nor `images`"),
        (vec![("x", samples.clone()), ("y", npy("<f4", false, &[2], &[0; 8]))], "integers"),
        (vec![("x", samples.clone()), ("y", npy("|u1", false, &[2, 2], &[0; 4]))], "argmax"),
        (vec![("x", npy("|u1", false, &[], &[0])), ("y", labels())], "single number"),
        (vec![("x", npy("|u1", false, &[0, 1, 1], &[])), ("y", labels())], "no samples"),
        (vec![("x", npy("|u1", false, &[2, 1, 1], &[0])), ("y", labels())], "declares 2 bytes"),
        (vec![("x", npy("|u1", false, &[2, 1, 1], &[0; 3])), ("y", labels())], "declares 2 bytes"),
        (vec![("x", npy("<f8", false, &[usize::MAX, 8], &[0; 8])), ("y", labels())], "damaged"),
        (vec![("x", b"not numpy".to_vec()), ("y", labels())], "numpy"),
        (vec![("x", npy("|O", false, &[2], &[0; 2])), ("y", labels())], "not supported"),
    ] {
        let message = open(&arrays).err().unwrap().to_string();
        assert!(message.contains(hint) && message.lines().count() == 1, "{message}");
    }
    assert!(open_bytes(b"").is_err() && open_bytes(b"PK\x05\x06").is_err());
    assert!(NPZ.open(Path::new("absent.npz"), None).is_err());
}

#[test]
fn no_mutation_of_the_bytes_makes_it_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let arrays = [("x", npy("<f2", false, &[2, 3], &[0; 12])), ("y", labels())];
    let seeds = [CompressionMethod::Stored, CompressionMethod::Deflated].map(|method| bytes_of(method, &arrays));
    for round in 0..1000 {
        let mut bytes = seeds[round % 2].clone();
        for _ in 0..random.random_range(1..4) {
            let position = random.random_range(0..bytes.len());
            bytes[position] = random.random();
        }
        if random.random_ratio(1, 4) {
            bytes.truncate(random.random_range(0..=bytes.len()));
        }
        if let Ok(set) = open_bytes(&bytes) {
            let _ = (0..set.len()).map(|index| (set.label(index), set.content(index).is_ok())).collect::<Vec<_>>();
        }
    }
}
