//! What the folder reader promises: sorted classes and files, splits, stable ids, and errors that name the file.

use super::*;
use crate::data::Content;
use image::{DynamicImage, Rgb, RgbImage};

fn paint(root: &Path, name: &str, colour: [u8; 3]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let image = DynamicImage::ImageRgb8(RgbImage::from_pixel(4, 3, Rgb(colour)));
    // Nothing here encodes JPEG; the bytes count, not the name.
    let format = image::ImageFormat::from_path(&path).ok().filter(image::ImageFormat::writing_enabled);
    let format = format.unwrap_or(image::ImageFormat::Png);
    image.save_with_format(&path, format).unwrap();
}

fn ids(set: &dyn DataSet) -> Vec<(String, usize)> {
    (0..set.len()).map(|index| (set.id(index).0, set.label(index))).collect()
}

fn expected(pairs: &[(&str, usize)]) -> Vec<(String, usize)> {
    pairs.iter().map(|(id, label)| ((*id).to_owned(), *label)).collect()
}

#[test]
fn classes_and_files_are_sorted_and_ids_are_relative_paths() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in ["dog/b.PNG", "dog/a.jpg", "cat/deep/er/c.webp", "cat/z.jpeg"] {
        paint(root, name, [200, 10, 10]);
    }
    fs::write(root.join("dog/notes.txt"), "no image").unwrap();
    fs::write(root.join("readme.md"), "no class").unwrap();
    fs::create_dir(root.join(".hidden")).unwrap();
    let set = FOLDER.open(root, None).unwrap();
    assert_eq!(
        ids(&*set),
        expected(&[("cat/deep/er/c.webp", 0), ("cat/z.jpeg", 0), ("dog/a.jpg", 1), ("dog/b.PNG", 1)])
    );
    assert_eq!(set.class_names().unwrap(), ["cat", "dog"]);
    for index in 0..set.len() {
        let Content::Image(image) = set.content(index).unwrap() else { unreachable!("a folder holds images") };
        let [red, green, _] = image.into_rgb8().get_pixel(1, 1).0;
        assert!(red > 180 && green < 30, "{}", set.id(index));
    }
    assert!(set.content(set.len()).is_err());
    assert!(FOLDER.open(root, Some("val")).is_err());
    assert_eq!(FOLDER.validation_split(root), None);
}

#[test]
fn train_beside_val_or_test_are_splits_that_share_the_classes_of_train() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in ["train/a/1.png", "train/b/1.png", "train/c/1.png", "valid/c/9.png", "test/b/5.png"] {
        paint(root, name, [0; 3]);
    }
    let open = |split| FOLDER.open(root, split).map(|set| ids(&*set)).unwrap();
    assert_eq!(open(None), expected(&[("train/a/1.png", 0), ("train/b/1.png", 1), ("train/c/1.png", 2)]));
    assert_eq!(open(Some("valid")), expected(&[("valid/c/9.png", 2)]));
    assert_eq!(open(Some("test")), expected(&[("test/b/5.png", 1)]));
    assert_eq!(FOLDER.validation_split(root), Some("valid"));
    for absent in ["val", "other", "../train", ""] {
        let message = FOLDER.open(root, Some(absent)).err().unwrap().to_string();
        assert!(message.contains("use one of train, valid, test"), "{message}");
    }
    paint(root, "valid/unknown/1.png", [0; 3]);
    let message = FOLDER.open(root, Some("valid")).err().unwrap().to_string();
    assert!(message.contains("unknown"), "{message}");
}

#[test]
fn a_train_folder_alone_is_a_class() {
    let folder = tempfile::tempdir().unwrap();
    paint(folder.path(), "train/1.png", [0; 3]);
    paint(folder.path(), "bus/1.png", [0; 3]);
    assert_eq!(FOLDER.open(folder.path(), None).unwrap().class_names().unwrap(), ["bus", "train"]);
}

#[test]
fn folders_without_images_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    assert!(FOLDER.open(folder.path(), None).is_err());
    fs::create_dir(folder.path().join("cat")).unwrap();
    assert!(FOLDER.open(folder.path(), None).is_err());
    assert!(FOLDER.open(&folder.path().join("absent"), None).is_err());
}

#[test]
fn an_image_that_cannot_be_decoded_names_itself() {
    let folder = tempfile::tempdir().unwrap();
    paint(folder.path(), "cat/a.png", [0; 3]);
    let path = folder.path().join("cat/a.png");
    let whole = fs::read(&path).unwrap();
    let mut bomb = whole.clone();
    bomb[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    for bytes in [Vec::new(), b"no image".to_vec(), whole[..whole.len() / 2].to_vec(), bomb] {
        fs::write(&path, bytes).unwrap();
        let message = FOLDER.open(folder.path(), None).unwrap().content(0).unwrap_err().to_string();
        assert!(message.starts_with("sample cat/a.png: ") && message.lines().count() == 1, "{message}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_back_is_an_error_and_not_a_loop() {
    let folder = tempfile::tempdir().unwrap();
    paint(folder.path(), "cat/a.png", [0; 3]);
    std::os::unix::fs::symlink(folder.path().join("cat"), folder.path().join("cat/again")).unwrap();
    assert!(FOLDER.open(folder.path(), None).err().unwrap().to_string().contains("link"));
}
