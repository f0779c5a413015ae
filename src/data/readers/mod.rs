//! The formats of labelled data, one file each.

mod cifar;
mod clothing1m;
mod csv;
mod folder;
mod idx;
mod mini_webvision;
mod npz;
#[cfg(feature = "parquet")]
mod parquet;
mod webdataset;

use super::{ImageSize, Preprocessing, Reader, Resize};

/// How photographs are usually preprocessed: as ImageNet's were.
fn imagenet() -> Preprocessing {
    Preprocessing {
        usual_size: Some(ImageSize { height: 224, width: 224 }),
        resize: Some(Resize::Cover { from: 256, to: 224 }),
        mean: Some(vec![0.485, 0.456, 0.406]),
        std: Some(vec![0.229, 0.224, 0.225]),
        ..Preprocessing::default()
    }
}

/// The readers, in the order in which `--help` lists them.
pub const READERS: &[&dyn Reader] = &[
    &idx::MNIST,
    &idx::FASHION_MNIST,
    &cifar::CIFAR10,
    &cifar::CIFAR100,
    &clothing1m::CLOTHING1M,
    &mini_webvision::MINI_WEBVISION,
    &folder::FOLDER,
    &csv::CSV,
    &npz::NPZ,
    &webdataset::WEBDATASET,
    #[cfg(feature = "parquet")]
    &parquet::PARQUET,
];
