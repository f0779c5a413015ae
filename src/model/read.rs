//! Reads a file whole. What costs time is touching new memory, not the disk's cache, so large files are read in two halves
//! at once.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// From this size on it pays to read in halves.
const LARGE: u64 = 1 << 24;

/// The bytes of a file.
///
/// # Errors
/// Those of the system.
pub(super) fn file(path: &Path) -> io::Result<Vec<u8>> {
    let there = std::fs::metadata(path)?;
    // The size of a pipe, and of what grows or shrinks meanwhile, is not known before its end.
    if !there.is_file() || there.len() < LARGE {
        return std::fs::read(path);
    }
    match halves(path, there.len()) {
        Ok(Some(bytes)) => Ok(bytes),
        _ => std::fs::read(path),
    }
}

/// A file of that length, or nothing where its length is another.
fn halves(path: &Path, length: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; length as usize];
    let (low, high) = bytes.split_at_mut(length as usize / 2);
    let middle = low.len() as u64;
    let (low, high) = rayon::join(|| part(path, 0, low), || part(path, middle, high));
    low?;
    let mut file = high?;
    Ok((file.read(&mut [0])? == 0).then_some(bytes))
}

/// Fills `bytes` with what stands from `offset` on; the file is then behind them.
fn part(path: &Path, offset: u64, bytes: &mut [u8]) -> io::Result<File> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_the_whole_and_another_length_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..LARGE as usize + 5).map(|at| (at % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        assert!(file(&path).unwrap() == bytes);
        assert!(halves(&path, bytes.len() as u64).unwrap().unwrap() == bytes);
        assert_eq!(halves(&path, bytes.len() as u64 - 1).unwrap(), None);
        assert!(halves(&path, bytes.len() as u64 + 1).is_err());
        assert!(file(&folder.path().join("none")).is_err());
        assert!(file(folder.path()).is_err());
    }
}
