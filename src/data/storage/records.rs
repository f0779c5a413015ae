//! Fixed-size records by random access, in bounded memory.
//!
//! A plain file is read in place; a compressed source is unpacked once into an unnamed temporary file. What a header
//! declares is compared with what is really there before anything is allocated: a source that is too short or too
//! long is an error when it is opened, not when the last sample is read.

use crate::data::DataError;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Deflate cannot expand a byte to more than this, so a larger claim is a lie (the exact bound is 1032).
const LARGEST_EXPANSION: u64 = 1100;

/// Bytes that can be read at any position by several threads.
pub(in crate::data) struct Source {
    #[cfg(unix)]
    file: File,
    #[cfg(not(unix))]
    file: std::sync::Mutex<File>,
    length: u64,
}

impl Source {
    /// A file that is read in place.
    pub(in crate::data) fn plain(path: &Path) -> Result<Self, DataError> {
        open_file(path).and_then(Self::new).map_err(|error| DataError::io(path, &error))
    }

    /// Unpacks exactly `length` bytes of `unpacked`, which come from `packed_length` bytes of `path`.
    pub(in crate::data) fn unpack(
        path: &Path,
        unpacked: impl Read,
        packed_length: u64,
        length: u64,
    ) -> Result<Self, DataError> {
        if length > packed_length.saturating_add(64).saturating_mul(LARGEST_EXPANSION) {
            return Err(wrong_length(path, length, "more than its compressed bytes can hold"));
        }
        let failed = |error: io::Error| {
            DataError::file(path, format_args!("cannot be unpacked: {error}"), "fetch it again, or unpack it by hand")
        };
        let no_room = |error: io::Error| {
            DataError::file(
                path,
                format_args!("cannot be unpacked into a temporary file: {error}"),
                "free space, point TMPDIR elsewhere, or unpack it by hand",
            )
        };
        let mut file = tempfile::tempfile().map_err(no_room)?;
        // One byte more than declared tells an overlong source without unpacking all of it.
        let mut unpacked = unpacked.take(length.saturating_add(1));
        let mut buffer = vec![0; 1 << 16];
        let mut written = 0_u64;
        loop {
            let count = match unpacked.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            file.write_all(buffer.get(..count).unwrap_or_default()).map_err(no_room)?;
            written = written.saturating_add(count as u64);
        }
        if written != length {
            let actual = if written > length { "more" } else { "fewer" };
            return Err(wrong_length(path, length, format_args!("{actual} than there are")));
        }
        Self::new(file).map_err(no_room)
    }

    fn new(mut file: File) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        #[cfg(not(unix))]
        let file = std::sync::Mutex::new(file);
        Ok(Self { file, length })
    }

    pub(in crate::data) fn length(&self) -> u64 {
        self.length
    }

    /// Fills `buffer` from `offset` on.
    #[cfg(unix)]
    pub(in crate::data) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, offset)
    }

    /// Fills `buffer` from `offset` on; the lock makes seeking and reading one step.
    #[cfg(not(unix))]
    pub(in crate::data) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buffer)
    }
}

/// Opens a regular file; anything else (a folder, a pipe) has no length to check and no positions to read at.
pub(in crate::data) fn open_file(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(path)
}

/// `declared` bytes do not fit what is there.
pub(in crate::data) fn wrong_length(path: &Path, declared: u64, contrast: impl std::fmt::Display) -> DataError {
    DataError::file(
        path,
        format_args!("its header declares {declared} bytes of data, {contrast}"),
        "it is truncated or damaged: fetch it again",
    )
}

/// `count` records of `size` bytes each, from `offset` of a source on.
pub(in crate::data) struct Records {
    source: Source,
    offset: u64,
    size: usize,
    count: usize,
}

impl Records {
    /// Records that fill `source` from `offset` up to `end`, no byte less and no byte more.
    pub(in crate::data) fn new(
        path: &Path,
        source: Source,
        (offset, end): (u64, u64),
        shape: Shape,
    ) -> Result<Self, DataError> {
        let declared = shape.bytes(path)?;
        let there = end.min(source.length()).saturating_sub(offset);
        if declared != there || end > source.length() {
            return Err(wrong_length(path, declared, format_args!("but there are {there}")));
        }
        if shape.count == 0 || shape.size == 0 {
            return Err(DataError::file(path, "it holds no samples", "give a set with at least one sample"));
        }
        Ok(Self { source, offset, size: shape.size, count: shape.count })
    }

