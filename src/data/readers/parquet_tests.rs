use super::*;
use image::{GrayImage, Luma};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::io::Cursor;
use std::sync::Arc;
use tempfile::TempDir;

/// A PNG of one pixel.
fn png(shade: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    GrayImage::from_pixel(1, 1, Luma([shade])).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Images and integer labels, as hubs write them: a group of optional bytes and path.
const HUB: &str = "message schema {
    OPTIONAL GROUP image { OPTIONAL BYTE_ARRAY bytes; OPTIONAL BYTE_ARRAY path (UTF8); }
    OPTIONAL INT64 label;
}";

const PLAIN: &str = "message schema { REQUIRED BYTE_ARRAY img; REQUIRED INT64 label; }";
const TEXT: &str = "message schema { REQUIRED BYTE_ARRAY image; OPTIONAL BYTE_ARRAY class (UTF8); }";

/// A table under way: groups of rows of a schema.
struct Writing {
    schema: &'static str,
    properties: WriterProperties,
    groups: Vec<Vec<Row>>,
}

/// An image and a label, as integer or text; either may be null.
type Row = (Option<u8>, Option<Label>);

#[derive(Clone, Copy)]
enum Label {
    Number(i64),
    Name(&'static str),
}

fn numbered(rows: std::ops::Range<u8>) -> Vec<Row> {
    rows.map(|row| (Some(row), Some(Label::Number(i64::from(row % 3))))).collect()
}

impl Writing {
    fn new(schema: &'static str, groups: &[Vec<Row>]) -> Self {
        Self { schema, properties: WriterProperties::builder().build(), groups: groups.to_vec() }
    }

    fn compressed(self, compression: Compression) -> Self {
        Self { properties: WriterProperties::builder().set_compression(compression).build(), ..self }
    }

    fn with_class_names(self, names: &str) -> Self {
        let value = format!(r#"{{"info": {{"features": {{"label": {{"names": {names}, "_type": "ClassLabel"}}}}}}}}"#);
        let entry = KeyValue::new("huggingface".to_owned(), value);
        Self { properties: WriterProperties::builder().set_key_value_metadata(Some(vec![entry])).build(), ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let schema = Arc::new(parse_message_type(self.schema).unwrap());
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(self.properties.clone())).unwrap();
        for rows in &self.groups {
            let mut group = writer.next_row_group().unwrap();
            while let Some(mut column) = group.next_column().unwrap() {
                let path = match column.untyped() {
                    parquet::column::writer::ColumnWriter::ByteArrayColumnWriter(writer) => {
                        writer.get_descriptor().path().string()
                    }
                    _ => "label".to_owned(),
                };
                match path.as_str() {
                    "label" => {
                        let values: Vec<i64> = rows.iter().filter_map(|(_, label)| number(*label)).collect();
                        let levels: Vec<i16> = rows.iter().map(|(_, label)| i16::from(label.is_some())).collect();
                        column.typed::<Int64Type>().write_batch(&values, Some(&levels), None).unwrap();
                    }
                    "class" => {
                        let values: Vec<ByteArray> = rows.iter().filter_map(|(_, label)| name(*label)).collect();
                        let levels: Vec<i16> = rows.iter().map(|(_, label)| i16::from(label.is_some())).collect();
                        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
                    }
                    "image.path" => {
                        column.typed::<ByteArrayType>().write_batch(&[], Some(&vec![1; rows.len()]), None).unwrap();
                    }
                    _ => {
                        let values: Vec<ByteArray> =
                            rows.iter().filter_map(|(image, _)| Some(png((*image)?).into())).collect();
                        let levels: Vec<i16> =
                            rows.iter().map(|(image, _)| if image.is_some() { 2 } else { 1 }).collect();
                        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
                    }
                }
                column.close().unwrap();
            }
            group.close().unwrap();
        }
        writer.into_inner().unwrap()
    }
}

fn number(label: Option<Label>) -> Option<i64> {
    match label? {
        Label::Number(number) => Some(number),
        Label::Name(_) => None,
    }
}

fn name(label: Option<Label>) -> Option<ByteArray> {
    match label? {
        Label::Name(name) => Some(name.into()),
        Label::Number(_) => None,
    }
}

/// A folder with tables.
fn folder(files: &[(&str, &Writing)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, table) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, table.bytes()).unwrap();
    }
    folder
}

