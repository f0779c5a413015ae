//! Asks a shared library whether it is an ONNX Runtime that this build can use, without committing the process to it.

use crate::engine::names::one_line;
use crate::panics;
use std::error::Error;
use std::fmt;
use std::path::Path;

/// Why a library cannot be used.
#[derive(Debug)]
pub(in crate::engine) enum Refusal {
    /// The loader has no such library, or cannot load it; in its words, which name the file.
    NotLoaded(String),
    /// It was loaded, and is not what is needed.
    Wrong(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotLoaded(reason) | Self::Wrong(reason)) = self;
        f.write_str(reason)
    }
}

/// The version that the library at `path` reports, or the reason, which names the library, why it cannot be used.
pub(in crate::engine) fn version(path: &Path) -> Result<String, Refusal> {
    let name = path.display();
    let probed = panics::catch(|| ::ort::util::probe(path));
    let Some(minor) = probed.map_err(|panic| Refusal::Wrong(format!("{name}: {panic}")))? else {
        return Err(why_not(path));
    };
    if minor < ::ort::MINOR_VERSION {
        let needed = ::ort::MINOR_VERSION;
        return Err(Refusal::Wrong(format!("{name} is ONNX Runtime 1.{minor}, and 1.{needed} or later is needed")));
    }
    Ok(full_version(path, minor))
}

/// The loader's words name the file, and the library that is missing where another one needs it.
fn why_not(path: &Path) -> Refusal {
    let name = path.display().to_string();
    match ::ort::util::preload_dylib(path) {
        Err(error) => {
            let words = error.source().map_or_else(|| one_line(&error), one_line);
            Refusal::NotLoaded(if words.contains(&name) { words } else { format!("{name}: {words}") })
        }
        Ok(()) => Refusal::Wrong(format!("{name} is a shared library, but not ONNX Runtime 1.x")),
    }
}

/// The binding tells the minor version only; the patch level stands in the name of the file or of its folder.
fn full_version(path: &Path, minor: u32) -> String {
    let known = format!("1.{minor}");
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let file = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = real.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    [file, folder.unwrap_or_default()].iter().find_map(|name| patch_level(name, &known)).unwrap_or(known)
}

/// `1.31.1` in `libonnxruntime.so.1.31.1`, given `1.31`.
fn patch_level(name: &str, known: &str) -> Option<String> {
    let (_, rest) = name.split_once(&format!("{known}."))?;
    let patch: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!patch.is_empty()).then(|| format!("{known}.{patch}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patch_level_comes_from_the_name() {
        assert_eq!(patch_level("libonnxruntime.so.1.31.1", "1.31").as_deref(), Some("1.31.1"));
        assert_eq!(patch_level("libonnxruntime.1.31.12.dylib", "1.31").as_deref(), Some("1.31.12"));
        assert_eq!(patch_level("libonnxruntime.so", "1.31"), None);
    }

    #[test]
    fn what_is_no_runtime_says_why() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let fake = folder.path().join("libonnxruntime.so");
        std::fs::write(&fake, b"not a library").expect("writing a file");
        let reason = version(&fake).expect_err("a text file is no library").to_string();
        assert!(reason.contains("libonnxruntime.so"), "{reason}");
    }
}
