//! The places where a library may lie on this machine, read from the environment once, so that tests can name others.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The names that are asked of the system's loader.
pub(super) const LOADER_NAMES: &[&str] = if cfg!(windows) {
    &["onnxruntime.dll"]
} else if cfg!(target_os = "macos") {
    &["libonnxruntime.dylib"]
} else {
    &["libonnxruntime.so", "libonnxruntime.so.1"]
};

/// Prints the folder of the package without importing it. The working folder is taken off the path, because a library
/// found there would be loaded into this process.
const FIND_PACKAGE: &str = "import sys
sys.path = [entry for entry in sys.path if entry]
import importlib.util
spec = importlib.util.find_spec('onnxruntime')
print(list(spec.submodule_search_locations)[0] if spec and spec.submodule_search_locations else '')";

/// Where to look, and what is allowed.
pub(super) struct Places {
    /// `ORT_DYLIB_PATH`.
    pub(super) named: Option<PathBuf>,
    /// The folder of the executable.
    pub(super) executable_folder: Option<PathBuf>,
    /// The user's cache of this program.
    pub(super) cache: Option<PathBuf>,
    /// Python interpreters, the active environment's first.
    pub(super) pythons: Vec<PathBuf>,
    /// Whether the system's loader is asked.
    pub(super) ask_loader: bool,
    /// Whether fetching is forbidden.
    pub(super) offline: bool,
}

impl Places {
    pub(super) fn from_environment() -> Self {
        let executable = env::current_exe().ok();
        Self {
            named: set("ORT_DYLIB_PATH").map(|path| rooted(PathBuf::from(path))),
            executable_folder: executable.and_then(|path| path.parent().map(Path::to_path_buf)),
            cache: cache(&set),
            pythons: pythons(),
            ask_loader: true,
            offline: set("ONNX_SAP_OFFLINE").is_some_and(|value| value != "0"),
        }
    }

    /// The folder that the pinned wheel is unpacked into.
    pub(super) fn cache_folder(&self, cuda: bool) -> Option<PathBuf> {
        let name = if cuda { "onnxruntime-gpu" } else { "onnxruntime" };
        self.cache.as_ref().map(|cache| cache.join(format!("{name}-{}", super::VERSION)))
    }

    /// Where the active Python environment keeps `onnxruntime`'s libraries.
    pub(super) fn python_package(&self) -> Option<PathBuf> {
        let mut answers = self.pythons.iter().filter_map(|python| ask(python, FIND_PACKAGE));
        answers.next().filter(|folder| !folder.is_empty()).map(|folder| Path::new(&folder).join("capi"))
    }

    /// Where the active Python environment keeps its packages.
    pub(super) fn python_site(&self) -> Option<PathBuf> {
        const SITE: &str = "import sysconfig; print(sysconfig.get_paths()['purelib'])";
        let mut answers = self.pythons.iter().filter_map(|python| ask(python, SITE));
        answers.next().filter(|folder| !folder.is_empty()).map(PathBuf::from)
    }
}

/// The library in `folder`: the plain name, else the highest version.
pub(super) fn library_in(folder: &Path) -> Option<PathBuf> {
    let names = std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let best = names.filter_map(|name| Some((library_rank(&name)?, name))).max()?;
    Some(folder.join(best.1))
}

/// How much a file name is wanted; nothing where it is no library of ONNX Runtime itself.
fn library_rank(name: &str) -> Option<Vec<u32>> {
    if name == "onnxruntime.dll" || name == "libonnxruntime.dylib" || name == "libonnxruntime.so" {
        return name.ends_with(env::consts::DLL_SUFFIX).then(|| vec![u32::MAX]);
    }
    let version = if cfg!(target_os = "macos") {
        name.strip_prefix("libonnxruntime.")?.strip_suffix(".dylib")?
    } else {
        name.strip_prefix("libonnxruntime.so.")?
    };
    version.split('.').map(|part| part.parse().ok()).collect()
}

/// What a Python program prints, where that interpreter runs.
fn ask(python: &Path, program: &str) -> Option<String> {
    let output = Command::new(python).args(["-c", program]).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}

fn pythons() -> Vec<PathBuf> {
    let active = set("VIRTUAL_ENV").map(|folder| {
        let inside = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python3" };
        Path::new(&folder).join(inside)
    });
    active.into_iter().chain(["python3", "python"].map(PathBuf::from)).collect()
}

/// `ONNX_SAP_CACHE`, or this program's folder in the cache that the platform has for the user.
fn cache(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(folder) = variable("ONNX_SAP_CACHE") {
        return Some(rooted(PathBuf::from(folder)));
    }
    let home = |inside: &str| variable("HOME").map(|home| Path::new(&home).join(inside));
    let chosen = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let platform = || match env::consts::OS {
        "windows" => variable("LOCALAPPDATA").map(PathBuf::from),
        "macos" => home("Library/Caches"),
        _ => home(".cache"),
    };
    chosen.or_else(platform).map(|folder| folder.join("onnx-sap"))
}

/// A path that a user wrote, independent of the working folder; a bare file name is left to the loader.
fn rooted(path: PathBuf) -> PathBuf {
    if path.components().count() > 1 || path.exists() { std::path::absolute(&path).unwrap_or(path) } else { path }
}

/// An environment variable that is set to something.
fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| value != OsStr::new(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_the_variables() {
        let given = |pairs: &'static [(&'static str, &'static str)]| {
            cache(&move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
        };
        assert_eq!(given(&[]), None);
        assert_eq!(given(&[("ONNX_SAP_CACHE", "/a"), ("XDG_CACHE_HOME", "/b")]), Some("/a".into()));
        assert_eq!(given(&[("XDG_CACHE_HOME", "/b"), ("HOME", "/c")]), Some("/b/onnx-sap".into()));
        if cfg!(target_os = "linux") {
            assert_eq!(given(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/c")]), Some("/c/.cache/onnx-sap".into()));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_highest_version_is_taken_and_providers_are_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let put = |name: &str| std::fs::write(folder.path().join(name), b"").expect("writing a file");
        put("libonnxruntime_providers_shared.so");
        put("libonnxruntime.so.old");
        assert_eq!(library_in(folder.path()), None);
        put("libonnxruntime.so.1.9.0");
        put("libonnxruntime.so.1.31.1");
        assert_eq!(library_in(folder.path()), Some(folder.path().join("libonnxruntime.so.1.31.1")));
        put("libonnxruntime.so");
        assert_eq!(library_in(folder.path()), Some(folder.path().join("libonnxruntime.so")));
    }
}
