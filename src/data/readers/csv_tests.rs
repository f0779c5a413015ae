//! What the reader of lists promises: which columns count, what labels are, and where the images are.

use super::*;
use crate::data::Content;
use image::{DynamicImage, Rgb, RgbImage};
use std::fs;

fn paint(root: &Path, name: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    DynamicImage::ImageRgb8(RgbImage::from_pixel(4, 3, Rgb([200, 0, 0]))).save(&path).unwrap();
}

/// The set that a list in an empty folder gives.
fn listed(text: impl AsRef<[u8]>) -> Result<Box<dyn DataSet>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.csv");
    fs::write(&file, text).unwrap();
    CSV.open(&file, None)
}

fn samples(set: &dyn DataSet) -> Vec<(String, usize)> {
    (0..set.len()).map(|index| (set.id(index).0, set.label(index))).collect()
}

fn expected(pairs: &[(&str, usize)]) -> Vec<(String, usize)> {
    pairs.iter().map(|(id, label)| ((*id).to_owned(), *label)).collect()
}

#[test]
fn a_header_says_which_columns_count_and_without_one_the_first_two_do() {
    let pairs = expected(&[("a.png", 3), ("b/c.png", 0)]);
    for text in [
        "a.png,3\nb/c.png,0\n",
        "a.png,3,more\r\nb/c.png,0\r\n",
        " a.png , 3 \n\nb/c.png,0",
        "path,label\na.png,3\nb/c.png,0\n",
        "split,Label,index,File\ntrain,3,0,a.png\ntrain,0,1,b/c.png\n",
        "target,filename\n3,a.png\n0,b/c.png\n",
        "class,image\n3,a.png\n0,b/c.png\n",
    ] {
        let set = listed(text).unwrap();
        assert_eq!(samples(&*set), pairs, "{text:?}");
        assert!(set.class_names().is_none() && set.quarantined().is_empty());
    }
}

#[test]
fn a_byte_order_mark_belongs_to_no_name() {
    for text in ["\u{feff}path,label\na.png,3\n", "\u{feff}a.png,3\n"] {
        assert_eq!(samples(&*listed(text).unwrap()), expected(&[("a.png", 3)]));
    }
}

#[test]
fn quoted_fields_may_hold_commas_and_quotes() {
    let set = listed("path,label\n\"a, b.png\",\"cat, big\"\n\"c \"\"d\"\".png\",dog\n").unwrap();
    assert_eq!(samples(&*set), expected(&[("a, b.png", 0), ("c \"d\".png", 1)]));
    assert_eq!(set.class_names().unwrap(), ["cat, big", "dog"]);
}

#[test]
fn labels_that_are_not_all_integers_are_names_in_alphabetical_order() {
    let set = listed("a.png,zebra\nb.png,ant\nc.png,zebra\nd.png,10\n").unwrap();
    assert_eq!(samples(&*set), expected(&[("a.png", 2), ("b.png", 1), ("c.png", 2), ("d.png", 0)]));
    assert_eq!(set.class_names().unwrap(), ["10", "ant", "zebra"]);
}

#[test]
fn a_line_without_a_label_is_quarantined() {
    for (text, label) in [("a.png,\nb.png,5\nc.png\n", 5), ("path,label\na.png, \nb.png,cat\nc.png\n", 0)] {
        let set = listed(text).unwrap();
        assert_eq!(samples(&*set), expected(&[("b.png", label)]));
        let ids: Vec<&str> = set.quarantined().iter().map(|bad| bad.id.0.as_str()).collect();
        assert_eq!(ids, ["a.png", "c.png"]);
        assert_eq!(set.quarantined()[0].reason, "it has no label");
    }
}

#[test]
fn paths_are_relative_to_the_list_or_absolute() {
    let [folder, elsewhere] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    paint(folder.path(), "images/a.png");
    paint(elsewhere.path(), "b.png");
    let absolute = elsewhere.path().join("b.png");
    let file = folder.path().join("list.csv");
    fs::write(&file, format!("images/a.png,1\n{},2\nimages/absent.png,3\n", absolute.display())).unwrap();
    let set = CSV.open(&file, None).unwrap();
    assert_eq!(set.id(1).0, absolute.to_str().unwrap());
    for index in 0..2 {
        let Content::Image(image) = set.content(index).unwrap() else { unreachable!("a list of images") };
        assert_eq!(image.into_rgb8().get_pixel(0, 0).0, [200, 0, 0]);
    }
    assert!(set.content(2).unwrap_err().to_string().starts_with("sample images/absent.png: "));
    assert!(set.content(3).is_err());
    assert!(set.reads(&file) && set.reads(&absolute) && set.reads(&folder.path().join("images/a.png")));
    assert!(!set.reads(&folder.path().join("other.csv")));
}

#[test]
fn what_is_no_list_of_samples_is_an_error_that_names_the_file_or_the_sample() {
    for (text, reason) in [
        (b"".as_slice(), "no sample"),
        (b"path,label\n", "no sample"),
        (b"a.png,\nb.png\n", "no sample"),
        (b"a.png,1\n ,2\n", "line 2 has no path"),
        (b"path,label\na.png,1\n\"\",2\n", "line 3 has no path"),
        (b"a.png,-1\n", "its label is -1"),
        (b"a.png,2000000\n", "its label is 2000000"),
        (b"a.png,1\n\xff.png,2\n", "UTF-8"),
    ] {
        let message = listed(text).err().map(|error| error.to_string()).expect("an error");
        let names_it = message.contains("list.csv") || message.starts_with("sample ");
        assert!(message.contains(reason) && names_it && message.lines().count() == 1, "{message}");
    }
    assert!(CSV.open(Path::new("absent.csv"), None).is_err());
    assert!(CSV.open(Path::new("."), None).is_err());
    assert!(CSV.open(Path::new("list.csv"), Some("train")).is_err());
}

#[test]
fn numbers_that_no_integer_holds_are_names() {
    let huge = "9".repeat(60);
    let set = listed(format!("a.png,1\nb.png,{huge}\n")).unwrap();
    assert_eq!(set.class_names().unwrap(), ["1", &huge]);
}
