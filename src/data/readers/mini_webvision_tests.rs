//! What the mini-WebVision reader promises: the first fifty classes of the release, and no other sample.

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

/// The release's lists: a sample of the first, of the last and of two further classes.
fn release(root: &Path) {
    let line = |class: usize| format!("google/q{:04}/a b{class}.jpg {class}\n", class + 1);
    write(root, "info/train_filelist_google.txt", &[0, 49, 50, 999].map(line).concat());
    write(root, "info/val_filelist.txt", "val000001.jpg 7\nval000002.jpg 50\nval000003.jpg 0\n");
    let synsets: Vec<String> = (0..1000).map(|class| format!("n{class:08} class {class}, also named\n")).collect();
    write(root, "info/synsets.txt", &synsets.concat());
}

fn samples(set: &dyn DataSet) -> Vec<(String, usize)> {
    (0..set.len()).map(|index| (set.id(index).0, set.label(index))).collect()
}

fn expected(pairs: &[(&str, usize)]) -> Vec<(String, usize)> {
    pairs.iter().map(|(id, label)| ((*id).to_owned(), *label)).collect()
}

fn message(root: &Path, split: Option<&str>) -> String {
    MINI_WEBVISION.open(root, split).err().map(|error| error.to_string()).expect("an error")
}

#[test]
fn only_the_first_fifty_classes_are_in_it() {
    let folder = tempfile::tempdir().unwrap();
    release(folder.path());
    paint(folder.path(), "google/q0001/a b0.jpg", 200);
    let set = MINI_WEBVISION.open(folder.path(), None).unwrap();
    assert_eq!(samples(&*set), expected(&[("google/q0001/a b0.jpg", 0), ("google/q0050/a b49.jpg", 49)]));
    assert!(set.quarantined().is_empty(), "the others belong to another set");
    let Content::Image(image) = set.content(0).unwrap() else { unreachable!("photographs") };
    assert!(image.into_rgb8().get_pixel(0, 0).0[0] > 180);
    assert!(set.content(1).unwrap_err().to_string().starts_with("sample google/q0050/a b49.jpg: "));
    assert!(set.reads(&folder.path().join("info/train_filelist_google.txt")));
}

#[test]
fn validation_images_lie_in_the_folder_of_small_ones_or_else_of_large_ones() {
    let folder = tempfile::tempdir().unwrap();
    release(folder.path());
    assert_eq!(MINI_WEBVISION.validation_split(folder.path()), Some("val"));
    for images in ["val_images", "val_images_256"] {
        paint(folder.path(), &format!("{images}/val000001.jpg"), 1);
        let set = MINI_WEBVISION.open(folder.path(), Some("val")).unwrap();
        let [first, second] = [1, 3].map(|image| format!("{images}/val{image:06}.jpg"));
        assert_eq!(samples(&*set), expected(&[(&first, 7), (&second, 0)]));
        assert!(set.content(0).is_ok());
    }
}

#[test]
fn names_of_classes_come_from_the_synsets() {
    let folder = tempfile::tempdir().unwrap();
    release(folder.path());
    let names = |root: &Path| MINI_WEBVISION.open(root, None).unwrap().class_names().map(<[String]>::to_vec);
    let found = names(folder.path()).unwrap();
    assert_eq!(
        (found.len(), found[0].as_str(), found[49].as_str()),
        (50, "class 0, also named", "class 49, also named")
    );
    write(folder.path(), "info/synsets.txt", "n01440764 tench\n");
    assert_eq!(names(folder.path()), None, "a list of other classes");
    fs::remove_file(folder.path().join("info/synsets.txt")).unwrap();
    assert_eq!(names(folder.path()), None);
}

#[test]
fn a_release_without_its_validation_list_has_no_validation_split() {
    let folder = tempfile::tempdir().unwrap();
    release(folder.path());
    fs::remove_file(folder.path().join("info/val_filelist.txt")).unwrap();
    assert_eq!(MINI_WEBVISION.validation_split(folder.path()), None);
    assert!(message(folder.path(), Some("val")).contains("val_filelist.txt"));
}

#[test]
fn what_is_no_list_of_the_release_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    assert!(message(folder.path(), None).contains("info, google and val_images_256"));
    for (text, reason) in [
        ("google/q0001/a.jpg", "google/q0001/a.jpg"),
        ("google/q0001/a.jpg x", "google/q0001/a.jpg x"),
        ("google/q0001/a.jpg -1", "its label is -1"),
        ("google/q0051/a.jpg 50", "no sample of the first 50"),
        ("", "no sample of the first 50"),
    ] {
        write(folder.path(), "info/train_filelist_google.txt", text);
        let message = message(folder.path(), None);
        assert!(message.contains(reason) && message.lines().count() == 1, "{message}");
    }
    assert!(message(folder.path(), Some("test")).contains("use train or val"));
}