    pub(in crate::data) fn count(&self) -> usize {
        self.count
    }

    /// The bytes of record `index`.
    pub(in crate::data) fn read(&self, index: usize) -> io::Result<Vec<u8>> {
        self.read_range(index, 1)
    }

    /// The bytes of `count` records from `first` on.
    fn read_range(&self, first: usize, count: usize) -> io::Result<Vec<u8>> {
        if first.checked_add(count).is_none_or(|end| end > self.count) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no such sample in the set"));
        }
        // None of this overflows: the whole extent was checked against the length of the source.
        let mut bytes = vec![0; self.size * count];
        self.source.read_at(self.offset + (self.size as u64) * (first as u64), &mut bytes)?;
        Ok(bytes)
    }

    /// Calls `visit` with every record in order, reading many at a time.
    pub(in crate::data) fn scan(
        &self,
        path: &Path,
        mut visit: impl FnMut(&[u8]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let step = ((1 << 16) / self.size).max(1);
        for first in (0..self.count).step_by(step) {
            let bytes = self.read_range(first, step.min(self.count - first));
            let bytes = bytes.map_err(|error| DataError::io(path, &error))?;
            bytes.chunks_exact(self.size).try_for_each(&mut visit)?;
        }
        Ok(())
    }
}

/// The extent of a set of records as its header declares it.
#[derive(Clone, Copy)]
pub(in crate::data) struct Shape {
    pub(in crate::data) count: usize,
    pub(in crate::data) size: usize,
}

impl Shape {
    /// From what a header declares: the number of records, and the factors of a record's size.
    pub(in crate::data) fn declared(path: &Path, count: u64, factors: &[u64]) -> Result<Self, DataError> {
        let size = factors.iter().try_fold(1_u64, |product, factor| product.checked_mul(*factor));
        let size = size.and_then(|size| usize::try_from(size).ok());
        match (usize::try_from(count).ok(), size) {
            (Some(count), Some(size)) => Ok(Self { count, size }),
            _ => Err(too_large(path)),
        }
    }

    /// The bytes of all records together.
    pub(in crate::data) fn bytes(self, path: &Path) -> Result<u64, DataError> {
        (self.count as u64).checked_mul(self.size as u64).ok_or_else(|| too_large(path))
    }
}

fn too_large(path: &Path) -> DataError {
    DataError::file(path, "its header declares more data than can be addressed", "it is damaged: fetch it again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn unpacked(bytes: &[u8], declared: u64) -> Result<Source, DataError> {
        Source::unpack(Path::new("packed"), Cursor::new(bytes.to_vec()), bytes.len() as u64, declared)
    }

    #[test]
    fn records_are_read_in_any_order() {
        let source = unpacked(b"head-aabbccdd", 13).unwrap();
        let records = Records::new(Path::new("file"), source, (5, 13), Shape { count: 4, size: 2 }).unwrap();
        assert_eq!(records.read(3).unwrap(), b"dd");
        assert_eq!(records.read(0).unwrap(), b"aa");
        assert!(records.read(4).is_err());
        let mut seen = Vec::new();
        records
            .scan(Path::new("file"), |bytes| {
                seen.push(bytes.to_vec());
                Ok(())
            })
            .unwrap();
        assert_eq!(seen[2], b"cc");
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn a_length_that_differs_from_the_declared_one_is_an_error() {
        assert!(unpacked(b"abc", 4).is_err());
        assert!(unpacked(b"abc", 2).is_err());
        for count in [1, 3, usize::MAX] {
            let source = unpacked(b"abcd", 4).unwrap();
            assert!(Records::new(Path::new("file"), source, (0, 4), Shape { count, size: 2 }).is_err());
        }
    }

    #[test]
    fn claims_beyond_what_compression_can_do_are_refused_before_any_work() {
        assert!(unpacked(b"abc", u64::MAX).is_err());
    }

    #[test]
    fn sizes_that_overflow_are_errors() {
        assert!(Shape::declared(Path::new("file"), 1, &[u64::MAX, 2]).is_err());
        assert!(Shape { count: usize::MAX, size: 2 }.bytes(Path::new("file")).is_err());
    }

    #[test]
    fn a_folder_is_no_source() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Source::plain(folder.path()).is_err());
        assert!(Source::plain(&folder.path().join("absent")).is_err());
    }
}
