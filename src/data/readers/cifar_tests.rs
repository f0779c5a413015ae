//! What the CIFAR readers promise: both releases of a set give the same samples, and no file makes them panic.

use super::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;

/// Planes of one colour, but for the second pixel of the first row, which has `mark` in its red plane.
fn planes([red, green, blue]: [u8; 3], mark: u8) -> Vec<u8> {
    let mut planes = [[red; 1024], [green; 1024], [blue; 1024]].concat();
    planes[1] = mark;
    planes
}

/// A sample of a release: its labels, coarse before fine, and its pixels.
type Image = (Vec<u8>, Vec<u8>);

fn image(labels: &[u8], mark: u8) -> Image {
    (labels.to_vec(), planes([10, 20, 30], mark))
}

fn binary(images: &[Image]) -> Vec<u8> {
    images.iter().flat_map(|(labels, pixels)| [labels.as_slice(), pixels].concat()).collect()
}

/// A pickle as Python 2 wrote the releases: protocol 2, keys of bytes, every value numbered.
#[derive(Default)]
struct Pickle {
    bytes: Vec<u8>,
    numbers: u32,
}

impl Pickle {
    fn add(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self
    }

    fn numbered(&mut self) -> &mut Self {
        let number = self.numbers;
        self.numbers += 1;
        match u8::try_from(number) {
            Ok(number) => self.add(&[b'q', number]),
            Err(_) => self.add(b"r").add(&number.to_le_bytes()),
        }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.add(&[b'U', text.len() as u8]).add(text.as_bytes()).numbered()
    }

    fn list(&mut self, write: impl FnOnce(&mut Self) -> &mut Self) -> &mut Self {
        self.add(b"]").numbered().add(b"(");
        write(self);
        self.add(b"e")
    }

    fn integers(&mut self, values: &[u8]) -> &mut Self {
        self.list(|pickle| values.iter().fold(pickle, |pickle, value| pickle.add(&[b'K', *value])))
    }

    fn texts(&mut self, texts: &[&str]) -> &mut Self {
        self.list(|pickle| texts.iter().fold(pickle, |pickle, text| pickle.text(text)))
    }

