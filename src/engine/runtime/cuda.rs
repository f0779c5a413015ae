//! The NVIDIA libraries that ONNX Runtime's CUDA provider needs, and where they lie.
//!
//! The provider fails to load with the name of the first library that is missing, and only of that one; this check
//! names all of them. The libraries of pip's NVIDIA packages, which many a Python environment has, are not on the
//! loader's path: [`preload`] loads them by their full names, after which the loader takes those.

use super::places::Places;
use super::{folder_of, locate};
use crate::progress::Silent;
use serde::Serialize;
use std::env;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the provider of the pinned version needs, each after what it needs itself, and where it is to be had.
const NEEDED: &[(&str, ComesWith)] = if cfg!(windows) {
    &[
        ("nvcuda.dll", ComesWith::Driver),
        ("cudart64_13.dll", ComesWith::Package("nvidia-cuda-runtime")),
        ("cublasLt64_13.dll", ComesWith::Package("nvidia-cublas")),
        ("cublas64_13.dll", ComesWith::Package("nvidia-cublas")),
        ("curand64_10.dll", ComesWith::Package("nvidia-curand")),
        ("cudnn64_9.dll", ComesWith::Package("nvidia-cudnn-cu13")),
    ]
} else {
    &[
        ("libcuda.so.1", ComesWith::Driver),
        ("libcudart.so.13", ComesWith::Package("nvidia-cuda-runtime")),
        ("libcublasLt.so.13", ComesWith::Package("nvidia-cublas")),
        ("libcublas.so.13", ComesWith::Package("nvidia-cublas")),
        ("libcurand.so.10", ComesWith::Package("nvidia-curand")),
        ("libcufft.so.12", ComesWith::Package("nvidia-cufft")),
        ("libnvrtc.so.13", ComesWith::Package("nvidia-cuda-nvrtc")),
        ("libcudnn.so.9", ComesWith::Package("nvidia-cudnn-cu13")),
    ]
};

/// Where a library that is missing is to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComesWith {
    /// The driver's own library, which must be the system's.
    Driver,
    /// A package of pip's; the system's toolkit has it as well.
    Package(&'static str),
}

impl Display for ComesWith {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver => to.write_str("comes with the NVIDIA driver"),
            Self::Package(package) => write!(to, "pip install {package}"),
        }
    }
}

/// A library that the CUDA provider needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CudaLibrary {
    /// Its file name.
    pub name: &'static str,
    /// Where it is to be had.
    pub comes_with: ComesWith,
    /// Where it was found.
    pub found: Option<PathBuf>,
    /// The folders that were searched, in order.
    pub looked_in: Vec<PathBuf>,
}

/// Whether each library that the CUDA provider needs is there, for `runtime status`.
pub fn cuda_libraries() -> Vec<CudaLibrary> {
    let library = locate(&Silent, false).ok().map(|located| located.path);
    libraries(library.as_deref())
}

/// Loads what was found, so that the provider finds it too. What fails here, the provider names when it fails.
pub(in crate::engine) fn preload(library: &Path, load: impl Fn(&Path)) {
    for needed in libraries(Some(library)).iter().filter(|needed| needed.comes_with != ComesWith::Driver) {
        if let Some(path) = &needed.found {
            load(path);
        }
    }
}

/// The libraries that were not found and where they are to be had, separated by commas.
pub(in crate::engine) fn missing(library: &Path) -> String {
    let all = libraries(Some(library));
    let missing = all.iter().filter(|needed| needed.found.is_none());
    missing.map(|needed| format!("{} ({})", needed.name, needed.comes_with)).collect::<Vec<_>>().join(", ")
}

/// The bytes that are free on a CUDA device, as the driver's own program tells.
pub(in crate::engine) fn free_memory(device: u32) -> Option<u64> {
    // The program numbers all devices; CUDA those that the variable leaves visible, by number or identity.
    let id = match env::var("CUDA_VISIBLE_DEVICES") {
        Ok(visible) => visible.split(',').nth(device as usize)?.trim().to_owned(),
        Err(_) => device.to_string(),
    };
    let query = ["--query-gpu=memory.free", "--format=csv,noheader,nounits", &format!("--id={id}")];
    let output = Command::new("nvidia-smi").args(query).stdin(Stdio::null()).output().ok()?;
    let mebibytes: u64 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    Some(mebibytes << 20)
}