fn open(path: &Path, split: Option<&str>) -> Result<Box<dyn DataSet>, String> {
    PARQUET.open(path, split).map_err(|error| error.to_string())
}

fn shade(set: &dyn DataSet, index: usize) -> u8 {
    match set.content(index).unwrap() {
        Content::Image(image) => image.into_luma8().get_pixel(0, 0).0[0],
        other => panic!("{other:?} is no image"),
    }
}

/// Ids, labels and shades.
fn samples(set: &dyn DataSet) -> Vec<(String, usize, u8)> {
    (0..set.len()).map(|index| (set.id(index).0, set.label(index), shade(set, index))).collect()
}

#[test]
fn tables_of_hubs_and_plain_ones_are_read_in_every_compression() {
    let groups = [numbered(0..5), numbered(5..6), numbered(6..20)];
    let expected: Vec<_> = (0..20_u8).map(|row| (format!("a.parquet/{row}"), usize::from(row % 3), row)).collect();
    for schema in [HUB, PLAIN] {
        for compression in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(parquet::basic::GzipLevel::default()),
            Compression::ZSTD(parquet::basic::ZstdLevel::default()),
            Compression::LZ4_RAW,
        ] {
            let table = Writing::new(schema, &groups).compressed(compression);
            let folder = folder(&[("a.parquet", &table)]);
            for path in [folder.path().to_owned(), folder.path().join("a.parquet")] {
                let set = open(&path, None).unwrap();
                assert_eq!(samples(set.as_ref()), expected, "{compression:?}");
                // In any order, too.
                assert!([19, 0, 7, 4, 19, 5].iter().all(|&index| usize::from(shade(set.as_ref(), index)) == index));
            }
        }
    }
}

#[test]
fn splits_are_the_beginnings_of_names() {
    let [a, b, c] = [0..3, 3..5, 5..9].map(|rows| Writing::new(HUB, &[numbered(rows)]));
    let names =
        ["data/train-00001-of-00002.parquet", "data/train-00000-of-00002.parquet", "data/validation-00000.parquet"];
    let folder = folder(&[(names[0], &b), (names[1], &a), (names[2], &c)]);
    let shades = |split: Option<&str>| {
        let set = open(folder.path(), split).unwrap();
        samples(set.as_ref()).into_iter().map(|(_, _, shade)| shade).collect::<Vec<_>>()
    };
    assert_eq!(shades(None), [0, 1, 2, 3, 4], "train, in the order of the files' names");
    assert_eq!(shades(Some("validation")), [5, 6, 7, 8]);
    assert_eq!(PARQUET.validation_split(folder.path()), Some("validation"));
    let message = open(folder.path(), Some("test")).err().unwrap();
    assert!(message.contains("no file of split `test`") && message.contains("train, validation"), "{message}");
}