    /// An array of bytes with rows of 3072, as numpy reduces it.
    fn array(&mut self, pixels: &[u8], columns_first: bool) -> &mut Self {
        let rows = (pixels.len() / PIXELS) as u16;
        self.add(b"cnumpy.core.multiarray\n_reconstruct\n").numbered().add(b"cnumpy\nndarray\n").numbered();
        self.add(b"K\0\x85").numbered().text("b").add(b"\x87").numbered().add(b"R").numbered();
        self.add(b"(K\x01M").add(&rows.to_le_bytes()).add(b"M\x00\x0c\x86").numbered();
        self.add(b"cnumpy\ndtype\n").numbered().text("u1").add(b"K\0K\x01\x87").numbered().add(b"R").numbered();
        self.add(b"(K\x03").text("|").add(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t").numbered().add(b"b");
        self.add(if columns_first { b"\x88" } else { b"\x89" });
        self.add(b"T").add(&(pixels.len() as u32).to_le_bytes()).add(pixels).numbered();
        self.add(b"t").numbered().add(b"b")
    }

    fn dictionary(write: impl FnOnce(&mut Self) -> &mut Self) -> Vec<u8> {
        let mut pickle = Self::default();
        pickle.add(b"\x80\x02}").numbered().add(b"(");
        write(&mut pickle);
        pickle.add(b"u.");
        pickle.bytes
    }
}

/// A file of the Python release; the names of its lists of labels, coarse before fine.
fn pickled(images: &[Image], lists: &[&str]) -> Vec<u8> {
    let pixels: Vec<u8> = images.iter().flat_map(|(_, pixels)| pixels.clone()).collect();
    Pickle::dictionary(|pickle| {
        pickle.text("batch_label").text("training batch 1 of 5");
        for (position, list) in lists.iter().enumerate() {
            let labels: Vec<u8> = images.iter().map(|(labels, _)| labels[position]).collect();
            pickle.text(list).integers(&labels);
        }
        pickle.text("data").array(&pixels, false);
        pickle.text("filenames").texts(&["camion_s_000148.png"])
    })
}

fn meta(key: &str, names: &[&str]) -> Vec<u8> {
    Pickle::dictionary(|pickle| pickle.text("num_vis").add(b"M\x00\x0c").text(key).texts(names))
}

fn write(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Both releases of ten classes in the folders that they unpack to: a sample in each training file, two for testing.
fn ten(root: &Path) {
    let testing = [image(&[1], 201), image(&[0], 202)];
    for file in 0..5 {
        let images = [image(&[9 - file], 101 + file)];
        write(root, &format!("bin/cifar-10-batches-bin/data_batch_{}.bin", file + 1), binary(&images));
        write(root, &format!("py/cifar-10-batches-py/data_batch_{}", file + 1), pickled(&images, &["labels"]));
    }
    write(root, "bin/cifar-10-batches-bin/test_batch.bin", binary(&testing));
    write(root, "py/cifar-10-batches-py/test_batch", pickled(&testing, &["labels"]));
    write(root, "bin/cifar-10-batches-bin/batches.meta.txt", "airplane\nautomobile\n\n");
    write(root, "py/cifar-10-batches-py/batches.meta", meta("label_names", &["airplane", "automobile"]));
}

/// Both releases of a hundred classes.
fn hundred(root: &Path) {
    let training = [image(&[11, 19], 101), image(&[15, 29], 102)];
    let testing = [image(&[3, 99], 201)];
    let lists = ["coarse_labels", "fine_labels"];
    for (split, images) in [("train", training.as_slice()), ("test", testing.as_slice())] {
        write(root, &format!("bin/cifar-100-binary/{split}.bin"), binary(images));
        write(root, &format!("py/cifar-100-python/{split}"), pickled(images, &lists));
    }
    write(root, "bin/cifar-100-binary/fine_label_names.txt", "apple\naquarium_fish\n");
    write(root, "bin/cifar-100-binary/coarse_label_names.txt", "aquatic_mammals\n");
    write(root, "py/cifar-100-python/meta", meta("fine_label_names", &["apple", "aquarium_fish"]));
}

fn pixels(set: &dyn DataSet, index: usize) -> [[u8; 3]; 2] {
    let Content::Image(image) = set.content(index).unwrap() else { unreachable!("CIFAR holds images") };
    let image = image.into_rgb8();
    assert_eq!((image.width(), image.height()), (32, 32));
    [image.get_pixel(0, 0).0, image.get_pixel(1, 0).0]
}

fn message(result: Result<Box<dyn DataSet>, DataError>) -> String {
    result.err().map(|error| error.to_string()).expect("an error")
}

#[test]
fn both_releases_give_the_same_samples_in_the_order_of_their_files() {
    let folder = tempfile::tempdir().unwrap();
    ten(folder.path());
    for root in ["bin", "py", "bin/cifar-10-batches-bin", "py/cifar-10-batches-py"] {
        let set = CIFAR10.open(&folder.path().join(root), None).unwrap();
        assert_eq!(set.len(), 5);
        for index in 0..5 {
            assert_eq!((set.id(index).0, set.label(index)), (index.to_string(), 9 - index));
            assert_eq!(pixels(&*set, index), [[10, 20, 30], [101 + index as u8, 20, 30]], "{root}");
        }
        assert_eq!(set.class_names().unwrap(), ["airplane", "automobile"]);
        assert!(set.content(5).is_err());
    }
}

#[test]
fn the_test_split_has_the_test_file() {
    let folder = tempfile::tempdir().unwrap();
    ten(folder.path());
    for root in ["bin", "py"] {
        let set = CIFAR10.open(&folder.path().join(root), Some("test")).unwrap();
        assert_eq!((set.len(), set.label(0), set.label(1)), (2, 1, 0));
        assert_eq!(pixels(&*set, 1)[1], [202, 20, 30]);
    }
}

#[test]
fn labels_of_a_hundred_classes_are_the_fine_ones() {
    let folder = tempfile::tempdir().unwrap();
    hundred(folder.path());
    for root in ["bin", "py"] {
        let root = folder.path().join(root);
        let set = CIFAR100.open(&root, None).unwrap();
        assert_eq!((set.len(), set.label(0), set.label(1)), (2, 19, 29));
        assert_eq!(pixels(&*set, 1), [[10, 20, 30], [102, 20, 30]]);
        assert_eq!(set.class_names().unwrap(), ["apple", "aquarium_fish"]);
        assert_eq!(CIFAR100.open(&root, Some("test")).unwrap().label(0), 99);
    }
}

#[test]
fn the_default_split_is_train_and_there_is_none_for_validation() {
    let folder = tempfile::tempdir().unwrap();
    ten(folder.path());
    let root = folder.path().join("bin");
    assert_eq!((CIFAR10.default_split(), CIFAR10.validation_split(&root)), (Some("train"), None));
    assert!(message(CIFAR10.open(&root, Some("val"))).contains("use train or test"));
}

#[test]
fn a_release_without_its_list_of_names_has_none() {
    let folder = tempfile::tempdir().unwrap();
    ten(folder.path());
    fs::remove_file(folder.path().join("py/cifar-10-batches-py/batches.meta")).unwrap();
    assert!(CIFAR10.open(&folder.path().join("py"), None).unwrap().class_names().is_none());
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = message(CIFAR10.open(folder.path(), None));
    assert!(nothing.contains("data_batch_1.bin") && nothing.contains("cifar-10-batches-py"), "{nothing}");
    ten(folder.path());
    for file in ["bin/cifar-10-batches-bin/data_batch_3.bin", "py/cifar-10-batches-py/data_batch_4"] {
        fs::remove_file(folder.path().join(file)).unwrap();
        let root = folder.path().join(file.split_once('/').unwrap().0);
        let message = message(CIFAR10.open(&root, None));
        assert!(message.contains(file), "{message}");
    }
}

#[test]
fn its_files_are_known_as_what_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    ten(folder.path());
    let root = folder.path().join("py/cifar-10-batches-py");
    let set = CIFAR10.open(&root, None).unwrap();
    assert!(set.reads(&root.join("data_batch_5")) && !set.reads(&root.join("test_batch")));
}

#[test]
fn a_binary_file_that_ends_within_a_record_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    ten(folder.path());
    let file = folder.path().join("bin/cifar-10-batches-bin/data_batch_2.bin");
    let whole = fs::read(&file).unwrap();
    for length in [0, 1, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        let message = message(CIFAR10.open(&folder.path().join("bin"), None));
        assert!(message.contains("data_batch_2.bin") && message.lines().count() == 1, "{message}");
    }
}