/// The CUDA provider beside an ONNX Runtime library.
pub(super) fn provider_beside(library: &Path) -> Option<PathBuf> {
    let name = if cfg!(windows) { "onnxruntime_providers_cuda.dll" } else { "libonnxruntime_providers_cuda.so" };
    Some(folder_of(library)?.join(name)).filter(|path| path.is_file())
}

fn libraries(library: Option<&Path>) -> Vec<CudaLibrary> {
    let folders = folders(library);
    let known = loader_cache();
    let find = |&(name, comes_with): &(&'static str, ComesWith)| {
        let listed = known.iter().find(|path| path.file_name().is_some_and(|file| file == name));
        let found = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        CudaLibrary { name, comes_with, found: found.or_else(|| listed.cloned()), looked_in: folders.clone() }
    };
    NEEDED.iter().map(find).collect()
}

/// Beside ONNX Runtime, the loader's variable, the toolkit, the system's folders, and pip's NVIDIA packages.
fn folders(library: Option<&Path>) -> Vec<PathBuf> {
    let beside = library.and_then(folder_of).map(Path::to_path_buf);
    let variable = if cfg!(windows) { "PATH" } else { "LD_LIBRARY_PATH" };
    let listed = env::var_os(variable).map(|value| env::split_paths(&value).collect::<Vec<_>>()).unwrap_or_default();
    let toolkit = ["CUDA_PATH", "CUDA_HOME"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let toolkit = toolkit.chain(Some("/usr/local/cuda".into())).flat_map(|root| [root.join("lib64"), root.join("bin")]);
    let multiarch = format!("{}-linux-gnu", env::consts::ARCH);
    let system = [format!("/usr/lib/{multiarch}"), format!("/lib/{multiarch}"), "/usr/lib64".into(), "/usr/lib".into()];
    let all = beside.into_iter().chain(listed).chain(toolkit).chain(system.into_iter().map(PathBuf::from));
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in all.chain(python_packages()) {
        if folder.is_absolute() && folder.is_dir() && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// `nvidia/*/lib` (on Windows `bin`) of the active Python environment.
fn python_packages() -> Vec<PathBuf> {
    let root = Places::from_environment().python_site().map(|site| site.join("nvidia"));
    let entries = root.and_then(|root| fs::read_dir(root).ok()).into_iter().flatten();
    let inside = |entry: Result<fs::DirEntry, std::io::Error>| {
        entry.map(|entry| [entry.path().join("lib"), entry.path().join("bin")]).ok()
    };
    let mut packages: Vec<PathBuf> = entries.filter_map(inside).flatten().collect();
    packages.sort();
    packages
}

/// What Linux's loader knows from its configuration; empty elsewhere.
fn loader_cache() -> Vec<PathBuf> {
    if !cfg!(target_os = "linux") {
        return Vec::new();
    }
    let listing = |program: &str| Command::new(program).arg("-p").stdin(Stdio::null()).output().ok();
    let Some(output) = listing("ldconfig").or_else(|| listing("/sbin/ldconfig")) else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.split_once(" => ")).map(|(_, path)| PathBuf::from(path.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_beside_the_runtime_is_found() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (name, _) = NEEDED[1];
        fs::write(folder.path().join(name), b"").expect("writing a file");
        let found = libraries(Some(&folder.path().join("libonnxruntime.so")));
        let library = found.iter().find(|library| library.name == name).expect("it is needed");
        assert_eq!(library.found, Some(folder.path().join(name)));
        assert!(found.iter().all(|library| library.looked_in.first().is_some_and(|first| first == folder.path())));
    }

    #[test]
    fn what_is_missing_is_named_with_where_it_is_to_be_had() {
        // No machine has a library beside a runtime that is not there, but it may have one elsewhere.
        let library = Path::new("nowhere/libonnxruntime.so");
        let said = missing(library);
        for needed in libraries(Some(library)) {
            let advice = format!("{} ({})", needed.name, needed.comes_with);
            assert_eq!(said.contains(&advice), needed.found.is_none(), "{said}");
        }
        assert_eq!(ComesWith::Package("nvidia-curand").to_string(), "pip install nvidia-curand");
    }
}
