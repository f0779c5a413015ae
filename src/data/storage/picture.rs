//! Encoded images: what the bytes are counts, not what their file is called.

use super::open_file;
use image::{DynamicImage, ImageReader, Limits};
use std::io::{Cursor, Read};
use std::path::Path;

/// How the names of images end.
const EXTENSIONS: &[&str] = &["png", "jpg", "jpeg", "webp"];

/// A decoded image may not take more than this, whatever its header says.
const MOST_BYTES: u64 = 512 << 20;
const LARGEST_SIDE: u32 = 32_768;

/// Whether a file of that name is taken for an image.
pub(in crate::data) fn is_image(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// The image in a file, or why there is none.
pub(in crate::data) fn read_image(path: &Path) -> Result<DynamicImage, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    open_file(path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
    decode(&bytes).map_err(|reason| format!("{}: {reason}", path.display()))
}

/// The image that `bytes` encode, or why they encode none.
pub(in crate::data) fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| error.to_string())?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    reader.decode().map_err(|error| error.to_string())
}
