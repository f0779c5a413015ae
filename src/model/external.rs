//! Copies of files of external data: read once, holes stay holes, and what was not to change can be proven unchanged.
//!
//! While a file is copied, a digest is taken of everything outside of the ranges that are written. The copy, read back,
//! must give the same digest; so the original, which may have many gigabytes, is not read a second time.

use super::ModelError;
use crate::paths::parent;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes that are read at once, and the size of the smallest hole.
const CHUNK: usize = 1 << 16;

/// A copy of a file of external data with some ranges replaced.
#[derive(Debug, Default)]
pub struct ExternalCopy {
    /// Where the rewritten model looks for it.
    pub location: String,
    /// Offsets and what stands there afterwards; copies of weights lie behind the end of the original.
    pub writes: Vec<(u64, Vec<u8>)>,
}

/// The length of a file, and the digest of what stands outside of the ranges that were to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    length: u64,
    sha256: [u8; 32],
}

impl ExternalCopy {
    /// The length of the copy of a file of `size` bytes.
    pub(super) fn length(&self, size: u64) -> u64 {
        self.writes.iter().map(|(offset, bytes)| offset + bytes.len() as u64).fold(size, u64::max)
    }

    /// Copies `from` to `to` with the new bytes in it, and tells what `to` must hold beside them. The copy is not synced.
    pub(super) fn make(&self, from: &Path, to: &Path) -> Result<(File, Rest), ModelError> {
        let failed = |source: io::Error| ModelError::Write { path: to.into(), source };
        fs::create_dir_all(parent(to)).map_err(failed)?;
        let original = File::open(from).map_err(|source| ModelError::Read { path: from.into(), source })?;
        let mut copy = File::create(to).map_err(failed)?;
        let rest = self.copy_rest(original, &mut copy).map_err(failed)?;
        let mut write = || -> io::Result<()> {
            for (offset, bytes) in &self.writes {
                copy.seek(SeekFrom::Start(*offset))?;
                copy.write_all(bytes)?;
            }
            Ok(())
        };
        write().map_err(failed)?;
        Ok((copy, rest))
    }

    fn copy_rest(&self, original: File, copy: &mut File) -> io::Result<Rest> {
        let length = self.length(original.metadata()?.len());
        copy.set_len(length)?;
        self.digest(original, length, |at, chunk| {
            if chunk.iter().any(|&byte| byte != 0) {
                copy.seek(SeekFrom::Start(at))?;
                copy.write_all(chunk)?;
            }
            Ok(())
        })
    }

    /// What a file holds beside the new bytes.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn rest(&self, path: &Path) -> io::Result<Rest> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        self.digest(file, length, |_, _| Ok(()))
    }

    /// Reads a file, which counts as zeros from its end to `length`.
    fn digest(
        &self,
        mut file: File,
        length: u64,
        mut visit: impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> io::Result<Rest> {
        let mut hasher = Sha256::new();
        let mut chunk = vec![0; CHUNK];
        let mut at = 0;
        while at < length {
            let wanted = (length - at).min(CHUNK as u64) as usize;
            let read = fill(&mut file, &mut chunk[..wanted])?;
            chunk[read..wanted].fill(0);
            visit(at, &chunk[..wanted])?;
            for (offset, bytes) in &self.writes {
                let within = |end: u64| end.saturating_sub(at).min(wanted as u64) as usize;
                chunk[within(*offset)..within(offset + bytes.len() as u64)].fill(0);
            }
            hasher.update(&chunk[..wanted]);
            at += wanted as u64;
        }
        Ok(Rest { length, sha256: hasher.finalize().into() })
    }
}

/// Reads until a buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(old: &[u8], writes: Vec<(u64, Vec<u8>)>) -> (tempfile::TempDir, ExternalCopy, Rest) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old"), old).unwrap();
        let copy = ExternalCopy { location: "new".into(), writes };
        let (_, rest) = copy.make(&folder.path().join("old"), &folder.path().join("new")).unwrap();
        (folder, copy, rest)
    }

    #[test]
    fn a_copy_holds_the_new_bytes_and_the_others_where_they_were() {
        let old: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        let writes = vec![(65_530, vec![255; 20]), (199_999, vec![7; 1]), (200_010, vec![9; 4])];
        let (folder, copy, rest) = copied(&old, writes);
        let mut wanted = old;
        wanted.resize(200_014, 0);
        wanted[65_530..65_550].fill(255);
        wanted[199_999] = 7;
        wanted[200_010..].fill(9);
        assert_eq!(fs::read(folder.path().join("new")).unwrap(), wanted);
        assert_eq!(copy.rest(&folder.path().join("new")).unwrap(), rest);
    }

    #[test]
    fn a_byte_outside_or_another_length_is_seen_and_one_inside_is_not() {
        let (folder, copy, rest) = copied(&[1; 100], vec![(10, vec![2; 5])]);
        let path = folder.path().join("new");
        for (at, same) in [(9, false), (10, true), (14, true), (15, false), (99, false)] {
            let mut bytes = fs::read(folder.path().join("new")).unwrap();
            bytes[at] = 77;
            fs::write(folder.path().join("other"), bytes).unwrap();
            assert_eq!(copy.rest(&folder.path().join("other")).unwrap() == rest, same, "byte {at}");
        }
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&[0]).unwrap();
        assert_ne!(copy.rest(&path).unwrap(), rest);
    }
}