/// What opening a set says whose file for testing is `bytes`.
fn opened(bytes: &[u8]) -> Result<Box<dyn DataSet>, DataError> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "test_batch", bytes);
    CIFAR10.open(folder.path(), Some("test"))
}

#[test]
fn a_pickle_without_what_a_set_needs_is_an_error_that_says_what() {
    let pixels = planes([1, 2, 3], 4);
    let with = |write: &dyn Fn(&mut Pickle) -> &mut Pickle| Pickle::dictionary(|pickle| write(pickle));
    for (bytes, reason) in [
        (with(&|pickle| pickle.text("data").array(&pixels, false)), "no list `labels`"),
        (with(&|pickle| pickle.text("labels").integers(&[1])), "no array `data`"),
        (with(&|pickle| pickle.text("labels").texts(&["cat"]).text("data").array(&pixels, false)), "no integers"),
        (with(&|pickle| pickle.text("labels").integers(&[1, 2]).text("data").array(&pixels, false)), "2 rows"),
        (with(&|pickle| pickle.text("labels").integers(&[1]).text("data").array(&pixels, true)), "1 rows"),
        (b"\x80\x02]q\0.".to_vec(), "no dictionary"),
        (b"\x80\x02}q\0.rest".to_vec(), "trailing bytes"),
        (Vec::new(), "too early"),
        (b"PK\x03\x04 a zip archive".to_vec(), "operation 0x50"),
    ] {
        let message = message(opened(&bytes));
        let is_plain = message.lines().count() == 1 && message.len() < 600;
        assert!(message.contains("test_batch") && message.contains(reason) && is_plain, "{message}");
    }
}

#[test]
fn negative_labels_are_errors() {
    let pixels = planes([1, 2, 3], 4);
    let bytes = Pickle::dictionary(|pickle| {
        pickle.text("labels").list(|list| list.add(b"J\xff\xff\xff\xff")).text("data").array(&pixels, false)
    });
    assert!(message(opened(&bytes)).contains("its label is -1"));
}