#[test]
fn names_of_classes_come_from_the_hub_or_from_the_labels_of_all_splits() {
    let hub = Writing::new(HUB, &[numbered(0..3)]).with_class_names(r#"["cat", "dog", "owl"]"#);
    let kept = folder(&[("a.parquet", &hub)]);
    let set = open(kept.path(), None).unwrap();
    assert_eq!(set.class_names().unwrap(), ["cat", "dog", "owl"]);

    let named = |names: &[&'static str]| {
        let rows = names.iter().map(|name| (Some(1), Some(Label::Name(name)))).collect();
        Writing::new(TEXT, &[rows])
    };
    let kept = folder(&[("train-0.parquet", &named(&["owl", "cat"])), ("test-0.parquet", &named(&["dog", "owl"]))]);
    for (split, labels) in [("train", [2, 0]), ("test", [1, 2])] {
        let set = open(kept.path(), Some(split)).unwrap();
        assert_eq!([set.label(0), set.label(1)], labels);
        assert_eq!(set.class_names().unwrap(), ["cat", "dog", "owl"]);
    }
}

#[test]
fn rows_without_an_image_or_a_label_are_quarantined() {
    let rows = vec![
        (Some(0), Some(Label::Number(1))),
        (None, Some(Label::Number(1))),
        (Some(2), None),
        (Some(3), Some(Label::Number(-1))),
        (Some(4), Some(Label::Number(0))),
    ];
    let kept = folder(&[("a.parquet", &Writing::new(HUB, &[rows.clone(), rows]))]);
    let set = open(kept.path(), None).unwrap();
    let found: Vec<_> = samples(set.as_ref()).into_iter().map(|(id, _, shade)| (id, shade)).collect();
    let expected = [("0", 0), ("4", 4), ("5", 0), ("9", 4)].map(|(row, shade)| (format!("a.parquet/{row}"), shade));
    assert_eq!(found, expected);
    let bad: Vec<_> = set.quarantined().iter().map(|bad| (bad.id.0.as_str(), bad.reason.as_str())).collect();
    assert_eq!(bad[0], ("a.parquet/1", "it has no image"));
    assert_eq!(bad[1], ("a.parquet/2", "it has no label"));
    assert_eq!(bad[2].0, "a.parquet/3");
    assert_eq!((bad.len(), bad[5].0), (6, "a.parquet/8"));
}

#[test]
fn several_threads_may_ask_for_any_samples_at_once() {
    let groups: Vec<Vec<Row>> = (0..10).map(|group| numbered(20 * group..20 * group + 20)).collect();
    let kept = folder(&[("a.parquet", &Writing::new(HUB, &groups))]);
    let set = open(kept.path(), None).unwrap();
    let set = set.as_ref();
    std::thread::scope(|scope| {
        for start in 0..8 {
            scope.spawn(move || {
                (0..200)
                    .map(|step| (start * 31 + step * 7) % 200)
                    .for_each(|index| assert_eq!(usize::from(shade(set, index)), index));
            });
        }
    });
}

#[test]
fn what_has_no_such_columns_or_is_no_table_is_named() {
    let other = "message schema { REQUIRED INT64 label; }";
    let kept = folder(&[("a.parquet", &Writing::new(other, &[]))]);
    assert!(open(kept.path(), None).err().unwrap().contains("no column `image` or `img`"));
    fs::write(kept.path().join("a.parquet"), b"PAR1 and something else PAR1").unwrap();
    assert!(open(kept.path(), None).err().unwrap().contains("a.parquet"));
    fs::remove_file(kept.path().join("a.parquet")).unwrap();
    assert!(open(kept.path(), None).err().unwrap().contains("there is no .parquet file"));
    assert!(open(&kept.path().join("absent.parquet"), None).is_err());
}

#[test]
fn no_mutation_of_the_bytes_makes_it_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let tables = [HUB, PLAIN].map(|schema| Writing::new(schema, &[numbered(0..9), numbered(9..12)]));
    let whole =
        tables.map(|table| table.compressed(Compression::SNAPPY).with_class_names(r#"["a", "b", "c"]"#).bytes());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    for round in 0..600 {
        let mut bytes = whole[round % 2].clone();
        for _ in 0..random.random_range(1..4) {
            let position = random.random_range(0..bytes.len());
            bytes[position] = random.random();
        }
        if round % 5 == 0 {
            bytes.truncate(random.random_range(0..=bytes.len()));
        }
        fs::write(&path, bytes).unwrap();
        if let Ok(set) = PARQUET.open(&path, None) {
            (0..set.len()).for_each(|index| drop(set.content(index)));
        }
    }
}
