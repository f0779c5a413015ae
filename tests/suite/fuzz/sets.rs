//! Small sets in the layouts of the readers that have one of their own.

use super::DataFile;

/// The binary release of CIFAR and its pickles, lists of images, shards and tables; `png` is what they hold.
pub(super) fn files(png: &[u8]) -> Vec<DataFile> {
    let record: Vec<u8> = (0..2 * 3073_u32).map(|at| (at % 3073 % 7) as u8).collect();
    let keys = "images/0/00/1,2.jpg\nimages/1/11/3,4.jpg\n";
    let synsets: Vec<String> = (0..50).map(|class| format!("n{class:08} class {class}\n")).collect();
    let mut files = vec![
        ("cifar/test_batch.bin", "cifar10:cifar#test", record.clone()),
        ("hundred/test.bin", "cifar100:hundred#test", vec![3; 3074]),
        ("pickle/test_batch", "cifar10:pickle#test", pickled(&record[..3072])),
        ("clothes/noisy_train_key_list.txt", "clothing1m:clothes", keys.into()),
        ("clothes/noisy_label_kv.txt", "clothing1m:clothes", keys.replace(".jpg", ".jpg 3").into()),
        (
            "web/info/train_filelist_google.txt",
            "mini-webvision:web",
            "google/q0001/a.jpg 0\nb.jpg 49\nc.jpg 50\n".into(),
        ),
        ("web/info/synsets.txt", "mini-webvision:web", synsets.concat().into()),
        ("list/numbers.csv", "csv:list/numbers.csv", "path,label\na.png,1\n\"b, c.png\",\nd.png,2\n".into()),
        ("list/names.csv", "csv:list/names.csv", "a.png,cat\nb.png,\"dog, big\"\n".into()),
        ("shards/a.tar", "webdataset:shards", shard(png)),
    ];
    #[cfg(feature = "parquet")]
    files.extend([
        ("plain.parquet", "parquet:plain.parquet", table(png, parquet::basic::Compression::UNCOMPRESSED)),
        ("snappy.parquet", "parquet:snappy.parquet", table(png, parquet::basic::Compression::SNAPPY)),
    ]);
    files
}

/// One image as Python 2 and numpy wrote it.
fn pickled(pixels: &[u8]) -> Vec<u8> {
    let length = (pixels.len() as u32).to_le_bytes();
    [
        b"\x80\x02}q\0(U\x06labelsq\x01]q\x02K\x03aU\x04dataq\x03cnumpy.core.multiarray\n_reconstruct\nq\x04".as_slice(),
        b"cnumpy\nndarray\nq\x05K\0\x85q\x06U\x01bq\x07\x87q\x08Rq\x09(K\x01K\x01M\x00\x0c\x86q\x0acnumpy\ndtype\n",
        b"q\x0bU\x02u1q\x0cK\0K\x01\x87q\x0dRq\x0e(K\x03U\x01|q\x0fNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tq\x10b\x89T",
        &length,
        pixels,
        b"q\x11tq\x12bu.",
    ]
    .concat()
}

fn shard(png: &[u8]) -> Vec<u8> {
    let long = format!("{}/c.png", "deep".repeat(40));
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in [
        ("a.cls", b"1".as_slice()),
        ("a.png", png),
        ("b.json", br#"{"label": 2}"#),
        ("b.png", png),
        (&long, png),
        ("d.cls", b"no integer"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Two groups of three rows, with nulls, as hubs keep them.
#[cfg(feature = "parquet")]
fn table(png: &[u8], compression: parquet::basic::Compression) -> Vec<u8> {
    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    let schema = "message schema { OPTIONAL group image { OPTIONAL BYTE_ARRAY bytes; } OPTIONAL INT64 label; }";
    let schema = std::sync::Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
    let properties = parquet::file::properties::WriterProperties::builder().set_compression(compression).build();
    let mut writer = parquet::file::writer::SerializedFileWriter::new(Vec::new(), schema, properties.into()).unwrap();
    for _ in 0..2 {
        let mut group = writer.next_row_group().unwrap();
        let mut images = group.next_column().unwrap().unwrap();
        let image = ByteArray::from(png.to_vec());
        images.typed::<ByteArrayType>().write_batch(&[image.clone(), image], Some(&[2, 1, 2]), None).unwrap();
        images.close().unwrap();
        let mut labels = group.next_column().unwrap().unwrap();
        labels.typed::<Int64Type>().write_batch(&[1, 0], Some(&[1, 1, 0]), None).unwrap();
        labels.close().unwrap();
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}