#[test]
fn a_pickle_that_ends_too_early_is_an_error_wherever_it_ends() {
    let whole = pickled(&[image(&[1], 5)], &["labels"]);
    for length in (0..whole.len()).filter(|length| *length < 400 || length % 397 == 0 || whole.len() - length < 60) {
        assert!(opened(&whole[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_pickle_that_asks_for_more_than_the_release_does_is_refused_before_it_is_parsed() {
    let nested = |code: &[u8], depth: usize| [b"\x80\x02N", code.repeat(depth).as_slice(), b"."].concat();
    // Each value holds the one before twice: a line of them would fill any memory.
    let doubled: Vec<u8> = (0..200_u8).flat_map(|value| [b'h', value, b'h', value, 0x86, b'q', value + 1]).collect();
    for (bytes, reason) in [
        (nested(b"\x85", 1 << 20), "nests"),
        (nested(b"(", 1 << 20), "nests"),
        (nested(b"(t", 1 << 20), "nests"),
        (nested(b"2", 1 << 20), "operation 0x32"),
        (nested(b"N", 1 << 22), "more values"),
        (nested(b"", 0), "no dictionary"),
        ([b"\x80\x02]q\0".as_slice(), &doubled, b"."].concat(), "repeats value 0"),
        ([b"\x80\x02Nq\0".as_slice(), &doubled, b"."].concat(), "repeats values"),
        ([b"\x80\x02U\xff".as_slice(), &[7; 255], b"q\0", &b"h\0".repeat(9000), b"."].concat(), "repeats values"),
        (b"\x80\x02Nq\0]q\x01h\x01.".to_vec(), "repeats value 1"),
        (b"\x80\x02]U\x01aU\x01b\x93\x86q\0h\0.".to_vec(), "repeats value 0"),
        (b"\x80\x02h\x01.".to_vec(), "repeats value 1"),
        (b"\x80\x02NU\x01aq\0]q\0.".to_vec(), "two values of number 0"),
        (b"\x80\x02]q\0q\x01.".to_vec(), "numbers nothing"),
        (b"\x80\x02T\xff\xff\xff\xff.".to_vec(), "too early"),
        (b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\xff.".to_vec(), "too early"),
    ] {
        let message = message(opened(&bytes));
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn values_nested_as_deep_as_is_let_through_are_parsed_and_dropped() {
    let depth = 4000;
    let pixels = planes([1, 2, 3], 4);
    for key in ["labels", "other"] {
        let bytes = Pickle::dictionary(|pickle| {
            pickle.text("labels").integers(&[1]).text("data").array(&pixels, false);
            pickle.text(key).add(b"N").add(&b"\x85".repeat(depth))
        });
        assert_eq!(opened(&bytes).is_ok(), key == "other");
    }
    // The parser shows the value that is in the way.
    let bytes = [b"\x80\x02N".as_slice(), &b"\x85".repeat(depth), b"NR."].concat();
    assert!(message(opened(&bytes)).len() < 600);
}

#[test]
fn what_other_versions_of_python_write_is_read_too() {
    // Protocol 4: frames, numbers without numbers, text as keys; a frame ends before a large value's number.
    let image = planes([10, 20, 30], 7);
    let mut bytes = b"\x80\x04\x95\x0a\0\0\0\0\0\0\0}\x94(\x8c\x06labels\x94]\x94K\x03a\x8c\x04data\x94".to_vec();
    bytes.extend(b"\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94");
    bytes.extend(b"\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\0\x85\x94C\x01b\x94\x87\x94R\x94");
    bytes.extend(b"(K\x01K\x01M\x00\x0c\x86\x94h\x07\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94");
    bytes.extend(b"(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t\x94b\x89");
    bytes.extend([b"B".as_slice(), &3072_u32.to_le_bytes(), &image, b"\x95\x05\0\0\0\0\0\0\0\x94t\x94bu."].concat());
    let set = opened(&bytes).unwrap();
    assert_eq!((set.label(0), pixels(&*set, 0)), (3, [[10, 20, 30], [7, 20, 30]]));
}

#[test]
fn bytes_that_python_3_writes_as_encoded_text_are_read_even_twice() {
    let encoded = |pickle: &mut Pickle, text: &str, latin: &[u8]| {
        pickle.add(b"X").add(&(text.len() as u32).to_le_bytes()).add(text.as_bytes()).add(latin).add(b"\x86R");
    };
    let pixels = planes([10, 20, 30], 7);
    let bytes = Pickle::dictionary(|pickle| {
        pickle.text("labels").integers(&[3]).text("data").array(&pixels, false);
        pickle.add(b"c_codecs\nencode\n");
        encoded(pickle, "batch_label", b"X\x06\0\0\0latin1r\xf0\0\0\0");
        pickle.add(b"c_codecs\nencode\n");
        encoded(pickle, "b", b"j\xf0\0\0\0");
        pickle.add(b"r\xf1\0\0\0U\x01zj\xf1\0\0\0")
    });
    assert_eq!(opened(&bytes).unwrap().label(0), 3);
}

#[test]
fn no_mutation_of_a_pickle_makes_it_panic() {
    let whole = pickled(&[image(&[1], 5)], &["labels"]);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..random.random_range(1..4) {
            // The pixels are most of the file, and any of them is as good as another.
            let near = random.random_range(0..300);
            let position = if random.random() { near } else { bytes.len() - 1 - near };
            bytes[position] = random.random();
        }
        if let Ok(set) = opened(&bytes) {
            assert!((0..set.len()).all(|index| set.content(index).is_ok()));
        }
    }
}
