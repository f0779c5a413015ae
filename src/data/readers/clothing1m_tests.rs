//! What the reader of `clothing1m` promises: both layouts, and that no clean sample gets into training.

use super::*;
use crate::data::Content;
use image::{DynamicImage, Rgb, RgbImage};
use std::fs;

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn paint(root: &Path, name: &str, red: u8) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    DynamicImage::ImageRgb8(RgbImage::from_pixel(4, 3, Rgb([red, 0, 0]))).save(&path).unwrap();
}

/// Keys as the release has them: two levels of folders, and commas.
const KEYS: [&str; 5] = [
    "images/0/00/100,1.jpg",
    "images/0/01/100,2.jpg",
    "images/1/10/100,3.jpg",
    "images/1/10/100,4.jpg",
    "images/2/20/100,5.jpg",
];

/// The release's lists in `folder`: the third key is also for validation, the fourth for testing, the fifth has no label.
fn release(root: &Path, folder: &str) {
    let list = |keys: &[&str]| keys.join("\n") + "\n";
    let [first, second, third, fourth, fifth] = KEYS;
    for (name, text) in [
        ("noisy_train_key_list.txt", list(&KEYS)),
        ("clean_train_key_list.txt", list(&[second, third])),
        ("clean_val_key_list.txt", list(&[third])),
        ("clean_test_key_list.txt", list(&[fourth])),
        ("noisy_label_kv.txt", format!("{first} 3\n{second} 13\r\n{third} 1\n{fourth} 2\n")),
        ("clean_label_kv.txt", format!("{second} 7\n{third} 8\n{fourth} 9\n{fifth} 4\n")),
        ("category_names_eng.txt", list(&CLASSES)),
    ] {
        write(root, &format!("{folder}{name}"), &text);
    }
}

fn samples(set: &dyn DataSet) -> Vec<(String, usize)> {
    (0..set.len()).map(|index| (set.id(index).0, set.label(index))).collect()
}

fn expected(pairs: &[(&str, usize)]) -> Vec<(String, usize)> {
    pairs.iter().map(|(id, label)| ((*id).to_owned(), *label)).collect()
}

fn open(root: &Path, split: Option<&str>) -> Box<dyn DataSet> {
    CLOTHING1M.open(root, split).unwrap()
}

fn message(root: &Path, split: Option<&str>) -> String {
    CLOTHING1M.open(root, split).err().map(|error| error.to_string()).expect("an error")
}

#[test]
fn the_lists_give_keys_and_labels_beside_the_images_or_in_annotations() {
    for lists in ["", "annotations/"] {
        let folder = tempfile::tempdir().unwrap();
        release(folder.path(), lists);
        let set = open(folder.path(), None);
        assert_eq!(samples(&*set), expected(&[(KEYS[0], 3), (KEYS[1], 13)]));
        assert_eq!(set.class_names().unwrap(), CLASSES);
        assert_eq!(samples(&*open(folder.path(), Some("val"))), expected(&[(KEYS[2], 8)]));
        assert_eq!(samples(&*open(folder.path(), Some("test"))), expected(&[(KEYS[3], 9)]));
        assert_eq!(CLOTHING1M.validation_split(folder.path()), Some("val"));
        let list = folder.path().join(format!("{lists}noisy_label_kv.txt"));
        assert!(set.reads(&list) && !set.reads(&folder.path().join(format!("{lists}clean_label_kv.txt"))));
    }
}

#[test]
fn keys_of_the_clean_validation_and_test_lists_are_in_no_training_split() {
    let folder = tempfile::tempdir().unwrap();
    release(folder.path(), "");
    for split in ["noisy_train", "clean_train"] {
        let set = open(folder.path(), Some(split));
        let ids: Vec<String> = samples(&*set).into_iter().map(|(id, _)| id).collect();
        assert!(!ids.contains(&KEYS[2].to_owned()) && !ids.contains(&KEYS[3].to_owned()), "{ids:?}");
        assert!(set.quarantined().iter().all(|bad| bad.id.0 == KEYS[4]), "they are not even quarantined");
    }
    assert_eq!(samples(&*open(folder.path(), Some("clean_train"))), expected(&[(KEYS[1], 7)]));
}

