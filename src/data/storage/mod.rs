//! What readers have in common: lists of image files, encoded images, names and labels of samples, records of one size,
//! the headers of numpy arrays.

mod arrays;
mod jpeg;
mod labels;
mod listing;
mod lists;
mod names;
mod npy;
mod picture;
mod planes;
mod records;

pub(crate) use arrays::{read_arrays, write_array};
pub(in crate::data) use labels::Labels;
pub(in crate::data) use listing::Listing;
pub(in crate::data) use lists::{lines, name_and_label, read_text};
pub(in crate::data) use names::Names;
pub(in crate::data) use npy::Header;
pub(in crate::data) use picture::{decode, is_image, read_image};
pub(in crate::data) use planes::interleave;
pub(in crate::data) use records::{Records, Shape, Source, open_file};
