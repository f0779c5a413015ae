//! What the reader of tar archives promises: what a sample is, stable ids, and that damage is an error.

use super::*;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::io::Cursor;

fn picture(red: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(RgbImage::from_pixel(4, 3, Rgb([red, 0, 0])))
        .write_to(&mut bytes, ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn opened(bytes: &[u8]) -> Result<Box<dyn DataSet>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    fs::write(&path, bytes).unwrap();
    WEBDATASET.open(&path, None)
}

fn samples(set: &dyn DataSet) -> Vec<(String, usize)> {
    (0..set.len()).map(|index| (set.id(index).0, set.label(index))).collect()
}

fn expected(pairs: &[(&str, usize)]) -> Vec<(String, usize)> {
    pairs.iter().map(|(id, label)| ((*id).to_owned(), *label)).collect()
}

fn quarantined(set: &dyn DataSet) -> Vec<(&str, &str)> {
    set.quarantined().iter().map(|bad| (bad.id.0.as_str(), bad.reason.as_str())).collect()
}

fn red(set: &dyn DataSet, index: usize) -> u8 {
    let Content::Image(image) = set.content(index).unwrap() else { unreachable!("shards hold images") };
    image.into_rgb8().get_pixel(1, 1).0[0]
}

fn message(result: Result<Box<dyn DataSet>, DataError>) -> String {
    result.err().map(|error| error.to_string()).expect("an error")
}

#[test]
fn members_that_share_their_name_up_to_the_first_dot_are_a_sample() {
    let long = format!("deep/{}/0003", "x".repeat(150));
    let set = opened(&archive(&[
        ("0001.png", &picture(1)),
        ("0001.cls", b"3\n"),
        ("0002.cls", b"0"),
        ("0002.seg.png", &picture(99)),
        ("0002.PNG", &picture(2)),
        ("0002.txt", b"a caption"),
        ("v1.0/0002.cls", b"7"),
        ("v1.0/0002.png", &picture(3)),
        (&format!("{long}.png"), &picture(4)),
        (&format!("{long}.json"), br#"{"caption": "a", "label": 12}"#),
        ("dir/.hidden", b"no sample"),
        ("README", b"no sample"),
    ]));
    let set = set.unwrap();
    let ids = [("a.tar/0001", 3), ("a.tar/0002", 0), ("a.tar/v1.0/0002", 7), (&*format!("a.tar/{long}"), 12)];
    assert_eq!(samples(&*set), expected(&ids));
    assert!(set.quarantined().is_empty() && set.class_names().is_none());
}

#[test]
fn images_are_read_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    let members: Vec<(String, Vec<u8>)> =
        (1..20).flat_map(|red| [(format!("{red}.png"), picture(red)), (format!("{red}.cls"), b"1".to_vec())]).collect();
    let members: Vec<(&str, &[u8])> = members.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    fs::write(&path, archive(&members)).unwrap();
    let set = WEBDATASET.open(&path, None).unwrap();
    for index in [18, 0, 7] {
        assert_eq!(red(&*set, index), index as u8 + 1);
    }
    assert!(set.content(19).is_err());
    assert!(set.reads(&path) && !set.reads(folder.path()));
}

#[test]
fn labels_come_from_cls_or_else_from_json() {
    let image = picture(1);
    for (members, label) in [
        (&[("a.cls", b" 5 ".as_slice())][..], 5),
        (&[("a.json", br#"{"cls": 6}"#)], 6),
        (&[("a.json", br#"{"class": 7, "x": [1.5, null]}"#)], 7),
        (&[("a.json", br#"{"label": 1}"#), ("a.cls", b"2")], 2),
        (&[("a.cls", b"2"), ("a.json", br#"{"label": 1}"#)], 2),
    ] {
        let members = [members, &[("a.png", image.as_slice())]].concat();
        assert_eq!(samples(&*opened(&archive(&members)).unwrap()), expected(&[("a.tar/a", label)]));
    }
}

#[test]
fn a_sample_without_an_image_or_a_label_is_quarantined_with_its_reason() {
    let image = picture(1);
    let set = opened(&archive(&[
        ("good.png", &image),
        ("good.cls", b"1"),
        ("blind.cls", b"1"),
        ("bare.png", &image),
        ("word.png", &image),
        ("word.cls", b"cat"),
        ("float.png", &image),
        ("float.json", br#"{"label": 1.5}"#),
        ("other.png", &image),
        ("other.json", br#"{"caption": "1"}"#),
        ("broken.png", &image),
        ("broken.json", b"{"),
        ("deep.png", &image),
        ("deep.json", &b"[".repeat(100_000)),
        ("bytes.png", &image),
        ("bytes.cls", b"\xff"),
    ]));
    let set = set.unwrap();
    assert_eq!(samples(&*set), expected(&[("a.tar/good", 1)]));
    let none = "it has no label: neither a .cls, nor a .json with `label`, `cls` or `class`";
    assert_eq!(
        quarantined(&*set),
        [
            ("a.tar/blind", "it has no image"),
            ("a.tar/bare", none),
            ("a.tar/word", "its .cls is no integer"),
            ("a.tar/float", "the label in its .json is no integer"),
            ("a.tar/other", none),
            ("a.tar/broken", "its .json cannot be read"),
            ("a.tar/deep", "its .json cannot be read"),
            ("a.tar/bytes", "its .cls is no integer"),
        ]
    );
}

#[test]
fn shards_come_in_the_order_of_their_names_from_a_folder_or_a_pattern() {
    let folder = tempfile::tempdir().unwrap();
    for (name, label) in [("s-02.tar", 2), ("s-00.tar", 0), ("s-01.tar", 1), (".s-03.tar", 3), ("notes.txt", 4)] {
        let members = [("k.png", picture(10 + label).as_slice()), ("k.cls", label.to_string().as_bytes())]
            .map(|(name, bytes)| (name, bytes.to_vec()));
        let members: Vec<(&str, &[u8])> = members.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        fs::write(folder.path().join(name), archive(&members)).unwrap();
    }
    for path in [folder.path().to_owned(), folder.path().join("s-{00..02}.tar"), folder.path().join("s-0{0..2}.tar")] {
        let set = WEBDATASET.open(&path, None).unwrap();
        assert_eq!(samples(&*set), expected(&[("s-00.tar/k", 0), ("s-01.tar/k", 1), ("s-02.tar/k", 2)]));
        assert_eq!((red(&*set, 0), red(&*set, 2)), (10, 12));
        assert!(set.reads(&folder.path().join("s-01.tar")));
    }
    assert!(message(WEBDATASET.open(&folder.path().join("s-{00..03}.tar"), None)).contains("s-03.tar"));
    assert!(message(WEBDATASET.open(folder.path(), Some("train"))).contains("leave out `#train`"));
}

#[test]
fn two_shards_of_one_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for part in ["0", "1"] {
        fs::create_dir(folder.path().join(part)).unwrap();
        fs::write(folder.path().join(part).join("a.tar"), archive(&[("k.png", &picture(1)), ("k.cls", b"1")])).unwrap();
    }
    assert!(message(WEBDATASET.open(&folder.path().join("{0..1}/a.tar"), None)).contains("another shard called a.tar"));
}

#[test]
fn a_sample_in_two_places_of_a_shard_is_an_error() {
    let bytes = archive(&[("a.png", &picture(1)), ("b.png", &picture(1)), ("a.cls", b"1"), ("b.cls", b"1")]);
    assert!(message(opened(&bytes)).contains("sample a do not follow each other"));
}

#[test]
fn a_shard_that_is_cut_off_is_an_error_that_names_it() {
    let whole = archive(&[("a.cls", b"1"), ("a.png", &picture(1)), ("b.cls", b"1"), ("b.png", &picture(2))]);
    let end = whole.len() - 1024;
    for length in (0..=end).step_by(64).chain([1, 511, 513, end - 1]) {
        let message = message(opened(&whole[..length]));
        assert!(message.contains("a.tar: ") && message.lines().count() == 1, "{length}: {message}");
    }
    assert!(opened(&whole[..end + 512]).is_ok(), "one block of zeros is an end");
}

#[test]
fn what_has_no_samples_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(message(WEBDATASET.open(folder.path(), None)).contains("no .tar in it"));
    assert!(WEBDATASET.open(&folder.path().join("absent.tar"), None).is_err());
    assert!(message(opened(b"")).contains("empty"));
    assert!(message(opened(&archive(&[]))).contains("no sample has an image and a label"));
    assert!(message(opened(b"no archive at all")).contains("a.tar"));
    let message = message(opened(&archive(&[("k.png", &picture(1))])));
    assert!(message.contains("a.tar/k for one, it has no label"), "{message}");
}

#[test]
fn labels_and_images_that_cannot_be_name_their_sample() {
    assert!(message(opened(&archive(&[("k.png", &picture(1)), ("k.cls", b"-1")]))).contains("its label is -1"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    fs::write(&path, archive(&[("k.png", b"no image"), ("k.cls", b"1")])).unwrap();
    let set = WEBDATASET.open(&path, None).unwrap();
    assert!(set.content(0).unwrap_err().to_string().starts_with("sample a.tar/k: "));
    fs::write(&path, b"shorter").unwrap();
    assert!(set.content(0).is_err());
}

#[test]
fn no_mutation_of_the_bytes_makes_it_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let whole =
        archive(&[("a.cls", b"1"), ("a.png", &picture(1)), (&"b".repeat(120), b"1"), ("b.json", b"{\"label\":1}")]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    for _ in 0..600 {
        let mut bytes = whole.clone();
        for _ in 0..random.random_range(1..4) {
            let position = random.random_range(0..bytes.len());
            bytes[position] = random.random();
        }
        bytes.truncate(random.random_range(0..=bytes.len() * 4));
        fs::write(&path, bytes).unwrap();
        if let Ok(set) = WEBDATASET.open(&path, None) {
            (0..set.len()).for_each(|index| drop(set.content(index)));
        }
    }
}