#[test]
fn a_key_without_a_label_is_quarantined() {
    let folder = tempfile::tempdir().unwrap();
    release(folder.path(), "");
    let set = open(folder.path(), None);
    let [bad] = set.quarantined() else { panic!("one key has no label: {:?}", set.quarantined()) };
    assert_eq!(bad.id.0, KEYS[4]);
    assert!(bad.reason.contains("noisy_label_kv.txt"), "{}", bad.reason);
}

#[test]
fn images_lie_in_images_or_where_the_keys_say_without_it() {
    for (index, prefix) in ["", "images/"].into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        release(folder.path(), "annotations/");
        let file = KEYS[index].strip_prefix(prefix).unwrap();
        paint(folder.path(), file, 200);
        let set = open(folder.path(), None);
        assert_eq!(set.id(index).0, KEYS[index], "ids are keys in either place");
        let Content::Image(image) = set.content(index).unwrap() else { unreachable!("photographs") };
        assert!(image.into_rgb8().get_pixel(1, 1).0[0] > 180);
        assert!(set.reads(&folder.path().join(file)));
        let absent = set.content(1 - index).unwrap_err().to_string();
        assert!(absent.starts_with(&format!("sample {}: ", KEYS[1 - index])), "{absent}");
    }
}

#[test]
fn folders_of_classes_have_the_names_of_the_release() {
    let folder = tempfile::tempdir().unwrap();
    for class in 0..14 {
        paint(folder.path(), &format!("noisy_train/q{class:04}/a.jpg"), class);
    }
    paint(folder.path(), "val/q0009/b.jpg", 9);
    let set = open(folder.path(), None);
    assert_eq!((set.len(), set.class_names().unwrap()), (14, names().as_slice()));
    assert_eq!((set.id(13).0.as_str(), set.label(13)), ("noisy_train/q0013/a.jpg", 13));
    let held_out = open(folder.path(), Some("val"));
    assert_eq!(samples(&*held_out), expected(&[("val/q0009/b.jpg", 9)]));
    assert_eq!(held_out.class_names().unwrap(), CLASSES);
    assert_eq!(CLOTHING1M.validation_split(folder.path()), Some("val"));
    assert!(message(folder.path(), Some("test")).contains("clean_test_key_list.txt"));
}

#[test]
fn other_folders_of_classes_keep_their_own_names() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["coat", "hat"] {
        paint(folder.path(), &format!("noisy_train/{class}/a.jpg"), 1);
    }
    assert_eq!(open(folder.path(), None).class_names().unwrap(), ["coat", "hat"]);
    assert_eq!(CLOTHING1M.validation_split(folder.path()), None);
}

#[test]
fn damaged_lists_are_errors_that_name_the_file_or_the_sample() {
    let folder = tempfile::tempdir().unwrap();
    for (file, text, reason) in [
        ("noisy_label_kv.txt", "images/a.jpg", "images/a.jpg"),
        ("noisy_label_kv.txt", "images/a.jpg one", "images/a.jpg one"),
        ("noisy_label_kv.txt", "images/0/00/100,1.jpg -1", "its label is -1"),
        ("noisy_label_kv.txt", "images/0/00/100,1.jpg 99999999999", "its label is 99999999999"),
        ("noisy_label_kv.txt", "", "has no samples"),
        ("noisy_train_key_list.txt", "\n \n", "has no samples"),
    ] {
        release(folder.path(), "");
        write(folder.path(), file, text);
        let message = message(folder.path(), None);
        assert!(message.contains(reason) && message.lines().count() == 1, "{message}");
    }
    fs::write(folder.path().join("noisy_label_kv.txt"), [0xff, 0xfe, 0]).unwrap();
    assert!(message(folder.path(), None).contains("noisy_label_kv.txt"));
    fs::remove_file(folder.path().join("noisy_label_kv.txt")).unwrap();
    assert!(message(folder.path(), None).contains("noisy_label_kv.txt"));
}

#[test]
fn a_folder_with_neither_layout_or_an_unknown_split_says_what_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = message(folder.path(), None);
    assert!(nothing.contains("noisy_train_key_list.txt") && nothing.contains("noisy_train/q0000"), "{nothing}");
    assert!(message(folder.path(), Some("train")).contains("noisy_train, clean_train, val, test"));
}
